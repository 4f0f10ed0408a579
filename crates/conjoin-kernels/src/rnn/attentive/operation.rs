//! The fused operation: what it keeps, and how its tasks share out rows.
//!
//! Buffers lie row by row, `U` steps each; steps at and beyond a row's length stay 0.

use super::task::{BackwardTask, ForwardTask, Gradients, Operands, Packed};
use super::{Cell, Memory, Score, Weights};
use crate::buffer::build;
use crate::flex::{self, Dense, Fused};
use crate::precision::Precision;
use crate::rnn::gradient::Deltas;
use crate::rnn::panels::{self, Panels};
use burn::backend::flex::FlexTensor;
use burn::tensor::Tensor;
use std::ops::Range;
use std::sync::Arc;

/// Sizes that every pass needs.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sizes {
    pub cell: Cell,
    pub batch: usize,
    pub steps: usize,
    pub hidden: usize,
    /// Positions of the memory, numbers of a key and of a value.
    pub time: usize,
    pub keys: usize,
    pub values: usize,
}

impl Sizes {
    /// # Panics
    /// If an operand has other sizes than those before it ask for.
    #[track_caller]
    pub fn check(
        cell: Cell,
        pre: &Tensor<3>,
        h0: &Tensor<2>,
        c0: Option<&Tensor<2>>,
        memory: &Memory<'_>,
        score: &Score,
        weights: &Weights,
    ) -> Self {
        let ([batch, steps, _], [_, hidden]) = (pre.dims(), h0.dims());
        let ([_, time, keys], [_, _, values]) = (memory.keys.dims(), memory.values.dims());
        let wide = cell.gates() * hidden;
        let expect = |name: &str, found: &[usize], expected: &[usize]| {
            assert!(
                found == expected,
                "attentive: {name} is {found:?}, expected {expected:?}"
            );
        };
        assert!(keys > 0, "attentive: keys have no numbers");
        expect("pre", &pre.dims(), &[batch, steps, wide]);
        expect("h0", &h0.dims(), &[batch, hidden]);
        assert!(
            c0.is_some() == (cell == Cell::Lstm),
            "attentive: c0 belongs to an LSTM, which needs it"
        );
        if let Some(c0) = c0 {
            expect("c0", &c0.dims(), &[batch, hidden]);
        }
        expect("keys", &memory.keys.dims(), &[batch, time, keys]);
        expect("values", &memory.values.dims(), &[batch, time, values]);
        expect(
            "the context's weight",
            &weights.context.dims(),
            &[wide, values],
        );
        expect("the state's weight", &weights.state.dims(), &[wide, hidden]);
        expect("bias", &weights.bias.dims(), &[wide]);
        match score {
            Score::Dot { .. } => expect("keys", &memory.keys.dims(), &[batch, time, hidden]),
            Score::General { query } => expect("query", &query.dims(), &[keys, hidden]),
            Score::Additive { query, v } => {
                expect("query", &query.dims(), &[keys, hidden]);
                expect("v", &v.dims(), &[keys]);
            }
        }
        Self {
            cell,
            batch,
            steps,
            hidden,
            time,
            keys,
            values,
        }
    }

    /// Sums of the gates of a step.
    pub fn wide(self) -> usize {
        self.cell.gates() * self.hidden
    }

    /// Numbers of a step's output: state, context, weights.
    pub fn out(self) -> usize {
        self.hidden + self.values + self.time
    }
}

/// Valid steps, and valid positions of the memory, of each row.
#[derive(Clone, Debug)]
pub(crate) struct Lengths {
    pub steps: Arc<[usize]>,
    pub memory: Arc<[usize]>,
}

#[derive(Clone, Debug)]
pub(crate) struct Attentive {
    pub sizes: Sizes,
    /// Of the plain dot product, which has no projection of its own.
    pub scale: Option<f32>,
    /// The score is the additive one.
    pub additive: bool,
    pub lengths: Lengths,
    pub precision: Precision,
}

/// What the backward pass uses.
#[derive(Clone, Debug)]
pub(crate) struct Saved {
    pub inputs: [Dense; 10],
    /// Activated gates, four a step; see the cells.
    pub gates: Arc<Vec<f32>>,
    /// The LSTM's cell after each step.
    pub cells: Arc<Vec<f32>>,
    /// The state before each step.
    pub h: Arc<Vec<f32>>,
    pub queries: Arc<Vec<f32>>,
    pub output: Dense,
}

impl Attentive {
    /// Rows of each task. Rows do not meet, so the cut may depend on the number of threads.
    fn blocks(&self) -> Vec<Range<usize>> {
        /// What the rows of a task read in a step should stay in the second-level cache.
        const MOST: usize = 64;
        let batch = self.sizes.batch;
        let count = batch
            .div_ceil(MOST)
            .next_multiple_of(rayon::current_num_threads());
        let block = batch.div_ceil(count.max(1)).max(1);
        (0..batch)
            .step_by(block)
            .map(|first| first..batch.min(first + block))
            .collect()
    }

    fn operands<'a>(&'a self, inputs: &'a [Dense; 10]) -> Operands<'a> {
        let [pre, h0, c0, keys, values, _, _, bias, _, v] = inputs.each_ref().map(Dense::values);
        Operands {
            pre,
            h0,
            c0,
            keys,
            values,
            bias,
            v: if self.additive { v } else { &[] },
        }
    }

    fn pack(&self, weights: panels::Weights<'_>) -> Panels {
        Panels::pack(weights, self.precision)
    }
}

impl Fused<10> for Attentive {
    type Saved = Box<Saved>;

    fn forward(&self, inputs: &[Dense; 10]) -> (FlexTensor, Self::Saved) {
        let Sizes {
            batch,
            steps,
            hidden,
            keys,
            values,
            ..
        } = self.sizes;
        let wide = self.sizes.wide();
        let [_, _, _, _, _, w_context, w_state, _, w_query, _] = inputs;
        let turned = |w: &Dense, outputs: usize, depth: usize| {
            self.pack(panels::Weights::transposed(w.values(), outputs, depth))
        };
        let packed = Packed {
            context: turned(w_context, wide, values),
            state: turned(w_state, wide, hidden),
            query: self.scale.is_none().then(|| turned(w_query, keys, hidden)),
        };
        let operands = self.operands(inputs);
        let blocks = self.blocks();
        let lstm = usize::from(self.sizes.cell == Cell::Lstm);
        let sizes: Vec<[usize; 5]> = blocks
            .iter()
            .map(|rows| {
                [4 * hidden, lstm * hidden, hidden, keys, self.sizes.out()]
                    .map(|width| rows.len() * steps * width)
            })
            .collect();
        let [gates, cells, h, queries, output] =
            build(&sizes, |i, [gates, cells, h, queries, output]| {
                ForwardTask {
                    operation: self,
                    rows: blocks[i].clone(),
                    gates,
                    cells,
                    h,
                    queries,
                    output,
                }
                .run(operands, &packed);
            });
        let output = flex::tensor(output, [batch, steps, self.sizes.out()]);
        let saved = Saved {
            inputs: inputs.clone(),
            gates: Arc::new(gates),
            cells: Arc::new(cells),
            h: Arc::new(h),
            queries: Arc::new(queries),
            output: Dense::new(output.clone()),
        };
        (output, Box::new(saved))
    }

    fn backward(
        &self,
        saved: Self::Saved,
        gradient: Dense,
        wanted: [bool; 10],
    ) -> [Option<FlexTensor>; 10] {
        let Sizes {
            cell,
            batch,
            steps,
            hidden,
            time,
            keys,
            values,
        } = self.sizes;
        let wide = self.sizes.wide();
        let [_, _, _, _, _, w_context, w_state, _, w_query, _] = &saved.inputs;
        // The gradients of a GRU's candidate lie before those of its other gates.
        let mut of_context = w_context.values().to_vec();
        if cell == Cell::Gru {
            of_context.rotate_right(hidden * values);
        }
        let plain = |w: &[f32], depth: usize, columns: usize| {
            self.pack(panels::Weights::plain(w, depth, columns))
        };
        let packed = Packed {
            context: plain(&of_context, wide, values),
            state: plain(w_state.values(), wide, hidden),
            query: self
                .scale
                .is_none()
                .then(|| plain(w_query.values(), keys, hidden)),
        };
        let operands = self.operands(&saved.inputs);
        let blocks = self.blocks();
        let lstm = usize::from(cell == Cell::Lstm);
        let parts = usize::from(self.additive) * keys;
        let sizes: Vec<[usize; 7]> = blocks
            .iter()
            .map(|rows| {
                [
                    steps * 4 * hidden,
                    hidden,
                    lstm * hidden,
                    steps * keys,
                    time * keys,
                    time * values,
                    parts,
                ]
                .map(|width| rows.len() * width)
            })
            .collect();
        let all: [Vec<f32>; 7] = build(
            &sizes,
            |i, [deltas, d_h, d_c, d_queries, d_keys, d_values, d_v]| {
                BackwardTask {
                    operation: self,
                    saved: &saved,
                    rows: blocks[i].clone(),
                    to: Gradients {
                        deltas,
                        d_h,
                        d_c,
                        d_queries,
                        d_keys,
                        d_values,
                        d_v,
                    },
                }
                .run(operands, gradient.values(), &packed);
            },
        );
        let [deltas, d_h, d_c, d_queries, d_keys, d_values, d_v] = all;
        let of = |values, width| Deltas {
            values,
            steps: batch * steps,
            width,
            precision: self.precision,
        };
        let gates = of(&deltas, 4 * hidden);
        // Columns of the gates' sums as they meet the input (in the order of its rows) and the state.
        let (input, state) = match cell {
            Cell::Lstm => ([0..2 * hidden, 2 * hidden..4 * hidden], 0..4 * hidden),
            Cell::Gru => ([hidden..3 * hidden, 0..hidden], hidden..4 * hidden),
        };
        let out = self.sizes.out();
        let contexts = saved.output.values().get(hidden..).unwrap_or_default();
        let context = || {
            let mut all = vec![0.0; wide * values];
            let mut rest = all.as_mut_slice();
            for columns in &input {
                let (part, tail) = rest.split_at_mut(columns.len() * values);
                gates.weights(columns.clone(), contexts, out, part, values);
                rest = tail;
            }
            flex::tensor(all, [wide, values])
        };
        let product = |of: Deltas<'_>, columns: Range<usize>| {
            let rows = columns.len();
            let mut all = vec![0.0; rows * hidden];
            of.weights(columns, &saved.h, hidden, &mut all, hidden);
            flex::tensor(all, [rows, hidden])
        };
        let pre = || {
            let mut all = Vec::with_capacity(batch * steps * wide);
            for deltas in deltas.chunks_exact((4 * hidden).max(1)) {
                for columns in &input {
                    all.extend_from_slice(&deltas[columns.clone()]);
                }
            }
            flex::tensor(all, [batch, steps, wide])
        };
        let v = || {
            let mut sum = vec![0.0; keys];
            for part in d_v.chunks_exact(keys.max(1)) {
                for (sum, part) in sum.iter_mut().zip(part) {
                    *sum += part;
                }
            }
            flex::tensor(sum, [keys])
        };
        let query = || product(of(&d_queries, keys), 0..keys);
        [
            wanted[0].then(pre),
            wanted[1].then(|| flex::tensor(d_h, [batch, hidden])),
            (wanted[2] && lstm == 1).then(|| flex::tensor(d_c, [batch, hidden])),
            wanted[3].then(|| flex::tensor(d_keys, [batch, time, keys])),
            wanted[4].then(|| flex::tensor(d_values, [batch, time, values])),
            wanted[5].then(context),
            wanted[6].then(|| product(gates, state.clone())),
            wanted[7].then(|| flex::tensor(gates.sums(state.clone()), [wide])),
            (wanted[8] && self.scale.is_none()).then(query),
            (wanted[9] && self.additive).then(v),
        ]
    }
}
