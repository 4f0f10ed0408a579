//! Pooling over windows: the kernels of [`super::max_pool2d`] and [`super::avg_pool2d`].

use std::sync::Arc;

use burn::backend::flex::FlexTensor;
use rayon::prelude::*;

use crate::buffer::build_one;
use crate::flex::{Dense, Fused, tensor};
use crate::simd::{Isa, Kernel, run};

/// Sizes of a pooling.
#[derive(Clone, Copy, Debug)]
pub struct Window {
    dims: [usize; 4],
    out: [usize; 2],
    kernel: usize,
    stride: usize,
    padding: usize,
}

impl Window {
    pub fn new(name: &str, dims: [usize; 4], kernel: usize, stride: usize, padding: usize) -> Self {
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
pub struct MaxPool(pub Window);

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
                });
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
pub struct AvgPool {
    pub window: Window,
    /// Whether zeros of the padding count.
    pub padding_counts: bool,
}

impl Fused<1> for AvgPool {
    type Saved = ();

    fn forward(&self, [x]: &[Dense; 1]) -> (FlexTensor, ()) {
        let window = self.window;
        let scales = self.scales();
        let image = window.image();
        let values = x.values();
        let y = build_one(
            window.dims[0] * window.out_image(),
            window.out_image(),
            |first, to| {
                let from = &values[first / window.out_image() * image..][..image];
                let scales = &scales;
                run(AddWindows {
                    window,
                    scales,
                    from,
                    to,
                    gather: true,
                });
            },
        );
        (tensor(y, window.out_dims()), ())
    }

    fn backward(&self, (): (), dy: Dense, _: [bool; 1]) -> [Option<FlexTensor>; 1] {
        let window = self.window;
        let scales = self.scales();
        let image = window.out_image();
        let values = dy.values();
        let dx = build_one(
            window.dims[0] * window.image(),
            window.image(),
            |first, to| {
                let from = &values[first / window.image() * image..][..image];
                let scales = &scales;
                run(AddWindows {
                    window,
                    scales,
                    from,
                    to,
                    gather: false,
                });
            },
        );
        [Some(tensor(dx, window.dims))]
    }
}

impl AvgPool {
    /// One over the pixels that count, for every window of an image.
    fn scales(&self) -> Vec<f32> {
        let Window {
            dims,
            out,
            kernel,
            stride,
            padding,
        } = self.window;
        let counted = |axis: usize| {
            (0..out[axis]).map(move |i| {
                let (first, last) = (i * stride, i * stride + kernel);
                let inside = first.max(padding)..last.min(dims[axis + 1] + padding);
                if self.padding_counts {
                    kernel
                } else {
                    inside.len()
                }
            })
        };
        counted(0)
            .flat_map(|rows| counted(1).map(move |columns| 1.0 / (rows * columns).max(1) as f32))
            .collect()
    }
}

/// Adds scaled pixels to their windows' outputs (`gather`), or outputs to their pixels.
struct AddWindows<'a> {
    window: Window,
    /// A factor for each output pixel.
    scales: &'a [f32],
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
            let scale = self.scales[output / channels];
            let (from, to) = if self.gather {
                (input, output)
            } else {
                (output, input)
            };
            let from = &self.from[from..][..channels];
            for (to, from) in self.to[to..][..channels].iter_mut().zip(from) {
                *to += from * scale;
            }
        });
    }
}
