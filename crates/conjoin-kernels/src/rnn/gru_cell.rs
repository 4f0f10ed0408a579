//! One row's GRU step: activations forward and backward, vectorised. All slices have `H` numbers, or
//! a multiple of it where said so.

use super::gru::Reset;
use super::lanes::update;
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
        let [b_ih, b_hh] = self.bias;
        let (gates, rest) = self.kept.split_at_mut(2 * hidden);
        update(
            2 * hidden,
            [self.recurrent, b_ih, b_hh],
            [gates],
            |[recurrent, b_ih, b_hh], [gate]| [sigmoid(isa, gate + recurrent + b_ih + b_hh)],
        );
        if self.reset == Reset::Before {
            let product = &mut rest[hidden..];
            update(hidden, [gates, self.old], [product], |[reset, old], _| {
                [reset * old]
            });
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
        let [b_ih, b_hh] = self.bias.map(|bias| &bias[2 * hidden..]);
        let (gates, rest) = self.kept.split_at_mut(2 * hidden);
        let (reset, z) = gates.split_at(hidden);
        let (candidate, last) = rest.split_at_mut(hidden);
        let inputs = [reset, z, self.recurrent, self.old, b_ih, b_hh];
        let after = self.reset == Reset::After;
        update(
            hidden,
            inputs,
            [candidate, last, self.new],
            |[r, z, recurrent, old, b_ih, b_hh], [n, last, _]| {
                let inner = recurrent + b_hh;
                let (scaled, last) = if after {
                    (r * inner, inner)
                } else {
                    (inner, last)
                };
                let n = tanh(isa, n + b_ih + scaled);
                [n, last, n + z * (old - n)]
            },
        );
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
        let (d_candidate, rest) = self.deltas.split_at_mut(hidden);
        let (d_reset, rest) = rest.split_at_mut(hidden);
        let (d_update, d_inner) = rest.split_at_mut(hidden);
        update(
            hidden,
            [part(1), part(2), self.old, self.d_output],
            [&mut *d_candidate, d_update, self.d_state],
            |[z, n, old, d_output], [_, _, d_state]| {
                let dh = d_output + d_state;
                [
                    dh * (1.0 - z) * (1.0 - n * n),
                    dh * (old - n) * z * (1.0 - z),
                    dh * z,
                ]
            },
        );
        if self.reset == Reset::After {
            update(
                hidden,
                [part(0), part(3), d_candidate],
                [d_reset, d_inner],
                |[r, inner, d_candidate], _| [d_candidate * inner * r * (1.0 - r), d_candidate * r],
            );
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
        update(
            hidden,
            [self.kept, self.old, self.d_product],
            [self.d_reset, self.d_state],
            |[r, old, d_product], [_, d_state]| {
                [d_product * old * r * (1.0 - r), d_state + d_product * r]
            },
        );
    }
}
