//! Pooling and nearest-neighbour upsampling of NHWC images.
//!
//! Shape legend: `B` images, `H x W` pixels, `C` channels, `Ho x Wo` outputs with
//! `Ho = (H + 2 padding - kernel) / stride + 1` (rounded down) and `Wo` alike. Vector registers run
//! along the channels; tasks are images.

use std::sync::Arc;

use burn::backend::flex::FlexTensor;
use burn::tensor::Tensor;
use burn::tensor::module;
use burn::tensor::ops::{AvgPoolOptions, MaxPoolOptions};
use rayon::prelude::*;

use crate::flex::{Dense, Fused, apply, supported, tensor};
use crate::simd::{Isa, Kernel, run};

/// The largest value of every window, `[B, H, W, C] -> [B, Ho, Wo, C]`, as PyTorch's `max_pool2d`:
/// padding never wins, NaN does, and the first of equal values receives the gradient.
///
/// # Panics
/// If the stride is 0, `kernel` is 0, above 16 or below `2 padding`, or exceeds the padded image.
pub fn max_pool2d(x: Tensor<4>, kernel: usize, stride: usize, padding: usize) -> Tensor<4> {
    let window = Window::new("max_pool2d", x.dims(), kernel, stride, padding);
    assert!(kernel <= 16, "max_pool2d: a kernel of {kernel} is above 16");
    if supported(&x) {
        apply(MaxPool(window), [x.into_dispatch()])
    } else {
        max_pool2d_reference(x, kernel, stride, padding)
    }
}

/// [`max_pool2d`] by Burn's own operations, for any device.
pub fn max_pool2d_reference(
    x: Tensor<4>,
    kernel: usize,
    stride: usize,
    padding: usize,
) -> Tensor<4> {
    let options = MaxPoolOptions::new([kernel; 2])
        .with_stride([stride; 2])
        .with_padding([padding; 2]);
    channels_last(x, |x| module::max_pool2d(x, options))
}

/// The mean of every window, `[B, H, W, C] -> [B, Ho, Wo, C]`, as PyTorch's `avg_pool2d`: zeros of the
/// padding count.
///
/// # Panics
/// As [`max_pool2d`], without the limit of 16.
pub fn avg_pool2d(x: Tensor<4>, kernel: usize, stride: usize, padding: usize) -> Tensor<4> {
    let window = Window::new("avg_pool2d", x.dims(), kernel, stride, padding);
    if supported(&x) {
        apply(AvgPool(window), [x.into_dispatch()])
    } else {
        avg_pool2d_reference(x, kernel, stride, padding)
    }
}

/// [`avg_pool2d`] by Burn's own operations, for any device.
pub fn avg_pool2d_reference(
    x: Tensor<4>,
    kernel: usize,
    stride: usize,
    padding: usize,
) -> Tensor<4> {
    let options = AvgPoolOptions::new([kernel; 2])
        .with_stride([stride; 2])
        .with_padding([padding; 2])
        .with_count_include_pad(true);
    channels_last(x, |x| module::avg_pool2d(x, options))
}

/// The mean over all pixels, `[B, H, W, C] -> [B, C]`.
///
/// # Panics
/// If the images have no pixels.
pub fn global_avg_pool(x: Tensor<4>) -> Tensor<2> {
    let dims = x.dims();
    assert!(
        dims[1] * dims[2] > 0,
        "global_avg_pool: the images have no pixels"
    );
    if supported(&x) {
        apply(GlobalAvgPool(dims), [x.into_dispatch()])
    } else {
        global_avg_pool_reference(x)
    }
}

/// [`global_avg_pool`] by Burn's own operations, for any device.
pub fn global_avg_pool_reference(x: Tensor<4>) -> Tensor<2> {
    let [batch, height, width, channels] = x.dims();
    x.reshape([batch, height * width, channels])
        .mean_dim(1)
        .reshape([batch, channels])
}

/// Repeats every pixel `factor` times in both directions, `[B, H, W, C] -> [B, H·f, W·f, C]`, as
/// PyTorch's `interpolate(mode="nearest")`.
///
/// # Panics
/// If the factor is 0.
pub fn upsample_nearest2d(x: Tensor<4>, factor: usize) -> Tensor<4> {
    assert!(factor > 0, "upsample_nearest2d: the factor is 0");
    if supported(&x) {
        apply(
            Upsample {
                dims: x.dims(),
                factor,
            },
            [x.into_dispatch()],
        )
    } else {
        upsample_nearest2d_reference(x, factor)
    }
}

/// [`upsample_nearest2d`] by Burn's own operations, for any device.
pub fn upsample_nearest2d_reference(x: Tensor<4>, factor: usize) -> Tensor<4> {
    let [batch, height, width, channels] = x.dims();
    x.reshape([batch, height, 1, width, 1, channels])
        .expand([batch, height, factor, width, factor, channels])
        .reshape([batch, height * factor, width * factor, channels])
}

/// Runs an operation of NCHW images on NHWC ones.
fn channels_last(x: Tensor<4>, operation: impl FnOnce(Tensor<4>) -> Tensor<4>) -> Tensor<4> {
    operation(x.permute([0, 3, 1, 2])).permute([0, 2, 3, 1])
}

/// Sizes of a pooling.
#[derive(Clone, Copy, Debug)]
struct Window {
    dims: [usize; 4],
    out: [usize; 2],
    kernel: usize,
    stride: usize,
    padding: usize,
}

impl Window {
    fn new(name: &str, dims: [usize; 4], kernel: usize, stride: usize, padding: usize) -> Self {
        let [_, height, width, _] = dims;
        assert!(
            stride > 0 && kernel > 0,
            "{name}: the kernel or the stride is 0"
        );
        assert!(
            2 * padding <= kernel,
            "{name}: padding {padding} exceeds half the kernel {kernel}"
        );
        assert!(
            kernel <= height.min(width) + 2 * padding,
            "{name}: a kernel of {kernel} exceeds the padded {height}x{width} image"
        );
        let out = [height, width].map(|size| (size + 2 * padding - kernel) / stride + 1);
        Self {
            dims,
            out,
            kernel,
            stride,
            padding,
        }
    }

    fn image(&self) -> usize {
        self.dims[1] * self.dims[2] * self.dims[3]
    }

    fn out_image(&self) -> usize {
        self.out[0] * self.out[1] * self.dims[3]
    }

    fn out_dims(&self) -> [usize; 4] {
        [self.dims[0], self.out[0], self.out[1], self.dims[3]]
    }

    /// Calls `visit(output, input, tap)` with the first channel of every pair of an output and a pixel
    /// in its window; `tap` counts through the window, padding included.
    #[inline(always)]
    fn pairs(&self, mut visit: impl FnMut(usize, usize, u8)) {
        let [_, height, width, channels] = self.dims;
        for row in 0..self.out[0] {
            for column in 0..self.out[1] {
                let output = (row * self.out[1] + column) * channels;
                for i in 0..self.kernel {
                    let y = (row * self.stride + i).wrapping_sub(self.padding);
                    for j in 0..self.kernel {
                        let x = (column * self.stride + j).wrapping_sub(self.padding);
                        if y < height && x < width {
                            visit(
                                output,
                                (y * width + x) * channels,
                                (i * self.kernel + j) as u8,
                            );
                        }
                    }
                }
            }
        }
    }
}

#[derive(Clone, Debug)]
struct MaxPool(Window);

impl Fused<1> for MaxPool {
    /// For every output the tap of its window that won.
    type Saved = Arc<Vec<u8>>;

    fn forward(&self, [x]: &[Dense; 1]) -> (FlexTensor, Self::Saved) {
        let window = self.0;
        let size = window.dims[0] * window.out_image();
        let (mut y, mut taps) = (vec![f32::NEG_INFINITY; size], vec![0u8; size]);
        y.par_chunks_mut(window.out_image().max(1))
            .zip(taps.par_chunks_mut(window.out_image().max(1)))
            .zip(x.values().par_chunks(window.image().max(1)))
            .for_each(|((y, taps), x)| run(MaxForward { window, x, y, taps }));
        (tensor(y, window.out_dims()), Arc::new(taps))
    }

    fn backward(&self, taps: Self::Saved, dy: Dense, _: [bool; 1]) -> [Option<FlexTensor>; 1] {
        let window = self.0;
        let mut dx = vec![0.0f32; window.dims[0] * window.image()];
        dx.par_chunks_mut(window.image().max(1))
            .zip(taps.par_chunks(window.out_image().max(1)))
            .zip(dy.values().par_chunks(window.out_image().max(1)))
            .for_each(|((dx, taps), dy)| {
                run(MaxBackward {
                    window,
                    dy,
                    taps,
                    dx,
                })
            });
        [Some(tensor(dx, window.dims))]
    }
}

struct MaxForward<'a> {
    window: Window,
    x: &'a [f32],
    y: &'a mut [f32],
    taps: &'a mut [u8],
}

impl Kernel for MaxForward<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Isa>(self, _: S) {
        let channels = self.window.dims[3];
        self.window.pairs(|output, input, tap| {
            let x = &self.x[input..][..channels];
            let y = &mut self.y[output..][..channels];
            let taps = &mut self.taps[output..][..channels];
            for ((y, t), &x) in y.iter_mut().zip(taps).zip(x) {
                let wins = x > *y || x.is_nan();
                *y = if wins { x } else { *y };
                *t = if wins { tap } else { *t };
            }
        });
    }
}

struct MaxBackward<'a> {
    window: Window,
    dy: &'a [f32],
    taps: &'a [u8],
    dx: &'a mut [f32],
}

impl Kernel for MaxBackward<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Isa>(self, _: S) {
        let channels = self.window.dims[3];
        self.window.pairs(|output, input, tap| {
            let dy = &self.dy[output..][..channels];
            let taps = &self.taps[output..][..channels];
            let dx = &mut self.dx[input..][..channels];
            for ((dx, &t), &dy) in dx.iter_mut().zip(taps).zip(dy) {
                *dx += if t == tap { dy } else { 0.0 };
            }
        });
    }
}

#[derive(Clone, Debug)]
struct AvgPool(Window);

impl AvgPool {
    fn scale(&self) -> f32 {
        1.0 / (self.0.kernel * self.0.kernel) as f32
    }
}

impl Fused<1> for AvgPool {
    type Saved = ();

    fn forward(&self, [x]: &[Dense; 1]) -> (FlexTensor, ()) {
        let (window, scale) = (self.0, self.scale());
        let mut y = vec![0.0f32; window.dims[0] * window.out_image()];
        y.par_chunks_mut(window.out_image().max(1))
            .zip(x.values().par_chunks(window.image().max(1)))
            .for_each(|(to, from)| {
                run(AddWindows {
                    window,
                    scale,
                    from,
                    to,
                    gather: true,
                })
            });
        (tensor(y, window.out_dims()), ())
    }

    fn backward(&self, (): (), dy: Dense, _: [bool; 1]) -> [Option<FlexTensor>; 1] {
        let (window, scale) = (self.0, self.scale());
        let mut dx = vec![0.0f32; window.dims[0] * window.image()];
        dx.par_chunks_mut(window.image().max(1))
            .zip(dy.values().par_chunks(window.out_image().max(1)))
            .for_each(|(to, from)| {
                run(AddWindows {
                    window,
                    scale,
                    from,
                    to,
                    gather: false,
                })
            });
        [Some(tensor(dx, window.dims))]
    }
}

/// Adds scaled pixels to their windows' outputs (`gather`), or outputs to their pixels.
struct AddWindows<'a> {
    window: Window,
    scale: f32,
    from: &'a [f32],
    to: &'a mut [f32],
    gather: bool,
}

impl Kernel for AddWindows<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Isa>(self, _: S) {
        let channels = self.window.dims[3];
        self.window.pairs(|output, input, _| {
            let (from, to) = if self.gather {
                (input, output)
            } else {
                (output, input)
            };
            let from = &self.from[from..][..channels];
            for (to, from) in self.to[to..][..channels].iter_mut().zip(from) {
                *to += from * self.scale;
            }
        });
    }
}

#[derive(Clone, Debug)]
struct GlobalAvgPool([usize; 4]);

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
                y.iter_mut().for_each(|y| *y *= scale);
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
struct Upsample {
    dims: [usize; 4],
    factor: usize,
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
