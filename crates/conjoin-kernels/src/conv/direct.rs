//! Direct convolution over NHWC images.
//!
//! An image is copied once into a frame with its padding; from there the register tile reads a whole
//! kernel row (columns x channels lie side by side in NHWC) as one run of products, so that no im2col
//! matrix exists. With groups or dilation a run is one tap.

use std::mem::MaybeUninit;

use rayon::prelude::*;

use super::frame::Frame;
use super::packed::{Packed, Weights};
use super::pass::{Pass, Taps};
use super::shape::ConvShape;
use super::tile::{Row, engine};

/// `y [B, Ho, Wo, O] = conv2d(x [B, H, W, C], w [O, kh, kw, C / groups]) + bias [O]`; writes all of `y`.
pub fn forward(
    shape: ConvShape,
    x: &[f32],
    w: &[f32],
    bias: Option<&[f32]>,
    y: &mut [MaybeUninit<f32>],
) {
    let engine = engine();
    let (channels, filters) = (shape.group_channels(), shape.group_filters());
    let (filter, taps) = (shape.filter(), shape.taps());
    let packed: Vec<Packed> = (0..shape.groups)
        .map(|group| {
            let first = group * filters * filter;
            let taps: Vec<usize> = (0..taps).map(|tap| first + tap * channels).collect();
            let weights = Weights {
                data: w,
                taps: &taps,
                len: channels,
                k_step: 1,
                filters,
                step: filter,
            };
            let bias = bias.map(|bias| &bias[group * filters..][..filters]);
            Packed::new(engine, weights, bias)
        })
        .collect();
    let frame = Frame::even(shape.padding, [shape.height, shape.width, shape.channels]);
    let line = frame.line();
    let [out_rows, out_columns] = shape.out;
    let block = rows_per_block(shape.batch, out_rows);
    let rows: Vec<Row> = (0..block * out_columns)
        .map(|pixel| {
            let (row, column) = (pixel / out_columns, pixel % out_columns);
            Row {
                from: row * shape.stride[0] * line + column * shape.stride[1] * shape.channels,
                to: pixel * shape.filters,
            }
        })
        .collect();
    let taps = Taps::new(shape.kernel, shape.dilation, line, shape.channels, channels);
    let out_row = out_columns * shape.filters;
    y.par_chunks_mut(shape.out_image())
        .enumerate()
        .flat_map(|(image, y)| {
            y.par_chunks_mut(block * out_row)
                .enumerate()
                .map(move |(i, y)| (image, i * block, y))
        })
        .for_each_init(Vec::new, |buffer, (image, first, y)| {
            let count = y.len() / out_row;
            let image = &x[image * shape.image()..][..shape.image()];
            let from = first * shape.stride[0];
            let source = if frame.is_bare() {
                &image[from * line..]
            } else {
                let reach = shape.dilation[0] * (shape.kernel[0] - 1) + 1;
                let lines = (count - 1) * shape.stride[0] + reach;
                frame.fill(buffer, image, from, lines);
                buffer.as_slice()
            };
            for (group, packed) in packed.iter().enumerate() {
                let pass = Pass {
                    packed,
                    taps,
                    source,
                    source_at: group * channels,
                    out_at: group * filters,
                    rows: &rows[..count * out_columns],
                };
                pass.run(engine, y);
            }
        });
}

/// Output rows of a task: a whole image, or less where there are few images. Every output is computed
/// alike wherever the cut falls, so the choice may depend on the number of threads.
pub fn rows_per_block(batch: usize, rows: usize) -> usize {
    let wanted = 4 * rayon::current_num_threads();
    rows.div_ceil(wanted.div_ceil(batch.max(1))).max(1)
}
