//! Pooling and nearest-neighbour upsampling of NHWC images.
//!
//! Shape legend: `B` images, `H x W` pixels, `C` channels, `Ho x Wo` outputs with
//! `Ho = (H + 2 padding - kernel) / stride + 1` (rounded down) and `Wo` alike. Vector registers run
//! along the channels; tasks are images, or rows of them where there are few.

mod average;
mod max;
mod operation;
mod whole;
mod window;

use burn::tensor::Tensor;
use burn::tensor::module;
use burn::tensor::ops::{AvgPoolOptions, MaxPoolOptions};

use crate::flex::{apply, supported};
use average::AvgPool;
use operation::MaxPool;
use whole::{GlobalAvgPool, Upsample};
use window::Window;

/// The largest value of every window, `[B, H, W, C] -> [B, Ho, Wo, C]`, as PyTorch's `max_pool2d`:
/// padding never wins, NaN does, and the first of equal values receives the gradient.
///
/// Source: Ranzato, Huang, Boureau and LeCun, "Unsupervised Learning of Invariant Feature Hierarchies"
/// (2007).
///
/// # Panics
/// If the stride is 0, `kernel` is 0, above 16 or below `2 padding`, or exceeds the padded image.
#[track_caller]
pub fn max_pool2d(x: Tensor<4>, kernel: usize, stride: usize, padding: usize) -> Tensor<4> {
    let window = Window::new("max_pool2d", x.dims(), kernel, stride, padding);
    assert!(
        kernel <= 16,
        "max_pool2d: kernel is {kernel}, expected at most 16"
    );
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
/// Source: LeCun et al., "Gradient-Based Learning Applied to Document Recognition" (1998), where it is
/// called subsampling.
///
/// # Panics
/// As [`max_pool2d`], without the limit of 16.
#[track_caller]
pub fn avg_pool2d(x: Tensor<4>, kernel: usize, stride: usize, padding: usize) -> Tensor<4> {
    average("avg_pool2d", x, kernel, stride, padding, true)
}

/// [`avg_pool2d`] over the pixels of the image alone, as PyTorch's with `count_include_pad=False`: a
/// window over the border is divided by fewer.
///
/// # Panics
/// As [`avg_pool2d`].
#[track_caller]
pub fn avg_pool2d_inside(x: Tensor<4>, kernel: usize, stride: usize, padding: usize) -> Tensor<4> {
    average("avg_pool2d_inside", x, kernel, stride, padding, false)
}

#[track_caller]
fn average(
    name: &str,
    x: Tensor<4>,
    kernel: usize,
    stride: usize,
    padding: usize,
    padding_counts: bool,
) -> Tensor<4> {
    let window = Window::new(name, x.dims(), kernel, stride, padding);
    let pool = AvgPool {
        window,
        padding_counts,
    };
    if supported(&x) {
        apply(pool, [x.into_dispatch()])
    } else {
        average_reference(x, kernel, stride, padding, padding_counts)
    }
}

/// [`avg_pool2d`] by Burn's own operations, for any device.
pub fn avg_pool2d_reference(
    x: Tensor<4>,
    kernel: usize,
    stride: usize,
    padding: usize,
) -> Tensor<4> {
    average_reference(x, kernel, stride, padding, true)
}

/// [`avg_pool2d_inside`] by Burn's own operations, for any device.
pub fn avg_pool2d_inside_reference(
    x: Tensor<4>,
    kernel: usize,
    stride: usize,
    padding: usize,
) -> Tensor<4> {
    average_reference(x, kernel, stride, padding, false)
}

fn average_reference(
    x: Tensor<4>,
    kernel: usize,
    stride: usize,
    padding: usize,
    padding_counts: bool,
) -> Tensor<4> {
    let options = AvgPoolOptions::new([kernel; 2])
        .with_stride([stride; 2])
        .with_padding([padding; 2])
        .with_count_include_pad(padding_counts);
    channels_last(x, |x| module::avg_pool2d(x, options))
}

/// The mean over all pixels, `[B, H, W, C] -> [B, C]`.
///
/// Source: Lin, Chen and Yan, "Network In Network" (2014), section 3.2.
///
/// # Panics
/// If the images have no pixels.
#[track_caller]
pub fn global_avg_pool(x: Tensor<4>) -> Tensor<2> {
    let dims = x.dims();
    assert!(
        dims[1] * dims[2] > 0,
        "global_avg_pool: x is {dims:?}, expected images with pixels"
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

/// Repeats every pixel `factor` times in both directions, `[B, H, W, C] -> [B, H·f, W·f, C]`:
/// `y[b, i, j, c] = x[b, i / f, j / f, c]` (rounded down). The gradient of a pixel is the sum of its copies'.
///
/// Source: PyTorch's `interpolate(mode="nearest")`; in networks, Odena, Dumoulin and Olah, "Deconvolution and
/// Checkerboard Artifacts" (2016).
///
/// # Panics
/// If the factor is 0.
#[track_caller]
pub fn upsample_nearest2d(x: Tensor<4>, factor: usize) -> Tensor<4> {
    assert!(
        factor > 0,
        "upsample_nearest2d: the factor is 0, expected one above"
    );
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
