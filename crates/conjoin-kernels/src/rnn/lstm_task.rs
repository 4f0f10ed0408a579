//! Groups of rows on their way through all steps of an LSTM, forward and backward. The mutable slices
//! of a task begin at its first row; "packed" offsets count from there, too.

use super::lstm::{Lstm, Output, Saved};
use super::lstm_cell::{Backward, Forward};
use super::panels::Panels;
use crate::simd;
use std::ops::Range;

/// The way forward.
pub(crate) struct ForwardTask<'a> {
    pub operation: &'a Lstm,
    pub rows: Range<usize>,
    pub x: &'a mut [f32],
    pub h: &'a mut [f32],
    pub gates: &'a mut [f32],
    pub cells: &'a mut [f32],
    pub output: &'a mut [f32],
}

impl ForwardTask<'_> {
    pub fn run(self, x: &[f32], h0: &[f32], c0: &[f32], weights: (&Panels, &Panels, &[f32])) {
        let (steps, sizes) = (&self.operation.steps, self.operation.sizes);
        let (inputs, hidden) = (sizes.inputs, sizes.hidden);
        let (input_panels, state_panels, bias) = weights;
        let base = steps.start(self.rows.start);
        let sequence = self.operation.output == Output::Sequence;

        let mut products = Vec::with_capacity(self.x.len());
        for row in self.rows.clone() {
            let start = steps.start(row) - base;
            for step in 0..steps.length(row) {
                let from = (row * steps.time() + steps.position(row, step)) * inputs;
                let to = (start + step) * inputs;
                self.x[to..to + inputs].copy_from_slice(&x[from..from + inputs]);
                products.push((to, (start + step) * 4 * hidden));
            }
            let state = row * hidden..(row + 1) * hidden;
            if steps.length(row) > 0 {
                self.h[start * hidden..][..hidden].copy_from_slice(&h0[state]);
            } else if !sequence {
                let to = &mut self.output[(row - self.rows.start) * 2 * hidden..][..2 * hidden];
                to[..hidden].copy_from_slice(&h0[state.clone()]);
                to[hidden..].copy_from_slice(&c0[state]);
            }
        }
        input_panels.multiply(self.x, self.gates, &products, false);

        let mut output = vec![0.0; hidden];
        let longest = steps.longest(&self.rows);
        for step in 0..longest {
            let active = || self.rows.clone().filter(|&row| step < steps.length(row));
            products.clear();
            products.extend(active().map(|row| {
                let at = steps.start(row) - base + step;
                (at * hidden, at * 4 * hidden)
            }));
            state_panels.multiply(self.h, self.gates, &products, true);
            for row in active() {
                let at = steps.start(row) - base + step;
                let (older, cell) = self.cells.split_at_mut(at * hidden);
                let old_cell = match step {
                    0 => &c0[row * hidden..][..hidden],
                    _ => &older[(at - 1) * hidden..],
                };
                simd::run(Forward {
                    gates: &mut self.gates[at * 4 * hidden..][..4 * hidden],
                    bias,
                    old_cell,
                    cell: &mut cell[..hidden],
                    output: &mut output,
                });
                let last = step + 1 == steps.length(row);
                if !last {
                    self.h[(at + 1) * hidden..][..hidden].copy_from_slice(&output);
                }
                let local = row - self.rows.start;
                if sequence {
                    let to = local * steps.time() + steps.position(row, step);
                    self.output[to * hidden..][..hidden].copy_from_slice(&output);
                } else if last {
                    let to = &mut self.output[local * 2 * hidden..][..2 * hidden];
                    to[..hidden].copy_from_slice(&output);
                    to[hidden..].copy_from_slice(&cell[..hidden]);
                }
            }
        }
    }
}

/// The way back.
pub(crate) struct BackwardTask<'a> {
    pub operation: &'a Lstm,
    pub saved: &'a Saved,
    pub rows: Range<usize>,
    pub d_gates: &'a mut [f32],
    pub d_hidden: &'a mut [f32],
    pub d_cell: &'a mut [f32],
    pub d_x: &'a mut [f32],
}

impl BackwardTask<'_> {
    pub fn run(self, gradient: &[f32], state_panels: &Panels, input_panels: Option<&Panels>) {
        let (steps, saved) = (&self.operation.steps, self.saved);
        let sizes = self.operation.sizes;
        let (inputs, hidden) = (sizes.inputs, sizes.hidden);
        let base = steps.start(self.rows.start);
        let sequence = self.operation.output == Output::Sequence;
        let zeros = vec![0.0; hidden];
        let mut products = Vec::with_capacity(steps.start(self.rows.end) - base);

        let longest = steps.longest(&self.rows);
        for step in (0..longest).rev() {
            products.clear();
            for row in self.rows.clone().filter(|&row| step < steps.length(row)) {
                let (packed, local) = (steps.start(row) + step, row - self.rows.start);
                let at = packed - base;
                let old_cell = match step {
                    0 => &saved.c0.values()[row * hidden..],
                    _ => &saved.cells[(packed - 1) * hidden..],
                };
                let d_output = if sequence {
                    &gradient[(row * steps.time() + steps.position(row, step)) * hidden..]
                } else {
                    &zeros
                };
                simd::run(Backward {
                    gates: &saved.gates[packed * 4 * hidden..][..4 * hidden],
                    cell: &saved.cells[packed * hidden..],
                    old_cell,
                    d_output,
                    d_hidden: &self.d_hidden[local * hidden..],
                    d_cell: &mut self.d_cell[local * hidden..][..hidden],
                    d_gates: &mut self.d_gates[at * 4 * hidden..][..4 * hidden],
                });
                products.push((at * 4 * hidden, local * hidden));
            }
            state_panels.multiply(self.d_gates, self.d_hidden, &products, false);
        }

        if let Some(input_panels) = input_panels {
            products.clear();
            for row in self.rows.clone() {
                let (start, local) = (steps.start(row) - base, row - self.rows.start);
                products.extend((0..steps.length(row)).map(|step| {
                    let to = local * steps.time() + steps.position(row, step);
                    ((start + step) * 4 * hidden, to * inputs)
                }));
            }
            input_panels.multiply(self.d_gates, self.d_x, &products, false);
        }
    }
}
