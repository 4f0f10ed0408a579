//! Direct convolution over NHWC images.
//!
//! An image is copied once into a frame with its padding; from there the register tile reads a whole
//! kernel row (columns x channels lie side by side in NHWC) as one run of products, so that no im2col
//! matrix exists. With groups or dilation a run is one tap.

use std::mem::MaybeUninit;

use rayon::prelude::*;

use super::finish::Finish;
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
    convolve(shape, x, &pack(shape, w, bias), Finish::default(), y);
}

/// The weights of each group, for [`convolve`].
pub fn pack(shape: ConvShape, w: &[f32], bias: Option<&[f32]>) -> Vec<Packed> {
    let engine = engine();
    let (channels, filters) = (shape.group_channels(), shape.group_filters());
    let (filter, taps) = (shape.filter(), shape.taps());
    (0..shape.groups)
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
        .collect()
}

/// Up to so many outputs, threads share out the filters rather than the outputs.
const FEW: usize = 96;

/// The convolution with packed weights, and what follows; writes all of `y`.
pub fn convolve(
    shape: ConvShape,
    x: &[f32],
    packed: &[Packed],
    finish: Finish<'_>,
    y: &mut [MaybeUninit<f32>],
) {
    let engine = engine();
    let (channels, filters) = (shape.group_channels(), shape.group_filters());
    let frame = Frame::even(shape.padding, [shape.height, shape.width, shape.channels]);
    let line = frame.line();
    let [out_rows, out_columns] = shape.out;
    let taps = Taps::new(shape.kernel, shape.dilation, line, shape.channels, channels);
    if let [packed] = packed
        && shape.batch == 1
        && out_rows * out_columns <= FEW
    {
        let rows: Vec<Row> = (0..out_rows)
            .flat_map(|row| line_rows(shape, line, row))
            .collect();
        let mut buffer = Vec::new();
        let source = if frame.is_bare() {
            x
        } else {
            frame.fill(&mut buffer, x, 0, frame.rows());
            buffer.as_slice()
        };
        let pass = Pass {
            packed,
            taps,
            source,
            source_at: 0,
            out_at: 0,
            rows: &rows,
        };
        return pass.spread(engine, y, finish);
    }
    let block = rows_per_block(shape.batch, out_rows);
    let rows: Vec<Row> = (0..block)
        .flat_map(|row| line_rows(shape, line, row))
        .collect();
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
            let begun = image * out_rows + first;
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
            // SAFETY: the passes of all groups have written every output of these rows.
            let y = unsafe { y.assume_init_mut() };
            finish.apply(begun * out_row, y);
        });
}

/// The outputs of a line, `row` lines below the first; `line` values lie between lines of the source.
fn line_rows(shape: ConvShape, line: usize, row: usize) -> impl Iterator<Item = Row> {
    let columns = shape.out[1];
    (0..columns).map(move |column| Row {
        from: row * shape.stride[0] * line + column * shape.stride[1] * shape.channels,
        to: (row * columns + column) * shape.filters,
    })
}

/// Output rows of a task: a whole image, or less where there are few images. Every output is computed
/// alike wherever the cut falls, so the choice may depend on the number of threads.
pub fn rows_per_block(batch: usize, rows: usize) -> usize {
    let wanted = 4 * rayon::current_num_threads();
    rows.div_ceil(wanted.div_ceil(batch.max(1))).max(1)
}
