//! Winograd convolution F(4x4, 3x3): a quarter of the products of the direct method.
//!
//! For 3x3 kernels with stride 1 and channels that fill registers. A tile is 4x4 outputs; it becomes
//! 36 points, and each point is a small matrix product over channels for a block of tiles. Relative
//! error about 1e-5 of the largest output, against 1e-7 for the direct method.
//!
//! Source: Lavin and Gray, "Fast Algorithms for Convolutional Neural Networks" (2016), section 4.

mod grid;
mod kernel;
pub mod transform;
mod weight;

use std::mem::MaybeUninit;

use rayon::prelude::*;

use super::finish::Finish;
use super::packed::{panels, pieces};
use super::shape::ConvShape;
use super::shared::Shared;
use super::tile::{Row, Start, Tile, engine};
use crate::scratch::with_scratch;
use grid::{grids, tile_len};
use kernel::{Taps, transform_kernel};
use transform::{POINTS, Transform};
pub use weight::weight_gradient;

/// Tiles of a block: transformed block and kernel stay in the second-level cache.
const BLOCK: usize = 24;

/// Transformed kernels of more f32 values than this leave the second-level cache, and making one costs as
/// much as the products of [`FEW`] tiles save.
const LARGE: usize = 1 << 18;
const FEW: usize = 16;

/// Whether these kernels serve the shape, and are the faster ones for it.
pub fn fits(shape: ConvShape) -> bool {
    let whole = |channels: usize| channels.is_multiple_of(engine().lanes);
    let (_, _, tiles) = grids(shape);
    if POINTS * shape.channels * shape.filters > LARGE && tiles < FEW {
        return false;
    }
    shape.kernel == [3, 3]
        && shape.stride == [1, 1]
        && shape.dilation == [1, 1]
        && shape.groups == 1
        && shape.padding.iter().all(|&padding| padding <= 2)
        && whole(shape.channels)
        && whole(shape.filters)
        && shape.channels >= 16
        && shape.filters >= 16
        && shape.out.iter().all(|&size| size >= 4)
}

/// `y [B, Ho, Wo, O] = conv2d(x, w [O, 3, 3, C]) + bias`.
pub fn forward(
    shape: ConvShape,
    x: &[f32],
    w: &[f32],
    bias: Option<&[f32]>,
    y: &mut [MaybeUninit<f32>],
) {
    let kernel = transformed(shape, w);
    convolve(shape, x, &kernel, bias, Finish::default(), y);
}

/// The kernel `w [O, 3, 3, C]` at its 36 points, for [`convolve`].
pub fn transformed(shape: ConvShape, w: &[f32]) -> Vec<f32> {
    let taps = Taps {
        data: w,
        tap: shape.channels,
        filter: 9 * shape.channels,
        channel: 1,
        turned: false,
    };
    transform_kernel(engine(), shape.channels, shape.filters, taps)
}

/// `dx [B, H, W, C]`: the convolution of `dy` with the kernel turned half round, plus `bias [C]` for a
/// transposed convolution.
pub fn input_gradient(
    shape: ConvShape,
    dy: &[f32],
    w: &[f32],
    bias: Option<&[f32]>,
    dx: &mut [MaybeUninit<f32>],
) {
    let taps = Taps {
        data: w,
        tap: shape.channels,
        filter: 1,
        channel: 9 * shape.channels,
        turned: true,
    };
    let kernel = transform_kernel(engine(), shape.filters, shape.channels, taps);
    let turned = ConvShape {
        height: shape.out[0],
        width: shape.out[1],
        channels: shape.filters,
        filters: shape.channels,
        out: [shape.height, shape.width],
        padding: shape.padding.map(|padding| 2 - padding),
        ..shape
    };
    convolve(turned, dy, &kernel, bias, Finish::default(), dx);
}

/// The convolution with a transformed kernel; writes all of `y`.
pub fn convolve(
    shape: ConvShape,
    x: &[f32],
    kernel: &[f32],
    bias: Option<&[f32]>,
    finish: Finish<'_>,
    y: &mut [MaybeUninit<f32>],
) {
    let engine = engine();
    let (channels, filters) = (shape.channels, shape.filters);
    assert!(x.len() == shape.batch * shape.image() && y.len() == shape.batch * shape.out_image());
    assert!(kernel.len() == POINTS * channels * filters && bias.is_none_or(|b| b.len() == filters));
    let (input, output, tiles) = grids(shape);
    // Every task reads the whole kernel: with few tiles, no more tasks than threads.
    let threads = rayon::current_num_threads();
    let tasks = tiles.div_ceil(BLOCK).next_multiple_of(threads).max(1);
    let block = tiles.div_ceil(tasks).max(1);
    let zeros = vec![0.0f32; channels];
    assert!(finish.residual.is_none_or(|r| r.len() == y.len()));
    let y = Shared(y.as_mut_ptr().cast());
    let (in_len, out_len) = (tile_len(channels), tile_len(filters));
    let rows: Vec<Row> = (0..block)
        .map(|i| Row {
            from: i * in_len,
            to: i * out_len,
        })
        .collect();
    (0..tiles.div_ceil(block))
        .into_par_iter()
        .for_each(|index| {
            with_scratch(block * (in_len + out_len) + filters, |scratch| {
                let (points, scratch) = scratch.split_at_mut(block * in_len);
                let (products, beyond) = scratch.split_at_mut(block * out_len);
                let first = index * block;
                let count = block.min(tiles - first);
                for (i, points) in points.chunks_exact_mut(in_len).take(count).enumerate() {
                    // SAFETY: tile `first + i` is one of the grid's, and the grid fits `x`.
                    unsafe { input.read(engine.wino_input, 6, x, first + i, &zeros, points) };
                }
                for point in 0..POINTS {
                    let mut panel = point * channels * filters;
                    for (filter, width) in panels(engine, filters) {
                        for (row, height) in pieces(count, engine.rows) {
                            // SAFETY: rows and columns stay within the block's buffers and the kernel,
                            // whose sizes are asserted above; filters fill whole registers.
                            unsafe {
                                let tile = Tile {
                                    rows: &rows[row..row + height],
                                    a: points.as_ptr().add(point * channels),
                                    a_k: 1,
                                    a_segs: [0, 0],
                                    b: kernel.as_ptr().add(panel),
                                    b_k: width,
                                    b_seg: 0,
                                    ahead: None,
                                    len: channels,
                                    segs: [1, 1],
                                    start: Start::Zeros,
                                    c: products.as_mut_ptr().add(point * filters + filter),
                                    columns: width,
                                };
                                engine.tile(width / engine.lanes, &tile);
                            }
                        }
                        panel += width * channels;
                    }
                }
                for (i, products) in products.chunks_exact_mut(out_len).take(count).enumerate() {
                    let outside = beyond.as_mut_ptr();
                    // SAFETY: the first value of `y`.
                    let first_value = unsafe { y.at(0) };
                    let pixels = output.pixels(4, first_value, first + i, outside);
                    // SAFETY: the pixels of a tile belong to it alone; those beyond the image go to `beyond`.
                    unsafe {
                        let transform = Transform {
                            pixels,
                            points: products.as_mut_ptr(),
                            step: filters,
                            channels: filters,
                            bias: bias.map_or(std::ptr::null(), <[f32]>::as_ptr),
                        };
                        (engine.wino_output)(&transform);
                    }
                    if finish.is_nothing() {
                        continue;
                    }
                    for pixel in pixels[..16].iter().filter(|&&pixel| pixel != outside) {
                        // SAFETY: as above; the pixel's filters have just been written.
                        unsafe {
                            let at = pixel.offset_from(first_value) as usize;
                            finish.apply(at, std::slice::from_raw_parts_mut(*pixel, filters));
                        }
                    }
                }
            });
        });
}
