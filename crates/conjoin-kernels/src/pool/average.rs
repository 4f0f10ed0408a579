//! The kernels of [`super::avg_pool2d`].

use std::mem::MaybeUninit;

use rayon::prelude::*;

use super::window::{Window, rows_per_task};
use crate::buffer::build_with;
use crate::simd::{Isa, Kernel, run};

#[derive(Clone, Debug)]
pub struct AvgPool {
    pub window: Window,
    /// Whether zeros of the padding count.
    pub padding_counts: bool,
}

impl AvgPool {
    /// One over the pixels that count, for every window of an image.
    fn scales(&self) -> Vec<f32> {
        let window = self.window;
        let counted = |axis: usize, output: usize| {
            if self.padding_counts {
                window.kernel
            } else {
                window.taps(axis, output).len()
            }
        };
        let pixels = (0..window.out[0]).flat_map(|i| (0..window.out[1]).map(move |j| (i, j)));
        // A window may lie in the padding alone.
        let scale = |(i, j)| 1.0 / (counted(0, i) * counted(1, j)).max(1) as f32;
        pixels.map(scale).collect()
    }
}

impl AvgPool {
    /// The outputs.
    pub fn forward(&self, x: &[f32]) -> Vec<f32> {
        let (window, scales) = (self.window, self.scales());
        assert!(x.len() == window.dims[0] * window.image());
        let (line, channels) = (window.line(), window.dims[3]);
        let pixels = |row: usize, column: usize| {
            let scale = scales[row * window.out[1] + column];
            let (down, right) = (window.taps(0, row), window.taps(1, column));
            let down = down.map(move |tap| window.pixel(row, tap) * line);
            down.flat_map(move |at| {
                let right = right.clone();
                right.map(move |tap| (at + window.pixel(column, tap) * channels, scale))
            })
        };
        let sizes = [window.image(), window.out[0], window.out[1], channels];
        sums(sizes, x, window.dims[0], pixels)
    }

    /// The gradient of the input from that of the outputs.
    pub fn backward(&self, dy: &[f32]) -> Vec<f32> {
        let (window, scales) = (self.window, self.scales());
        assert!(dy.len() == window.dims[0] * window.out_image());
        let (columns, channels, scales) = (window.out[1], window.dims[3], &scales);
        let outputs = |row: usize, column: usize| {
            let (down, right) = (window.outputs(0, row), window.outputs(1, column));
            let outputs = down.flat_map(move |i| right.clone().map(move |j| i * columns + j));
            outputs.map(move |output| (output * channels, scales[output]))
        };
        let sizes = [window.out_image(), window.dims[1], window.dims[2], channels];
        sums(sizes, dy, window.dims[0], outputs)
    }
}

/// For every pixel `(row, column)` of `images` images of `rows x columns` pixels, the sum of pixels of
/// `source`: `of` names where each begins and its factor.
fn sums<I: Iterator<Item = (usize, f32)>>(
    [image, rows, columns, channels]: [usize; 4],
    source: &[f32],
    images: usize,
    of: impl Fn(usize, usize) -> I + Sync,
) -> Vec<f32> {
    let line = columns * channels;
    let block = rows_per_task(images, rows, 1);
    let write = |sums: &mut [MaybeUninit<f32>]| {
        sums.par_chunks_mut((rows * line).max(1))
            .zip(source.par_chunks(image.max(1)))
            .for_each(|(sums, source)| {
                sums.par_chunks_mut(block * line)
                    .enumerate()
                    .for_each(|(task, sums)| {
                        run(Sums {
                            first: task * block,
                            line,
                            channels,
                            source,
                            to: sums,
                            of: &of,
                        });
                    });
            });
    };
    // SAFETY: the rows of all images are all pixels, and `Sums` writes all of its rows.
    unsafe { build_with(images * rows * line, write) }
}

/// Some rows of [`sums`], from row `first` on.
struct Sums<'a, F> {
    first: usize,
    line: usize,
    channels: usize,
    source: &'a [f32],
    to: &'a mut [MaybeUninit<f32>],
    of: &'a F,
}

impl<I: Iterator<Item = (usize, f32)>, F: Fn(usize, usize) -> I> Kernel for Sums<'_, F> {
    type Output = ();

    #[inline(always)]
    fn run<S: Isa>(self, _: S) {
        let channels = self.channels;
        for (row, to) in self.to.chunks_exact_mut(self.line).enumerate() {
            for (column, to) in to.chunks_exact_mut(channels).enumerate() {
                let mut terms = (self.of)(self.first + row, column);
                let Some((at, factor)) = terms.next() else {
                    to.fill(MaybeUninit::new(0.0));
                    continue;
                };
                for (sum, value) in to.iter_mut().zip(&self.source[at..][..channels]) {
                    sum.write(value * factor);
                }
                for (at, factor) in terms {
                    for (sum, value) in to.iter_mut().zip(&self.source[at..][..channels]) {
                        // SAFETY: the first term has been written.
                        let old = unsafe { sum.assume_init() };
                        sum.write(old + value * factor);
                    }
                }
            }
        }
    }
}
