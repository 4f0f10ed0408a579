//! Gradients of the weight and the bias, direct.
//!
//! `dw[(ky, kx, c), o] = Σ_pixels x[pixel + (ky, kx), c] · dy[pixel, o]`: the register tile again, its
//! rows over `(ky, kx, c)`, and its products over the pixels: as many as stay in the cache, small maps of
//! several images at once. A kernel row of a pixel is a run of adjacent values in NHWC, which a tile reads
//! where it lies in the framed image.
//!
//! The images are cut into chunks whose number depends on sizes only; each chunk sums alone and the
//! chunks are added in order, so that the result has the same bits for any number of threads.

use rayon::prelude::*;

use super::frame::Frame;
use super::packed::{panels, pieces};
use super::shape::ConvShape;
use super::tile::{Engine, Row, Start, Tile, engine};
use crate::buffer::{build_one, build_one_with};
use crate::simd::{Isa, Kernel, run};

/// Most chunks, and most f32 values that all partial sums together may take.
const CHUNKS: usize = 16;
const BUDGET: usize = 1 << 22;
/// Sums of a chunk that need not be split: they stay in the second-level cache.
const PART: usize = 1 << 16;
/// Outputs of a pass: a panel of their gradients stays in the first-level cache.
const PIXELS: usize = 128;

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
    // A large chunk is split further by kernel row (or group): those sums are apart anyway.
    let parts = match shape.groups {
        1 if size <= PART && chunks == CHUNKS => 1,
        1 => shape.kernel[0],
        groups => groups,
    };
    let mut partial = build_one_with(
        chunks * size,
        size / parts,
        Scratch::default,
        |scratch, first, sums| {
            let (chunk, part) = (first / size, first % size / sums.len());
            let images = chunk * shape.batch / chunks..(chunk + 1) * shape.batch / chunks;
            let x = &x[images.start * shape.image()..images.end * shape.image()];
            let dy = &dy[images.start * shape.out_image()..images.end * shape.out_image()];
            plan.add_images(part, x, dy, sums, scratch);
        },
    );
    let sums = add_chunks(&mut partial, size);
    // Sixteen filters a task: they read the same lines of the sums.
    let block = filters.min(16);
    build_one(shape.filters * filter, block * filter, |first, dw| {
        for (i, dw) in dw.chunks_exact_mut(filter).enumerate() {
            let (group, place) = (
                (first / filter + i) / filters,
                (first / filter + i) % filters,
            );
            let sums = &sums[group * filter * padded..][..filter * padded];
            for (dw, sums) in dw.iter_mut().zip(sums.chunks_exact(padded)) {
                *dw = sums[place];
            }
        }
    })
}

/// Chunks for `batch` images with `size` partial sums each: never depends on the threads.
pub fn chunk_count(batch: usize, size: usize) -> usize {
    (BUDGET / size.max(1)).clamp(1, CHUNKS).min(batch.max(1))
}

/// Adds the later chunks of `size` values to the first, in order, and returns the first.
pub fn add_chunks(partial: &mut [f32], size: usize) -> &[f32] {
    const BLOCK: usize = 1 << 14;
    let (sums, rest) = partial.split_at_mut(size);
    sums.par_chunks_mut(BLOCK)
        .enumerate()
        .for_each(|(block, sums)| {
            for chunk in rest.chunks_exact(size.max(1)) {
                for (sum, value) in sums.iter_mut().zip(&chunk[block * BLOCK..]) {
                    *sum += value;
                }
            }
        });
    sums
}

/// Sums over the rows of `values [rows, columns]`; fixed blocks of rows, added in order.
pub fn column_sums(values: &[f32], columns: usize) -> Vec<f32> {
    const ROWS: usize = 2048;
    let parts: Vec<Vec<f32>> = values
        .par_chunks(ROWS * columns.max(1))
        .map(|values| run(ColumnSums { values, columns }))
        .collect();
    let mut total = vec![0.0f32; columns];
    for part in parts {
        for (sum, value) in total.iter_mut().zip(part) {
            *sum += value;
        }
    }
    total
}

/// The sums of one block of rows.
struct ColumnSums<'a> {
    values: &'a [f32],
    columns: usize,
}

impl Kernel for ColumnSums<'_> {
    type Output = Vec<f32>;

    #[inline(always)]
    fn run<S: Isa>(self, _: S) -> Vec<f32> {
        let mut sums = vec![0.0f32; self.columns];
        for row in self.values.chunks_exact(self.columns) {
            for (sum, value) in sums.iter_mut().zip(row) {
                *sum += value;
            }
        }
        sums
    }
}

/// Buffers that a thread keeps between images.
#[derive(Default)]
struct Scratch {
    frame: Vec<f32>,
    dy: Vec<f32>,
}

/// Some outputs, the same of each image: whole lines, or a part of one.
struct Outputs {
    images: usize,
    /// Where those of the first image begin.
    first: usize,
    lines: usize,
    columns: usize,
}

impl Plan {
    /// Adds some images' share to the `sums` of a part: a kernel row, a group, or all.
    fn add_images(
        &self,
        part: usize,
        x: &[f32],
        dy: &[f32],
        sums: &mut [f32],
        scratch: &mut Scratch,
    ) {
        let shape = self.shape;
        let (group, ky) = if shape.groups == 1 {
            (0, part)
        } else {
            (part, 0)
        };
        let rows = &self.rows[..sums.len() / self.padded];
        let tiles = Tiles::cut(rows, self.engine.rows);
        let at_once = (PIXELS / shape.out_pixels()).max(1);
        for (x, dy) in x
            .chunks(at_once * shape.image())
            .zip(dy.chunks(at_once * shape.out_image()))
        {
            let dy = self.whole_registers(group, dy, &mut scratch.dy);
            let (x, image) = self.framed(ky, group, x, &mut scratch.frame);
            self.each_block(dy.len() / (shape.out_pixels() * self.padded), |outputs| {
                self.multiply(&tiles, (x, image), &outputs, dy, sums);
            });
        }
    }

    /// Cuts the outputs of so many images into blocks that stay in the cache.
    fn each_block(&self, images: usize, mut block: impl FnMut(Outputs)) {
        let [lines, columns] = self.shape.out;
        if columns > PIXELS {
            for line in 0..lines {
                for (column, count) in pieces(columns, PIXELS) {
                    block(Outputs {
                        images,
                        first: line * columns + column,
                        lines: 1,
                        columns: count,
                    });
                }
            }
            return;
        }
        for (line, count) in pieces(lines, PIXELS / columns) {
            block(Outputs {
                images,
                first: line * columns,
                lines: count,
                columns,
            });
        }
    }

    /// The lines of framed images that a kernel row meets (all, if the part has all rows), and the values from
    /// one image to the next.
    fn framed<'a>(
        &self,
        ky: usize,
        group: usize,
        x: &'a [f32],
        frame: &'a mut Vec<f32>,
    ) -> (&'a [f32], usize) {
        let skipped = ky * self.shape.dilation[0];
        let first = group * self.shape.group_channels();
        if self.frame.is_bare() {
            let x = &x[skipped * self.frame.line() + first..];
            return (x, self.shape.image());
        }
        let lines = self.frame.rows() - skipped;
        self.frame.fill(frame, x, skipped, lines);
        (&frame[first..], lines * self.frame.line())
    }

    /// Adds the products of some outputs with their gradients.
    fn multiply(
        &self,
        tiles: &Tiles<'_>,
        (x, image): (&[f32], usize),
        outputs: &Outputs,
        dy: &[f32],
        sums: &mut [f32],
    ) {
        let Self {
            engine,
            padded,
            shape,
            ..
        } = *self;
        let Outputs {
            images,
            first,
            lines,
            columns,
        } = *outputs;
        let down = shape.stride[0] * self.frame.line();
        let right = shape.stride[1] * shape.channels;
        let at = first / shape.out[1] * down + first % shape.out[1] * right;
        let reach = (images - 1) * image + (lines - 1) * down + (columns - 1) * right;
        assert!(
            at + reach + tiles.farthest.from < x.len()
                && first + images * lines * columns <= dy.len() / padded
                && tiles.farthest.to + padded <= sums.len()
        );
        // Lines that follow each other without a gap are one.
        let (len, segs) = if down == columns * right {
            (lines * columns, [images, 1])
        } else {
            (columns, [images, lines])
        };
        for (filter, width) in panels(engine, shape.group_filters()) {
            for rows in &tiles.rows {
                // SAFETY: the assertion bounds what is read and written; the rows of the gradients and of the
                // sums are padded to whole registers.
                unsafe {
                    let tile = Tile {
                        rows,
                        a: x.as_ptr().add(at),
                        a_k: right,
                        a_segs: [image, down],
                        b: dy.as_ptr().add(first * padded + filter),
                        b_k: padded,
                        b_seg: len * padded,
                        ahead: None,
                        len,
                        segs,
                        start: Start::Output,
                        c: sums.as_mut_ptr().add(filter),
                        columns: width,
                    };
                    engine.tile(width / engine.lanes, &tile);
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
        buffer.resize(dy.len() / all * self.padded, 0.0);
        for (to, from) in buffer
            .chunks_exact_mut(self.padded)
            .zip(dy.chunks_exact(all))
        {
            to[..filters].copy_from_slice(&from[group * filters..][..filters]);
        }
        buffer
    }
}

/// The rows of the sums, cut into tiles.
struct Tiles<'a> {
    rows: Vec<&'a [Row]>,
    /// The farthest values that one reads, and writes.
    farthest: Row,
}

impl<'a> Tiles<'a> {
    /// Tiles of at most `most` rows: within runs that lie side by side in the image, which are read from one
    /// place, unless such runs are short.
    fn cut(rows: &'a [Row], most: usize) -> Self {
        let farthest = |f: fn(&Row) -> usize| rows.iter().map(f).max().unwrap_or(0);
        let runs = || rows.chunk_by(|row, next| next.from == row.from + 1);
        let cut =
            |run: &'a [Row]| pieces(run.len(), most).map(move |(at, count)| &run[at..at + count]);
        Self {
            farthest: Row {
                from: farthest(|row| row.from),
                to: farthest(|row| row.to),
            },
            rows: if runs().any(|run| run.len() < 4) {
                cut(rows).collect()
            } else {
                runs().flat_map(cut).collect()
            },
        }
    }
}
