//! The gradient of the weight, by the same 36 points.

use rayon::prelude::*;

use super::super::packed::{panels, pieces};
use super::super::shape::ConvShape;
use super::super::tile::{Row, Start, Tile, engine};
use super::grid::{grids, tile_len};
use super::kernel::kernel_taps;
use super::transform::POINTS;

/// f32 values of transformed tiles that one step holds (third-level cache).
const GROUP: usize = 1 << 20;

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
    let mut points = vec![0.0f32; group * in_len];
    let mut gradients = vec![0.0f32; group * out_len];
    let plane = channels * filters;
    let rows: Vec<Row> = (0..channels)
        .map(|channel| Row {
            from: channel,
            to: channel * filters,
        })
        .collect();
    let mut sums = vec![0.0f32; POINTS * plane];
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
                                len: count,
                                segs: [1, 1],
                                start: Start::Output,
                                c: sums.as_mut_ptr().add(filter),
                                columns: width,
                            };
                            engine.tile(width / engine.lanes, &tile);
                        }
                    }
                }
            });
    }
    let mut dw = vec![0.0f32; 9 * plane];
    dw.par_chunks_exact_mut(9 * channels)
        .enumerate()
        .for_each(|(filter, dw)| {
            for channel in 0..channels {
                let u = |i: usize, j: usize| sums[(i * 6 + j) * plane + channel * filters + filter];
                let rows: [[f32; 3]; 6] =
                    std::array::from_fn(|i| kernel_taps(std::array::from_fn(|j| u(i, j))));
                for kx in 0..3 {
                    let taps = kernel_taps(std::array::from_fn(|i| rows[i][kx]));
                    for (ky, value) in taps.into_iter().enumerate() {
                        dw[(ky * 3 + kx) * channels + channel] = value;
                    }
                }
            }
        });
    dw
}
