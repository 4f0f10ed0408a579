//! Attention on Burn's own operations: what runs on other devices, and what tests compare the fused
//! operations with. Arguments and results as in the functions of the same names one level up.

use burn::tensor::activation::{softmax, tanh};
use burn::tensor::{Bool, Tensor, TensorData};

/// See [`additive_scores`](super::additive_scores).
pub fn additive_scores(
    query: Tensor<3>,
    keys: Tensor<3>,
    v: Tensor<1>,
    lengths: &[usize],
) -> Tensor<3> {
    let ([batch, queries, width], [_, time, _]) = (query.dims(), keys.dims());
    let padding = padding([batch, queries, time], lengths, &keys);
    let sums = query.reshape([batch, queries, 1, width]) + keys.reshape([batch, 1, time, width]);
    let scores = (tanh(sums) * v.reshape([1, 1, 1, width])).sum_dim(3);
    scores
        .reshape([batch, queries, time])
        .mask_fill(padding, 0.0)
}

/// See [`masked_softmax`](super::masked_softmax).
pub fn masked_softmax(scores: Tensor<3>, lengths: &[usize]) -> Tensor<3> {
    let padding = padding(scores.dims(), lengths, &scores);
    // Large enough to vanish, finite so that a row without valid steps gives no NaN.
    let weights = softmax(scores.mask_fill(padding.clone(), -1e30), 2);
    weights.mask_fill(padding, 0.0)
}

/// Where `[B, U, T]` lies beyond a row's length.
fn padding(shape: [usize; 3], lengths: &[usize], like: &Tensor<3>) -> Tensor<3, Bool> {
    let [batch, _, time] = shape;
    let padding: Vec<bool> = lengths
        .iter()
        .flat_map(|&length| (0..time).map(move |t| t >= length))
        .collect();
    let padding = TensorData::new(padding, [batch, 1, time]);
    Tensor::<3, Bool>::from_data(padding, &like.device()).expand(shape)
}
