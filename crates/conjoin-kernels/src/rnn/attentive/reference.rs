//! The attentive layer on Burn's own operations: what runs on other devices, and what tests compare the
//! fused one with.

use super::{Attended, Cell, Memory, Score, Weights};
use crate::attention::reference as attention;
use burn::tensor::activation::{sigmoid, tanh};
use burn::tensor::{Bool, Tensor, TensorData};

/// See [`attentive`](super::attentive).
#[allow(clippy::too_many_arguments)] // as the fused operation
pub fn attentive(
    cell: Cell,
    pre: Tensor<3>,
    h0: Tensor<2>,
    c0: Option<Tensor<2>>,
    memory: Memory<'_>,
    score: Score,
    weights: Weights,
    lengths: &[usize],
) -> Attended {
    let ([batch, steps, wide], [_, hidden]) = (pre.dims(), h0.dims());
    let (device, dtype) = (pre.device(), pre.dtype());
    let (mut h, mut c) = (h0.clone(), c0.unwrap_or(h0));
    let (mut states, mut contexts, mut shares) = (Vec::new(), Vec::new(), Vec::new());
    for step in 0..steps {
        let over: Vec<bool> = lengths.iter().map(|&length| step >= length).collect();
        let over = Tensor::<2, Bool>::from_data(TensorData::new(over, [batch, 1]), &device);
        let query = h.clone().unsqueeze_dim::<3>(1);
        let project = |w: Tensor<2>| h.clone().matmul(w.transpose()).unsqueeze_dim::<3>(1);
        let keys = memory.keys.clone();
        let scores = match score.clone() {
            Score::Dot { scale } => (query * scale).matmul(keys.swap_dims(1, 2)),
            Score::General { query } => project(query).matmul(keys.swap_dims(1, 2)),
            Score::Additive { query, v } => {
                attention::additive_scores(project(query), keys, v, memory.lengths)
            }
        };
        let share = attention::masked_softmax(scores, memory.lengths);
        let context = share
            .clone()
            .matmul(memory.values.clone())
            .squeeze_dim::<2>(1);
        let from_x = pre.clone().narrow(1, step, 1).reshape([batch, wide])
            + context.clone().matmul(weights.context.clone().transpose());
        let from_h =
            h.clone().matmul(weights.state.clone().transpose()) + weights.bias.clone().unsqueeze();
        let part = |sums: &Tensor<2>, i: usize| sums.clone().narrow(1, i * hidden, hidden);
        let both = |i: usize| part(&from_x, i) + part(&from_h, i);
        let (new_h, new_c) = match cell {
            Cell::Lstm => {
                let new = sigmoid(both(1)) * c.clone() + sigmoid(both(0)) * tanh(both(2));
                (sigmoid(both(3)) * tanh(new.clone()), new)
            }
            Cell::Gru => {
                let n = tanh(part(&from_x, 2) + sigmoid(both(0)) * part(&from_h, 2));
                (n.clone() + sigmoid(both(1)) * (h.clone() - n), c.clone())
            }
        };
        let keep = over.clone().expand([batch, hidden]);
        h = new_h.mask_where(keep.clone(), h);
        c = new_c.mask_where(keep, c);
        let cleared = |x: Tensor<2>| {
            let mask = over.clone().expand(x.dims());
            x.mask_fill(mask, 0.0)
        };
        states.push(cleared(h.clone()));
        contexts.push(cleared(context));
        shares.push(cleared(share.squeeze_dim(1)));
    }
    let [_, time, values] = memory.values.dims();
    let stack = |all: Vec<Tensor<2>>, size: usize| {
        if all.is_empty() {
            return Tensor::zeros([batch, 0, size], (&device, dtype));
        }
        Tensor::stack(all, 1)
    };
    Attended {
        states: stack(states, hidden),
        contexts: stack(contexts, values),
        weights: stack(shares, time),
    }
}
