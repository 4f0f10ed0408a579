//! Plans and safe commands for moments of a drive that somebody else's world or vehicle tells, one after
//! the other: the same columns, route and following of plans as where episodes are driven (`fleet.rs`).

use super::DrivingConfig;
use super::moment::{Form, Moment};
use super::planner::{Planned, Planner, recording};
use crate::error::TaskError;
use crate::scored::{PlanOutput, Prediction, SafeCommand};
use burn::tensor::Device;
use conjoin_data::lerobot::Frame;
use conjoin_data::source::LerobotConfig;
use conjoin_data::{DataError, DataSetConfig, Live};
use conjoin_graph::{Graph, Route};
use conjoin_world::driving::guard::{Guard, GuardConfig};
use conjoin_world::driving::vehicle::track;
use std::collections::BTreeSet;

/// What plans for moments; drives that it plans for never depend on each other.
#[derive(Debug)]
pub struct Pilot {
    planner: Planner,
    form: Form,
    guard: GuardConfig,
}

/// One drive: the safety layer behind the plans remembers what it did before.
#[derive(Debug, Clone)]
pub struct Drive {
    guard: Guard,
    /// The last frames, as many as are read.
    seen: Vec<Frame>,
}

impl Pilot {
    /// `route` leads to the task's ports.
    ///
    /// # Errors
    /// The data set is no recording of the driving world, or no columns can be made of it.
    pub(crate) fn new(
        task: &DrivingConfig,
        data: &DataSetConfig,
        route: Route,
        device: &Device,
    ) -> Result<Self, TaskError> {
        let (recording, info) = recording(task, data)?;
        let (needed, live) = needed(data, recording, &route)?;
        let guard = task.guard();
        let form = Form::new(&info, &needed, guard.threshold);
        Ok(Self {
            planner: Planner::new(task, route, live, device),
            form: form.ok_or_else(|| TaskError::Recording(task.data.clone()))?,
            guard,
        })
    }

    /// Begins a drive.
    pub fn begin(&self) -> Drive {
        Drive {
            guard: Guard::new(self.guard),
            seen: Vec::new(),
        }
    }

    /// Answers moments of a drive, each told as a line of JSON, 0.1 s apart.
    ///
    /// # Errors
    /// A line is wrong ([`TaskError::is_an_inputs`]), or the graph fails; the drive is then as it was.
    pub fn answer(
        &self,
        graph: &Graph,
        drive: &mut Drive,
        lines: &[String],
    ) -> Result<Vec<Prediction>, TaskError> {
        let moments = lines.iter().map(|line| self.form.read(line));
        let moments = moments.collect::<Result<Vec<Moment>, TaskError>>()?;
        let history = self.planner.history();
        let told = moments.iter().map(|moment| &moment.frame);
        let frames: Vec<&Frame> = drive.seen.iter().chain(told).collect();
        // A drive's frames begin where it was told to begin.
        let mut begin = 0;
        let spans = (drive.seen.len()..).zip(&moments).map(|(index, moment)| {
            if moment.reset {
                begin = index;
            }
            begin.max(index.saturating_sub(history))..index + 1
        });
        let spans: Vec<Vec<&Frame>> = spans.map(|span| frames[span].to_vec()).collect();
        let planned = self.planner.plan(graph, &spans)?;
        let last = spans.last().into_iter().flatten();
        let seen: Vec<Frame> = last.map(|&frame| frame.clone()).collect();
        let answers = moments.iter().zip(planned).map(|(moment, planned)| {
            if moment.reset {
                *drive = self.begin();
            }
            Prediction::Plan(PlanOutput {
                command: drive.command(moment, &planned),
                plan: planned.steps,
                fallback: planned.fallback,
                reason: planned.reason.map(|reason| reason.to_string()),
            })
        });
        let answers = answers.collect();
        if !seen.is_empty() {
            drive.seen = seen;
        }
        Ok(answers)
    }
}

impl Drive {
    /// The command that is safe to follow for the next 0.1 s; none where nothing was told of what is
    /// around.
    fn command(&mut self, moment: &Moment, planned: &Planned) -> Option<SafeCommand> {
        let around = moment.around.as_ref()?;
        let asked = track(&moment.ego, &planned.poses());
        Some(SafeCommand {
            control: self.guard.filter(&moment.ego, around, asked),
            braked: self.guard.brakes(),
        })
    }
}

/// The fewest features of which the columns that the route reads can be made, with what makes them: a
/// vehicle on the road knows no truth, and should not be asked for what nobody reads.
fn needed(
    data: &DataSetConfig,
    recording: &LerobotConfig,
    route: &Route,
) -> Result<(BTreeSet<String>, Live), DataError> {
    let columns = recording.columns.values();
    let mut needed: BTreeSet<String> = columns
        .flat_map(|column| column.feature.iter().chain(&column.features))
        .cloned()
        .collect();
    let make = |features: &BTreeSet<String>| {
        let features: Vec<&str> = features.iter().map(String::as_str).collect();
        Live::new(data, &features)
    };
    let suffice = |features: &BTreeSet<String>| {
        make(features).is_ok_and(|live| {
            let mut read = route.columns().into_iter();
            read.all(|column| live.columns().contains_key(column))
        })
    };
    for feature in needed.clone() {
        needed.remove(&feature);
        if !suffice(&needed) {
            needed.insert(feature);
        }
    }
    let live = make(&needed)?;
    Ok((needed, live))
}
