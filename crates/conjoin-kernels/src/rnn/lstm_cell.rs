//! One row's LSTM step: activations forward and backward, vectorised. All slices have `H` numbers, or
//! `4 H` in the order input, forget, cell, output gate.

use super::lanes::update;
use crate::simd::{Isa, Kernel, sigmoid, tanh};

/// Turns gate sums into activations, in place, and the old state into the new one.
pub(crate) struct Forward<'a> {
    /// `W_ih x + W_hh h`; becomes the activated gates.
    pub gates: &'a mut [f32],
    pub bias: &'a [f32],
    pub old_cell: &'a [f32],
    pub cell: &'a mut [f32],
    pub output: &'a mut [f32],
}

/// Four equal parts of a slice.
#[inline(always)]
fn quarters(all: &[f32]) -> [&[f32]; 4] {
    let hidden = all.len() / 4;
    let (low, high) = all.split_at(2 * hidden);
    let ((a, b), (c, d)) = (low.split_at(hidden), high.split_at(hidden));
    [a, b, c, &d[..hidden]]
}

/// Four equal parts of a mutable slice.
#[inline(always)]
fn quarters_mut(all: &mut [f32]) -> [&mut [f32]; 4] {
    let hidden = all.len() / 4;
    let (low, high) = all.split_at_mut(2 * hidden);
    let ((a, b), (c, d)) = (low.split_at_mut(hidden), high.split_at_mut(hidden));
    [a, b, c, &mut d[..hidden]]
}

impl Kernel for Forward<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Isa>(self, isa: S) {
        let hidden = self.gates.len() / 4;
        let [input, forget, new, out] = quarters_mut(self.gates);
        let [b_i, b_f, b_n, b_o] = quarters(self.bias);
        update(
            hidden,
            [b_i, b_f, b_n, b_o, self.old_cell],
            [input, forget, new, out, self.cell, self.output],
            |[b_i, b_f, b_n, b_o, old], [i, f, n, o, _, _]| {
                let (i, f) = (sigmoid(isa, i + b_i), sigmoid(isa, f + b_f));
                let (n, o) = (tanh(isa, n + b_n), sigmoid(isa, o + b_o));
                let cell = f * old + i * n;
                [i, f, n, o, cell, o * tanh(isa, cell)]
            },
        );
    }
}

/// Turns the gradient of a step's output and cell into that of the gate sums and the older cell.
pub(crate) struct Backward<'a> {
    /// The activated gates of the forward pass.
    pub gates: &'a [f32],
    pub cell: &'a [f32],
    pub old_cell: &'a [f32],
    /// The gradient of the output, as the next layer sees it.
    pub d_output: &'a [f32],
    /// The gradient of the output that comes from the next step.
    pub d_hidden: &'a [f32],
    /// The gradient of this step's cell; becomes that of the cell before it.
    pub d_cell: &'a mut [f32],
    /// Receives the gradient of the gate sums.
    pub d_gates: &'a mut [f32],
}

impl Kernel for Backward<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Isa>(self, isa: S) {
        let hidden = self.gates.len() / 4;
        let [input, forget, new, out] = quarters(self.gates);
        let [d_input, d_forget, d_new, d_out] = quarters_mut(self.d_gates);
        let inputs = [
            input,
            forget,
            new,
            out,
            self.cell,
            self.old_cell,
            self.d_output,
            self.d_hidden,
        ];
        let outputs = [d_input, d_forget, d_new, d_out, self.d_cell];
        update(hidden, inputs, outputs, |inputs, [.., d_cell]| {
            let [i, f, g, o, cell, old, d_output, d_hidden] = inputs;
            let dh = d_output + d_hidden;
            let squashed = tanh(isa, cell);
            let dc = d_cell + dh * o * (1.0 - squashed * squashed);
            [
                dc * g * i * (1.0 - i),
                dc * old * f * (1.0 - f),
                dc * i * (1.0 - g * g),
                dh * squashed * o * (1.0 - o),
                dc * f,
            ]
        });
    }
}
