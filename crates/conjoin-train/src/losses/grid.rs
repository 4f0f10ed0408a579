//! Losses of maps: yes or no in each cell, and numbers where there is something.
//!
//! Shapes: `K` numbers of an element, such as a cell; all dimensions before the last are elements.

use super::{Loss, lengths, mask, unfit};
use crate::objective::{BinaryCrossEntropyConfig, FocalConfig};
use burn::tensor::{Tensor, TensorData};
use conjoin_graph::value::Value;
use conjoin_kernels::binary_loss::{BinaryLoss, binary_loss};

/// Sizes of a value as rows, time, what lies between, and the last dimension.
fn sizes(shape: &[usize]) -> Option<[usize; 4]> {
    let [rows, between @ .., last] = shape else {
        return None;
    };
    let time = between.first().copied().unwrap_or(1);
    let rest = between.iter().skip(1).product();
    Some([*rows, time, rest, *last])
}

/// 1 where an element lies within the rows' lengths, `[rows, time, 1, 1]`; `None` where all do.
fn within(prediction: &Value, target: &Value, [rows, time, ..]: [usize; 4]) -> Option<Tensor<4>> {
    let lengths = lengths(prediction, target)?;
    let mask = mask(lengths, time, &prediction.payload.device());
    Some(mask.reshape([rows, time, 1, 1]))
}

fn flat(tensor: Tensor<4>) -> Tensor<1> {
    tensor.flatten(0, 3)
}

/// The sizes of the prediction, and both values with such sizes; `fits` compares the last ones.
fn both(
    prediction: &Value,
    target: &Value,
    expected: &str,
    fits: impl FnOnce(usize, usize) -> bool,
) -> Result<([usize; 4], Tensor<4>, Tensor<4>), String> {
    let floats = prediction.payload.is_float() && target.payload.is_float();
    let shapes = (sizes(&prediction.shape()), sizes(&target.shape()));
    let (Some(predicted), Some(wanted)) = shapes else {
        return Err(unfit(expected, prediction, target));
    };
    if !floats || predicted[..3] != wanted[..3] || !fits(predicted[3], wanted[3]) {
        return Err(unfit(expected, prediction, target));
    }
    let (p, t) = (prediction.payload.clone(), target.payload.clone());
    Ok((predicted, p.restore(predicted), t.restore(wanted)))
}

pub fn binary_cross_entropy(
    prediction: &Value,
    target: &Value,
    config: BinaryCrossEntropyConfig,
) -> Result<Loss, String> {
    let expected = match config.first {
        None => "two float values of one shape",
        Some(_) => "float values [.., K] and [.., more than K]",
    };
    let fits = |predicted: usize, wanted: usize| match config.first {
        None => predicted == wanted,
        Some(first) => predicted == first && wanted >= first,
    };
    let (sizes, logits, targets) = both(prediction, target, expected, fits)?;
    let targets = targets.narrow(3, 0, sizes[3]);
    let weights = within(prediction, target, sizes);
    let count: usize = match lengths(prediction, target) {
        None => sizes.iter().product(),
        Some(lengths) => {
            let counted: usize = lengths.iter().map(|&length| length.min(sizes[1])).sum();
            counted * sizes[2] * sizes[3]
        }
    };
    let loss = BinaryLoss::CrossEntropy {
        positive_weight: config.positive_weight as f32,
    };
    let weights = weights.map(|weights| flat(weights.expand(sizes)));
    let sum = binary_loss(flat(logits), flat(targets), weights, loss);
    let count_tensor = TensorData::new(vec![count as f32], [1]);
    Ok(Loss {
        count: Tensor::from_data(count_tensor, &sum.device()).inner(),
        mean: sum / count.max(1) as f32,
    })
}

/// Divided by the number of centres; where there is none, by 1.
pub fn focal(prediction: &Value, target: &Value, config: FocalConfig) -> Result<Loss, String> {
    let expected = "two float values of one shape";
    let (sizes, logits, targets) = both(prediction, target, expected, |p, t| p == t)?;
    let weights = within(prediction, target, sizes).map(|weights| weights.expand(sizes));
    let centres = targets.clone().greater_equal_elem(1.0).float();
    let centres = match &weights {
        Some(weights) => centres * weights.clone(),
        None => centres,
    };
    let count = centres.sum().clamp_min(1.0);
    let loss = BinaryLoss::Focal {
        alpha: config.alpha as f32,
        beta: config.beta as f32,
    };
    let sum = binary_loss(flat(logits), flat(targets), weights.map(flat), loss);
    Ok(Loss {
        mean: sum / count.clone(),
        count: count.inner(),
    })
}

pub fn masked_l1(prediction: &Value, target: &Value) -> Result<Loss, String> {
    let expected = "float values [.., K] and [.., 1 + K], a weight first";
    let (sizes, values, targets) = both(prediction, target, expected, |p, t| p + 1 == t)?;
    let weights = targets.clone().narrow(3, 0, 1);
    let weights = match within(prediction, target, sizes) {
        Some(mask) => weights * mask,
        None => weights,
    };
    let differences = (values - targets.narrow(3, 1, sizes[3])).abs();
    let count = weights.clone().sum() * sizes[3] as f32;
    // Weights are shares: where they sum to almost nothing, so does the loss.
    let mean = (differences * weights).sum() / count.clone().clamp_min(1e-6);
    Ok(Loss {
        mean,
        count: count.inner(),
    })
}
