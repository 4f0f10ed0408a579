//! The kernels of [`super::max_pool2d`].

use std::mem::MaybeUninit;
use std::ops::Range;

use rayon::prelude::*;

use super::window::{Window, rows_per_task};
use crate::buffer::build_with;
use crate::simd::{Isa, Kernel, run};

/// Channels that are held in registers.
const BLOCK: usize = 16;

/// The outputs, and for each of them the tap of its window that won.
pub fn forward(window: Window, x: &[f32]) -> (Vec<f32>, Vec<u8>) {
    let size = window.dims[0] * window.out_image();
    assert!(x.len() == window.dims[0] * window.image());
    let rows = rows_per_task(window.dims[0], window.out[0], 1);
    let mut taps = Vec::new();
    // SAFETY: the rows of all images are all outputs, and `MaxForward` writes all of its rows.
    let y = unsafe {
        build_with(size, |y| {
            taps = build_with(size, |taps| {
                y.par_chunks_mut(window.out_image().max(1))
                    .zip(taps.par_chunks_mut(window.out_image().max(1)))
                    .zip(x.par_chunks(window.image().max(1)))
                    .for_each(|((y, taps), x)| {
                        y.par_chunks_mut(rows * window.out_line())
                            .zip(taps.par_chunks_mut(rows * window.out_line()))
                            .enumerate()
                            .for_each(|(task, (y, taps))| {
                                let first = task * rows;
                                run(MaxForward {
                                    window,
                                    first,
                                    x,
                                    y,
                                    taps,
                                });
                            });
                    });
            });
        })
    };
    (y, taps)
}

/// The gradient of the input from that of the outputs and the taps that won.
pub fn backward(window: Window, taps: &[u8], dy: &[f32]) -> Vec<f32> {
    let size = window.dims[0] * window.out_image();
    assert!(taps.len() == size && dy.len() == size);
    let rows = rows_per_task(window.dims[0], window.dims[1], 2);
    // SAFETY: the rows of all images are all pixels, and `MaxBackward` writes all of its rows.
    unsafe {
        build_with(window.dims[0] * window.image(), |dx| {
            dx.par_chunks_mut(window.image().max(1))
                .zip(taps.par_chunks(window.out_image().max(1)))
                .zip(dy.par_chunks(window.out_image().max(1)))
                .for_each(|((dx, taps), dy)| {
                    dx.par_chunks_mut(rows * window.line())
                        .enumerate()
                        .for_each(|(task, dx)| {
                            let first = task * rows;
                            run(MaxBackward {
                                window,
                                first,
                                dy,
                                taps,
                                dx,
                            });
                        });
                });
        })
    }
}

/// Some rows of an image's outputs, from row `first` on.
struct MaxForward<'a> {
    window: Window,
    first: usize,
    x: &'a [f32],
    y: &'a mut [MaybeUninit<f32>],
    taps: &'a mut [MaybeUninit<u8>],
}

impl Kernel for MaxForward<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Isa>(self, _: S) {
        let window = self.window;
        let (line, channels) = (window.line(), window.dims[3]);
        let halving = window.is_halving();
        let rows = self
            .y
            .chunks_exact_mut(window.out_line())
            .zip(self.taps.chunks_exact_mut(window.out_line()));
        for (row, (y, taps)) in rows.enumerate() {
            let row = self.first + row;
            let down = window.taps(0, row);
            let outputs = y
                .chunks_exact_mut(channels)
                .zip(taps.chunks_exact_mut(channels));
            for (column, (y, taps)) in outputs.enumerate() {
                let right = window.taps(1, column);
                let at = window.pixel(row, down.start) * line
                    + window.pixel(column, right.start) * channels;
                let x = &self.x[at..];
                let size = [line, channels];
                if halving {
                    maxima(x, size, 2, [0..2, 0..2], y, taps);
                } else {
                    maxima(x, size, window.kernel, [down.clone(), right], y, taps);
                }
            }
        }
    }
}

/// The maxima of one window; `x` begins at its first pixel inside the image.
#[inline(always)]
fn maxima(
    x: &[f32],
    size: [usize; 2],
    kernel: usize,
    inside: [Range<usize>; 2],
    y: &mut [MaybeUninit<f32>],
    taps: &mut [MaybeUninit<u8>],
) {
    let (y_blocks, y_rest) = y.as_chunks_mut::<BLOCK>();
    let (tap_blocks, tap_rest) = taps.as_chunks_mut::<BLOCK>();
    let blocks = y_blocks.len();
    for (block, (y, taps)) in y_blocks.iter_mut().zip(tap_blocks).enumerate() {
        block_maxima(&x[block * BLOCK..], size, kernel, inside.clone(), y, taps);
    }
    for (i, (y, tap)) in y_rest.iter_mut().zip(tap_rest).enumerate() {
        let (y, tap) = (std::array::from_mut(y), std::array::from_mut(tap));
        let x = &x[blocks * BLOCK + i..];
        block_maxima(x, size, kernel, inside.clone(), y, tap);
    }
}

/// The maxima of some channels of one window.
#[inline(always)]
fn block_maxima<const N: usize>(
    x: &[f32],
    [line, channels]: [usize; 2],
    kernel: usize,
    [down, right]: [Range<usize>; 2],
    y: &mut [MaybeUninit<f32>; N],
    taps: &mut [MaybeUninit<u8>; N],
) {
    let mut best = [f32::NEG_INFINITY; N];
    let mut winner = [0u32; N];
    for (row, i) in down.enumerate() {
        for (column, j) in right.clone().enumerate() {
            let x = &x[row * line + column * channels..][..N];
            let tap = (i * kernel + j) as u32;
            for l in 0..N {
                let wins = (x[l] > best[l]) | x[l].is_nan();
                best[l] = if wins { x[l] } else { best[l] };
                winner[l] = if wins { tap } else { winner[l] };
            }
        }
    }
    for l in 0..N {
        y[l].write(best[l]);
        taps[l].write(winner[l] as u8);
    }
}

/// Some rows of an image's pixels, from row `first` on.
struct MaxBackward<'a> {
    window: Window,
    first: usize,
    dy: &'a [f32],
    taps: &'a [u8],
    dx: &'a mut [MaybeUninit<f32>],
}

impl Kernel for MaxBackward<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Isa>(self, _: S) {
        let (window, channels) = (self.window, self.window.dims[3]);
        for (row, dx) in self.dx.chunks_exact_mut(window.line()).enumerate() {
            let row = self.first + row;
            let down = window.outputs(0, row);
            for (column, dx) in dx.chunks_exact_mut(channels).enumerate() {
                let right = window.outputs(1, column);
                let windows = down
                    .clone()
                    .flat_map(|i| right.clone().map(move |j| (i, j)));
                let mut first = true;
                for (i, j) in windows {
                    let at = i * window.out_line() + j * channels;
                    let tap = window.tap(i, row) * window.kernel + window.tap(j, column);
                    let (dy, taps) = (&self.dy[at..][..channels], &self.taps[at..][..channels]);
                    share(tap as u8, dy, taps, dx, first);
                    first = false;
                }
                if first {
                    dx.fill(MaybeUninit::new(0.0));
                }
            }
        }
    }
}

/// Gives a pixel its share of one window: all of it where its tap won. The first writes, later ones add.
#[inline(always)]
fn share(tap: u8, dy: &[f32], taps: &[u8], dx: &mut [MaybeUninit<f32>], first: bool) {
    for ((dx, &winner), &dy) in dx.iter_mut().zip(taps).zip(dy) {
        let gain = if winner == tap { dy } else { 0.0 };
        let old = if first {
            0.0
        } else {
            // SAFETY: what is added to has been written by the first window.
            unsafe { dx.assume_init() }
        };
        dx.write(old + gain);
    }
}
