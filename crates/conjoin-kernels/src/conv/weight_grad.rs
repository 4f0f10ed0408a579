//! Gradients of the weight and the bias, direct.
//!
//! `dw[(ky, kx, c), o] = Σ_pixels x[pixel + (ky, kx), c] · dy[pixel, o]`: the register tile again, its
//! rows over `(ky, kx, c)`, and its products over the pixels. The images are cut into chunks whose
//! number depends on sizes only; each chunk sums alone and the chunks are added in order, so that the
//! result has the same bits for any number of threads.

use rayon::prelude::*;

use super::frame::Frame;
use super::packed::{panels, pieces};
use super::shape::ConvShape;
use super::tile::{Engine, Row, Start, Tile, engine};

/// Most chunks, and most f32 values that all partial sums together may take.
const CHUNKS: usize = 16;
const BUDGET: usize = 1 << 24;
/// Pixels of a pass: a panel of their gradients stays in the first-level cache.
const PIXELS: usize = 192;

/// What every image needs.
struct Plan {
    engine: &'static Engine,
    shape: ConvShape,
    frame: Frame,
    /// Filters of a group, padded to whole registers.
    padded: usize,
    /// For each product of a filter of the first group: its place in the frame and in the sums.
    rows: Vec<Row>,
}

/// `dw [O, kh, kw, C / groups]` from `x [B, H, W, C]` and `dy [B, Ho, Wo, O]`.
pub fn weight_gradient(shape: ConvShape, x: &[f32], dy: &[f32]) -> Vec<f32> {
    let shape = shape.flattened();
    let engine = engine();
    let (filters, filter) = (shape.group_filters(), shape.filter());
    let padded = engine.pad(filters);
    let frame = Frame::even(shape.padding, [shape.height, shape.width, shape.channels]);
    let (line, group_channels) = (frame.line(), shape.group_channels());
    let rows = (0..filter)
        .map(|k| {
            let (tap, channel) = (k / group_channels, k % group_channels);
            let (ky, kx) = (tap / shape.kernel[1], tap % shape.kernel[1]);
            Row {
                from: ky * shape.dilation[0] * line
                    + kx * shape.dilation[1] * shape.channels
                    + channel,
                to: k * padded,
            }
        })
        .collect();
    let plan = Plan {
        engine,
        shape,
        frame,
        padded,
        rows,
    };
    let size = shape.groups * filter * padded;
    let chunks = chunk_count(shape.batch, size);
    // A chunk is split further by kernel row (or group): those sums are apart anyway.
    let parts = if shape.groups == 1 {
        shape.kernel[0]
    } else {
        shape.groups
    };
    let mut partial = vec![0.0f32; chunks * size];
    partial
        .par_chunks_mut((size / parts).max(1))
        .enumerate()
        .for_each_init(Scratch::default, |scratch, (i, sums)| {
            let (chunk, part) = (i / parts, i % parts);
            let images = chunk * shape.batch / chunks..(chunk + 1) * shape.batch / chunks;
            for image in images {
                let x = &x[image * shape.image()..][..shape.image()];
                let dy = &dy[image * shape.out_image()..][..shape.out_image()];
                plan.add_image(part, x, dy, sums, scratch);
            }
        });
    let sums = add_chunks(&mut partial, size);
    let mut dw = vec![0.0f32; shape.filters * filter];
    dw.par_chunks_mut(filter).enumerate().for_each(|(o, dw)| {
        let sums = &sums[o / filters * filter * padded..][..filter * padded];
        for (value, sums) in dw.iter_mut().zip(sums.chunks_exact(padded)) {
            *value = sums[o % filters];
        }
    });
    dw
}

/// Chunks for `batch` images with `size` partial sums each: never depends on the threads.
pub fn chunk_count(batch: usize, size: usize) -> usize {
    (BUDGET / size.max(1)).clamp(1, CHUNKS).min(batch.max(1))
}

/// Adds the later chunks of `size` values to the first, in order, and returns the first.
pub fn add_chunks(partial: &mut [f32], size: usize) -> &[f32] {
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

impl Plan {
    /// Adds one image's share to the `sums` of a part: a kernel row, or a group.
    fn add_image(
        &self,
        part: usize,
        x: &[f32],
        dy: &[f32],
        sums: &mut [f32],
        scratch: &mut Scratch,
    ) {
        let Self {
            engine,
            shape,
            frame,
            padded,
            ..
        } = *self;
        let line = frame.line();
        let (group, ky) = if shape.groups == 1 {
            (0, part)
        } else {
            (part, 0)
        };
        // With one group, only the rows of the image that this kernel row meets.
        let count = sums.len() / padded;
        let rows = &self.rows[..count];
        let skipped = ky * shape.dilation[0];
        let x = if frame.is_bare() {
            &x[skipped * line..]
        } else {
            let reach = (count / shape.group_channels() / shape.kernel[1] - 1) * shape.dilation[0];
            let lines = (shape.out[0] - 1) * shape.stride[0] + reach + 1;
            frame.fill(&mut scratch.frame, x, skipped, lines);
            &scratch.frame
        };
        let x = &x[group * shape.group_channels()..];
        let dy = self.whole_registers(group, dy, &mut scratch.dy);
        let [out_rows, out_columns] = shape.out;
        let pixel = shape.stride[1] * shape.channels;
        let source_row = shape.stride[0] * line;
        let farthest = rows.iter().map(|row| row.from).max().unwrap_or(0);
        assert!(
            (out_rows - 1) * source_row + (out_columns - 1) * pixel + farthest < x.len()
                && dy.len() == out_rows * out_columns * padded
                && sums.len() == rows.len() * padded
        );
        for [line_at, lines, column, columns] in blocks(out_rows, out_columns) {
            for (first, width) in panels(engine, shape.group_filters()) {
                for (row, count) in pieces(rows.len(), engine.rows) {
                    // SAFETY: the assertion bounds the farthest values of the image, the sums and the
                    // gradient, whose rows are padded to whole registers.
                    unsafe {
                        let at = line_at * out_columns + column;
                        let tile = Tile {
                            rows: &rows[row..row + count],
                            a: x.as_ptr().add(line_at * source_row + column * pixel),
                            a_k: pixel,
                            a_segs: [source_row, 0],
                            b: dy.as_ptr().add(at * padded + first),
                            b_k: padded,
                            b_seg: out_columns * padded,
                            len: columns,
                            segs: [lines, 1],
                            start: Start::Output,
                            c: sums.as_mut_ptr().add(first),
                            columns: width,
                        };
                        engine.tile(width / engine.lanes, &tile);
                    }
                }
            }
        }
    }

    /// The gradients of a group's filters, each pixel's filling whole registers.
    fn whole_registers<'a>(
        &self,
        group: usize,
        dy: &'a [f32],
        buffer: &'a mut Vec<f32>,
    ) -> &'a [f32] {
        let (all, filters) = (self.shape.filters, self.shape.group_filters());
        if self.shape.groups == 1 && all == self.padded {
            return dy;
        }
        buffer.clear();
        buffer.resize(self.shape.out_pixels() * self.padded, 0.0);
        for (to, from) in buffer
            .chunks_exact_mut(self.padded)
            .zip(dy.chunks_exact(all))
        {
            to[..filters].copy_from_slice(&from[group * filters..][..filters]);
        }
        buffer
    }
}

/// Cuts a map into blocks of at most about [`PIXELS`]: first line, lines, first column, columns.
fn blocks(lines: usize, columns: usize) -> Vec<[usize; 4]> {
    let most = (PIXELS / columns).max(1);
    pieces(lines, most)
        .flat_map(|(line, lines)| {
            pieces(columns, PIXELS).map(move |(column, columns)| [line, lines, column, columns])
        })
        .collect()
}
