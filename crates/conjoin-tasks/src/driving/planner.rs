//! Plans for moments of drives: frames become columns as those of the recording do, one batch goes through
//! the graph, and each row of what comes out is a plan.
//!
//! Shapes: `B` moments, `S` steps; plans `[B, S, 4]` (x, y in m, heading in rad, speed in m/s, in the frame
//! of the vehicle), fallbacks `[B]`.

use super::DrivingConfig;
use super::held::HeldBy;
use crate::error::TaskError;
use crate::score_run::{TaskBatch, trace};
use burn::tensor::Device;
use conjoin_data::lerobot::{Frame, Info};
use conjoin_data::source::LerobotConfig;
use conjoin_data::{DataSetConfig, Live, SourceConfig};
use conjoin_graph::{Graph, PortRef, Route, Value, ValueError};
use conjoin_nn::qp_planner::Reason;
use conjoin_world::driving::guard::{ROW, footprint};
use conjoin_world::geometry::{Obb, Pose};

/// What was planned for a moment.
#[derive(Debug, Clone)]
pub(super) struct Planned {
    /// x, y, heading, speed at the end of each step.
    pub steps: Vec<[f32; 4]>,
    /// Whether the planner gave up and brakes.
    pub fallback: bool,
    /// Why, where that is told.
    pub reason: Option<Reason>,
    /// What holds it most, where that is told.
    pub held: Option<HeldBy>,
    /// The agents that were detected, a row of 12 numbers each; those that are drawn.
    pub agents: Vec<f32>,
    /// Probabilities that cells are occupied now, `[X, Y]`; where they are drawn.
    pub occupancy: Vec<f32>,
}

impl Planned {
    /// The poses in the frame of the vehicle.
    pub fn poses(&self) -> Vec<Pose> {
        let steps = self.steps.iter();
        steps
            .map(|&[x, y, heading, _]| Pose::new(f64::from(x), f64::from(y), f64::from(heading)))
            .collect()
    }

    /// Outlines of the agents that were detected with at least this probability, in the frame of the vehicle.
    pub fn outlines(&self, threshold: f32) -> Vec<Obb> {
        let rows = self.agents.as_chunks::<ROW>().0.iter();
        rows.filter(|row| row[0] >= threshold)
            .map(footprint)
            .collect()
    }

    /// The outline of the agent that holds the plan, where one does and agents are drawn.
    pub fn holder(&self) -> Option<Obb> {
        let rows = self.agents.as_chunks::<ROW>().0;
        rows.get(self.held?.agent()?).map(footprint)
    }
}

/// The part of a graph that plans.
#[derive(Debug)]
pub(super) struct Planner {
    route: Route,
    live: Live,
    task: DrivingConfig,
    wanted: Vec<PortRef>,
    device: Device,
}

impl Planner {
    /// `route` leads to the task's ports; `live` makes the columns that it reads.
    pub fn new(task: &DrivingConfig, route: Route, live: Live, device: &Device) -> Self {
        Self {
            route,
            live,
            task: task.clone(),
            wanted: task.wanted(),
            device: device.clone(),
        }
    }

    /// How many frames before a moment's own are read.
    pub fn history(&self) -> usize {
        self.live.history()
    }

    /// Plans for moments, in their order: each its last frames, its own last. What is planned for one
    /// never depends on the others.
    pub fn plan(&self, graph: &Graph, moments: &[Vec<&Frame>]) -> Result<Vec<Planned>, TaskError> {
        let batch = TaskBatch::new(self.live.batch(moments)?, &self.device)?;
        let trace = trace(graph, &self.route, &batch, &self.wanted)?;
        let plans = plans(trace.get(&self.task.plan)?)?;
        // A row of a port's numbers for each moment; nothing where the port is not read.
        let rows = |port: &Option<PortRef>| -> Result<Rows, TaskError> {
            Ok(
                match port.as_ref().filter(|port| self.wanted.contains(port)) {
                    Some(port) => Rows::new(trace.get(port)?.to_f32(), plans.len()),
                    None => Rows::default(),
                },
            )
        };
        let fallback = rows(&self.task.fallback)?;
        let reason = rows(&self.task.reason)?;
        let duals = rows(&self.task.duals)?;
        let slacks = rows(&self.task.slacks)?;
        let occupancy_dual = rows(&self.task.occupancy_dual)?;
        let road_dual = rows(&self.task.road_dual)?;
        let agents = rows(&self.task.agents)?;
        let occupancy = rows(&self.task.occupancy)?;
        let times = match &self.task.occupancy {
            Some(port) if self.wanted.contains(port) => trace
                .get(port)?
                .shape()
                .last()
                .map_or(1, |&times| times.max(1)),
            _ => 1,
        };
        let planned = plans.into_iter().enumerate().map(|(row, steps)| Planned {
            steps,
            fallback: fallback.of(row).first().is_some_and(|&flag| flag > 0.5),
            reason: reason
                .of(row)
                .first()
                .and_then(|&number| Reason::from_number(number)),
            held: HeldBy::greatest(
                duals.of(row),
                slacks.of(row),
                occupancy_dual.of(row).first().copied(),
                road_dual.of(row).first().copied(),
            ),
            agents: agents.of(row).to_vec(),
            occupancy: occupancy.of(row).iter().step_by(times).copied().collect(),
        });
        Ok(planned.collect())
    }
}

/// Numbers in rows.
#[derive(Debug, Default)]
struct Rows {
    numbers: Vec<f32>,
    width: usize,
}

impl Rows {
    fn new(numbers: Vec<f32>, rows: usize) -> Self {
        let width = numbers.len() / rows.max(1);
        Self { numbers, width }
    }

    fn of(&self, row: usize) -> &[f32] {
        &self.numbers[row * self.width..(row + 1) * self.width]
    }
}

/// The rows of plans `[B, S, 4]`.
fn plans(value: &Value) -> Result<Vec<Vec<[f32; 4]>>, ValueError> {
    let shape = value.shape();
    let &[_, steps, 4] = shape.as_slice() else {
        return Err(ValueError {
            expected: "[B, S, 4]".to_owned(),
            found: "float",
            shape,
        });
    };
    let numbers = value.to_f32();
    let rows = numbers.as_chunks::<4>().0.chunks_exact(steps.max(1));
    Ok(rows.map(<[_]>::to_vec).collect())
}

/// The recording that the task's data set is, and what its `info.json` says.
pub(super) fn recording<'a>(
    task: &DrivingConfig,
    data: &'a DataSetConfig,
) -> Result<(&'a LerobotConfig, Info), TaskError> {
    let SourceConfig::Lerobot(recording) = &data.source else {
        return Err(TaskError::Recording(task.data.clone()));
    };
    Ok((recording, Info::read(&recording.path)?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::Tensor;

    #[test]
    fn each_row_of_a_batch_is_a_plan() {
        let steps: [[f32; 4]; 2] = [[1.0, 2.0, 0.5, 4.0], [5.0, 6.0, -0.5, 8.0]];
        let value: Value = Tensor::<3>::from_data([steps, steps], &Device::flex()).into();
        assert_eq!(plans(&value).unwrap(), [steps, steps]);
        let mut agents = [0.0; 24];
        agents[..7].copy_from_slice(&[0.9, 10.0, 2.0, 0.0, 1.0, 4.0, 2.0]);
        agents[12..19].copy_from_slice(&[0.2, 10.0, 2.0, 0.0, 1.0, 5.0, 2.0]);
        let planned = Planned {
            steps: steps.to_vec(),
            fallback: false,
            reason: None,
            held: HeldBy::greatest(&[0.0, 3.0], &[], None, None),
            agents: agents.to_vec(),
            occupancy: Vec::new(),
        };
        assert_eq!(planned.poses()[1], Pose::new(5.0, 6.0, -0.5));
        let outlines = planned.outlines(0.5);
        assert_eq!((outlines.len(), outlines[0].length), (1, 4.0));
        assert!((outlines[0].pose.heading - std::f64::consts::FRAC_PI_2).abs() < 1e-6);
        // The second agent holds the plan; occupancy has no outline, nor has an agent that is not drawn.
        assert_eq!(planned.holder().map(|holder| holder.length), Some(5.0));
        let by = |held: Option<HeldBy>| Planned {
            held,
            ..planned.clone()
        };
        assert!(by(None).holder().is_none());
        assert!(
            by(HeldBy::greatest(&[], &[], Some(1.0), None))
                .holder()
                .is_none()
        );
        let third = HeldBy::greatest(&[0.0, 0.0, 1.0], &[], None, None);
        assert!(by(third).holder().is_none());
        let flat: Value = Tensor::<2>::from_data(steps, &Device::flex()).into();
        let error = plans(&flat).unwrap_err().to_string();
        assert_eq!(
            error,
            "expected a [B, S, 4] tensor, found float with shape [2, 4]"
        );
    }
}
