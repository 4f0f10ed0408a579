//! The GRU over whole sequences, fused, with its gradient.
//!
//! Cho et al. 2014, in PyTorch's layout (gates in the order reset, update, candidate):
//! `r, z = sigmoid(W x + b_ih + U h + b_hh)`, `h' = (1 - z) n + z h`, with the candidate
//! - [`Reset::After`]: `n = tanh(W x + b_ih + r (U h + b_hh))`, as in PyTorch and cuDNN;
//! - [`Reset::Before`]: `n = tanh(W x + b_ih + U (r h) + b_hh)`, the original, Keras's `reset_after=False`.

use super::gradient::Deltas;
use super::gru_task::{BackwardTask, ForwardTask};
use super::panels::{Panels, Weights};
use super::reference;
use super::sizes::{Sizes, operand};
use super::steps::{Steps, split};
use crate::flex::{self, Dense, Fused, all_supported};
use crate::precision::Precision;
use burn::backend::flex::FlexTensor;
use burn::tensor::Tensor;
use rayon::prelude::*;
use std::sync::Arc;

/// Where the reset gate acts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reset {
    /// On the product with the recurrent weights.
    After,
    /// On the state, before the product.
    Before,
}

/// A GRU over padded rows: `r, z = sigmoid(W x + b_ih + U h + b_hh)`, `h' = (1 - z) n + z h`, with the
/// candidate `n = tanh(W x + b_ih + r (U h + b_hh))` where `reset_after` (PyTorch, cuDNN), else
/// `n = tanh(W x + b_ih + U (r h) + b_hh)`. The rows of `W`, `U` and the biases are in PyTorch's order: reset
/// gate `r`, update gate `z`, candidate `n`.
///
/// Source: Cho et al., "Learning Phrase Representations using RNN Encoder-Decoder for Statistical Machine
/// Translation" (2014), whose candidate is the second.
///
/// `x [B, T, I]`, `h0 [B, H]`, `w_ih [3H, I]`, `w_hh [3H, H]`, `b_ih` and `b_hh [3H]`, `lengths` (`B`
/// numbers up to `T`) gives the output at every step, `[B, T, H]`.
///
/// At and beyond a row's length the state is kept and the output is zero; what `x` holds there has no
/// influence. `reverse` runs each row from its last valid step to its first. `reset_after` is the
/// convention of PyTorch; without it, that of the paper. Gradients reach every tensor argument. Products
/// are in the current [`Precision`].
///
/// # Panics
/// If shapes do not fit together or a length exceeds `T`.
#[allow(clippy::too_many_arguments)] // the definition of the operation, in PyTorch's order
#[track_caller]
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
    let states = [operand("h0", &h0)];
    let weights = [operand("w_ih", &w_ih), operand("w_hh", &w_hh)];
    let biases = [operand("b_ih", &b_ih), operand("b_hh", &b_hh)];
    let sizes = Sizes::new("gru", 3, &x, &states, weights, &biases);
    sizes.check_lengths("gru", lengths);
    if !all_supported(&[&x, &h0, &w_ih, &w_hh, &b_ih, &b_hh]) {
        return reference::gru(x, h0, w_ih, w_hh, b_ih, b_hh, lengths, reverse, reset_after);
    }
    let steps = Steps::new(lengths, sizes.time, reverse);
    let inputs = [
        x.into_dispatch(),
        h0.into_dispatch(),
        w_ih.into_dispatch(),
        w_hh.into_dispatch(),
        b_ih.into_dispatch(),
        b_hh.into_dispatch(),
    ];
    flex::apply(Gru::new(sizes, steps, reset_after), inputs)
}

/// One step of [`gru`] for all rows, by its formula, as decoders need it: `x [B, I]`, `h [B, H]`,
/// `w_ih [3H, I]`, `w_hh [3H, H]`, `b_ih` and `b_hh [3H]` give the new `h [B, H]`.
///
/// # Panics
/// If shapes do not fit together.
#[track_caller]
pub fn gru_step(
    x: Tensor<2>,
    h: Tensor<2>,
    w_ih: Tensor<2>,
    w_hh: Tensor<2>,
    b_ih: Tensor<1>,
    b_hh: Tensor<1>,
    reset_after: bool,
) -> Tensor<2> {
    let states = [operand("h", &h)];
    let weights = [operand("w_ih", &w_ih), operand("w_hh", &w_hh)];
    let biases = [operand("b_ih", &b_ih), operand("b_hh", &b_hh)];
    let sizes = Sizes::new("gru_step", 3, &x, &states, weights, &biases);
    if !all_supported(&[&x, &h, &w_ih, &w_hh, &b_ih, &b_hh]) {
        return reference::gru_step(x, h, w_ih, w_hh, b_ih, b_hh, reset_after);
    }
    let steps = Steps::new(&vec![1; sizes.batch], 1, false);
    let x: Tensor<3> = x.unsqueeze_dim(1);
    let inputs = [
        x.into_dispatch(),
        h.into_dispatch(),
        w_ih.into_dispatch(),
        w_hh.into_dispatch(),
        b_ih.into_dispatch(),
        b_hh.into_dispatch(),
    ];
    let states: Tensor<3> = flex::apply(Gru::new(sizes, steps, reset_after), inputs);
    states.squeeze_dim(1)
}

#[derive(Clone, Debug)]
pub(crate) struct Gru {
    pub sizes: Sizes,
    pub steps: Steps,
    pub reset: Reset,
    pub precision: Precision,
}

/// What the backward pass uses. "Packed" buffers hold valid steps only, see [`Steps`].
#[derive(Clone, Debug)]
pub(crate) struct Saved {
    /// Inputs, packed, `[steps, I]`.
    pub x: Arc<Vec<f32>>,
    /// The state before each step, packed, `[steps, H]`.
    pub h: Arc<Vec<f32>>,
    /// Packed `[steps, 4H]`: reset, update, candidate, and `U h + b_hh` of the candidate
    /// ([`Reset::After`]) or `r h` ([`Reset::Before`]).
    pub kept: Arc<Vec<f32>>,
    w_ih: Dense,
    w_hh: Dense,
}

/// Packed weights of one pass.
pub(crate) struct Packed {
    /// For `W`; absent where the input's gradient is not wanted.
    pub input: Option<Panels>,
    /// For `U`: all three gates ([`Reset::After`]), or reset and update ([`Reset::Before`]).
    pub state: Panels,
    /// For the candidate's `U`, with [`Reset::Before`].
    pub candidate: Option<Panels>,
}

impl Gru {
    fn new(sizes: Sizes, steps: Steps, reset_after: bool) -> Self {
        Self {
            sizes,
            steps,
            reset: if reset_after {
                Reset::After
            } else {
                Reset::Before
            },
            precision: Precision::current(),
        }
    }

    /// How many of the gates multiply the plain state, times `H`.
    fn joint(&self) -> usize {
        let hidden = self.sizes.hidden;
        match self.reset {
            Reset::After => 3 * hidden,
            Reset::Before => 2 * hidden,
        }
    }

    /// Gradients a step has: candidate, reset, update, and with [`Reset::After`] the candidate's
    /// recurrent part. In this order the input's are the first three and the state's the last.
    pub fn deltas(&self) -> usize {
        let hidden = self.sizes.hidden;
        match self.reset {
            Reset::After => 4 * hidden,
            Reset::Before => 3 * hidden,
        }
    }
}

impl Fused<6> for Gru {
    type Saved = Saved;

    fn forward(&self, inputs: &[Dense; 6]) -> (FlexTensor, Saved) {
        let [x, h0, w_ih, w_hh, b_ih, b_hh] = inputs;
        let Sizes {
            batch,
            time,
            inputs: width,
            hidden,
        } = self.sizes;
        let (steps, joint) = (&self.steps, self.joint());

        let recurrent = w_hh.values();
        let pack = |weights: Weights<'_>| Panels::pack(weights, self.precision);
        let packed = Packed {
            input: Some(pack(Weights::transposed(w_ih.values(), 3 * hidden, width))),
            state: pack(Weights::transposed(recurrent, joint, hidden)),
            candidate: (self.reset == Reset::Before).then(|| {
                pack(Weights::transposed(
                    &recurrent[joint * hidden..],
                    hidden,
                    hidden,
                ))
            }),
        };
        let total = steps.total();
        let mut packed_x = vec![0.0; total * width];
        let mut packed_h = vec![0.0; total * hidden];
        let mut kept = vec![0.0; total * 4 * hidden];
        let mut output = vec![0.0; batch * time * hidden];

        let blocks = steps.blocks();
        let tasks: Vec<_> = blocks
            .iter()
            .cloned()
            .zip(split(&mut packed_x, steps.sizes(&blocks, width)))
            .zip(split(&mut packed_h, steps.sizes(&blocks, hidden)))
            .zip(split(&mut kept, steps.sizes(&blocks, 4 * hidden)))
            .zip(split(
                &mut output,
                blocks.iter().map(|rows| rows.len() * time * hidden),
            ))
            .map(|((((rows, x), h), kept), output)| ForwardTask {
                operation: self,
                rows,
                x,
                h,
                kept,
                output,
            })
            .collect();
        let bias = [b_ih.values(), b_hh.values()];
        tasks
            .into_par_iter()
            .for_each(|task| task.run(x.values(), h0.values(), &packed, bias));

        let saved = Saved {
            x: Arc::new(packed_x),
            h: Arc::new(packed_h),
            kept: Arc::new(kept),
            w_ih: w_ih.clone(),
            w_hh: w_hh.clone(),
        };
        (flex::tensor(output, [batch, time, hidden]), saved)
    }

    fn backward(
        &self,
        saved: Saved,
        gradient: Dense,
        wanted: [bool; 6],
    ) -> [Option<FlexTensor>; 6] {
        let Sizes {
            batch,
            time,
            inputs: width,
            hidden,
        } = self.sizes;
        let (steps, total) = (&self.steps, self.steps.total());
        let (joint, count) = (self.joint(), self.deltas());
        let [want_x, want_h0, want_w_ih, want_w_hh, want_b_ih, want_b_hh] = wanted;

        let recurrent = saved.w_hh.values();
        let pack = |weights: Weights<'_>| Panels::pack(weights, self.precision);
        let packed = Packed {
            input: want_x.then(|| {
                // The candidate's gradient comes first, so its weights do, too.
                let mut rows = saved.w_ih.values().to_vec();
                rows.rotate_right(hidden * width);
                pack(Weights::plain(&rows, 3 * hidden, width))
            }),
            state: pack(Weights::plain(recurrent, joint, hidden)),
            candidate: (self.reset == Reset::Before)
                .then(|| pack(Weights::plain(&recurrent[joint * hidden..], hidden, hidden))),
        };
        let mut d_x = vec![0.0; if want_x { batch * time * width } else { 0 }];
        let mut d_state = vec![0.0; batch * hidden];
        let mut deltas = vec![0.0; total * count];

        let blocks = steps.blocks();
        let row = d_x.len() / batch.max(1);
        let tasks: Vec<_> = blocks
            .iter()
            .cloned()
            .zip(split(&mut deltas, steps.sizes(&blocks, count)))
            .zip(split(
                &mut d_state,
                blocks.iter().map(|rows| rows.len() * hidden),
            ))
            .zip(split(&mut d_x, blocks.iter().map(|rows| rows.len() * row)))
            .map(|(((rows, deltas), d_state), d_x)| BackwardTask {
                operation: self,
                saved: &saved,
                rows,
                deltas,
                d_state,
                d_x,
            })
            .collect();
        tasks
            .into_par_iter()
            .for_each(|task| task.run(gradient.values(), &packed));

        let deltas = Deltas {
            values: &deltas,
            steps: total,
            width: count,
            precision: self.precision,
        };
        let gates = hidden..3 * hidden;
        let bias = |candidate: usize| {
            let mut sums = deltas.sums(gates.clone());
            sums.extend(deltas.sums(candidate..candidate + hidden));
            flex::tensor(sums, [3 * hidden])
        };
        // Where the candidate's recurrent gradient lies, and what it was multiplied with.
        let (inner, inner_inputs, inner_stride) = match self.reset {
            Reset::After => (3 * hidden, &saved.h[..], hidden),
            Reset::Before => (
                0,
                saved.kept.get(3 * hidden..).unwrap_or_default(),
                4 * hidden,
            ),
        };
        let of_input = || {
            let mut all = vec![0.0; 3 * hidden * width];
            let (upper, lower) = all.split_at_mut(2 * hidden * width);
            deltas.weights(gates.clone(), &saved.x, width, upper, width);
            deltas.weights(0..hidden, &saved.x, width, lower, width);
            flex::tensor(all, [3 * hidden, width])
        };
        let of_state = || {
            let mut all = vec![0.0; 3 * hidden * hidden];
            let (upper, lower) = all.split_at_mut(2 * hidden * hidden);
            deltas.weights(gates.clone(), &saved.h, hidden, upper, hidden);
            let columns = inner..inner + hidden;
            deltas.weights(columns, inner_inputs, inner_stride, lower, hidden);
            flex::tensor(all, [3 * hidden, hidden])
        };
        // Side by side, so that no thread waits for the last task of one of them.
        let (d_w_ih, d_w_hh) =
            rayon::join(|| want_w_ih.then(of_input), || want_w_hh.then(of_state));
        [
            want_x.then(|| flex::tensor(d_x, [batch, time, width])),
            want_h0.then(|| flex::tensor(d_state, [batch, hidden])),
            d_w_ih,
            d_w_hh,
            want_b_ih.then(|| bias(0)),
            want_b_hh.then(|| bias(inner)),
        ]
    }
}
