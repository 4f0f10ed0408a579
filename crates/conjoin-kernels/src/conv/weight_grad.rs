//! Gradients of the weight and the bias, direct.
//!
//! `dw[ky, (kx, c), o] = Σ_pixels x[pixel + (ky, kx), c] · dy[pixel, o]`: the register tile again, its
//! rows over `(kx, c)`, which lie side by side in the framed image, and its products over the pixels.
//! The images are cut into chunks whose number depends on sizes only; each chunk sums alone and the
//! chunks are added in order, so that the result has the same bits for any number of threads.

use rayon::prelude::*;

use super::direct::{Frame, panels, pieces};
use super::shape::ConvShape;
use super::tile::{Engine, Tile, engine};

/// Most chunks, and most f32 values that all partial sums together may take.
const CHUNKS: usize = 16;
const BUDGET: usize = 1 << 24;
/// Pixels of a pass: a panel of their gradients stays in the first-level cache.
const PIXELS: usize = 192;

/// `dw [O, kh, kw, C]` from `x [B, H, W, C]` and `dy [B, Ho, Wo, O]`.
pub fn weight_gradient(shape: ConvShape, x: &[f32], dy: &[f32]) -> Vec<f32> {
    let shape = shape.flattened();
    let engine = engine();
    let padded = engine.pad(shape.filters);
    let size = shape.filter() * padded;
    let chunks = chunk_count(shape.batch, size);
    // A chunk is split further by kernel row: those sums are apart anyway.
    let kh = shape.kernel[0];
    let mut partial = vec![0.0f32; chunks * size];
    partial
        .par_chunks_mut((size / kh).max(1))
        .enumerate()
        .for_each_init(Scratch::default, |scratch, (i, sums)| {
            let (chunk, ky) = (i / kh, i % kh);
            let images = chunk * shape.batch / chunks..(chunk + 1) * shape.batch / chunks;
            for image in images {
                let x = &x[image * shape.image()..][..shape.image()];
                let dy = &dy[image * shape.out_image()..][..shape.out_image()];
                add_image(engine, shape, ky, x, dy, sums, scratch);
            }
        });
    let sums = add_chunks(&mut partial, size);
    let filter = shape.filter();
    let mut dw = vec![0.0f32; shape.filters * filter];
    dw.par_chunks_mut(filter.max(1))
        .enumerate()
        .for_each(|(o, dw)| {
            for (k, value) in dw.iter_mut().enumerate() {
                *value = sums[k * padded + o];
            }
        });
    dw
}

/// Chunks for `batch` images with `size` partial sums each: never depends on the threads.
fn chunk_count(batch: usize, size: usize) -> usize {
    (BUDGET / size.max(1)).clamp(1, CHUNKS).min(batch.max(1))
}

/// Adds the later chunks of `size` values to the first, in order, and returns the first.
fn add_chunks(partial: &mut [f32], size: usize) -> &[f32] {
    let (sums, rest) = partial.split_at_mut(size);
    for chunk in rest.chunks_exact(size.max(1)) {
        for (sum, value) in sums.iter_mut().zip(chunk) {
            *sum += value;
        }
    }
    sums
}

/// Sums over the rows of `values [rows, columns]`; fixed blocks of rows, added in order.
pub fn column_sums(values: &[f32], columns: usize) -> Vec<f32> {
    const ROWS: usize = 2048;
    let parts: Vec<Vec<f32>> = values
        .par_chunks(ROWS * columns.max(1))
        .map(|block| {
            let mut sums = vec![0.0f32; columns];
            for row in block.chunks_exact(columns) {
                for (sum, value) in sums.iter_mut().zip(row) {
                    *sum += value;
                }
            }
            sums
        })
        .collect();
    let mut total = vec![0.0f32; columns];
    for part in parts {
        for (sum, value) in total.iter_mut().zip(part) {
            *sum += value;
        }
    }
    total
}

/// Buffers that a thread keeps between images.
#[derive(Default)]
struct Scratch {
    frame: Vec<f32>,
    dy: Vec<f32>,
}

/// Adds one image's share to `sums [(kx, c), padded filters]` of kernel row `ky`.
fn add_image(
    engine: &Engine,
    shape: ConvShape,
    ky: usize,
    x: &[f32],
    dy: &[f32],
    sums: &mut [f32],
    scratch: &mut Scratch,
) {
    let (out_rows, out_columns) = (shape.out_height(), shape.out_width());
    let (filters, padded) = (shape.filters, engine.pad(shape.filters));
    let frame = Frame {
        before: [shape.padding; 2],
        after: [shape.padding; 2],
    };
    let line = frame.line(shape.width, shape.channels);
    let x = if shape.padding == 0 {
        &x[ky * line..]
    } else {
        let rows = (out_rows - 1) * shape.stride + 1;
        frame.fill(
            &mut scratch.frame,
            x,
            [shape.height, shape.width, shape.channels],
            ky,
            rows,
        );
        &scratch.frame
    };
    let dy = if filters == padded {
        dy
    } else {
        scratch.dy.clear();
        scratch.dy.resize(out_rows * out_columns * padded, 0.0);
        for (to, from) in scratch
            .dy
            .chunks_exact_mut(padded)
            .zip(dy.chunks_exact(filters))
        {
            to[..filters].copy_from_slice(from);
        }
        &scratch.dy
    };
    let run = shape.kernel[1] * shape.channels;
    let pixel = shape.stride * shape.channels;
    let last = (out_rows - 1) * shape.stride * line + (out_columns - 1) * pixel + run;
    assert!(
        last <= x.len()
            && sums.len() == run * padded
            && dy.len() == out_rows * out_columns * padded
    );
    let passes = pieces(out_rows, (PIXELS / out_columns).max(1));
    for ((line_at, lines), (first, width)) in
        passes.flat_map(|pass| panels(engine, filters).map(move |panel| (pass, panel)))
    {
        for (row, count) in pieces(run, engine.rows) {
            // SAFETY: the assertion bounds the farthest values of the image, the sums and the
            // gradient, whose rows are padded to whole registers.
            unsafe {
                let sums = sums.as_mut_ptr().add(row * padded + first);
                let tile = Tile {
                    a: x.as_ptr().add(line_at * shape.stride * line + row),
                    a_row: 1,
                    a_k: pixel,
                    a_seg: shape.stride * line,
                    b: dy.as_ptr().add(line_at * out_columns * padded + first),
                    b_k: padded,
                    b_seg: out_columns * padded,
                    len: out_columns,
                    segs: lines,
                    start: sums,
                    start_row: padded,
                    c: sums,
                    c_row: padded,
                    columns: width,
                };
                engine.tile(count, width / engine.lanes, &tile);
            }
        }
    }
}
