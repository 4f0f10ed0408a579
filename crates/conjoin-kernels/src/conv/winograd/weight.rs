//! The gradient of the weight, by the same 36 points.

use std::mem::MaybeUninit;

use rayon::prelude::*;

use super::super::packed::{panels, pieces};
use super::super::shape::ConvShape;
use super::super::tile::{Row, Start, Tile, engine};
use super::grid::{grids, tile_len};
use super::kernel::kernel_gradient;
use super::transform::POINTS;
use crate::buffer::build_with;
use crate::scratch::with_scratch;

/// f32 values of transformed tiles that one step holds (third-level cache).
const GROUP: usize = 1 << 21;

/// `dw [O, 3, 3, C]`. Groups of tiles of fixed size are added in order, and a point is one task's
/// alone: the bits do not depend on the threads.
pub fn weight_gradient(shape: ConvShape, x: &[f32], dy: &[f32]) -> Vec<f32> {
    let engine = engine();
    let (channels, filters) = (shape.channels, shape.filters);
    assert!(x.len() == shape.batch * shape.image() && dy.len() == shape.batch * shape.out_image());
    let (input, output, tiles) = grids(shape);
    let (in_len, out_len) = (tile_len(channels), tile_len(filters));
    let group = (GROUP / (in_len + out_len)).clamp(1, tiles.max(1));
    let zeros = vec![0.0f32; channels.max(filters)];
    let plane = channels * filters;
    let rows: Vec<Row> = (0..channels)
        .map(|channel| Row {
            from: channel,
            to: channel * filters,
        })
        .collect();
    let fill = |sums: &mut [MaybeUninit<f32>], scratch: &mut [f32]| {
        let (points, gradients) = scratch.split_at_mut(group * in_len);
        if tiles == 0 {
            sums.fill(MaybeUninit::new(0.0));
        }
        for first in (0..tiles).step_by(group) {
            let count = group.min(tiles - first);
            points
                .par_chunks_exact_mut(in_len)
                .zip(gradients.par_chunks_exact_mut(out_len))
                .take(count)
                .enumerate()
                .for_each(|(i, (points, gradients))| {
                    // SAFETY: tile `first + i` is one of the grids', which fit `x` and `dy`.
                    unsafe {
                        input.read(engine.wino_input, 6, x, first + i, &zeros, points);
                        output.read(engine.wino_gradient, 4, dy, first + i, &zeros, gradients);
                    }
                });
            sums.par_chunks_exact_mut(plane)
                .enumerate()
                .for_each(|(point, sums)| {
                    for (filter, width) in panels(engine, filters) {
                        for (channel, height) in pieces(channels, engine.rows) {
                            // SAFETY: channels and filters stay within a point of each of `count` tiles;
                            // filters fill whole registers.
                            unsafe {
                                let tile = Tile {
                                    rows: &rows[channel..channel + height],
                                    a: points.as_ptr().add(point * channels),
                                    a_k: in_len,
                                    a_segs: [0, 0],
                                    b: gradients.as_ptr().add(point * filters + filter),
                                    b_k: out_len,
                                    b_seg: 0,
                                    ahead: None,
                                    len: count,
                                    segs: [1, 1],
                                    start: if first == 0 {
                                        Start::Zeros
                                    } else {
                                        Start::Output
                                    },
                                    c: sums.as_mut_ptr().cast::<f32>().add(filter),
                                    columns: width,
                                };
                                engine.tile(width / engine.lanes, &tile);
                            }
                        }
                    }
                });
        }
    };
    // SAFETY: the first group of tiles writes all sums; without a tile they are cleared.
    let sums = with_scratch(group * (in_len + out_len), |scratch| unsafe {
        build_with(POINTS * plane, |sums| fill(sums, scratch))
    });
    kernel_gradient(engine, &sums, channels, filters)
}
