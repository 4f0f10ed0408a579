//! The LSTM over whole sequences, fused, with its gradient.
//!
//! Hochreiter and Schmidhuber 1997 with the forget gate of Gers et al. 2000, in PyTorch's layout
//! (gates in the order input, forget, cell, output):
//! `i, f, o = sigmoid(W x + U h + b)`, `g = tanh(W x + U h + b)`, `c = f c' + i g`, `h = o tanh(c)`.

use super::gradient::Deltas;
use super::lstm_task::{BackwardTask, ForwardTask};
use super::panels::{Panels, Weights};
use super::reference;
use super::sizes::{Operand, Sizes, operand, part};
use super::steps::{Steps, split};
use crate::flex::{self, Dense, Fused, all_supported};
use crate::precision::Precision;
use burn::backend::flex::FlexTensor;
use burn::tensor::Tensor;
use rayon::prelude::*;
use std::sync::Arc;

/// An LSTM over padded rows: `i, f, o = sigmoid(W x + U h + b)`, `g = tanh(W x + U h + b)`,
/// `c' = f c + i g`, `h' = o tanh(c')`, with the rows of `W`, `U` and `b` in PyTorch's order: input gate `i`,
/// forget gate `f`, cell `g`, output gate `o`.
///
/// Sources: Hochreiter and Schmidhuber, "Long Short-Term Memory" (1997); the forget gate: Gers,
/// Schmidhuber and Cummins, "Learning to Forget" (2000).
///
/// `x [B, T, I]`, `h0` and `c0 [B, H]`, `w_ih [4H, I]`, `w_hh [4H, H]`, `bias [4H]` (the sum of
/// PyTorch's two), `lengths` (`B` numbers up to `T`) gives the output at every step, `[B, T, H]`.
///
/// At and beyond a row's length the state is kept and the output is zero; what `x` holds there has no
/// influence. `reverse` runs each row from its last valid step to its first. Gradients reach every
/// tensor argument. Products are in the current [`Precision`].
///
/// # Panics
/// If shapes do not fit together or a length exceeds `T`.
#[allow(clippy::too_many_arguments)] // the definition of the operation, in PyTorch's order
#[track_caller]
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
    let states = [operand("h0", &h0), operand("c0", &c0)];
    let sizes = check("lstm", &x, &states, [&w_ih, &w_hh], &bias);
    sizes.check_lengths("lstm", lengths);
    if !all_supported(&[&x, &h0, &c0, &w_ih, &w_hh, &bias]) {
        return reference::lstm(x, h0, c0, w_ih, w_hh, bias, lengths, reverse);
    }
    let operation = Lstm {
        sizes,
        steps: Steps::new(lengths, sizes.time, reverse),
        output: Output::Sequence,
        precision: Precision::current(),
    };
    flex::apply(operation, inputs(x, h0, c0, w_ih, w_hh, bias))
}

/// One step of [`lstm`] for all rows, by its formula, as decoders need it: `x [B, I]`, `h` and
/// `c [B, H]`, `w_ih [4H, I]`, `w_hh [4H, H]` and `bias [4H]` give the new `(h, c)`, `[B, H]` each.
///
/// # Panics
/// If shapes do not fit together.
#[track_caller]
pub fn lstm_step(
    x: Tensor<2>,
    h: Tensor<2>,
    c: Tensor<2>,
    w_ih: Tensor<2>,
    w_hh: Tensor<2>,
    bias: Tensor<1>,
) -> (Tensor<2>, Tensor<2>) {
    let states = [operand("h", &h), operand("c", &c)];
    let sizes = check("lstm_step", &x, &states, [&w_ih, &w_hh], &bias);
    if !all_supported(&[&x, &h, &c, &w_ih, &w_hh, &bias]) {
        return reference::lstm_step(x, h, c, w_ih, w_hh, bias);
    }
    let hidden = sizes.hidden;
    let operation = Lstm {
        sizes,
        steps: Steps::new(&vec![1; sizes.batch], 1, false),
        output: Output::State,
        precision: Precision::current(),
    };
    let state: Tensor<2> = flex::apply(
        operation,
        inputs(x.unsqueeze_dim(1), h, c, w_ih, w_hh, bias),
    );
    (part(state.clone(), 0, hidden), part(state, hidden, hidden))
}

#[track_caller]
fn check<const D: usize>(
    name: &str,
    x: &Tensor<D>,
    states: &[Operand<'_>],
    [w_ih, w_hh]: [&Tensor<2>; 2],
    bias: &Tensor<1>,
) -> Sizes {
    let weights = [operand("w_ih", w_ih), operand("w_hh", w_hh)];
    Sizes::new(name, 4, x, states, weights, &[operand("bias", bias)])
}

fn inputs(
    x: Tensor<3>,
    h0: Tensor<2>,
    c0: Tensor<2>,
    w_ih: Tensor<2>,
    w_hh: Tensor<2>,
    bias: Tensor<1>,
) -> [burn::backend::DispatchTensor; 6] {
    [
        x.into_dispatch(),
        h0.into_dispatch(),
        c0.into_dispatch(),
        w_ih.into_dispatch(),
        w_hh.into_dispatch(),
        bias.into_dispatch(),
    ]
}

/// What the operation returns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Output {
    /// `h` at every step, `[B, T, H]`.
    Sequence,
    /// `h` and `c` after the last step, side by side, `[B, 2H]`.
    State,
}

#[derive(Clone, Debug)]
pub(crate) struct Lstm {
    pub sizes: Sizes,
    pub steps: Steps,
    pub output: Output,
    pub precision: Precision,
}

/// What the backward pass uses. "Packed" buffers hold valid steps only, see [`Steps`].
#[derive(Clone, Debug)]
pub(crate) struct Saved {
    /// Inputs, packed, `[steps, I]`.
    pub x: Arc<Vec<f32>>,
    /// The state before each step, packed, `[steps, H]`.
    pub h: Arc<Vec<f32>>,
    /// Activated gates, packed, `[steps, 4H]`.
    pub gates: Arc<Vec<f32>>,
    /// The cell after each step, packed, `[steps, H]`.
    pub cells: Arc<Vec<f32>>,
    pub c0: Dense,
    w_ih: Dense,
    w_hh: Dense,
}

impl Fused<6> for Lstm {
    type Saved = Saved;

    fn forward(&self, inputs: &[Dense; 6]) -> (FlexTensor, Saved) {
        let [x, h0, c0, w_ih, w_hh, bias] = inputs;
        let steps = &self.steps;
        let Sizes {
            batch,
            time,
            inputs: width,
            hidden,
        } = self.sizes;

        let pack = |weights: Weights<'_>| Panels::pack(weights, self.precision);
        let input_panels = pack(Weights::transposed(w_ih.values(), 4 * hidden, width));
        let state_panels = pack(Weights::transposed(w_hh.values(), 4 * hidden, hidden));
        let total = steps.total();
        let row = match self.output {
            Output::Sequence => time * hidden,
            Output::State => 2 * hidden,
        };
        let mut packed_x = vec![0.0; total * width];
        let mut packed_h = vec![0.0; total * hidden];
        let mut gates = vec![0.0; total * 4 * hidden];
        let mut cells = vec![0.0; total * hidden];
        let mut output = vec![0.0; batch * row];

        let blocks = steps.blocks();
        let tasks: Vec<_> = blocks
            .iter()
            .cloned()
            .zip(split(&mut packed_x, steps.sizes(&blocks, width)))
            .zip(split(&mut packed_h, steps.sizes(&blocks, hidden)))
            .zip(split(&mut gates, steps.sizes(&blocks, 4 * hidden)))
            .zip(split(&mut cells, steps.sizes(&blocks, hidden)))
            .zip(split(
                &mut output,
                blocks.iter().map(|block| block.len() * row),
            ))
            .map(|(((((rows, x), h), gates), cells), output)| ForwardTask {
                operation: self,
                rows,
                x,
                h,
                gates,
                cells,
                output,
            })
            .collect();
        let weights = (&input_panels, &state_panels, bias.values());
        tasks.into_par_iter().for_each(|task| {
            task.run(x.values(), h0.values(), c0.values(), weights);
        });

        let output = match self.output {
            Output::Sequence => flex::tensor(output, [batch, time, hidden]),
            Output::State => flex::tensor(output, [batch, 2 * hidden]),
        };
        let saved = Saved {
            x: Arc::new(packed_x),
            h: Arc::new(packed_h),
            gates: Arc::new(gates),
            cells: Arc::new(cells),
            c0: c0.clone(),
            w_ih: w_ih.clone(),
            w_hh: w_hh.clone(),
        };
        (output, saved)
    }

    fn backward(
        &self,
        saved: Saved,
        gradient: Dense,
        wanted: [bool; 6],
    ) -> [Option<FlexTensor>; 6] {
        let steps = &self.steps;
        let Sizes {
            batch,
            time,
            inputs: width,
            hidden,
        } = self.sizes;
        let total = steps.total();
        let [want_x, want_h0, want_c0, want_w_ih, want_w_hh, want_bias] = wanted;

        let pack = |weights: Weights<'_>| Panels::pack(weights, self.precision);
        let state_panels = pack(Weights::plain(saved.w_hh.values(), 4 * hidden, hidden));
        let input_panels =
            want_x.then(|| pack(Weights::plain(saved.w_ih.values(), 4 * hidden, width)));
        let mut d_x = vec![0.0; if want_x { batch * time * width } else { 0 }];
        let mut d_gates = vec![0.0; total * 4 * hidden];
        let mut d_hidden = vec![0.0; batch * hidden];
        let mut d_cell = vec![0.0; batch * hidden];
        if self.output == Output::State {
            for (row, state) in gradient
                .values()
                .chunks_exact((2 * hidden).max(1))
                .enumerate()
            {
                let at = row * hidden..(row + 1) * hidden;
                d_hidden[at.clone()].copy_from_slice(&state[..hidden]);
                d_cell[at].copy_from_slice(&state[hidden..]);
            }
        }

        let blocks = steps.blocks();
        let row = d_x.len() / batch.max(1);
        let tasks: Vec<_> = blocks
            .iter()
            .cloned()
            .zip(split(&mut d_gates, steps.sizes(&blocks, 4 * hidden)))
            .zip(split(
                &mut d_hidden,
                blocks.iter().map(|b| b.len() * hidden),
            ))
            .zip(split(&mut d_cell, blocks.iter().map(|b| b.len() * hidden)))
            .zip(split(&mut d_x, blocks.iter().map(|b| b.len() * row)))
            .map(
                |((((rows, d_gates), d_hidden), d_cell), d_x)| BackwardTask {
                    operation: self,
                    saved: &saved,
                    rows,
                    d_gates,
                    d_hidden,
                    d_cell,
                    d_x,
                },
            )
            .collect();
        tasks.into_par_iter().for_each(|task| {
            task.run(gradient.values(), &state_panels, input_panels.as_ref());
        });

        let deltas = Deltas {
            values: &d_gates,
            steps: total,
            width: 4 * hidden,
            precision: self.precision,
        };
        let weights = |inputs: &[f32], depth: usize| {
            let mut gradient = vec![0.0; 4 * hidden * depth];
            deltas.weights(0..4 * hidden, inputs, depth, &mut gradient, depth);
            flex::tensor(gradient, [4 * hidden, depth])
        };
        // The two weights side by side, so that no thread waits for the last task of one of them.
        let (d_w_ih, d_w_hh) = rayon::join(
            || want_w_ih.then(|| weights(&saved.x, width)),
            || want_w_hh.then(|| weights(&saved.h, hidden)),
        );
        [
            want_x.then(|| flex::tensor(d_x, [batch, time, width])),
            want_h0.then(|| flex::tensor(d_hidden, [batch, hidden])),
            want_c0.then(|| flex::tensor(d_cell, [batch, hidden])),
            d_w_ih,
            d_w_hh,
            want_bias.then(|| flex::tensor(deltas.sums(0..4 * hidden), [4 * hidden])),
        ]
    }
}
