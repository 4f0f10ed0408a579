//! Convolutions by Burn's own operations: what runs on other devices, and what tests compare the fused
//! ones with. Arguments and results as in the functions of the same names one level up.

use burn::tensor::Tensor;
use burn::tensor::module;
use burn::tensor::ops::{ConvOptions as BurnOptions, ConvTransposeOptions};

use super::options::ConvOptions;

fn options<const N: usize>(options: ConvOptions<N>) -> BurnOptions<N> {
    let ConvOptions {
        stride,
        padding,
        dilation,
        groups,
    } = options;
    BurnOptions::new(stride, padding, dilation, groups)
}

fn transpose_options<const N: usize>(
    options: ConvOptions<N>,
    output_padding: [usize; N],
) -> ConvTransposeOptions<N> {
    let ConvOptions {
        stride,
        padding,
        dilation,
        groups,
    } = options;
    ConvTransposeOptions::new(stride, padding, output_padding, dilation, groups)
}

/// See [`conv2d`](super::conv2d).
pub fn conv2d(
    x: Tensor<4>,
    w: Tensor<4>,
    bias: Option<Tensor<1>>,
    conv: ConvOptions<2>,
) -> Tensor<4> {
    let (x, w) = (x.permute([0, 3, 1, 2]), w.permute([0, 3, 1, 2]));
    module::conv2d(x, w, bias, options(conv)).permute([0, 2, 3, 1])
}

/// See [`conv1d`](super::conv1d). Along images of one row, because Burn 0.22.1 sums the wrong weight gradient
/// for a 1-D convolution of several groups whose last steps no output reads (T + 2 padding - reach is not a
/// multiple of the stride).
pub fn conv1d(
    x: Tensor<3>,
    w: Tensor<3>,
    bias: Option<Tensor<1>>,
    conv: ConvOptions<1>,
) -> Tensor<3> {
    let row = |[outer, time, channels]: [usize; 3]| [outer, 1, time, channels];
    let (image, kernel) = (row(x.dims()), row(w.dims()));
    let y = conv2d(x.reshape(image), w.reshape(kernel), bias, conv.in_two());
    let [batch, _, time, filters] = y.dims();
    y.reshape([batch, time, filters])
}

/// See [`conv_transpose2d`](super::conv_transpose2d).
pub fn conv_transpose2d(
    x: Tensor<4>,
    w: Tensor<4>,
    bias: Option<Tensor<1>>,
    conv: ConvOptions<2>,
    output_padding: [usize; 2],
) -> Tensor<4> {
    let (x, w) = (x.permute([0, 3, 1, 2]), w.permute([0, 3, 1, 2]));
    let options = transpose_options(conv, output_padding);
    module::conv_transpose2d(x, w, bias, options).permute([0, 2, 3, 1])
}

/// See [`conv_transpose1d`](super::conv_transpose1d).
pub fn conv_transpose1d(
    x: Tensor<3>,
    w: Tensor<3>,
    bias: Option<Tensor<1>>,
    conv: ConvOptions<1>,
    output_padding: usize,
) -> Tensor<3> {
    let (x, w) = (x.swap_dims(1, 2), w.swap_dims(1, 2));
    let options = transpose_options(conv, [output_padding]);
    module::conv_transpose1d(x, w, bias, options).swap_dims(1, 2)
}
