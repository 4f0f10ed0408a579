//! Wires that move from ground truth to prediction: what arrives when a share of it is predicted.

use crate::graph::GraphError;
use crate::node::mix;
use crate::spec::PortRef;
use crate::value::{Payload, Value, ValueError};
use burn::tensor::{Bool, Int, Tensor, TensorData};

/// Takes a share of rows from the second value; rows are chosen by `seed`.
pub(crate) fn blend_rows(
    to: &PortRef,
    truth: Value,
    prediction: Value,
    share: f64,
    seed: u64,
) -> Result<Value, GraphError> {
    let shape = truth.shape();
    if shape != prediction.shape() {
        return Err(GraphError::Blend {
            at: to.to_string(),
            message: format!(
                "ground truth has shape {shape:?}, the prediction {:?}",
                prediction.shape()
            ),
        });
    }
    let rows = shape.first().copied().unwrap_or(0);
    let device = truth.payload.device();
    let chosen: Vec<bool> = (0..rows)
        .map(|row| uniform(seed, row as u64) < share)
        .collect();
    let mask = |rank: usize| {
        let mut dims = vec![1; rank];
        dims[0] = rows;
        TensorData::new(chosen.clone(), dims)
    };
    macro_rules! select {
        ($a:ident, $b:expr, $rank:literal) => {{
            let mask = Tensor::<$rank, Bool>::from_data(mask($rank), &device);
            let dims = $a.dims();
            $a.mask_where(mask.expand(dims), $b).into()
        }};
    }
    let lengths = truth.lengths.clone();
    let payload: Payload = match (truth.payload, prediction.payload) {
        (Payload::F1(a), Payload::F1(b)) => select!(a, b, 1),
        (Payload::F2(a), Payload::F2(b)) => select!(a, b, 2),
        (Payload::F3(a), Payload::F3(b)) => select!(a, b, 3),
        (Payload::F4(a), Payload::F4(b)) => select!(a, b, 4),
        (Payload::F5(a), Payload::F5(b)) => select!(a, b, 5),
        (Payload::I1(a), Payload::I1(b)) => select!(a, b, 1),
        (Payload::I2(a), Payload::I2(b)) => select!(a, b, 2),
        (Payload::I3(a), Payload::I3(b)) => select!(a, b, 3),
        (_, _) => {
            return Err(GraphError::Blend {
                at: to.to_string(),
                message: "ground truth and prediction differ in type".to_owned(),
            });
        }
    };
    Ok(Value::with_lengths(payload, lengths))
}

/// Tokens as a decoder would have fed them back: the most probable symbol of each position that is
/// none of `unsaid` ([`conjoin_data::Vocabulary::unsaid`], which decoding leaves out too), moved one
/// position to the right, mixed into the truth with probability `share` a position. Position 0 (begin
/// of sequence) and padding stay as they are. Truth `[B, U]` with a length a row, logits `[B, U, V]`.
///
/// # Errors
/// The truth is no tokens, or the logits have another rank.
pub fn feed_back(
    truth: &Value,
    logits: &Value,
    unsaid: &[i64],
    share: f64,
    seed: u64,
) -> Result<Value, ValueError> {
    let truth_tokens: Tensor<2, Int> = truth.tensor()?;
    let logits: Tensor<3> = logits.tensor()?;
    let [rows, time] = truth_tokens.dims();
    let device = truth_tokens.device();
    let said = without(logits, unsaid).argmax(2);
    let predicted: Vec<i64> = said.into_data().iter::<i64>().collect();
    let mut mixed: Vec<i64> = truth_tokens.into_data().iter::<i64>().collect();
    let lengths = truth.row_lengths();
    for row in 0..rows {
        for t in 1..lengths[row].min(time) {
            let at = row * time + t;
            if uniform(seed, at as u64) < share {
                mixed[at] = predicted[at - 1];
            }
        }
    }
    let data = TensorData::new(mixed, [rows, time]);
    let tokens = Tensor::<2, Int>::from_data(data, (&device, burn::tensor::DType::I64));
    Ok(Value::with_lengths(tokens, truth.lengths.clone()))
}

/// The logits `[B, U, V]` with minus infinity at some of the V symbols.
fn without(logits: Tensor<3>, symbols: &[i64]) -> Tensor<3> {
    let [rows, time, vocabulary] = logits.dims();
    let left_out: Vec<bool> = (0..vocabulary as i64)
        .map(|symbol| symbols.contains(&symbol))
        .collect();
    let left_out = TensorData::new(left_out, [1, 1, vocabulary]);
    let left_out = Tensor::<3, Bool>::from_data(left_out, &logits.device());
    logits.mask_fill(left_out.expand([rows, time, vocabulary]), f32::NEG_INFINITY)
}

fn uniform(seed: u64, counter: u64) -> f64 {
    (mix(seed, counter) >> 11) as f64 / (1u64 << 53) as f64
}
