//! Attention on Burn's own operations: what runs on other devices, and what tests compare the fused
//! operations with. Arguments and results as in the functions of the same names one level up.

use super::MultiHead;
use super::heads::Dropout;
use burn::tensor::activation::{softmax, tanh};
use burn::tensor::{Bool, Shape, Tensor, TensorData};

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

/// See [`multi_head_attention`](super::multi_head_attention).
pub fn multi_head_attention(
    q: Tensor<3>,
    k: Tensor<3>,
    v: Tensor<3>,
    options: MultiHead,
) -> Tensor<3> {
    let ([batch, queries, size], [_, keys, _], [.., values]) = (q.dims(), k.dims(), v.dims());
    let heads = options.heads;
    if batch * queries * keys == 0 {
        // No weights: sums of nothing, which keep the graph.
        let nothing = (q.sum() + k.sum() + v.sum()) * 0.0;
        let dims = Shape::from([batch, queries, values]);
        return nothing.reshape([1, 1, 1]).expand(dims);
    }
    let (device, dtype) = (q.device(), q.dtype());
    let split = |x: Tensor<3>| {
        let [batch, time, size] = x.dims();
        x.reshape([batch, time, heads, size / heads])
            .swap_dims(1, 2)
    };
    let scale = options
        .scale
        .unwrap_or(1.0 / ((size / heads) as f64).sqrt());
    let full = [batch, heads, queries, keys];
    let mut scores = (split(q) * scale).matmul(split(k).swap_dims(2, 3));
    if let Some(mask) = options.mask {
        scores = scores + mask.expand(full);
    }
    let lengths = options.lengths.unwrap_or_else(|| vec![keys; batch]);
    let hidden: Vec<bool> = lengths
        .iter()
        .flat_map(|&length| {
            (0..queries)
                .flat_map(move |t| (0..keys).map(move |s| s >= length || (options.causal && s > t)))
        })
        .collect();
    let hidden = TensorData::new(hidden, [batch, 1, queries, keys]);
    let hidden = Tensor::<4, Bool>::from_data(hidden, &device)
        .expand(full)
        .bool_or(scores.clone().equal_elem(f32::NEG_INFINITY));
    // As above: large enough to vanish, and finite.
    let weights = softmax(scores.mask_fill(hidden.clone(), -1e30), 3).mask_fill(hidden, 0.0);
    let weights = match options.dropout.filter(|(p, _)| *p > 0.0) {
        None => weights,
        Some((p, seed)) => {
            let dropout = Dropout::new(p, seed);
            let factors: Vec<f32> = (0..batch * heads * queries)
                .flat_map(|row| {
                    let row = dropout.row(row);
                    (0..keys).map(move |key| dropout.factor(row, key))
                })
                .collect();
            weights * Tensor::from_data(TensorData::new(factors, full), (&device, dtype))
        }
    };
    weights
        .matmul(split(v))
        .swap_dims(1, 2)
        .reshape([batch, queries, values])
}
