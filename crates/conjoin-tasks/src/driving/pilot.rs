//! Plans and safe commands for moments of a drive that somebody else's world or vehicle tells, one after
//! the other: the same columns, route and following of plans as where episodes are driven (`fleet.rs`).
//!
//! A command is for 0.1 s, and so is the time between two moments. The safety layer behind the plans notices
//! where that fails: a line that cannot be read, a moment without what is around, one whose `time` is not
//! 0.1 s behind the one before. It then brakes to a stop, which lasts until a moment with `reset`.

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
use conjoin_world::driving::guard::{Around, Guard, GuardConfig, Told};
use conjoin_world::driving::vehicle::{Control, EgoState, STEP, track};
use std::collections::BTreeSet;

/// What a moment may come sooner or later and be on time, s.
const JITTER: f64 = 0.01;

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
    watch: Watch,
    /// The last frames, as many as are read.
    seen: Vec<Frame>,
}

/// The safety layer of a drive, and the clock of its moments.
#[derive(Debug, Clone)]
struct Watch {
    guard: Guard,
    /// Whether it was told of what is around before: then it is missed where it is not.
    begun: bool,
    /// When the next moment is due on the drive's clock, s; none before a moment said its time.
    due: Option<f64>,
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
        let form = Form::new(&info, &needed, guard);
        Ok(Self {
            planner: Planner::new(task, route, live, device),
            form: form.ok_or_else(|| TaskError::Recording(task.data.clone()))?,
            guard,
        })
    }

    /// Begins a drive.
    pub fn begin(&self) -> Drive {
        Drive {
            watch: Watch::new(self.guard),
            seen: Vec::new(),
        }
    }

    /// What is safe to do in place of the answer to a line that cannot be read; none where the safety
    /// layer is off, or was told nothing in this drive.
    pub fn miss(&self, drive: &mut Drive) -> Option<SafeCommand> {
        let command = drive.watch.command(None, None);
        command.filter(|_| self.guard.on)
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
                held_by: planned.held,
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
        let around = moment.around.as_ref();
        let told = around.map(|around| {
            let asked = track(&moment.ego, &planned.poses());
            (&moment.ego, around, asked)
        });
        self.watch.command(moment.time, told)
    }
}

impl Watch {
    fn new(config: GuardConfig) -> Self {
        Self {
            guard: Guard::new(config),
            begun: false,
            due: None,
        }
    }

    /// The command for the next 0.1 s, with what was measured at a time, if any of it is known.
    fn command(
        &mut self,
        time: Option<f64>,
        told: Option<(&EgoState, &Around, Control)>,
    ) -> Option<SafeCommand> {
        let behind = match (time, self.due) {
            (Some(time), Some(due)) => time - due,
            _ => 0.0,
        };
        // Moments that say no time are on time.
        self.due = time.or(self.due).map(|now| now + STEP);
        if told.is_none() && !self.begun {
            return None;
        }
        self.begun = true;
        let off = if behind.abs() > JITTER { behind } else { 0.0 };
        let told = told.map(|(ego, around, asked)| Told {
            ego,
            around,
            asked,
            age: (-off).max(0.0),
        });
        Some(SafeCommand {
            control: self.guard.step(off.max(0.0), told),
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

#[cfg(test)]
mod tests {
    use super::*;

    const GENTLE: Control = Control {
        acceleration: 0.5,
        steering: 0.0,
    };

    /// Drives for a second on time, then what is told, then on time again; whether it stood in the end.
    fn stops(odd: impl Fn(&mut Watch, &EgoState, f64) -> Option<SafeCommand>) -> bool {
        let mut watch = Watch::new(GuardConfig::default());
        let (mut ego, around) = (EgoState::default(), Around::default());
        ego.speed = 6.0;
        // A clock with a little jitter, which began long before.
        let clock = |step: usize| 1.7e9 + 0.1 * step as f64 + 0.004 * (step as f64).sin();
        for step in 0..50 {
            let command = if step == 10 {
                odd(&mut watch, &ego, clock(step))
            } else {
                watch.command(Some(clock(step)), Some((&ego, &around, GENTLE)))
            };
            let command = command.unwrap();
            assert!(step >= 10 || !command.braked);
            ego = ego.step(command.control);
        }
        assert!(ego.speed == 0.0 || ego.speed > 8.0, "{ego:?}");
        ego.speed == 0.0
    }

    #[test]
    fn what_fails_to_come_or_comes_late_or_again_stops_the_vehicle() {
        let around = Around::default();
        let told = |time: Option<f64>, asked: Control| {
            move |watch: &mut Watch, ego: &EgoState, now: f64| {
                let time = time.map(|off| now + off);
                watch.command(time, Some((ego, &Around::default(), asked)))
            }
        };
        assert!(!stops(told(Some(0.0), GENTLE)));
        assert!(!stops(told(Some(0.005), GENTLE)));
        assert!(!stops(told(None, GENTLE)));
        assert!(stops(told(Some(0.03), GENTLE)));
        assert!(stops(told(Some(1.0), GENTLE)));
        // The same moment again, or one of before.
        assert!(stops(told(Some(-0.1), GENTLE)));
        assert!(stops(told(Some(-9.0), GENTLE)));
        let wrong = Control {
            acceleration: 0.5,
            steering: f64::NAN,
        };
        assert!(stops(told(Some(0.0), wrong)));
        // A line that cannot be read, and one that says nothing of what is around.
        assert!(stops(|watch, _, _| watch.command(None, None)));
        assert!(stops(|watch, _, now| watch.command(Some(now), None)));
        let blind = |watch: &mut Watch, ego: &EgoState, now: f64| {
            let unknown = EgoState {
                speed: f64::NAN,
                ..*ego
            };
            watch.command(Some(now), Some((&unknown, &around, GENTLE)))
        };
        assert!(stops(blind));
    }

    #[test]
    fn a_drive_that_tells_nothing_of_what_is_around_has_no_command() {
        let mut watch = Watch::new(GuardConfig::default());
        assert_eq!(watch.command(Some(1.0), None), None);
        assert_eq!(watch.command(None, None), None);
        let (ego, around) = (EgoState::default(), Around::default());
        let first = watch.command(Some(1.2), Some((&ego, &around, GENTLE)));
        assert!(!first.unwrap().braked);
        assert!(watch.command(Some(1.3), None).unwrap().braked);
    }
}
