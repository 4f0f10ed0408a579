//! The kernel's own transforms: `G g Gᵀ` and its adjoint, several filters side by side.
//!
//! Weights are `[O, 3, 3, C]`, or the same read with channels and filters exchanged; points are
//! `[36, .., O]`. Where weights do not lie along filters they are turned, which is a quarter of the work of
//! turning points.

use std::ptr::null;

use rayon::prelude::*;

use super::super::packed::panels;
use super::super::shared::Shared;
use super::super::tile::Engine;
use super::transform::{POINTS, Transform};
use crate::buffer::build_one_with;
use crate::scratch::with_scratch;
use crate::simd::{Isa, Kernel, run};

/// Taps of a kernel.
const TAPS: usize = 9;
/// Channels and filters of a task: their values share cache lines.
const BLOCK: usize = 16;

/// Where a 3x3 kernel's weights lie: tap `t` of filter `o` and channel `c` at
/// `t · tap + o · filter + c · channel`, the taps backwards if `turned`. Either `filter` or `channel` is 1.
#[derive(Clone, Copy)]
pub struct Taps<'a> {
    pub data: &'a [f32],
    pub tap: usize,
    pub filter: usize,
    pub channel: usize,
    pub turned: bool,
}

impl<'a> Taps<'a> {
    /// The weights of a tap from a filter and channel on.
    fn at(&self, tap: usize, filter: usize, channel: usize) -> &'a [f32] {
        let tap = if self.turned { TAPS - 1 - tap } else { tap };
        &self.data[tap * self.tap + filter * self.filter + channel * self.channel..]
    }
}

/// The kernel at 36 points, `U = G g Gᵀ`, in panels: `[point][panel][channel][panel width]`. Filters
/// fill whole registers.
pub fn transform_kernel(
    engine: &Engine,
    channels: usize,
    filters: usize,
    taps: Taps<'_>,
) -> Vec<f32> {
    let plane = channels * filters;
    let mut points: Vec<f32> = Vec::with_capacity(POINTS * plane);
    let target = Shared(points.as_mut_ptr());
    let tasks: Vec<_> = (0..channels)
        .step_by(BLOCK)
        .flat_map(|channel| panels(engine, filters).map(move |panel| (channel, panel)))
        .collect();
    tasks.into_par_iter().for_each(|(channel, (first, width))| {
        let count = BLOCK.min(channels - channel);
        assert!(first + width <= filters, "filters fill whole registers");
        // SAFETY: these channels of this panel belong to the task alone, at each of 36 planes.
        let target = Shared(unsafe { target.at(first * channels + channel * width) });
        let transform = |weights: [&[f32]; TAPS], row: usize| {
            let mut pixels = [std::ptr::null_mut(); POINTS];
            for (pixel, weights) in pixels.iter_mut().zip(weights) {
                *pixel = weights[..width].as_ptr().cast_mut();
            }
            // SAFETY: the taps hold `width` values each and are only read; the points are this task's.
            unsafe {
                (engine.wino_kernel)(&Transform {
                    pixels,
                    points: target.at(row * width),
                    step: plane,
                    channels: width,
                    bias: null(),
                });
            }
        };
        if taps.filter == 1 {
            for row in 0..count {
                let weights = std::array::from_fn(|tap| taps.at(tap, first, channel + row));
                transform(weights, row);
            }
            return;
        }
        with_scratch(TAPS * count * width, |turned| {
            for (tap, turned) in turned.chunks_exact_mut(count * width).enumerate() {
                run(Turn {
                    from: taps.at(tap, first, channel),
                    from_stride: taps.filter,
                    to: turned,
                    to_stride: width,
                    size: [width, count],
                });
            }
            for row in 0..count {
                let weights = |tap: usize| &turned[(tap * count + row) * width..][..width];
                transform(std::array::from_fn(weights), row);
            }
        });
    });
    // SAFETY: the tasks have written all channels of all panels at all points.
    unsafe { points.set_len(POINTS * plane) };
    points
}

/// `dw [O, 3, 3, C] = Gᵀ u G` from `points [36, C, O]`. Filters fill whole registers.
pub fn kernel_gradient(
    engine: &Engine,
    points: &[f32],
    channels: usize,
    filters: usize,
) -> Vec<f32> {
    let (plane, filter) = (channels * filters, TAPS * channels);
    assert_eq!(points.len(), POINTS * plane);
    let piece = BLOCK.next_multiple_of(engine.lanes) * filter;
    build_one_with(filters * filter, piece, Vec::new, |lines, first, dw| {
        let (first, count) = (first / filter, dw.len() / filter);
        assert!(count.is_multiple_of(engine.lanes) && first + count <= filters);
        lines.resize(TAPS * BLOCK * count, 0.0f32);
        for channel in (0..channels).step_by(BLOCK) {
            let rows = BLOCK.min(channels - channel);
            for row in 0..rows {
                let mut pixels = [std::ptr::null_mut(); POINTS];
                for (tap, lines) in lines.chunks_exact_mut(BLOCK * count).enumerate() {
                    pixels[tap] = lines[row * count..][..count].as_mut_ptr();
                }
                let at = (channel + row) * filters + first;
                // SAFETY: the taps hold `count` values each, and the points, which are only read, are
                // those of a channel and `count` filters.
                unsafe {
                    (engine.wino_kernel_gradient)(&Transform {
                        pixels,
                        points: points[at..].as_ptr().cast_mut(),
                        step: plane,
                        channels: count,
                        bias: null(),
                    });
                }
            }
            for (tap, lines) in lines.chunks_exact(BLOCK * count).enumerate() {
                run(Turn {
                    from: lines,
                    from_stride: count,
                    to: &mut dw[tap * channels + channel..],
                    to_stride: filter,
                    size: [rows, count],
                });
            }
        }
    })
}

/// `to[j, i] = from[i, j]` for `size` rows and columns of `from`.
struct Turn<'a> {
    from: &'a [f32],
    from_stride: usize,
    to: &'a mut [f32],
    to_stride: usize,
    size: [usize; 2],
}

impl Kernel for Turn<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Isa>(self, isa: S) {
        let [rows, columns] = self.size;
        let (whole_rows, whole_columns) = (rows / 8 * 8, columns / 8 * 8);
        for row in (0..whole_rows).step_by(8) {
            for column in (0..whole_columns).step_by(8) {
                let mut lines: [&[f32]; 8] = [&[]; 8];
                for (i, line) in lines.iter_mut().enumerate() {
                    *line = &self.from[(row + i) * self.from_stride + column..][..8];
                }
                let to = &mut self.to[column * self.to_stride + row..];
                isa.turn8(lines, to, self.to_stride);
            }
        }
        // What does not fill blocks of eight, as on registers of four lanes.
        for row in 0..rows {
            let begun = if row < whole_rows { whole_columns } else { 0 };
            for column in begun..columns {
                self.to[column * self.to_stride + row] = self.from[row * self.from_stride + column];
            }
        }
    }
}
