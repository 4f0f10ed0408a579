//! The forward pass: blocks of queries over blocks of keys, with a running maximum and sum.
//!
//! Source: Dao, "FlashAttention-2: Faster Attention with Better Parallelism and Work Partitioning"
//! (2023), algorithm 1.

use super::block::{Heads, KEYS, QUERIES, sized};
use super::tiles::{Rows, multiply, pack, pad, turn};
use crate::buffer::{Columns, build_grid, pieces};
use crate::flex::Dense;
use crate::simd::{Isa, Kernel, exp_down, run};

/// Partial sums of a row.
const LANES: usize = 16;

/// The context `[B, T, H, E]`, and for every `[B, T, H]` the largest score and one over the sum of
/// `e^(score - largest)`; `(0, 0)` where a query sees no key.
pub fn forward(
    heads: &Heads,
    [q, k, v]: [&Dense; 3],
    mask: Option<&Dense>,
) -> (Vec<f32>, Vec<f32>) {
    let chunk = heads.chunk();
    let rows: Vec<[usize; 2]> = (0..heads.batch)
        .flat_map(|_| pieces(heads.queries, chunk).map(|rows| [rows; 2]))
        .collect();
    let chunks = heads.queries.div_ceil(chunk).max(1);
    let widths = [heads.value_width, 2];
    let [context, statistics] = build_grid(
        widths,
        &rows,
        heads.count,
        Scratch::default,
        |scratch, task, [context, statistics]| {
            let (piece, h) = (task / heads.count, task % heads.count);
            run(Task {
                heads,
                at: [piece / chunks, h, piece % chunks * chunk],
                rows: rows[piece][0],
                operands: [q.values(), k.values(), v.values()],
                mask,
                context,
                statistics,
                scratch,
            });
        },
    );
    (context, statistics)
}

/// What a thread keeps between tasks.
#[derive(Default)]
struct Scratch {
    /// Keys, turned: a block `[width, KEYS]` after the other.
    keys: Vec<f32>,
    /// Values `[S, pad(E)]`.
    values: Vec<f32>,
    queries: Vec<f32>,
    scores: Vec<f32>,
    context: Vec<f32>,
}

/// One head of one row of the batch, for a chunk of queries.
struct Task<'a> {
    heads: &'a Heads,
    /// Row, head, first query.
    at: [usize; 3],
    rows: usize,
    operands: [&'a [f32]; 3],
    mask: Option<&'a Dense>,
    context: Columns<'a>,
    statistics: Columns<'a>,
    scratch: &'a mut Scratch,
}

impl Kernel for Task<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Isa>(mut self, isa: S) {
        let heads = self.heads;
        let [b, h, first] = self.at;
        let (width, padded) = (heads.width, pad(heads.value_width));
        let block = width * KEYS;
        let seen = heads.reach(b, first + self.rows);
        let [q, k, v] = self.operands;
        let keys = sized(&mut self.scratch.keys, seen.div_ceil(KEYS) * block);
        for (j, to) in (0..seen)
            .step_by(KEYS)
            .zip(keys.chunks_exact_mut(block.max(1)))
        {
            let from = heads.rows(k, heads.keys, width, [b, h, j]);
            turn(isa, from, KEYS.min(seen - j), width, to, KEYS);
        }
        let values = sized(&mut self.scratch.values, seen * padded);
        let from = heads.rows(v, heads.keys, heads.value_width, [b, h, 0]);
        pack(from, heads.value_width, 1.0, values);
        let queries = sized(&mut self.scratch.queries, QUERIES * pad(width));
        let scores = sized(&mut self.scratch.scores, QUERIES * KEYS);
        let context = sized(&mut self.scratch.context, QUERIES * padded);
        for start in (0..self.rows).step_by(QUERIES) {
            let rows = QUERIES.min(self.rows - start);
            let t = first + start;
            let from = heads.rows(q, heads.queries, width, [b, h, t]);
            pack(from, width, heads.scale, &mut queries[..rows * pad(width)]);
            let context = &mut context[..rows * padded];
            context.fill(0.0);
            let mut running = [[f32::NEG_INFINITY, 0.0]; QUERIES];
            for j in (0..heads.reach(b, t + rows)).step_by(KEYS) {
                let count = KEYS.min(seen - j);
                let turned = &keys[j / KEYS * block..][..block];
                heads.scores(
                    [b, h, t],
                    rows,
                    [j, count],
                    queries,
                    turned,
                    self.mask,
                    scores,
                );
                for row in 0..rows {
                    let scores = &mut scores[row * KEYS..][..pad(count)];
                    let context = &mut context[row * padded..][..padded];
                    update(isa, scores, &mut running[row], context);
                    if let Some(dropout) = heads.dropout {
                        let key = dropout.row((b * heads.count + h) * heads.queries + t + row);
                        for (i, weight) in scores.iter_mut().enumerate() {
                            *weight *= dropout.factor(key, j + i);
                        }
                    }
                }
                let right = Rows {
                    data: &values[j * padded..],
                    stride: padded,
                };
                let left = Rows {
                    data: scores,
                    stride: KEYS,
                };
                let sizes = [rows, heads.value_width, count];
                multiply::<false, true>(heads.precision, sizes, left, right, context, padded);
            }
            for row in 0..rows {
                let [most, sum] = running[row];
                let seen = sum != 0.0;
                let inverse = if seen { 1.0 / sum } else { 0.0 };
                let from = &context[row * padded..][..heads.value_width];
                let to = self.context.row(start + row);
                for (to, from) in to.iter_mut().zip(from) {
                    *to = from * inverse;
                }
                let most = if seen { most } else { 0.0 };
                self.statistics
                    .row(start + row)
                    .copy_from_slice(&[most, inverse]);
            }
        }
    }
}

/// Takes a block's scores (whole registers) into the running maximum and sum of a row, turns them into
/// weights relative to the maximum, and scales what was summed relative to the old one.
#[inline(always)]
fn update<S: Isa>(isa: S, scores: &mut [f32], running: &mut [f32; 2], context: &mut [f32]) {
    let [before, sum] = *running;
    let mut tops = [before; LANES];
    for block in scores.as_chunks::<LANES>().0 {
        for l in 0..LANES {
            tops[l] = if block[l] > tops[l] {
                block[l]
            } else {
                tops[l]
            };
        }
    }
    for half in [8, 4, 2, 1] {
        for l in 0..half {
            let other = tops[l + half];
            tops[l] = if other > tops[l] { other } else { tops[l] };
        }
    }
    let most = tops[0];
    let mut sums = [0.0f32; LANES];
    if most == f32::NEG_INFINITY {
        // Nothing to see so far; what is NaN stays.
        for block in scores.as_chunks_mut::<LANES>().0 {
            for l in 0..LANES {
                block[l] = if block[l] == most { 0.0 } else { block[l] };
                sums[l] += block[l];
            }
        }
    } else {
        for block in scores.as_chunks_mut::<LANES>().0 {
            for l in 0..LANES {
                block[l] = exp_down(isa, block[l] - most);
                sums[l] += block[l];
            }
        }
    }
    for half in [8, 4, 2, 1] {
        for l in 0..half {
            sums[l] += sums[l + half];
        }
    }
    // The same maximum, and the first block, need no scaling.
    let scale = if most > before {
        exp_down(isa, before - most)
    } else {
        1.0
    };
    if scale != 1.0 && sum != 0.0 {
        for value in context {
            *value *= scale;
        }
    }
    *running = [most, sum * scale + sums[0]];
}
