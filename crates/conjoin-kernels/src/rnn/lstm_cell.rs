//! One row's LSTM step: activations forward and backward, vectorised. All slices have `H` numbers, or
//! `4 H` in the order input, forget, cell, output gate.

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
        let bias = quarters(self.bias).map(|part| &part[..hidden]);
        let (input, forget, new, out) = (
            &mut input[..hidden],
            &mut forget[..hidden],
            &mut new[..hidden],
            &mut out[..hidden],
        );
        let (old_cell, cell) = (&self.old_cell[..hidden], &mut self.cell[..hidden]);
        let output = &mut self.output[..hidden];
        for j in 0..hidden {
            input[j] = sigmoid(isa, input[j] + bias[0][j]);
            forget[j] = sigmoid(isa, forget[j] + bias[1][j]);
            new[j] = tanh(isa, new[j] + bias[2][j]);
            out[j] = sigmoid(isa, out[j] + bias[3][j]);
            cell[j] = forget[j] * old_cell[j] + input[j] * new[j];
            output[j] = out[j] * tanh(isa, cell[j]);
        }
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
        let [input, forget, new, out] = quarters(self.gates).map(|part| &part[..hidden]);
        let [d_input, d_forget, d_new, d_out] = quarters_mut(self.d_gates);
        let (d_input, d_forget) = (&mut d_input[..hidden], &mut d_forget[..hidden]);
        let (d_new, d_out) = (&mut d_new[..hidden], &mut d_out[..hidden]);
        let (cell, old_cell) = (&self.cell[..hidden], &self.old_cell[..hidden]);
        let (d_output, d_hidden) = (&self.d_output[..hidden], &self.d_hidden[..hidden]);
        let d_cell = &mut self.d_cell[..hidden];
        for j in 0..hidden {
            let (i, f, g, o) = (input[j], forget[j], new[j], out[j]);
            let dh = d_output[j] + d_hidden[j];
            let squashed = tanh(isa, cell[j]);
            let dc = d_cell[j] + dh * o * (1.0 - squashed * squashed);
            d_input[j] = dc * g * i * (1.0 - i);
            d_forget[j] = dc * old_cell[j] * f * (1.0 - f);
            d_new[j] = dc * i * (1.0 - g * g);
            d_out[j] = dh * squashed * o * (1.0 - o);
            d_cell[j] = dc * f;
        }
    }
}
