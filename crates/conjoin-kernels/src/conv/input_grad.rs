//! The gradient of the input, direct: for each [`Phase`] of the input's grid a dense convolution of the
//! output's gradient with the taps of that phase, last tap first.

use std::mem::MaybeUninit;

use rayon::prelude::*;

use super::direct::rows_per_block;
use super::frame::Frame;
use super::packed::{Packed, Weights};
use super::pass::{Pass, Taps};
use super::phase::Phase;
use super::shape::ConvShape;
use super::tile::{Engine, Row, engine};

/// A phase along both axes, with the weights of its taps and a full block's pixels.
struct Grid {
    down: Phase,
    right: Phase,
    /// One a group.
    packed: Vec<Packed>,
    taps: Taps,
    rows: Vec<Row>,
}

/// `dx [B, H, W, C]` from `dy [B, Ho, Wo, O]` and `w [O, kh, kw, C / groups]`, plus `bias [C]` for a
/// transposed convolution; writes all of `dx`.
pub fn input_gradient(
    shape: ConvShape,
    dy: &[f32],
    w: &[f32],
    bias: Option<&[f32]>,
    dx: &mut [MaybeUninit<f32>],
) {
    let engine = engine();
    let (channels, filters) = (shape.group_channels(), shape.group_filters());
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
    let frame = Frame {
        before: [top, left],
        after: [bottom, end],
        image: [shape.out[0], shape.out[1], shape.filters],
    };
    let line = frame.line();
    // Blocks of the input's rows, in which every phase begins at its own first row.
    let stride = shape.stride[0];
    let block = rows_per_block(shape.batch, shape.height.div_ceil(stride)) * stride;
    let out_row = shape.width * shape.channels;
    let met = |phase: &&Phase| phase.taps > 0;
    let grids: Vec<Grid> = down
        .iter()
        .filter(met)
        .flat_map(|down| right.iter().filter(met).map(move |right| (*down, *right)))
        .map(|(down, right)| Grid {
            down,
            right,
            packed: pack(engine, shape, w, bias, [down, right]),
            taps: Taps::new(
                [down.taps, right.taps],
                [down.out_step, right.out_step],
                line,
                shape.filters,
                filters,
            ),
            rows: (0..down.count.min(block / stride) * right.count)
                .map(|pixel| {
                    let (row, column) = (pixel / right.count, pixel % right.count);
                    let pixel = row * stride * shape.width + column * shape.stride[1];
                    Row {
                        from: row * line + column * shape.filters,
                        to: pixel * shape.channels,
                    }
                })
                .collect(),
        })
        .collect();
    let complete = down.iter().chain(&right).all(|phase| phase.taps > 0);
    let reach = grids
        .iter()
        .map(|grid| (top as isize + grid.down.origin) as usize + grid.down.span() + 1);
    let reach = reach.max().unwrap_or(0);
    dx.par_chunks_mut(shape.image())
        .enumerate()
        .flat_map(|(image, dx)| {
            dx.par_chunks_mut(block * out_row)
                .enumerate()
                .map(move |(i, dx)| (image, i * block, dx))
        })
        .for_each_init(Vec::new, |buffer, (image, first, dx)| {
            if !complete {
                clear(dx, bias, shape.channels);
            }
            let dy = &dy[image * shape.out_image()..][..shape.out_image()];
            let (height, from) = (dx.len() / out_row, first / stride);
            let lines = (height.div_ceil(stride) - 1 + reach).min(frame.rows() - from);
            let source = if frame.is_bare() {
                &dy[from * line..]
            } else {
                frame.fill(buffer, dy, from, lines);
                buffer.as_slice()
            };
            for grid in &grids {
                let row = (top as isize + grid.down.origin) as usize;
                let column = (left as isize + grid.right.origin) as usize;
                let count = height.saturating_sub(grid.down.at).div_ceil(stride);
                for (group, packed) in grid.packed.iter().enumerate() {
                    let pass = Pass {
                        packed,
                        taps: grid.taps,
                        source,
                        source_at: row * line + column * shape.filters + group * filters,
                        out_at: (grid.down.at * shape.width + grid.right.at) * shape.channels
                            + group * channels,
                        rows: &grid.rows[..count * grid.right.count],
                    };
                    pass.run(engine, dx);
                }
            }
        });
}

/// The weights of a phase, its taps backwards: the last one meets the first output.
fn pack(
    engine: &Engine,
    shape: ConvShape,
    w: &[f32],
    bias: Option<&[f32]>,
    [down, right]: [Phase; 2],
) -> Vec<Packed> {
    let (channels, filters) = (shape.group_channels(), shape.group_filters());
    let (kw, filter) = (shape.kernel[1], shape.filter());
    (0..shape.groups)
        .map(|group| {
            let tap =
                |phase: Phase, i: usize| phase.first_tap + phase.tap_step * (phase.taps - 1 - i);
            let taps: Vec<usize> = (0..down.taps * right.taps)
                .map(|i| {
                    let (ky, kx) = (tap(down, i / right.taps), tap(right, i % right.taps));
                    group * filters * filter + (ky * kw + kx) * channels
                })
                .collect();
            let weights = Weights {
                data: w,
                taps: &taps,
                len: filters,
                k_step: filter,
                filters: channels,
                step: 1,
            };
            let bias = bias.map(|bias| &bias[group * channels..][..channels]);
            Packed::new(engine, weights, bias)
        })
        .collect()
}

/// What pixels hold that no tap reaches.
pub fn clear(pixels: &mut [MaybeUninit<f32>], bias: Option<&[f32]>, channels: usize) {
    for pixel in pixels.chunks_exact_mut(channels) {
        match bias {
            Some(bias) => {
                pixel.write_copy_of_slice(bias);
            }
            None => pixel.fill(MaybeUninit::new(0.0)),
        }
    }
}
