//! Direct convolution over NHWC images: forward and the gradient of the input.
//!
//! An image is copied once into a frame with its padding; from there the register tile reads a whole
//! kernel row (columns x channels lie side by side in NHWC) as one run of products, so that no im2col
//! matrix exists. The gradient of the input is the same computation: for each of the stride² phases of
//! the input's grid, a dense convolution of the output's gradient with the flipped kernel taps of that
//! phase.

use rayon::prelude::*;

use super::shape::ConvShape;
use super::tile::{Engine, Tile, engine};

/// Filters in panels of one tile's width: `[panel][row][columns x channels][panel width]`.
pub struct Packed {
    data: Vec<f32>,
    bias: Vec<f32>,
    /// Kernel rows, and products in a kernel row.
    rows: usize,
    run: usize,
    /// Filters, before padding.
    filters: usize,
}

impl Packed {
    /// Packs `rows x run` products for each of `filters`; `weight(filter, row, k)` reads one.
    fn new(
        engine: &Engine,
        [rows, run, filters]: [usize; 3],
        bias: Option<&[f32]>,
        weight: impl Fn(usize, usize, usize) -> f32,
    ) -> Self {
        let mut data = Vec::with_capacity(rows * run * engine.pad(filters));
        for (first, width) in panels(engine, filters) {
            for row in 0..rows {
                for k in 0..run {
                    data.extend((first..first + width).map(|filter| {
                        if filter < filters {
                            weight(filter, row, k)
                        } else {
                            0.0
                        }
                    }));
                }
            }
        }
        let mut padded = bias.map(<[f32]>::to_vec).unwrap_or_default();
        if bias.is_some() {
            padded.resize(engine.pad(filters), 0.0);
        }
        Self {
            data,
            bias: padded,
            rows,
            run,
            filters,
        }
    }
}

/// The panels that cover `filters`: first filter and width, which is one or two registers.
pub fn panels(engine: &Engine, filters: usize) -> impl Iterator<Item = (usize, usize)> + use<> {
    let (wide, lanes) = (engine.columns(), engine.lanes);
    (0..filters).step_by(wide).map(move |first| {
        (
            first,
            if filters - first <= lanes {
                lanes
            } else {
                wide
            },
        )
    })
}

/// `n` cut into pieces of at most `most`, as equal as possible: `(first, length)`.
pub fn pieces(n: usize, most: usize) -> impl Iterator<Item = (usize, usize)> {
    let count = n.div_ceil(most).max(1);
    (0..count).map(move |i| (i * n / count, (i + 1) * n / count - i * n / count))
}

/// One dense pass: where its operands lie and how far apart. Strides count f32 values.
struct Pass<'a> {
    packed: &'a Packed,
    /// Framed source, its first value for output (0, 0), and its strides.
    source: &'a [f32],
    source_at: usize,
    source_line: usize,
    source_row: usize,
    source_pixel: usize,
    /// First output value and the strides of rows and pixels.
    out_at: usize,
    out_row: usize,
    out_pixel: usize,
    /// Output rows and columns.
    rows: usize,
    columns: usize,
}

impl Pass<'_> {
    /// Computes the pass into `out`.
    fn run(&self, engine: &Engine, out: &mut [f32]) {
        if self.rows == 0 || self.columns == 0 {
            return;
        }
        let packed = self.packed;
        let last_source = self.source_at
            + (self.rows - 1) * self.source_row
            + (self.columns - 1) * self.source_pixel
            + (packed.rows.max(1) - 1) * self.source_line
            + packed.run;
        let last_out = self.out_at
            + (self.rows - 1) * self.out_row
            + (self.columns - 1) * self.out_pixel
            + packed.filters;
        assert!(
            last_source <= self.source.len() && last_out <= out.len(),
            "a pass leaves its image"
        );
        let mut panel = packed.data.as_ptr();
        for (first, width) in panels(engine, packed.filters) {
            for row in 0..self.rows {
                for (column, count) in pieces(self.columns, engine.rows) {
                    // SAFETY: the assertion above bounds the farthest value read and written; the
                    // panels and the bias were laid out by `Packed::new` for this engine.
                    unsafe {
                        let from =
                            self.source_at + row * self.source_row + column * self.source_pixel;
                        let to = self.out_at + row * self.out_row + column * self.out_pixel + first;
                        let start = if packed.bias.is_empty() {
                            std::ptr::null()
                        } else {
                            packed.bias.as_ptr().add(first)
                        };
                        let tile = Tile {
                            a: self.source.as_ptr().add(from),
                            a_row: self.source_pixel,
                            a_k: 1,
                            a_seg: self.source_line,
                            b: panel,
                            b_k: width,
                            b_seg: packed.run * width,
                            len: packed.run,
                            segs: packed.rows,
                            start,
                            start_row: 0,
                            c: out.as_mut_ptr().add(to),
                            c_row: self.out_pixel,
                            columns: width.min(packed.filters - first),
                        };
                        engine.tile(count, width / engine.lanes, &tile);
                    }
                }
            }
            // SAFETY: one panel further; at most one past the end after the last.
            panel = unsafe { panel.add(packed.rows * packed.run * width) };
        }
    }
}

/// A padded copy of some rows of an image.
pub struct Frame {
    /// Zeros before the first and after the last row and column.
    pub before: [usize; 2],
    pub after: [usize; 2],
}

impl Frame {
    /// Values in a framed row of `width` pixels.
    pub fn line(&self, width: usize, channels: usize) -> usize {
        (self.before[1] + width + self.after[1]) * channels
    }

    /// Copies rows `first..first + count` of the framed image (row 0 is the first row of padding)
    /// into `frame`, which is resized.
    pub fn fill(
        &self,
        frame: &mut Vec<f32>,
        image: &[f32],
        [height, width, channels]: [usize; 3],
        first: usize,
        count: usize,
    ) {
        let line = self.line(width, channels);
        frame.clear();
        frame.resize(count * line, 0.0);
        for (row, target) in frame.chunks_exact_mut(line).enumerate() {
            let Some(source) = (first + row)
                .checked_sub(self.before[0])
                .filter(|&y| y < height)
            else {
                continue;
            };
            let run = width * channels;
            target[self.before[1] * channels..][..run]
                .copy_from_slice(&image[source * run..][..run]);
        }
    }
}

/// `y [B, Ho, Wo, O] = conv2d(x [B, H, W, C], w [O, kh, kw, C]) + bias [O]`.
pub fn forward(shape: ConvShape, x: &[f32], w: &[f32], bias: Option<&[f32]>, y: &mut [f32]) {
    let shape = shape.flattened();
    let engine = engine();
    let [kh, kw] = shape.kernel;
    let run = kw * shape.channels;
    let packed = Packed::new(engine, [kh, run, shape.filters], bias, |filter, row, k| {
        w[filter * kh * run + row * run + k]
    });
    let (out_rows, out_columns) = (shape.out_height(), shape.out_width());
    let block = rows_per_block(shape, out_rows);
    let frame = Frame {
        before: [shape.padding; 2],
        after: [shape.padding; 2],
    };
    let line = frame.line(shape.width, shape.channels);
    let out_row = out_columns * shape.filters;
    y.par_chunks_mut(shape.out_image().max(1))
        .enumerate()
        .flat_map(|(image, y)| {
            y.par_chunks_mut(block * out_row)
                .enumerate()
                .map(move |(i, y)| (image, i * block, y))
        })
        .for_each_init(Vec::new, |buffer, (image, first, y)| {
            let rows = y.len() / out_row;
            let image = &x[image * shape.image()..][..shape.image()];
            let from = first * shape.stride;
            let source = if shape.padding == 0 {
                &image[from * line..]
            } else {
                let count = (rows - 1) * shape.stride + kh;
                frame.fill(
                    buffer,
                    image,
                    [shape.height, shape.width, shape.channels],
                    from,
                    count,
                );
                buffer.as_slice()
            };
            let pass = Pass {
                packed: &packed,
                source,
                source_at: 0,
                source_line: line,
                source_row: shape.stride * line,
                source_pixel: shape.stride * shape.channels,
                out_at: 0,
                out_row,
                out_pixel: shape.filters,
                rows,
                columns: out_columns,
            };
            pass.run(engine, y);
        });
}

/// Output rows of a task: a whole image, or less where there are few images. Every output is computed
/// alike wherever the cut falls, so the choice may depend on the number of threads.
fn rows_per_block(shape: ConvShape, out_rows: usize) -> usize {
    let wanted = 4 * rayon::current_num_threads();
    out_rows
        .div_ceil(wanted.div_ceil(shape.batch.max(1)))
        .max(1)
}

/// One phase of the input's grid: the pixels `phase + stride * t`, and the kernel taps that reach them.
#[derive(Clone, Copy)]
struct Phase {
    /// First pixel.
    at: usize,
    /// First tap and number of taps, `stride` apart.
    first_tap: usize,
    taps: usize,
    /// Pixels.
    count: usize,
    /// Row (or column) of the output that the last tap of pixel 0 meets; may be before the first.
    origin: isize,
}

impl Phase {
    fn all(size: usize, kernel: usize, stride: usize, padding: usize) -> Vec<Self> {
        (0..stride.min(size))
            .map(|at| {
                let first_tap = (at + padding) % stride;
                let taps = kernel.saturating_sub(first_tap).div_ceil(stride);
                let base = ((at + padding - first_tap) / stride) as isize;
                Self {
                    at,
                    first_tap,
                    taps,
                    count: (size - at).div_ceil(stride),
                    origin: base + 1 - taps as isize,
                }
            })
            .collect()
    }

    /// Zeros needed before and after `size` outputs so that every phase stays inside.
    fn margins(phases: &[Self], size: usize) -> [usize; 2] {
        let before = phases.iter().map(|p| -p.origin).max().unwrap_or(0).max(0);
        let last = phases
            .iter()
            .map(|p| p.origin + (p.count + p.taps) as isize - 1);
        let after = last
            .map(|end| end - size as isize)
            .max()
            .unwrap_or(0)
            .max(0);
        [before as usize, after as usize]
    }
}

/// `dx [B, H, W, C]` from `dy [B, Ho, Wo, O]` and `w [O, kh, kw, C]`; `dx` must hold zeros.
pub fn input_gradient(shape: ConvShape, dy: &[f32], w: &[f32], dx: &mut [f32]) {
    let shape = shape.flattened();
    let engine = engine();
    let [kh, kw] = shape.kernel;
    let (channels, filters, stride) = (shape.channels, shape.filters, shape.stride);
    let (out_rows, out_columns) = (shape.out_height(), shape.out_width());
    let down = Phase::all(shape.height, kh, stride, shape.padding);
    let right = Phase::all(shape.width, kw, stride, shape.padding);
    let [top, bottom] = Phase::margins(&down, out_rows);
    let [left, end] = Phase::margins(&right, out_columns);
    let frame = Frame {
        before: [top, left],
        after: [bottom, end],
    };
    let line = frame.line(out_columns, filters);
    let phases: Vec<_> = down
        .iter()
        .flat_map(|down| right.iter().map(move |right| (*down, *right)))
        .filter(|(down, right)| down.taps > 0 && right.taps > 0)
        .map(|(down, right)| {
            // The taps run backwards: the last one meets the first output.
            let packed = Packed::new(
                engine,
                [down.taps, right.taps * filters, channels],
                None,
                |c, row, k| {
                    let ky = down.first_tap + stride * (down.taps - 1 - row);
                    let kx = right.first_tap + stride * (right.taps - 1 - k / filters);
                    w[(((k % filters) * kh + ky) * kw + kx) * channels + c]
                },
            );
            (down, right, packed)
        })
        .collect();
    dx.par_chunks_mut(shape.image().max(1))
        .enumerate()
        .for_each_init(Vec::new, |buffer, (image, dx)| {
            let dy = &dy[image * shape.out_image()..][..shape.out_image()];
            frame.fill(
                buffer,
                dy,
                [out_rows, out_columns, filters],
                0,
                top + out_rows + bottom,
            );
            for (down, right, packed) in &phases {
                let row = (top as isize + down.origin) as usize;
                let column = (left as isize + right.origin) as usize;
                let pass = Pass {
                    packed,
                    source: buffer,
                    source_at: row * line + column * filters,
                    source_line: line,
                    source_row: line,
                    source_pixel: filters,
                    out_at: (down.at * shape.width + right.at) * channels,
                    out_row: stride * shape.width * channels,
                    out_pixel: stride * channels,
                    rows: down.count,
                    columns: right.count,
                };
                pass.run(engine, dx);
            }
        });
}
