//! Plans for moments of drives: frames become columns as those of the recording do, one batch goes through
//! the graph, and each row of what comes out is a plan.
//!
//! Shapes: `B` moments, `S` steps; plans `[B, S, 4]` (x, y in m, heading in rad, speed in m/s, in the frame
//! of the vehicle), fallbacks `[B]`.

use super::DrivingConfig;
use crate::error::TaskError;
use crate::score_run::{TaskBatch, trace};
use burn::tensor::Device;
use conjoin_data::lerobot::{Frame, Info};
use conjoin_data::source::LerobotConfig;
use conjoin_data::{DataSetConfig, Live, SourceConfig};
use conjoin_graph::{Graph, PortRef, Route, Value, ValueError};
use conjoin_world::geometry::Pose;

/// What was planned for a moment.
#[derive(Debug, Clone)]
pub(super) struct Planned {
    /// x, y, heading, speed at the end of each step.
    pub steps: Vec<[f32; 4]>,
    /// Whether the planner gave up and brakes.
    pub fallback: bool,
}

impl Planned {
    /// The poses in the frame of the vehicle.
    pub fn poses(&self) -> Vec<Pose> {
        let steps = self.steps.iter();
        steps
            .map(|&[x, y, heading, _]| Pose::new(f64::from(x), f64::from(y), f64::from(heading)))
            .collect()
    }
}

/// The part of a graph that plans.
#[derive(Debug)]
pub(super) struct Planner {
    route: Route,
    live: Live,
    plan: PortRef,
    fallback: Option<PortRef>,
    wanted: Vec<PortRef>,
    device: Device,
}

impl Planner {
    /// `route` leads to the task's ports; `live` makes the columns that it reads.
    pub fn new(task: &DrivingConfig, route: Route, live: Live, device: &Device) -> Self {
        Self {
            route,
            live,
            plan: task.plan.clone(),
            fallback: task.fallback.clone(),
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
        let fallback = match &self.fallback {
            Some(port) => trace.get(port)?.to_f32(),
            None => vec![0.0; moments.len()],
        };
        let plans = plans(trace.get(&self.plan)?)?.into_iter();
        let planned = plans.zip(fallback).map(|(steps, fallback)| Planned {
            steps,
            fallback: fallback > 0.5,
        });
        Ok(planned.collect())
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
        let planned = Planned {
            steps: steps.to_vec(),
            fallback: false,
        };
        assert_eq!(planned.poses()[1], Pose::new(5.0, 6.0, -0.5));
        let flat: Value = Tensor::<2>::from_data(steps, &Device::flex()).into();
        let error = plans(&flat).unwrap_err().to_string();
        assert_eq!(
            error,
            "expected a [B, S, 4] tensor, found float with shape [2, 4]"
        );
    }
}
