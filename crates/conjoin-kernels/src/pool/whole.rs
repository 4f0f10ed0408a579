//! The kernels of [`super::global_avg_pool`] and [`super::upsample_nearest2d`].

use burn::backend::flex::FlexTensor;
use rayon::prelude::*;

use crate::flex::{Dense, Fused, tensor};

#[derive(Clone, Debug)]
pub struct GlobalAvgPool(pub [usize; 4]);

impl Fused<1> for GlobalAvgPool {
    type Saved = ();

    fn forward(&self, [x]: &[Dense; 1]) -> (FlexTensor, ()) {
        let [batch, height, width, channels] = self.0;
        let scale = 1.0 / (height * width) as f32;
        let mut y = vec![0.0f32; batch * channels];
        y.par_chunks_mut(channels.max(1))
            .zip(x.values().par_chunks((height * width * channels).max(1)))
            .for_each(|(y, x)| {
                for pixel in x.chunks_exact(channels) {
                    y.iter_mut().zip(pixel).for_each(|(y, x)| *y += x);
                }
                for y in y.iter_mut() {
                    *y *= scale;
                }
            });
        (tensor(y, [batch, channels]), ())
    }

    fn backward(&self, (): (), dy: Dense, _: [bool; 1]) -> [Option<FlexTensor>; 1] {
        let [_, height, width, channels] = self.0;
        let scale = 1.0 / (height * width) as f32;
        let mut dx = vec![0.0f32; self.0.iter().product()];
        dx.par_chunks_mut((height * width * channels).max(1))
            .zip(dy.values().par_chunks(channels.max(1)))
            .for_each(|(dx, dy)| {
                for pixel in dx.chunks_exact_mut(channels) {
                    pixel
                        .iter_mut()
                        .zip(dy)
                        .for_each(|(dx, dy)| *dx = dy * scale);
                }
            });
        [Some(tensor(dx, self.0))]
    }
}

#[derive(Clone, Debug)]
pub struct Upsample {
    pub dims: [usize; 4],
    pub factor: usize,
}

impl Upsample {
    /// Values of an input row, and of the `factor` output rows it becomes.
    fn lines(&self) -> [usize; 2] {
        let line = self.dims[2] * self.dims[3];
        [line.max(1), (line * self.factor * self.factor).max(1)]
    }
}

impl Fused<1> for Upsample {
    type Saved = ();

    fn forward(&self, [x]: &[Dense; 1]) -> (FlexTensor, ()) {
        let ([batch, height, width, channels], factor) = (self.dims, self.factor);
        let [line, lines] = self.lines();
        let mut y = vec![0.0f32; x.values().len() * factor * factor];
        y.par_chunks_mut(lines)
            .zip(x.values().par_chunks(line))
            .for_each(|(y, x)| {
                for y in y.chunks_exact_mut(line * factor) {
                    for (y, x) in y
                        .chunks_exact_mut(factor * channels)
                        .zip(x.chunks_exact(channels))
                    {
                        y.chunks_exact_mut(channels)
                            .for_each(|y| y.copy_from_slice(x));
                    }
                }
            });
        (
            tensor(y, [batch, height * factor, width * factor, channels]),
            (),
        )
    }

    fn backward(&self, (): (), dy: Dense, _: [bool; 1]) -> [Option<FlexTensor>; 1] {
        let (channels, factor) = (self.dims[3], self.factor);
        let [line, lines] = self.lines();
        let mut dx = vec![0.0f32; self.dims.iter().product()];
        dx.par_chunks_mut(line)
            .zip(dy.values().par_chunks(lines))
            .for_each(|(dx, dy)| {
                for dy in dy.chunks_exact(line * factor) {
                    for (dx, dy) in dx
                        .chunks_exact_mut(channels)
                        .zip(dy.chunks_exact(factor * channels))
                    {
                        for dy in dy.chunks_exact(channels) {
                            dx.iter_mut().zip(dy).for_each(|(dx, dy)| *dx += dy);
                        }
                    }
                }
            });
        [Some(tensor(dx, self.dims))]
    }
}
