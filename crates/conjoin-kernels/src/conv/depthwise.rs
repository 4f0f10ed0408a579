//! Depthwise convolution: every filter sees one channel, `multiplier = O / C` filters each.
//!
//! Registers run along the filters, so nothing is gathered. Images are copied into frames whose
//! channels are repeated `multiplier` times and padded to whole registers; from there filter and
//! channel are the same index.

pub mod lines;
mod spread;

use std::mem::MaybeUninit;

use rayon::prelude::*;

use super::direct::rows_per_block;
use super::input_grad::clear;
use super::phase::Phase;
use super::shape::ConvShape;
use super::tile::{Engine, engine};
use super::weight_grad::{add_chunks, chunk_count};
use lines::{Gradient, Line};
use spread::Spread;

/// Whether these kernels serve the shape.
pub fn fits(shape: ConvShape) -> bool {
    shape.groups > 1 && shape.group_channels() == 1
}

/// Some taps of a kernel and where they lead.
struct Taps {
    count: [usize; 2],
    /// Pixels between taps.
    step: [usize; 2],
    /// `[taps, padded filters]`.
    weights: Vec<f32>,
}

impl Taps {
    /// The taps of `w [O, taps]` that `order` lists.
    fn new(
        engine: &Engine,
        w: &[f32],
        filters: usize,
        [count, step]: [[usize; 2]; 2],
        order: impl Iterator<Item = usize>,
    ) -> Self {
        let all = w.len() / filters;
        let padded = engine.pad(filters);
        let weights = order
            .flat_map(|tap| {
                (0..padded).map(move |o| if o < filters { w[o * all + tap] } else { 0.0 })
            })
            .collect();
        Self {
            count,
            step,
            weights,
        }
    }
}

/// A rectangle of outputs: where it reads in a frame, and where it writes.
struct Block<'a> {
    frame: &'a [f32],
    at: usize,
    /// Values between framed lines, between the lines that outputs read, and between their pixels.
    line: usize,
    out_line: usize,
    pixel: usize,
    to: usize,
    to_line: usize,
    to_pixel: usize,
    size: [usize; 2],
    filters: usize,
}

impl Block<'_> {
    fn run(&self, engine: &Engine, taps: &Taps, bias: &[f32], out: &mut [MaybeUninit<f32>]) {
        let padded = engine.pad(self.filters);
        let [rows, columns] = self.size;
        if rows == 0 || columns == 0 {
            return;
        }
        let tap_steps = [taps.step[0] * self.line, taps.step[1] * padded];
        let last = |axis: usize| (taps.count[axis] - 1) * tap_steps[axis];
        let last_source = self.at
            + (rows - 1) * self.out_line
            + (columns - 1) * self.pixel
            + last(0)
            + last(1)
            + padded;
        let last_out =
            self.to + (rows - 1) * self.to_line + (columns - 1) * self.to_pixel + self.filters;
        assert!(
            last_source <= self.frame.len()
                && last_out <= out.len()
                && taps.weights.len() == taps.count[0] * taps.count[1] * padded
                && (bias.is_empty() || bias.len() == padded),
            "a depthwise block leaves its image"
        );
        for row in 0..rows {
            // SAFETY: the assertion bounds the farthest value read and written.
            unsafe {
                let line = Line {
                    source: self.frame.as_ptr().add(self.at + row * self.out_line),
                    pixel: self.pixel,
                    tap_steps,
                    weights: taps.weights.as_ptr(),
                    taps: taps.count,
                    bias: if bias.is_empty() {
                        std::ptr::null()
                    } else {
                        bias.as_ptr()
                    },
                    out: out
                        .as_mut_ptr()
                        .cast::<f32>()
                        .add(self.to + row * self.to_line),
                    out_pixel: self.to_pixel,
                    columns,
                    channels: self.filters,
                    padded,
                };
                (engine.depthwise_line)(&line);
            }
        }
    }
}

/// A bias in whole registers; none stays empty.
fn padded_bias(engine: &Engine, bias: Option<&[f32]>) -> Vec<f32> {
    let mut padded = bias.map(<[f32]>::to_vec).unwrap_or_default();
    let len = engine.pad(padded.len());
    padded.resize(len, 0.0);
    padded
}

/// `y [B, Ho, Wo, O]` from `x [B, H, W, C]`, `w [O, kh, kw, 1]` and `bias [O]`; writes all of `y`.
pub fn forward(
    shape: ConvShape,
    x: &[f32],
    w: &[f32],
    bias: Option<&[f32]>,
    y: &mut [MaybeUninit<f32>],
) {
    let engine = engine();
    let (filters, padded) = (shape.filters, engine.pad(shape.filters));
    let counts = [shape.kernel, shape.dilation];
    let taps = Taps::new(engine, w, filters, counts, 0..shape.taps());
    let bias = padded_bias(engine, bias);
    let spread = Spread {
        before: shape.padding,
        after: shape.padding,
        image: [shape.height, shape.width, shape.channels],
        times: shape.group_filters(),
        padded,
    };
    let block = rows_per_block(shape.batch, shape.out[0]);
    let out_row = shape.out[1] * filters;
    y.par_chunks_mut(shape.out_image())
        .enumerate()
        .flat_map(|(image, y)| {
            y.par_chunks_mut(block * out_row)
                .enumerate()
                .map(move |(i, y)| (image, i * block, y))
        })
        .for_each_init(Vec::new, |frame, (image, first, y)| {
            let rows = y.len() / out_row;
            let image = &x[image * shape.image()..][..shape.image()];
            let reach = shape.dilation[0] * (shape.kernel[0] - 1) + 1;
            let lines = (rows - 1) * shape.stride[0] + reach;
            spread.fill(frame, image, first * shape.stride[0], lines);
            let block = Block {
                frame,
                at: 0,
                line: spread.line(),
                out_line: shape.stride[0] * spread.line(),
                pixel: shape.stride[1] * padded,
                to: 0,
                to_line: out_row,
                to_pixel: filters,
                size: [rows, shape.out[1]],
                filters,
            };
            block.run(engine, &taps, &bias, y);
        });
}

/// `dx [B, H, W, C]` from `dy [B, Ho, Wo, O]` and `w [O, kh, kw, 1]`, plus `bias [C]` for a transposed
/// convolution; writes all of `dx`.
pub fn input_gradient(
    shape: ConvShape,
    dy: &[f32],
    w: &[f32],
    bias: Option<&[f32]>,
    dx: &mut [MaybeUninit<f32>],
) {
    let engine = engine();
    let (filters, padded) = (shape.filters, engine.pad(shape.filters));
    let times = shape.group_filters();
    let [down, right] = [0, 1].map(|axis| {
        Phase::all(
            [shape.height, shape.width][axis],
            shape.kernel[axis],
            shape.stride[axis],
            shape.padding[axis],
            shape.dilation[axis],
        )
    });
    let [top, bottom] = Phase::margins(&down, shape.out[0]);
    let [left, end] = Phase::margins(&right, shape.out[1]);
    let spread = Spread {
        before: [top, left],
        after: [bottom, end],
        image: [shape.out[0], shape.out[1], filters],
        times: 1,
        padded,
    };
    let met = |phase: &&Phase| phase.taps > 0;
    let tap = |phase: Phase, i: usize| phase.first_tap + phase.tap_step * (phase.taps - 1 - i);
    let grids: Vec<(Phase, Phase, Taps)> = down
        .iter()
        .filter(met)
        .flat_map(|down| right.iter().filter(met).map(move |right| (*down, *right)))
        .map(|(down, right)| {
            let order = (0..down.taps * right.taps)
                .map(|i| tap(down, i / right.taps) * shape.kernel[1] + tap(right, i % right.taps));
            let counts = [[down.taps, right.taps], [down.out_step, right.out_step]];
            (down, right, Taps::new(engine, w, filters, counts, order))
        })
        .collect();
    // With several filters a channel, their gradients are computed apart and then added.
    let wide_bias = padded_bias(engine, bias.filter(|_| times == 1));
    let complete = down.iter().chain(&right).all(|phase| phase.taps > 0);
    let line = spread.line();
    let image = |frame: &[f32], out: &mut [MaybeUninit<f32>]| {
        for (down, right, taps) in &grids {
            let row = (top as isize + down.origin) as usize;
            let column = (left as isize + right.origin) as usize;
            let block = Block {
                frame,
                at: row * line + column * padded,
                line,
                out_line: line,
                pixel: padded,
                to: (down.at * shape.width + right.at) * filters,
                to_line: shape.stride[0] * shape.width * filters,
                to_pixel: shape.stride[1] * filters,
                size: [down.count, right.count],
                filters,
            };
            block.run(engine, taps, &wide_bias, out);
        }
    };
    let pixels = shape.height * shape.width;
    dx.par_chunks_mut(shape.image())
        .enumerate()
        .for_each_init(Vec::new, |frame, (index, dx)| {
            let dy = &dy[index * shape.out_image()..][..shape.out_image()];
            spread.fill(frame, dy, 0, spread.rows());
            if times == 1 {
                if !complete {
                    clear(dx, bias, shape.channels);
                }
                image(frame, dx);
                return;
            }
            let mut wide = vec![MaybeUninit::new(0.0f32); pixels * filters];
            image(frame, &mut wide);
            for (at, (dx, wide)) in dx.iter_mut().zip(wide.chunks_exact(times)).enumerate() {
                let start = bias.map_or(0.0, |bias| bias[at % shape.channels]);
                // SAFETY: `wide` was made of numbers.
                let sum = wide.iter().map(|x| unsafe { x.assume_init() });
                dx.write(start + sum.sum::<f32>());
            }
        });
}

/// `dw [O, kh, kw, 1]`; chunks of images as in [`super::weight_grad`].
pub fn weight_gradient(shape: ConvShape, x: &[f32], dy: &[f32]) -> Vec<f32> {
    let engine = engine();
    let (filters, padded) = (shape.filters, engine.pad(shape.filters));
    let input = Spread {
        before: shape.padding,
        after: shape.padding,
        image: [shape.height, shape.width, shape.channels],
        times: shape.group_filters(),
        padded,
    };
    let output = Spread {
        before: [0, 0],
        after: [0, 0],
        image: [shape.out[0], shape.out[1], filters],
        times: 1,
        padded,
    };
    let [kh, kw] = shape.kernel;
    let size = shape.taps() * padded;
    let chunks = chunk_count(shape.batch, size);
    let mut partial = vec![0.0f32; chunks * size];
    let reach = |axis: usize| {
        (shape.out[axis] - 1) * shape.stride[axis] + (shape.kernel[axis] - 1) * shape.dilation[axis]
    };
    partial.par_chunks_mut(size).enumerate().for_each_init(
        Default::default,
        |(frame, gradients): &mut (Vec<f32>, Vec<f32>), (chunk, sums)| {
            for image in chunk * shape.batch / chunks..(chunk + 1) * shape.batch / chunks {
                let x = &x[image * shape.image()..][..shape.image()];
                let dy = &dy[image * shape.out_image()..][..shape.out_image()];
                input.fill(frame, x, 0, input.rows());
                let dy = if filters == padded {
                    dy
                } else {
                    output.fill(gradients, dy, 0, output.rows());
                    gradients.as_slice()
                };
                assert!(
                    reach(0) * input.line() + (reach(1) + 1) * padded <= frame.len()
                        && dy.len() == shape.out_pixels() * padded
                        && sums.len() == size
                );
                for ky in 0..kh {
                    // SAFETY: the assertion bounds the farthest values read; sums hold all taps.
                    unsafe {
                        let gradient = Gradient {
                            source: frame.as_ptr().add(ky * shape.dilation[0] * input.line()),
                            line: shape.stride[0] * input.line(),
                            pixel: shape.stride[1] * padded,
                            tap: shape.dilation[1] * padded,
                            dy: dy.as_ptr(),
                            lines: shape.out[0],
                            columns: shape.out[1],
                            sums: sums.as_mut_ptr().add(ky * kw * padded),
                            taps: kw,
                            padded,
                        };
                        (engine.depthwise_gradient)(&gradient);
                    }
                }
            }
        },
    );
    let sums = add_chunks(&mut partial, size);
    let taps = shape.taps();
    let weight = |at: usize| sums[at % taps * padded + at / taps];
    (0..filters * taps).map(weight).collect()
}
