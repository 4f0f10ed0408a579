//! Groups of rows on their way through all steps of a GRU, forward and backward. The mutable slices
//! of a task begin at its first row; "packed" offsets count from there, too.

use super::gru::{Gru, Packed, Reset, Saved};
use super::gru_cell::{Backward, Candidate, Gates, ResetBackward};
use crate::simd;
use std::ops::Range;

/// The way forward.
pub(crate) struct ForwardTask<'a> {
    pub operation: &'a Gru,
    pub rows: Range<usize>,
    pub x: &'a mut [f32],
    pub h: &'a mut [f32],
    pub kept: &'a mut [f32],
    pub output: &'a mut [f32],
}

impl ForwardTask<'_> {
    pub fn run(self, x: &[f32], h0: &[f32], packed: &Packed, bias: [&[f32]; 2]) {
        let (steps, reset) = (&self.operation.steps, self.operation.reset);
        let sizes = self.operation.sizes;
        let (inputs, hidden) = (sizes.inputs, sizes.hidden);
        let base = steps.start(self.rows.start);
        let mut products = Vec::with_capacity(steps.start(self.rows.end) - base);
        for row in self.rows.clone() {
            let start = steps.start(row) - base;
            for step in 0..steps.length(row) {
                let from = (row * steps.time() + steps.position(row, step)) * inputs;
                let to = (start + step) * inputs;
                self.x[to..to + inputs].copy_from_slice(&x[from..from + inputs]);
                products.push((to, (start + step) * 4 * hidden));
            }
            if steps.length(row) > 0 {
                self.h[start * hidden..][..hidden].copy_from_slice(&h0[row * hidden..][..hidden]);
            }
        }
        if let Some(panels) = &packed.input {
            panels.multiply(self.x, self.kept, &products, false);
        }

        // Recurrent products of one step: three quarters a row, the candidate's last.
        let mut recurrent = vec![0.0; self.rows.len() * 3 * hidden];
        for step in 0..steps.longest(&self.rows) {
            let active = || self.rows.clone().filter(|&row| step < steps.length(row));
            let packed_at = |row: usize| steps.start(row) - base + step;
            let slot = |row: usize| (row - self.rows.start) * 3 * hidden;

            products.clear();
            products.extend(active().map(|row| (packed_at(row) * hidden, slot(row))));
            packed
                .state
                .multiply(self.h, &mut recurrent, &products, false);
            for row in active() {
                let at = packed_at(row);
                simd::run(Gates {
                    kept: &mut self.kept[at * 4 * hidden..][..4 * hidden],
                    recurrent: &recurrent[slot(row)..],
                    bias,
                    old: &self.h[at * hidden..],
                    reset,
                });
            }
            if let Some(panels) = &packed.candidate {
                products.clear();
                products.extend(
                    active().map(|row| ((4 * packed_at(row) + 3) * hidden, slot(row) + 2 * hidden)),
                );
                panels.multiply(self.kept, &mut recurrent, &products, false);
            }
            for row in active() {
                let at = packed_at(row);
                let to = (row - self.rows.start) * steps.time() + steps.position(row, step);
                let new = &mut self.output[to * hidden..][..hidden];
                simd::run(Candidate {
                    kept: &mut self.kept[at * 4 * hidden..][..4 * hidden],
                    recurrent: &recurrent[slot(row) + 2 * hidden..],
                    bias,
                    old: &self.h[at * hidden..],
                    new,
                    reset,
                });
                if step + 1 < steps.length(row) {
                    self.h[(at + 1) * hidden..][..hidden].copy_from_slice(new);
                }
            }
        }
    }
}

/// The way back.
pub(crate) struct BackwardTask<'a> {
    pub operation: &'a Gru,
    pub saved: &'a Saved,
    pub rows: Range<usize>,
    pub deltas: &'a mut [f32],
    pub d_state: &'a mut [f32],
    pub d_x: &'a mut [f32],
}

impl BackwardTask<'_> {
    pub fn run(mut self, gradient: &[f32], packed: &Packed) {
        let (steps, sizes) = (&self.operation.steps, self.operation.sizes);
        let (inputs, hidden, count) = (sizes.inputs, sizes.hidden, self.operation.deltas());
        let base = steps.start(self.rows.start);
        let mut products = Vec::with_capacity(steps.start(self.rows.end) - base);
        let mut d_product = vec![0.0; self.rows.len() * hidden];

        for step in (0..steps.longest(&self.rows)).rev() {
            let active: Vec<_> = self
                .rows
                .clone()
                .filter(|&row| step < steps.length(row))
                .collect();
            products.clear();
            for &row in &active {
                let (at, local) = (steps.start(row) + step, row - self.rows.start);
                let from = row * steps.time() + steps.position(row, step);
                simd::run(Backward {
                    kept: &self.saved.kept[at * 4 * hidden..][..4 * hidden],
                    old: &self.saved.h[at * hidden..],
                    d_output: &gradient[from * hidden..],
                    d_state: &mut self.d_state[local * hidden..],
                    deltas: &mut self.deltas[(at - base) * count..][..count],
                    reset: self.operation.reset,
                });
                products.push(((at - base) * count, local * hidden));
            }
            if let (Reset::Before, Some(panels)) = (self.operation.reset, &packed.candidate) {
                panels.multiply(self.deltas, &mut d_product, &products, false);
                for &row in &active {
                    self.reset_gate(row, step, &d_product);
                }
            }
            // Past the candidate's gradient, which does not multiply the plain state.
            for (from, _) in &mut products {
                *from += hidden;
            }
            packed
                .state
                .multiply(self.deltas, self.d_state, &products, true);
        }
        if let Some(panels) = &packed.input {
            products.clear();
            for row in self.rows.clone() {
                let (start, local) = (steps.start(row) - base, row - self.rows.start);
                products.extend((0..steps.length(row)).map(|step| {
                    let to = local * steps.time() + steps.position(row, step);
                    ((start + step) * count, to * inputs)
                }));
            }
            panels.multiply(self.deltas, self.d_x, &products, false);
        }
    }

    /// The reset gate of one row, where it acts before the product.
    fn reset_gate(&mut self, row: usize, step: usize, d_product: &[f32]) {
        let (steps, hidden) = (&self.operation.steps, self.operation.sizes.hidden);
        let (at, local) = (steps.start(row) + step, row - self.rows.start);
        let deltas = (at - steps.start(self.rows.start)) * self.operation.deltas();
        simd::run(ResetBackward {
            kept: &self.saved.kept[at * 4 * hidden..][..4 * hidden],
            old: &self.saved.h[at * hidden..],
            d_product: &d_product[local * hidden..],
            d_reset: &mut self.deltas[deltas + hidden..],
            d_state: &mut self.d_state[local * hidden..],
        });
    }
}
