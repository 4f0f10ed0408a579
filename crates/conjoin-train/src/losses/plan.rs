//! A plan against that of an expert.
//!
//! Shapes: prediction and target `[B, S, 4]`: x, y (m), heading (rad), speed (m/s) at each step.
//!
//! For each step the sum over its four numbers of `torch.nn.SmoothL1Loss` of the difference in metres:
//! headings and speeds count as so many metres a radian and a metre per second, headings are compared the
//! short way round the circle. The mean is over steps, in metres.

use super::{Loss, huber, unfit};
use crate::objective::PlanConfig;
use burn::tensor::{Tensor, TensorData};
use conjoin_graph::value::Value;
use std::f32::consts::TAU;

/// Numbers of one step.
const STEP: usize = 4;

pub(super) fn evaluate(
    config: &PlanConfig,
    prediction: &Value,
    target: &Value,
) -> Result<Loss, String> {
    let shape = prediction.shape();
    let floats = prediction.payload.is_float() && target.payload.is_float();
    let &[batch, steps, STEP] = shape.as_slice() else {
        return Err(misshapen(prediction, target));
    };
    if !floats || target.shape() != shape {
        return Err(misshapen(prediction, target));
    }
    let whole =
        |value: &Value| -> Tensor<3> { value.payload.clone().restore([batch, steps, STEP]) };
    let difference = whole(prediction) - whole(target);
    let device = difference.device();
    let places = difference.clone().narrow(2, 0, 2);
    let heading = difference.clone().narrow(2, 2, 1);
    let turns = (heading.clone().detach() / TAU).round();
    let heading = (heading - turns * TAU) * config.heading;
    let speed = difference.narrow(2, 3, 1) * config.speed;
    let metres = Tensor::cat(vec![places, heading, speed], 2);
    // Smooth L1 is Huber's loss over its bend: metres rather than their squares.
    let distance = huber(metres, config.beta) / config.beta;
    let counted = batch * steps;
    let count = Tensor::<1>::from_data(TensorData::new(vec![counted as f32], [1]), &device);
    Ok(Loss {
        mean: distance.sum() / counted.max(1) as f32,
        count: count.inner(),
    })
}

fn misshapen(prediction: &Value, target: &Value) -> String {
    unfit("two plans [B, S, 4] of one shape", prediction, target)
}
