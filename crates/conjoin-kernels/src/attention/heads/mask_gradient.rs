//! The gradient of the additive mask, in a pass of its own that runs only if it is wanted.
//!
//! A task owns some of the mask's rows and goes through all that broadcasting shares them with, in
//! order; so no sum depends on threads, and memory is the mask's.

use super::backward::{Operands, gradient_row};
use super::block::{Heads, KEYS, QUERIES, sized};
use super::tiles::{Rows, multiply, pack, pad, turn};
use crate::buffer::{build, pieces};
use crate::reduce;
use crate::simd::{Isa, Kernel, run};
use std::ops::Range;

/// The gradient of the mask `[mb, mh, mt, ms]`.
pub fn mask_gradient(
    heads: &Heads,
    operands: Operands<'_>,
    [mb, mh, mt, ms]: [usize; 4],
) -> Vec<f32> {
    let all = |index: usize, size: usize, full: usize| {
        if size == full {
            index..index + 1
        } else {
            0..full
        }
    };
    let mut tasks = Vec::new();
    for (b, h) in (0..mb).flat_map(|b| (0..mh).map(move |h| (b, h))) {
        let (rows, rows_heads) = (all(b, mb, heads.batch), all(h, mh, heads.count));
        if mt == heads.queries {
            let blocks = pieces(mt, QUERIES).enumerate();
            tasks.extend(blocks.map(|(i, len)| {
                let first = i * QUERIES;
                let queries = first..first + len;
                (rows.clone(), rows_heads.clone(), queries, [len * ms])
            }));
        } else {
            tasks.push((rows, rows_heads, 0..heads.queries, [ms]));
        }
    }
    let sizes: Vec<[usize; 1]> = tasks.iter().map(|task| task.3).collect();
    let [gradient] = build(&sizes, |i, [gradient]| {
        let (rows, of_heads, queries, _) = tasks[i].clone();
        run(Task {
            heads,
            operands,
            rows,
            of_heads,
            queries,
            one_row: mt != heads.queries,
            width: ms,
            gradient,
        });
    });
    gradient
}

/// Some rows of the mask, or its only one, and what they are shared by.
struct Task<'a> {
    heads: &'a Heads,
    operands: Operands<'a>,
    rows: Range<usize>,
    of_heads: Range<usize>,
    queries: Range<usize>,
    one_row: bool,
    width: usize,
    gradient: &'a mut [f32],
}

impl Kernel for Task<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Isa>(self, isa: S) {
        let (heads, operands) = (self.heads, self.operands);
        let (width, value_width) = (heads.width, heads.value_width);
        let (padded, value_padded) = (pad(width), pad(value_width));
        let mut buffers: [Vec<f32>; 6] = Default::default();
        let [queries, d_context, keys, values, weights, d_scores] = &mut buffers;
        let queries = sized(queries, QUERIES * padded);
        let d_context = sized(d_context, QUERIES * value_padded);
        let keys = sized(keys, width * KEYS);
        let values = sized(values, value_width * KEYS);
        let weights = sized(weights, QUERIES * KEYS);
        let d_scores = sized(d_scores, QUERIES * KEYS);
        let of_heads = &self.of_heads;
        let shared = self
            .rows
            .clone()
            .flat_map(|b| of_heads.clone().map(move |h| (b, h)));
        for (b, h) in shared {
            for t in self.queries.clone().step_by(QUERIES) {
                let rows = QUERIES.min(self.queries.end - t);
                let from = heads.rows(operands.q, heads.queries, width, [b, h, t]);
                pack(from, width, heads.scale, &mut queries[..rows * padded]);
                let from = heads.rows(operands.d_context, heads.queries, value_width, [b, h, t]);
                pack(
                    from,
                    value_width,
                    1.0,
                    &mut d_context[..rows * value_padded],
                );
                let context = heads.rows(operands.context, heads.queries, value_width, [b, h, t]);
                let seen = heads.reach(b, t + rows);
                for j in (0..seen).step_by(KEYS) {
                    let count = KEYS.min(seen - j);
                    let from = heads.rows(operands.k, heads.keys, width, [b, h, j]);
                    turn(isa, from, count, width, keys, KEYS);
                    let from = heads.rows(operands.v, heads.keys, value_width, [b, h, j]);
                    turn(isa, from, count, value_width, values, KEYS);
                    heads.scores(
                        [b, h, t],
                        rows,
                        [j, count],
                        queries,
                        keys,
                        operands.mask,
                        weights,
                    );
                    let left = Rows {
                        data: d_context,
                        stride: value_padded,
                    };
                    let right = Rows {
                        data: values,
                        stride: KEYS,
                    };
                    let sizes = [rows, count, value_width];
                    multiply::<false, false>(heads.precision, sizes, left, right, d_scores, KEYS);
                    for row in 0..rows {
                        let at = ((b * heads.queries + t + row) * heads.count + h) * 2;
                        let context = &context.data[row * context.stride..][..value_width];
                        let d_context = &d_context[row * value_padded..][..value_width];
                        let d_scores = &mut d_scores[row * KEYS..][..pad(count)];
                        gradient_row(
                            isa,
                            heads,
                            [(b * heads.count + h) * heads.queries + t + row, j],
                            [operands.statistics[at], operands.statistics[at + 1]],
                            reduce::dot(context, d_context),
                            &mut weights[row * KEYS..][..pad(count)],
                            d_scores,
                        );
                        let row = if self.one_row {
                            0
                        } else {
                            t + row - self.queries.start
                        };
                        let to = &mut self.gradient[row * self.width..][..self.width];
                        let d_scores = &d_scores[..count];
                        if self.width == heads.keys {
                            for (to, d) in to[j..].iter_mut().zip(d_scores) {
                                *to += d;
                            }
                        } else {
                            to[0] += reduce::sum(d_scores, |d| d);
                        }
                    }
                }
            }
        }
    }
}
