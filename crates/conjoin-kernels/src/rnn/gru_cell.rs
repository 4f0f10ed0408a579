//! One row's GRU step: activations forward and backward, vectorised. All slices have `H` numbers, or
//! a multiple of it where said so.

use super::gru::Reset;
use crate::simd::{Isa, Kernel, sigmoid, tanh};

/// Reset and update gate: what of the step does not need the candidate's recurrent part.
pub(crate) struct Gates<'a> {
    /// `W x` for reset, update and candidate, then one free quarter. The first two become the
    /// activated gates; with [`Reset::Before`], the free quarter becomes `r h`.
    pub kept: &'a mut [f32],
    /// `U h` for reset and update.
    pub recurrent: &'a [f32],
    /// `b_ih` and `b_hh`, `3H` each.
    pub bias: [&'a [f32]; 2],
    pub old: &'a [f32],
    pub reset: Reset,
}

impl Kernel for Gates<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Isa>(self, isa: S) {
        let hidden = self.kept.len() / 4;
        let [b_ih, b_hh] = self.bias.map(|bias| &bias[..2 * hidden]);
        let (gates, rest) = self.kept.split_at_mut(2 * hidden);
        let recurrent = &self.recurrent[..2 * hidden];
        let gates = &mut gates[..2 * hidden];
        for j in 0..2 * hidden {
            gates[j] = sigmoid(isa, gates[j] + recurrent[j] + b_ih[j] + b_hh[j]);
        }
        if self.reset == Reset::Before {
            let (reset, old) = (&gates[..hidden], &self.old[..hidden]);
            let product = &mut rest[hidden..2 * hidden];
            for j in 0..hidden {
                product[j] = reset[j] * old[j];
            }
        }
    }
}

/// Candidate and new state, after [`Gates`].
pub(crate) struct Candidate<'a> {
    /// Reset, update, `W x` of the candidate, which becomes the candidate, and a last quarter, which
    /// with [`Reset::After`] becomes `U h + b_hh`.
    pub kept: &'a mut [f32],
    /// The candidate's `U h` ([`Reset::After`]) or `U (r h)` ([`Reset::Before`]).
    pub recurrent: &'a [f32],
    /// `b_ih` and `b_hh`, `3H` each.
    pub bias: [&'a [f32]; 2],
    pub old: &'a [f32],
    pub new: &'a mut [f32],
    pub reset: Reset,
}

impl Kernel for Candidate<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Isa>(self, isa: S) {
        let hidden = self.kept.len() / 4;
        let [b_ih, b_hh] = self.bias.map(|bias| &bias[2 * hidden..3 * hidden]);
        let (gates, rest) = self.kept.split_at_mut(2 * hidden);
        let (reset, update) = gates.split_at(hidden);
        let (candidate, last) = rest.split_at_mut(hidden);
        let (reset, update) = (&reset[..hidden], &update[..hidden]);
        let (candidate, last) = (&mut candidate[..hidden], &mut last[..hidden]);
        let (recurrent, old) = (&self.recurrent[..hidden], &self.old[..hidden]);
        let new = &mut self.new[..hidden];
        let after = self.reset == Reset::After;
        for j in 0..hidden {
            let inner = recurrent[j] + b_hh[j];
            let scaled = if after { reset[j] * inner } else { inner };
            last[j] = if after { inner } else { last[j] };
            candidate[j] = tanh(isa, candidate[j] + b_ih[j] + scaled);
            new[j] = candidate[j] + update[j] * (old[j] - candidate[j]);
        }
    }
}

/// From the gradient of a step's output to those of its gate sums.
pub(crate) struct Backward<'a> {
    /// Reset, update, candidate, and the last quarter of the forward pass.
    pub kept: &'a [f32],
    pub old: &'a [f32],
    /// The gradient of the output, as the next layer sees it.
    pub d_output: &'a [f32],
    /// The gradient of the output from the next step; becomes the part of that of the state before
    /// this step which goes past the gates.
    pub d_state: &'a mut [f32],
    /// Receives the gradients of candidate, reset and update sums and, with [`Reset::After`], of the
    /// candidate's recurrent part. With [`Reset::Before`], reset waits for [`ResetBackward`].
    pub deltas: &'a mut [f32],
    pub reset: Reset,
}

impl Kernel for Backward<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Isa>(self, _: S) {
        let hidden = self.kept.len() / 4;
        let part = |index: usize| &self.kept[index * hidden..(index + 1) * hidden];
        let (reset, update, candidate, inner) = (part(0), part(1), part(2), part(3));
        let (d_candidate, rest) = self.deltas.split_at_mut(hidden);
        let (d_reset, rest) = rest.split_at_mut(hidden);
        let (d_update, d_inner) = rest.split_at_mut(hidden);
        let (d_candidate, d_update) = (&mut d_candidate[..hidden], &mut d_update[..hidden]);
        let (old, d_output) = (&self.old[..hidden], &self.d_output[..hidden]);
        let d_state = &mut self.d_state[..hidden];
        for j in 0..hidden {
            let (z, n) = (update[j], candidate[j]);
            let dh = d_output[j] + d_state[j];
            d_candidate[j] = dh * (1.0 - z) * (1.0 - n * n);
            d_update[j] = dh * (old[j] - n) * z * (1.0 - z);
            d_state[j] = dh * z;
        }
        if self.reset == Reset::After {
            let (d_reset, d_inner) = (&mut d_reset[..hidden], &mut d_inner[..hidden]);
            for j in 0..hidden {
                let r = reset[j];
                d_reset[j] = d_candidate[j] * inner[j] * r * (1.0 - r);
                d_inner[j] = d_candidate[j] * r;
            }
        }
    }
}

/// The reset gate's gradient where it scales the state before the product ([`Reset::Before`]).
pub(crate) struct ResetBackward<'a> {
    pub kept: &'a [f32],
    pub old: &'a [f32],
    /// The gradient of `r h`.
    pub d_product: &'a [f32],
    pub d_reset: &'a mut [f32],
    /// Gains the part that goes through `r h`.
    pub d_state: &'a mut [f32],
}

impl Kernel for ResetBackward<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Isa>(self, _: S) {
        let hidden = self.kept.len() / 4;
        let (reset, old) = (&self.kept[..hidden], &self.old[..hidden]);
        let d_product = &self.d_product[..hidden];
        let (d_reset, d_state) = (&mut self.d_reset[..hidden], &mut self.d_state[..hidden]);
        for j in 0..hidden {
            let r = reset[j];
            d_reset[j] = d_product[j] * old[j] * r * (1.0 - r);
            d_state[j] += d_product[j] * r;
        }
    }
}
