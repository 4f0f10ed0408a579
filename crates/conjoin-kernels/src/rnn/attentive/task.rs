//! Groups of rows on their way through all steps, forward and backward. The mutable slices of a task
//! begin at its first row.

use super::Cell;
use super::operation::{Attentive, Saved, Sizes};
use super::row::{Look, LookBack, Seen};
use crate::blas::{self, Mat, MatMut, Threads};
use crate::rnn::gru::Reset;
use crate::rnn::panels::Panels;
use crate::rnn::{gru_cell, lstm_cell};
use crate::simd;
use std::ops::Range;

/// The operands that steps read as they are.
#[derive(Clone, Copy)]
pub(crate) struct Operands<'a> {
    pub pre: &'a [f32],
    pub h0: &'a [f32],
    pub c0: &'a [f32],
    pub keys: &'a [f32],
    pub values: &'a [f32],
    pub bias: &'a [f32],
    pub v: &'a [f32],
}

/// Packed weights of one direction; `query` where states are projected.
pub(crate) struct Packed {
    pub context: Panels,
    pub state: Panels,
    pub query: Option<Panels>,
}

impl Attentive {
    /// What a row of the batch looks at.
    fn seen<'a>(&self, operands: Operands<'a>, row: usize) -> Seen<'a> {
        let Sizes {
            time, keys, values, ..
        } = self.sizes;
        let valid = self.lengths.memory[row];
        Seen {
            keys: &operands.keys[row * time * keys..][..valid * keys],
            memory: &operands.values[row * time * values..][..valid * values],
            v: operands.v,
        }
    }

    /// The rows of a task that have such a step, and the step's index in the task's buffers.
    fn active(&self, rows: &Range<usize>, step: usize) -> Vec<(usize, usize)> {
        let at = |row: usize| (row - rows.start) * self.sizes.steps + step;
        rows.clone()
            .filter(|&row| step < self.lengths.steps[row])
            .map(|row| (row, at(row)))
            .collect()
    }

    fn longest(&self, rows: &Range<usize>) -> usize {
        self.lengths.steps[rows.clone()]
            .iter()
            .copied()
            .max()
            .unwrap_or(0)
    }
}

/// The way forward.
pub(crate) struct ForwardTask<'a> {
    pub operation: &'a Attentive,
    pub rows: Range<usize>,
    pub gates: &'a mut [f32],
    pub cells: &'a mut [f32],
    pub h: &'a mut [f32],
    pub queries: &'a mut [f32],
    pub output: &'a mut [f32],
}

impl ForwardTask<'_> {
    pub fn run(mut self, operands: Operands<'_>, packed: &Packed) {
        let sizes = self.operation.sizes;
        let Sizes {
            steps,
            hidden,
            time,
            keys,
            ..
        } = sizes;
        let (wide, out) = (sizes.wide(), sizes.out());
        for row in self.rows.clone() {
            let first = (row - self.rows.start) * steps;
            for step in 0..self.operation.lengths.steps[row] {
                let from = &operands.pre[(row * steps + step) * wide..][..wide];
                self.gates[(first + step) * 4 * hidden..][..wide].copy_from_slice(from);
            }
            if self.operation.lengths.steps[row] > 0 {
                let from = &operands.h0[row * hidden..][..hidden];
                self.h[first * hidden..][..hidden].copy_from_slice(from);
            }
        }
        let zeros = vec![0.0; wide];
        let mut scores = vec![0.0; time];
        let mut recurrent = vec![0.0; self.rows.len() * wide];
        let mut products = Vec::with_capacity(self.rows.len());
        for step in 0..self.operation.longest(&self.rows) {
            let active = self.operation.active(&self.rows, step);
            let pairs = |products: &mut Vec<_>,
                         from: &dyn Fn(usize) -> usize,
                         to: &dyn Fn(usize, usize) -> usize| {
                products.clear();
                products.extend(active.iter().map(|&(row, at)| (from(at), to(row, at))));
            };
            match (&packed.query, self.operation.scale) {
                (Some(query), _) => {
                    pairs(&mut products, &|at| at * hidden, &|_, at| at * keys);
                    query.multiply(self.h, self.queries, &products, false);
                }
                (None, scale) => {
                    let scale = scale.unwrap_or(1.0);
                    for &(_, at) in &active {
                        let to = &mut self.queries[at * keys..][..keys];
                        for (to, from) in to.iter_mut().zip(&self.h[at * hidden..]) {
                            *to = scale * from;
                        }
                    }
                }
            }
            for &(row, at) in &active {
                let valid = self.operation.lengths.memory[row];
                let found = &mut self.output[at * out..][hidden..out];
                let (context, weights) = found.split_at_mut(sizes.values);
                simd::run(Look {
                    seen: self.operation.seen(operands, row),
                    query: &self.queries[at * keys..][..keys],
                    weights: &mut weights[..valid],
                    context,
                    scores: &mut scores[..valid],
                });
            }
            pairs(&mut products, &|at| at * out + hidden, &|_, at| {
                at * 4 * hidden
            });
            packed
                .context
                .multiply(self.output, self.gates, &products, true);
            let first = self.rows.start;
            let slot = |row: usize| (row - first) * wide;
            pairs(&mut products, &|at| at * hidden, &|row, _| slot(row));
            packed
                .state
                .multiply(self.h, &mut recurrent, &products, false);
            for &(row, at) in &active {
                let recurrent = &recurrent[slot(row)..][..wide];
                self.cell(operands, (row, at, step), recurrent, &zeros);
                let (h, output) = (&mut *self.h, &self.output[at * out..][..hidden]);
                if step + 1 < self.operation.lengths.steps[row] {
                    h[(at + 1) * hidden..][..hidden].copy_from_slice(output);
                }
            }
        }
    }

    /// One row's gates, and its new state.
    fn cell(
        &mut self,
        operands: Operands<'_>,
        (row, at, step): (usize, usize, usize),
        recurrent: &[f32],
        zeros: &[f32],
    ) {
        let sizes = self.operation.sizes;
        let (hidden, out) = (sizes.hidden, sizes.out());
        let gates = &mut self.gates[at * 4 * hidden..][..4 * hidden];
        let new = &mut self.output[at * out..][..hidden];
        match sizes.cell {
            Cell::Lstm => {
                for (gate, recurrent) in gates.iter_mut().zip(recurrent) {
                    *gate += recurrent;
                }
                let (older, cell) = self.cells.split_at_mut(at * hidden);
                let old_cell = match step {
                    0 => &operands.c0[row * hidden..][..hidden],
                    _ => &older[(at - 1) * hidden..],
                };
                simd::run(lstm_cell::Forward {
                    gates,
                    bias: operands.bias,
                    old_cell,
                    cell: &mut cell[..hidden],
                    output: new,
                });
            }
            Cell::Gru => {
                let (bias, reset) = ([zeros, operands.bias], Reset::After);
                let old = &self.h[at * hidden..][..hidden];
                simd::run(gru_cell::Gates {
                    kept: gates,
                    recurrent,
                    bias,
                    old,
                    reset,
                });
                simd::run(gru_cell::Candidate {
                    kept: gates,
                    recurrent: &recurrent[2 * hidden..],
                    bias,
                    old,
                    new,
                    reset,
                });
            }
        }
    }
}

/// What the way back writes to.
pub(crate) struct Gradients<'a> {
    /// Of the gates' sums, four a step: as the LSTM's gates, or candidate, reset, update and inner product
    /// of the GRU.
    pub deltas: &'a mut [f32],
    /// Of the state and the cell before the first step.
    pub d_h: &'a mut [f32],
    pub d_c: &'a mut [f32],
    pub d_queries: &'a mut [f32],
    pub d_keys: &'a mut [f32],
    pub d_values: &'a mut [f32],
    /// One part a row.
    pub d_v: &'a mut [f32],
}

/// The way back.
pub(crate) struct BackwardTask<'a> {
    pub operation: &'a Attentive,
    pub saved: &'a Saved,
    pub rows: Range<usize>,
    pub to: Gradients<'a>,
}

impl BackwardTask<'_> {
    pub fn run(mut self, operands: Operands<'_>, gradient: &[f32], packed: &Packed) {
        let sizes = self.operation.sizes;
        let Sizes {
            cell,
            steps,
            hidden,
            time,
            keys,
            values,
            ..
        } = sizes;
        let out = sizes.out();
        // Gradients of contexts and scores of all steps: those of memory and keys are sums over steps.
        let mut d_contexts = vec![0.0; self.rows.len() * steps * values];
        let mut d_scores = vec![0.0; self.rows.len() * steps * time];
        let mut scratch = vec![0.0; time];
        let mut products = Vec::with_capacity(self.rows.len());
        for step in (0..self.operation.longest(&self.rows)).rev() {
            let active = self.operation.active(&self.rows, step);
            products.clear();
            for &(row, at) in &active {
                let to = at * values;
                let from = (row * steps + step) * out + hidden;
                d_contexts[to..to + values].copy_from_slice(&gradient[from..from + values]);
                self.cell(operands, (row, at, step), gradient);
                products.push((at * 4 * hidden, to));
            }
            packed
                .context
                .multiply(self.to.deltas, &mut d_contexts, &products, true);
            // An LSTM's state is read by the gates alone; a GRU's goes past them as well.
            let (skipped, add) = match cell {
                Cell::Lstm => (0, false),
                Cell::Gru => (hidden, true),
            };
            let first = self.rows.start;
            let local = |row: usize| (row - first) * hidden;
            products.clear();
            products.extend(
                active
                    .iter()
                    .map(|&(row, at)| (at * 4 * hidden + skipped, local(row))),
            );
            packed
                .state
                .multiply(self.to.deltas, self.to.d_h, &products, add);
            for &(row, at) in &active {
                let valid = self.operation.lengths.memory[row];
                let all = row * steps + step;
                let weights = hidden + values..hidden + values + valid;
                let slot = row - self.rows.start;
                let parts = self.to.d_v.len() / self.rows.len();
                simd::run(LookBack {
                    seen: self.operation.seen(operands, row),
                    query: &self.saved.queries[all * keys..][..keys],
                    weights: &self.saved.output.values()[all * out..][weights.clone()],
                    d_context: &d_contexts[at * values..][..values],
                    d_weights: &gradient[all * out..][weights],
                    d_scores: &mut d_scores[at * time..][..valid],
                    d_query: &mut self.to.d_queries[at * keys..][..keys],
                    d_keys: &mut self.to.d_keys[slot * time * keys..][..valid * keys],
                    d_v: &mut self.to.d_v[slot * parts..][..parts],
                    scratch: &mut scratch[..valid],
                });
            }
            match (&packed.query, self.operation.scale) {
                (Some(query), _) => {
                    for (&(_, at), product) in active.iter().zip(&mut products) {
                        product.0 = at * keys;
                    }
                    query.multiply(self.to.d_queries, self.to.d_h, &products, true);
                }
                (None, scale) => {
                    let scale = scale.unwrap_or(1.0);
                    for &(row, at) in &active {
                        let to = &mut self.to.d_h[local(row)..][..hidden];
                        for (to, from) in to.iter_mut().zip(&self.to.d_queries[at * keys..]) {
                            *to += scale * from;
                        }
                    }
                }
            }
        }
        self.sums(&d_contexts, &d_scores);
    }

    /// One row's gates: from the gradient of its state after a step to that of their sums.
    fn cell(
        &mut self,
        operands: Operands<'_>,
        (row, at, step): (usize, usize, usize),
        gradient: &[f32],
    ) {
        let sizes = self.operation.sizes;
        let hidden = sizes.hidden;
        let all = row * sizes.steps + step;
        let slot = (row - self.rows.start) * hidden;
        let gates = &self.saved.gates[all * 4 * hidden..][..4 * hidden];
        let deltas = &mut self.to.deltas[at * 4 * hidden..][..4 * hidden];
        let d_output = &gradient[all * sizes.out()..][..hidden];
        match sizes.cell {
            Cell::Lstm => simd::run(lstm_cell::Backward {
                gates,
                cell: &self.saved.cells[all * hidden..][..hidden],
                old_cell: match step {
                    0 => &operands.c0[row * hidden..][..hidden],
                    _ => &self.saved.cells[(all - 1) * hidden..][..hidden],
                },
                d_output,
                d_hidden: &self.to.d_h[slot..][..hidden],
                d_cell: &mut self.to.d_c[slot..][..hidden],
                d_gates: deltas,
            }),
            Cell::Gru => simd::run(gru_cell::Backward {
                kept: gates,
                old: &self.saved.h[all * hidden..][..hidden],
                d_output,
                d_state: &mut self.to.d_h[slot..][..hidden],
                deltas,
                reset: Reset::After,
            }),
        }
    }

    /// The gradients of memory and keys: `weightsᵀ · d_contexts`, and `d_scoresᵀ · queries` of a product.
    fn sums(self, d_contexts: &[f32], d_scores: &[f32]) {
        let sizes = self.operation.sizes;
        let Sizes {
            steps,
            hidden,
            time,
            keys,
            values,
            ..
        } = sizes;
        let (out, precision) = (sizes.out(), crate::Precision::F32);
        for (slot, row) in self.rows.clone().enumerate() {
            let valid = self.operation.lengths.memory[row];
            let count = self.operation.lengths.steps[row];
            if valid == 0 || count == 0 {
                continue;
            }
            let weights = &self.saved.output.values()[row * steps * out + hidden + values..];
            blas::gemm(
                precision,
                MatMut::new(&mut self.to.d_values[slot * time * values..], valid, values),
                0.0,
                Mat::strided(weights, count, valid, out, 1).t(),
                Mat::new(&d_contexts[slot * steps * values..], count, values),
                Threads::One,
            );
            if self.operation.additive {
                continue;
            }
            blas::gemm(
                precision,
                MatMut::new(&mut self.to.d_keys[slot * time * keys..], valid, keys),
                0.0,
                Mat::strided(&d_scores[slot * steps * time..], count, valid, time, 1).t(),
                Mat::new(&self.saved.queries[row * steps * keys..], count, keys),
                Threads::One,
            );
        }
    }
}
