//! Gradients of the weight and the bias, direct.
//!
//! `dw[(ky, kx, c), o] = Σ_pixels x[pixel + (ky, kx), c] · dy[pixel, o]`: the register tile again, its
//! rows over `(ky, kx, c)`, and its products over the pixels. What a tile's rows read is packed side by
//! side first, for as many pixels as stay in the cache; small maps of several images at once.
//!
//! The images are cut into chunks whose number depends on sizes only; each chunk sums alone and the
//! chunks are added in order, so that the result has the same bits for any number of threads.

use std::ops::Range;

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
/// Rows of the largest tile of any instruction set.
const MOST_ROWS: usize = 16;

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
    /// The image's values for each tile, `[tile][PIXELS][tile rows]`.
    packed: Vec<f32>,
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
        let tiles = cut_rows(rows, self.engine.rows);
        let width = self.engine.rows.next_power_of_two();
        let (pixels, at_once) = (shape.out_pixels(), self.images_at_once());
        scratch.packed.resize(tiles.len() * PIXELS * width, 0.0);
        for (x, dy) in x
            .chunks(at_once * shape.image())
            .zip(dy.chunks(at_once * shape.out_image()))
        {
            let images = dy.len() / shape.out_image();
            let dy = self.whole_registers(group, dy, &mut scratch.dy);
            if pixels <= PIXELS {
                for (image, x) in x.chunks_exact(shape.image()).enumerate() {
                    let x = self.lines(ky, group, x, &mut scratch.frame);
                    let packed = &mut scratch.packed[image * pixels * width..];
                    self.pack(rows, &tiles, x, 0..pixels, packed);
                }
                self.multiply(rows, &tiles, &scratch.packed, images * pixels, dy, sums);
            } else {
                let x = self.lines(ky, group, x, &mut scratch.frame);
                for (first, count) in pieces(pixels, PIXELS) {
                    self.pack(rows, &tiles, x, first..first + count, &mut scratch.packed);
                    let dy = &dy[first * self.padded..];
                    self.multiply(rows, &tiles, &scratch.packed, count, dy, sums);
                }
            }
        }
    }

    /// Images whose outputs are summed by one run of the tile.
    fn images_at_once(&self) -> usize {
        (PIXELS / self.shape.out_pixels()).max(1)
    }

    /// The lines of a framed image that a kernel row meets (all, if the part has all rows).
    fn lines<'a>(
        &self,
        ky: usize,
        group: usize,
        x: &'a [f32],
        frame: &'a mut Vec<f32>,
    ) -> &'a [f32] {
        let skipped = ky * self.shape.dilation[0];
        let x = if self.frame.is_bare() {
            &x[skipped * self.frame.line()..]
        } else {
            self.frame
                .fill(frame, x, skipped, self.frame.rows() - skipped);
            frame
        };
        &x[group * self.shape.group_channels()..]
    }

    /// Copies what some outputs multiply, for each tile: its rows side by side.
    fn pack(
        &self,
        rows: &[Row],
        tiles: &[(usize, usize)],
        x: &[f32],
        outputs: Range<usize>,
        packed: &mut [f32],
    ) {
        let (shape, columns) = (self.shape, self.shape.out[1]);
        let width = self.engine.rows.next_power_of_two();
        let (down, right) = (
            shape.stride[0] * self.frame.line(),
            shape.stride[1] * shape.channels,
        );
        let count = outputs.len();
        let mut offsets = [0; PIXELS];
        for (offset, output) in offsets.iter_mut().zip(outputs) {
            *offset = output / columns * down + output % columns * right;
        }
        let offsets = &offsets[..count];
        for (index, &(row, count)) in tiles.iter().enumerate() {
            let rows = &rows[row..row + count];
            let adjacent = rows[count - 1].from - rows[0].from == count - 1;
            let to = packed[index * PIXELS * width..].chunks_exact_mut(width);
            for (at, to) in offsets.iter().zip(to) {
                let x = &x[*at..];
                // A copy of constant length, though it takes along values that are not used.
                match (adjacent, width) {
                    (true, 8) if copy::<8>(x, rows[0].from, to) => {}
                    (true, 16) if copy::<16>(x, rows[0].from, to) => {}
                    _ => {
                        for (to, row) in to.iter_mut().zip(rows) {
                            *to = x[row.from];
                        }
                    }
                }
            }
        }
    }

    /// Adds the products of `pixels` packed outputs with their gradients.
    fn multiply(
        &self,
        rows: &[Row],
        tiles: &[(usize, usize)],
        packed: &[f32],
        pixels: usize,
        dy: &[f32],
        sums: &mut [f32],
    ) {
        let Self { engine, padded, .. } = *self;
        let width = engine.rows.next_power_of_two();
        assert!(
            pixels <= PIXELS
                && packed.len() >= tiles.len() * PIXELS * width
                && dy.len() >= pixels * padded
                && sums.len() == rows.len() * padded
        );
        let filters = self.shape.group_filters();
        for (first, columns) in panels(engine, filters) {
            for (index, &(row, count)) in tiles.iter().enumerate() {
                let mut tile_rows = [Row { from: 0, to: 0 }; MOST_ROWS];
                for (i, tile_row) in tile_rows.iter_mut().enumerate().take(count) {
                    *tile_row = Row {
                        from: i,
                        to: (row + i) * padded,
                    };
                }
                // SAFETY: the assertion bounds what is read and written; the rows of the gradients and
                // of the sums are padded to whole registers.
                unsafe {
                    let tile = Tile {
                        rows: &tile_rows[..count],
                        a: packed.as_ptr().add(index * PIXELS * width),
                        a_k: width,
                        a_segs: [0, 0],
                        b: dy.as_ptr().add(first),
                        b_k: padded,
                        b_seg: 0,
                        ahead: None,
                        len: pixels,
                        segs: [1, 1],
                        start: Start::Output,
                        c: sums.as_mut_ptr().add(first),
                        columns,
                    };
                    engine.tile(columns / engine.lanes, &tile);
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

/// Cuts the rows into tiles of at most `most`: within runs that lie side by side in the image, which are
/// copied fast, unless such runs are short.
fn cut_rows(rows: &[Row], most: usize) -> Vec<(usize, usize)> {
    let runs = || rows.chunk_by(|row, next| next.from == row.from + 1);
    if runs().any(|run| run.len() < 4) {
        return pieces(rows.len(), most).collect();
    }
    let mut tiles = Vec::new();
    let mut first = 0;
    for run in runs() {
        tiles.extend(pieces(run.len(), most).map(|(at, count)| (first + at, count)));
        first += run.len();
    }
    tiles
}

/// Copies `N` values from `at` on, if there are so many.
#[inline(always)]
fn copy<const N: usize>(x: &[f32], at: usize, to: &mut [f32]) -> bool {
    let (Some(from), Some(to)) = (x[at..].first_chunk::<N>(), to.first_chunk_mut::<N>()) else {
        return false;
    };
    *to = *from;
    true
}
