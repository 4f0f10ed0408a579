//! The backward pass: weights are computed again, a block of keys at a time.
//!
//! Source: Dao (2023), algorithm 2. A task owns one head and a chunk of its queries; where there is
//! more than one chunk, each has gradients of keys and values of its own, which are added in order.

use super::block::{Heads, KEYS, QUERIES, sized, weights};
use super::tiles::{Rows, multiply, pack, pad, turn};
use crate::buffer::{BLOCK, Columns, build_grid, build_one, pieces};
use crate::flex::Dense;
use crate::simd::{Isa, Kernel, run};

/// What the gradients are computed from.
#[derive(Clone, Copy)]
pub struct Operands<'a> {
    pub q: &'a [f32],
    pub k: &'a [f32],
    pub v: &'a [f32],
    pub mask: Option<&'a Dense>,
    /// The output and its gradient, `[B, T, H, E]`.
    pub context: &'a [f32],
    pub d_context: &'a [f32],
    /// See [`super::forward::forward`].
    pub statistics: &'a [f32],
}

/// The gradients of queries, keys and values.
pub fn backward(heads: &Heads, operands: Operands<'_>) -> [Vec<f32>; 3] {
    let chunk = heads.chunk();
    let rows: Vec<[usize; 3]> = (0..heads.batch)
        .flat_map(|_| pieces(heads.queries, chunk).map(|rows| [rows, heads.keys, heads.keys]))
        .collect();
    let chunks = heads.queries.div_ceil(chunk);
    let [dq, dk, dv] = build_grid(
        [heads.width, heads.width, heads.value_width],
        &rows,
        heads.count,
        Scratch::default,
        |scratch, task, gradients| {
            let (piece, h) = (task / heads.count, task % heads.count);
            run(Task {
                heads,
                at: [piece / chunks, h, piece % chunks * chunk],
                rows: rows[piece][0],
                operands,
                gradients,
                scratch,
            });
        },
    );
    let line = heads.keys * heads.count;
    let joined = |parts: Vec<f32>, width: usize| join(parts, [heads.batch, chunks, line * width]);
    [dq, joined(dk, heads.width), joined(dv, heads.value_width)]
}

/// Sums `[B, chunks, len]` over the chunks, in order.
fn join(parts: Vec<f32>, [batch, chunks, len]: [usize; 3]) -> Vec<f32> {
    match chunks {
        0 => vec![0.0; batch * len],
        1 => parts,
        _ => build_one(batch * len, BLOCK, |first, sums| {
            // A block may reach into the next row of the batch.
            for (sum, i) in sums.iter_mut().zip(first..) {
                let at = i / len * chunks * len + i % len;
                *sum = (0..chunks).map(|chunk| parts[at + chunk * len]).sum();
            }
        }),
    }
}

/// What a thread keeps between tasks: operands of a chunk of queries, then of a block of keys.
#[derive(Default)]
struct Scratch {
    queries: Vec<f32>,
    d_context: Vec<f32>,
    d_queries: Vec<f32>,
    deltas: Vec<f32>,
    keys: Vec<f32>,
    turned_keys: Vec<f32>,
    turned_values: Vec<f32>,
    d_keys: Vec<f32>,
    d_values: Vec<f32>,
    weights: Vec<f32>,
    d_scores: Vec<f32>,
}

/// One head of one row of the batch, for a chunk of queries.
struct Task<'a> {
    heads: &'a Heads,
    /// Row, head, first query.
    at: [usize; 3],
    rows: usize,
    operands: Operands<'a>,
    gradients: [Columns<'a>; 3],
    scratch: &'a mut Scratch,
}

impl Kernel for Task<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Isa>(self, isa: S) {
        let heads = self.heads;
        let [b, h, first] = self.at;
        let operands = self.operands;
        let (width, value_width) = (heads.width, heads.value_width);
        let (padded, value_padded) = (pad(width), pad(value_width));
        let [mut dq, mut dk, mut dv] = self.gradients;
        let scratch = self.scratch;

        let queries = sized(&mut scratch.queries, self.rows * padded);
        let from = heads.rows(operands.q, heads.queries, width, [b, h, first]);
        pack(from, width, heads.scale, queries);
        let d_context = sized(&mut scratch.d_context, self.rows * value_padded);
        let from = heads.rows(
            operands.d_context,
            heads.queries,
            value_width,
            [b, h, first],
        );
        pack(from, value_width, 1.0, d_context);
        let context = heads.rows(operands.context, heads.queries, value_width, [b, h, first]);
        let deltas = sized(&mut scratch.deltas, self.rows);
        for (row, delta) in deltas.iter_mut().enumerate() {
            let context = &context.data[row * context.stride..][..value_width];
            *delta = crate::reduce::dot(context, &d_context[row * value_padded..][..value_width]);
        }
        let d_queries = sized(&mut scratch.d_queries, self.rows * padded);
        d_queries.fill(0.0);

        let keys = sized(&mut scratch.keys, KEYS * padded);
        let turned_keys = sized(&mut scratch.turned_keys, width * KEYS);
        let turned_values = sized(&mut scratch.turned_values, value_width * KEYS);
        let d_keys = sized(&mut scratch.d_keys, KEYS * padded);
        let d_values = sized(&mut scratch.d_values, KEYS * value_padded);
        let weights = sized(&mut scratch.weights, QUERIES * KEYS);
        let d_scores = sized(&mut scratch.d_scores, QUERIES * KEYS);
        let seen = heads.reach(b, first + self.rows);
        for j in (0..seen).step_by(KEYS) {
            let count = KEYS.min(seen - j);
            let from = heads.rows(operands.k, heads.keys, width, [b, h, j]);
            pack(from, width, 1.0, &mut keys[..count * padded]);
            turn(isa, from, count, width, turned_keys, KEYS);
            let from = heads.rows(operands.v, heads.keys, value_width, [b, h, j]);
            turn(isa, from, count, value_width, turned_values, KEYS);
            d_keys.fill(0.0);
            d_values.fill(0.0);
            for start in (0..self.rows).step_by(QUERIES) {
                let rows = QUERIES.min(self.rows - start);
                let t = first + start;
                if heads.reach(b, t + rows) <= j {
                    continue;
                }
                let q = &queries[start * padded..][..rows * padded];
                let d_context = &d_context[start * value_padded..][..rows * value_padded];
                heads.scores(
                    [b, h, t],
                    rows,
                    [j, count],
                    q,
                    turned_keys,
                    operands.mask,
                    weights,
                );
                let left = Rows {
                    data: d_context,
                    stride: value_padded,
                };
                let right = Rows {
                    data: turned_values,
                    stride: KEYS,
                };
                let sizes = [rows, count, value_width];
                multiply::<false, false>(heads.precision, sizes, left, right, d_scores, KEYS);
                for row in 0..rows {
                    let at = ((b * heads.queries + t + row) * heads.count + h) * 2;
                    gradient_row(
                        isa,
                        heads,
                        [(b * heads.count + h) * heads.queries + t + row, j],
                        [operands.statistics[at], operands.statistics[at + 1]],
                        deltas[start + row],
                        &mut weights[row * KEYS..][..pad(count)],
                        &mut d_scores[row * KEYS..][..pad(count)],
                    );
                }
                let turned = |data| Rows { data, stride: KEYS };
                let sizes = [count, value_width, rows];
                multiply::<true, true>(
                    heads.precision,
                    sizes,
                    turned(weights),
                    left,
                    d_values,
                    value_padded,
                );
                let right = Rows {
                    data: q,
                    stride: padded,
                };
                let sizes = [count, width, rows];
                multiply::<true, true>(
                    heads.precision,
                    sizes,
                    turned(d_scores),
                    right,
                    d_keys,
                    padded,
                );
                let right = Rows {
                    data: keys,
                    stride: padded,
                };
                let d_queries = &mut d_queries[start * padded..][..rows * padded];
                let sizes = [rows, width, count];
                multiply::<false, true>(
                    heads.precision,
                    sizes,
                    turned(d_scores),
                    right,
                    d_queries,
                    padded,
                );
            }
            for row in 0..count {
                dk.row(j + row)
                    .copy_from_slice(&d_keys[row * padded..][..width]);
                dv.row(j + row)
                    .copy_from_slice(&d_values[row * value_padded..][..value_width]);
            }
        }
        for row in 0..self.rows {
            let from = &d_queries[row * padded..][..width];
            for (to, from) in dq.row(row).iter_mut().zip(from) {
                *to = from * heads.scale;
            }
        }
    }
}

/// Turns a row of scores and of the gradients of its weights (both whole registers) into weights after
/// dropout and gradients of scores: `weight · (d_weight - delta)`.
#[inline(always)]
pub fn gradient_row<S: Isa>(
    isa: S,
    heads: &Heads,
    [row, first]: [usize; 2],
    statistics: [f32; 2],
    delta: f32,
    scores: &mut [f32],
    d_weights: &mut [f32],
) {
    let d_weights = &mut d_weights[..scores.len()];
    weights(isa, scores, statistics);
    match heads.dropout {
        None => {
            for (d, weight) in d_weights.iter_mut().zip(scores.iter()) {
                *d = weight * (*d - delta);
            }
        }
        Some(dropout) => {
            let key = dropout.row(row);
            for (i, (d, weight)) in d_weights.iter_mut().zip(scores.iter_mut()).enumerate() {
                let factor = dropout.factor(key, first + i);
                *d = *weight * (*d * factor - delta);
                *weight *= factor;
            }
        }
    }
}
