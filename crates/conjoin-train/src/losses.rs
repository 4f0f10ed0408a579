//! Losses on the values of two ports.
//!
//! A loss is averaged over what it counts: positions within the rows' lengths whose target is not
//! [`IGNORE`] (cross-entropy), centres (focal), weights (masked), agents with a known step (multi-modal),
//! steps (plan), elements within the rows' lengths (the others).
//!
//! Shapes: `B` batch, `T` time, `V` vocabulary.

mod grid;
mod multi_modal;
mod plan;

use crate::objective::LossConfig;
use burn::tensor::{Bool, Device, Int, Tensor, TensorData};
use conjoin_graph::value::{Payload, Value};
use conjoin_kernels::loss::softmax_cross_entropy;

/// Target that is not counted.
pub const IGNORE: i64 = -100;

/// A loss over one batch.
#[derive(Debug, Clone)]
pub struct Loss {
    /// Mean over what is counted, `[1]`; 0 where nothing is.
    pub mean: Tensor<1>,
    /// Number of positions or elements counted, `[1]`, without gradient.
    pub count: Tensor<1>,
}

impl LossConfig {
    /// The loss of a prediction.
    ///
    /// - cross-entropy: prediction `[B, .., V]` floats, target `[B, ..]` integers;
    /// - mse, l1, huber, focal: prediction and target floats of one shape;
    /// - binary-cross-entropy: the same, or prediction `[.., first]` and target `[.., K]`;
    /// - masked-l1: prediction `[.., K]`, target `[.., 1 + K]`;
    /// - multi-modal: prediction `[B, N, M, 1 + 2 F]`, target `[B, N, F, 4]`, floats;
    /// - plan: prediction and target `[B, S, 4]`, floats.
    ///
    /// # Errors
    /// Types or shapes do not fit, in words.
    pub fn evaluate(&self, prediction: &Value, target: &Value) -> Result<Loss, String> {
        match self {
            Self::CrossEntropy(config) => cross_entropy(prediction, target, config.smoothing),
            Self::Mse(_) => elementwise(prediction, target, |d| d.clone() * d),
            Self::L1(_) => elementwise(prediction, target, Tensor::abs),
            Self::Huber(config) => elementwise(prediction, target, |d| huber(d, config.delta)),
            Self::BinaryCrossEntropy(config) => {
                grid::binary_cross_entropy(prediction, target, *config)
            }
            Self::Focal(config) => grid::focal(prediction, target, *config),
            Self::MaskedL1(_) => grid::masked_l1(prediction, target),
            Self::MultiModal(config) => multi_modal::evaluate(config, prediction, target),
            Self::Plan(config) => plan::evaluate(config, prediction, target),
        }
    }
}

fn cross_entropy(prediction: &Value, target: &Value, smoothing: f64) -> Result<Loss, String> {
    let (logits, targets) = (prediction.shape(), target.shape());
    let fits = prediction.payload.is_float()
        && !target.payload.is_float()
        && logits.len() == targets.len() + 1
        && logits[..targets.len()] == targets[..];
    let Some(&classes) = logits.last().filter(|_| fits) else {
        return Err(unfit(
            "logits [B, .., V] and indices [B, ..]",
            prediction,
            target,
        ));
    };
    let rows: usize = targets.iter().product();
    let targets = counted_targets(target, lengths(prediction, target), rows);
    let counted = targets.clone().not_equal_elem(IGNORE).int().sum().float();
    let logits: Tensor<2> = prediction.payload.clone().restore([rows, classes]);
    Ok(Loss {
        mean: softmax_cross_entropy(logits, targets, Some(IGNORE), smoothing),
        count: counted.inner(),
    })
}

/// Targets `[N]` with padding turned into [`IGNORE`].
fn counted_targets(target: &Value, lengths: Option<&[usize]>, rows: usize) -> Tensor<1, Int> {
    let flat: Tensor<1, Int> = match target.payload.clone() {
        Payload::I1(t) => t,
        Payload::I2(t) => t.reshape([rows]),
        Payload::I3(t) => t.reshape([rows]),
        float => float.restore([rows]).int(),
    };
    let shape = target.shape();
    let (Some(lengths), [_, time, rest @ ..]) = (lengths, shape.as_slice()) else {
        return flat;
    };
    let width: usize = rest.iter().product();
    let padding: Vec<bool> = (0..rows)
        .map(|row| (row / width) % time >= lengths[row / width / time])
        .collect();
    if !padding.contains(&true) {
        return flat;
    }
    let mask = Tensor::<1, Bool>::from_data(TensorData::new(padding, [rows]), &flat.device());
    flat.mask_fill(mask, IGNORE)
}

/// Mean of a function of the difference.
fn elementwise(
    prediction: &Value,
    target: &Value,
    function: impl FnOnce(Tensor<3>) -> Tensor<3>,
) -> Result<Loss, String> {
    let shape = prediction.shape();
    let floats = prediction.payload.is_float() && target.payload.is_float();
    if !floats || shape != target.shape() {
        return Err(unfit("two float values of one shape", prediction, target));
    }
    let rows = shape.first().copied().unwrap_or(1);
    let time = shape.get(1).copied().unwrap_or(1);
    let width: usize = shape.iter().skip(2).product();
    let flat = |value: &Value| -> Tensor<3> { value.payload.clone().restore([rows, time, width]) };
    let losses = function(flat(prediction) - flat(target));
    let device = losses.device();
    let (sum, count) = match lengths(prediction, target) {
        None => (losses.sum(), rows * time * width),
        Some(lengths) => {
            let mask = mask(lengths, time, &device).reshape([rows, time, 1]);
            let counted: usize = lengths.iter().map(|&length| length.min(time)).sum();
            ((losses * mask).sum(), counted * width)
        }
    };
    let count_tensor = Tensor::from_data(TensorData::new(vec![count as f32], [1]), &device);
    Ok(Loss {
        mean: sum / count.max(1) as f32,
        count: count_tensor.inner(),
    })
}

/// 1 within each row's length, 0 behind, `[rows, time]`.
fn mask(lengths: &[usize], time: usize, device: &Device) -> Tensor<2> {
    let mask: Vec<f32> = lengths
        .iter()
        .flat_map(|&length| (0..time).map(move |t| f32::from(u8::from(t < length))))
        .collect();
    Tensor::from_data(TensorData::new(mask, [lengths.len(), time]), device)
}

/// `d²/2` up to `delta`, `delta (|d| - delta/2)` beyond (Huber 1964), as `torch.nn.HuberLoss`.
fn huber<const D: usize>(difference: Tensor<D>, delta: f64) -> Tensor<D> {
    let size = difference.abs();
    let near = size.clone().clamp_max(delta);
    // With n = min(|d|, delta): n²/2 + delta (|d| - n).
    near.clone() * near.clone() * 0.5 + (size - near) * delta
}

/// Lengths of the rows, from whichever of the two values has them.
fn lengths<'a>(prediction: &'a Value, target: &'a Value) -> Option<&'a [usize]> {
    let lengths = target.lengths.as_ref().or(prediction.lengths.as_ref());
    lengths.map(AsRef::as_ref)
}

fn unfit(expected: &str, prediction: &Value, target: &Value) -> String {
    let kind = |value: &Value| {
        if value.payload.is_float() {
            "floats"
        } else {
            "integers"
        }
    };
    format!(
        "the loss wants {expected}, found prediction {:?} of {} and target {:?} of {}",
        prediction.shape(),
        kind(prediction),
        target.shape(),
        kind(target)
    )
}
