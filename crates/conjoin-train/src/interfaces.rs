//! Statistics of the values at every interface, on one batch.

use crate::inputs::Columns;
use crate::pass::forward;
use crate::plan::StagePlan;
use crate::{Event, TrainError};
use conjoin_graph::graph::{Graph, Pass};
use conjoin_graph::value::Value;

/// One [`Event::Interface`] for each float port of the route that carries more than a module's own
/// weights. Padding does not count.
pub(crate) fn statistics(
    graph: &Graph,
    stage: &StagePlan,
    columns: &Columns,
    global_step: u64,
) -> Result<Vec<Event>, TrainError> {
    let trace = forward(graph, stage, columns, &Pass::default())?;
    let ports = trace.values();
    let ports = ports.filter(|(_, value)| value.payload.is_float() && !value.is_parameter);
    let events = ports.map(|(port, value)| {
        let summary = Summary::of(valid(value));
        Event::Interface {
            stage: stage.config.name.clone(),
            global_step,
            port: port.to_string(),
            shape: value.shape(),
            mean: summary.mean,
            std: summary.std,
            min: summary.min,
            max: summary.max,
            zeros: summary.zeros,
        }
    });
    Ok(events.collect())
}

/// Elements within the rows' lengths.
fn valid(value: &Value) -> Vec<f32> {
    let all = value.to_f32();
    let shape = value.shape();
    let (Some(lengths), [_, time, rest @ ..]) = (&value.lengths, shape.as_slice()) else {
        return all;
    };
    let width: usize = rest.iter().product();
    let rows = all.chunks(time * width.max(1)).zip(lengths.iter());
    rows.flat_map(|(row, &length)| &row[..length.min(*time) * width])
        .copied()
        .collect()
}

struct Summary {
    mean: f64,
    std: f64,
    min: f64,
    max: f64,
    zeros: f64,
}

impl Summary {
    /// Of no elements, all zeros.
    fn of(values: Vec<f32>) -> Self {
        let count = values.len().max(1) as f64;
        let mean = values.iter().map(|&x| f64::from(x)).sum::<f64>() / count;
        let square = |&x: &f32| (f64::from(x) - mean).powi(2);
        let extreme = |choose: fn(f32, f32) -> f32| {
            values.iter().copied().reduce(choose).map_or(0.0, f64::from)
        };
        Self {
            mean,
            std: (values.iter().map(square).sum::<f64>() / count).sqrt(),
            min: extreme(f32::min),
            max: extreme(f32::max),
            zeros: values.iter().filter(|&&x| x == 0.0).count() as f64 / count,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::{Device, Tensor};
    use std::sync::Arc;

    #[test]
    fn padding_does_not_count() {
        let tensor = Tensor::<3>::from_data(
            [[[1.0, -3.0], [0.0, 2.0]], [[4.0, 0.0], [9.0, 9.0]]],
            &Device::flex(),
        );
        let lengths: Arc<[usize]> = [2, 1].into();
        let summary = Summary::of(valid(&Value::with_lengths(tensor, Some(lengths))));
        assert_eq!(summary.mean, 4.0 / 6.0);
        assert_eq!((summary.min, summary.max), (-3.0, 4.0));
        assert_eq!(summary.zeros, 2.0 / 6.0);
        let variance = (1.0 + 9.0 + 0.0 + 4.0 + 16.0 + 0.0) / 6.0 - (4.0f64 / 6.0).powi(2);
        assert!((summary.std - variance.sqrt()).abs() < 1e-12);
    }
}
