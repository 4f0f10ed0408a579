//! The recurrent layers on Burn's own operations: what runs on other devices, and what tests compare
//! the fused ones with. Arguments and results as in the functions of the same names one level up.

use burn::tensor::activation::{sigmoid, tanh};
use burn::tensor::{Bool, Tensor, TensorData};

/// See [`lstm`](super::lstm).
#[allow(clippy::too_many_arguments)] // as the fused operation
pub fn lstm(
    x: Tensor<3>,
    h0: Tensor<2>,
    c0: Tensor<2>,
    w_ih: Tensor<2>,
    w_hh: Tensor<2>,
    bias: Tensor<1>,
    lengths: &[usize],
    reverse: bool,
) -> Tensor<3> {
    let (mut h, mut c) = (h0, c0);
    scan(x, h.dims()[1], lengths, reverse, |x, keep| {
        let (new_h, new_c) = lstm_step(
            x,
            h.clone(),
            c.clone(),
            w_ih.clone(),
            w_hh.clone(),
            bias.clone(),
        );
        h = new_h.mask_where(keep.clone(), h.clone());
        c = new_c.mask_where(keep, c.clone());
        h.clone()
    })
}

/// See [`lstm_step`](super::lstm_step).
pub fn lstm_step(
    x: Tensor<2>,
    h: Tensor<2>,
    c: Tensor<2>,
    w_ih: Tensor<2>,
    w_hh: Tensor<2>,
    bias: Tensor<1>,
) -> (Tensor<2>, Tensor<2>) {
    let hidden = h.dims()[1];
    let gates = x.matmul(w_ih.transpose()) + h.matmul(w_hh.transpose()) + bias.unsqueeze();
    let gate = |index: usize| gates.clone().narrow(1, index * hidden, hidden);
    let c = sigmoid(gate(1)) * c + sigmoid(gate(0)) * tanh(gate(2));
    (sigmoid(gate(3)) * tanh(c.clone()), c)
}

/// See [`gru`](super::gru).
#[allow(clippy::too_many_arguments)] // as the fused operation
pub fn gru(
    x: Tensor<3>,
    h0: Tensor<2>,
    w_ih: Tensor<2>,
    w_hh: Tensor<2>,
    b_ih: Tensor<1>,
    b_hh: Tensor<1>,
    lengths: &[usize],
    reverse: bool,
    reset_after: bool,
) -> Tensor<3> {
    let mut h = h0;
    scan(x, h.dims()[1], lengths, reverse, |x, keep| {
        let new = gru_step(
            x,
            h.clone(),
            w_ih.clone(),
            w_hh.clone(),
            b_ih.clone(),
            b_hh.clone(),
            reset_after,
        );
        h = new.mask_where(keep, h.clone());
        h.clone()
    })
}

/// See [`gru_step`](super::gru_step).
pub fn gru_step(
    x: Tensor<2>,
    h: Tensor<2>,
    w_ih: Tensor<2>,
    w_hh: Tensor<2>,
    b_ih: Tensor<1>,
    b_hh: Tensor<1>,
    reset_after: bool,
) -> Tensor<2> {
    let hidden = h.dims()[1];
    let from_x = x.matmul(w_ih.transpose()) + b_ih.unsqueeze();
    let from_h = h.clone().matmul(w_hh.clone().transpose()) + b_hh.clone().unsqueeze();
    let gate = |sums: &Tensor<2>, index: usize| sums.clone().narrow(1, index * hidden, hidden);
    let reset = sigmoid(gate(&from_x, 0) + gate(&from_h, 0));
    let update = sigmoid(gate(&from_x, 1) + gate(&from_h, 1));
    let inner = if reset_after {
        reset * gate(&from_h, 2)
    } else {
        let weights = w_hh.narrow(0, 2 * hidden, hidden).transpose();
        (reset * h.clone()).matmul(weights) + b_hh.narrow(0, 2 * hidden, hidden).unsqueeze()
    };
    let candidate = tanh(gate(&from_x, 2) + inner);
    candidate.clone() + update * (h - candidate)
}

/// Runs a step function over time and stacks its outputs, zero beyond each row's length.
///
/// The step function gets `x [B, I]` and the mask `[B, H]` of the rows that must keep their state.
/// Both directions may walk over the padding, because there no state changes.
fn scan(
    x: Tensor<3>,
    hidden: usize,
    lengths: &[usize],
    reverse: bool,
    mut step: impl FnMut(Tensor<2>, Tensor<2, Bool>) -> Tensor<2>,
) -> Tensor<3> {
    let ([batch, time, inputs], device) = (x.dims(), x.device());
    let padding = |t: usize| {
        let padding: Vec<bool> = lengths.iter().map(|&length| t >= length).collect();
        Tensor::<2, Bool>::from_data(TensorData::new(padding, [batch, 1]), &device)
    };
    let mut outputs = vec![None; time];
    let order: Box<dyn Iterator<Item = usize>> = if reverse {
        Box::new((0..time).rev())
    } else {
        Box::new(0..time)
    };
    for t in order {
        let keep = padding(t);
        let now = x.clone().narrow(1, t, 1).reshape([batch, inputs]);
        let now = now.mask_fill(keep.clone().expand([batch, inputs]), 0.0);
        let keep = keep.expand([batch, hidden]);
        outputs[t] = Some(step(now, keep.clone()).mask_fill(keep, 0.0));
    }
    Tensor::stack(outputs.into_iter().flatten().collect(), 1)
}
