//! The kernels of [`super::avg_pool2d`].

use burn::backend::flex::FlexTensor;
use rayon::prelude::*;

use super::rows_per_task;
use super::window::Window;
use crate::flex::{Dense, Fused, tensor};
use crate::simd::{Isa, Kernel, run};

#[derive(Clone, Debug)]
pub struct AvgPool(pub Window);

impl AvgPool {
    fn scale(&self) -> f32 {
        1.0 / (self.0.kernel * self.0.kernel) as f32
    }
}

impl Fused<1> for AvgPool {
    type Saved = ();

    fn forward(&self, [x]: &[Dense; 1]) -> (FlexTensor, ()) {
        let (window, scale) = (self.0, self.scale());
        let (line, channels) = (window.line(), window.dims[3]);
        let pixels = |row: usize, column: usize| {
            let (down, right) = (window.taps(0, row), window.taps(1, column));
            let down = down.map(move |tap| window.pixel(row, tap) * line);
            down.flat_map(move |at| {
                let right = right.clone();
                right.map(move |tap| at + window.pixel(column, tap) * channels)
            })
        };
        let sizes = [window.image(), window.out[0], window.out[1], channels];
        let y = means(sizes, x.values(), window.dims[0], scale, pixels);
        (tensor(y, window.out_dims()), ())
    }

    fn backward(&self, (): (), dy: Dense, _: [bool; 1]) -> [Option<FlexTensor>; 1] {
        let (window, scale) = (self.0, self.scale());
        let (line, channels) = (window.out_line(), window.dims[3]);
        let outputs = |row: usize, column: usize| {
            let (down, right) = (window.outputs(0, row), window.outputs(1, column));
            down.flat_map(move |i| right.clone().map(move |j| i * line + j * channels))
        };
        let sizes = [window.out_image(), window.dims[1], window.dims[2], channels];
        let dx = means(sizes, dy.values(), window.dims[0], scale, outputs);
        [Some(tensor(dx, window.dims))]
    }
}

/// For every pixel `(row, column)` of `images` images of `rows x columns` pixels, the scaled sum of the
/// pixels of `source` that begin at the offsets `of` names.
fn means<I: Iterator<Item = usize>>(
    [image, rows, columns, channels]: [usize; 4],
    source: &[f32],
    images: usize,
    scale: f32,
    of: impl Fn(usize, usize) -> I + Sync,
) -> Vec<f32> {
    let line = columns * channels;
    let block = rows_per_task(images, rows, 1);
    let mut means = vec![0.0f32; images * rows * line];
    means
        .par_chunks_mut((rows * line).max(1))
        .zip(source.par_chunks(image.max(1)))
        .for_each(|(means, source)| {
            means
                .par_chunks_mut(block * line)
                .enumerate()
                .for_each(|(task, means)| {
                    run(Means {
                        first: task * block,
                        line,
                        channels,
                        source,
                        means,
                        scale,
                        of: &of,
                    });
                });
        });
    means
}

/// Some rows of [`means`], from row `first` on.
struct Means<'a, F> {
    first: usize,
    line: usize,
    channels: usize,
    source: &'a [f32],
    means: &'a mut [f32],
    scale: f32,
    of: &'a F,
}

impl<I: Iterator<Item = usize>, F: Fn(usize, usize) -> I> Kernel for Means<'_, F> {
    type Output = ();

    #[inline(always)]
    fn run<S: Isa>(self, _: S) {
        let channels = self.channels;
        for (row, means) in self.means.chunks_exact_mut(self.line).enumerate() {
            for (column, means) in means.chunks_exact_mut(channels).enumerate() {
                for at in (self.of)(self.first + row, column) {
                    let source = &self.source[at..][..channels];
                    for (mean, value) in means.iter_mut().zip(source) {
                        *mean += value * self.scale;
                    }
                }
            }
        }
    }
}
