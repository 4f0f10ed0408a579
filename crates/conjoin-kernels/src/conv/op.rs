//! The differentiable operations on Burn tensors.

use burn::backend::flex::FlexTensor;
use burn::tensor::Tensor;

use super::options::ConvOptions;
use super::shape::ConvShape;
use super::{paths, reference, weight_grad};
use crate::bf16::rounded;
use crate::flex::{Dense, Fused, all_supported, apply, tensor};
use crate::precision::Precision;

/// 2-D convolution of NHWC images: `y [B, Ho, Wo, O]` from `x [B, H, W, C]`, `w [O, kh, kw, C / groups]`
/// and `bias [O]`, with `Ho = (H + 2 padding - dilation (kh - 1) - 1) / stride + 1` (rounded down) and
/// `Wo` alike.
///
/// `y[b, i, j, o] = bias[o] + Σ w[o, p, q, c] · x[b, i s - P + p d, j s - P + q d, g C / groups + c]`, summed
/// over taps `p, q` and the channels `c` of the group `g` that filter `o` belongs to, with stride `s`,
/// padding `P`, dilation `d` and zeros beyond the image.
///
/// As PyTorch's `conv2d` (a cross-correlation) with `padding_mode="zeros"`, but channels last. A
/// PyTorch weight `[O, C / groups, kh, kw]` becomes this one by `permute(0, 2, 3, 1)`: the products of
/// one kernel row then lie side by side, as the pixels do.
///
/// On Flex: Winograd F(4x4, 3x3) for 3x3 kernels of stride 1 with channels that fill registers (Lavin
/// and Gray, "Fast Algorithms for Convolutional Neural Networks", 2016), a depthwise kernel where every
/// group has one channel, else a direct kernel. The bits of every result are the same for any number of
/// threads. Operands are rounded to the current [`Precision`].
///
/// # Panics
/// If channels, groups, weight and `bias` do not fit together, a stride or dilation is 0 or the kernel
/// is larger than the padded image.
#[track_caller]
pub fn conv2d(
    x: Tensor<4>,
    w: Tensor<4>,
    bias: Option<Tensor<1>>,
    options: ConvOptions<2>,
) -> Tensor<4> {
    let shape = ConvShape::new("conv2d", x.dims(), w.dims(), options);
    check_bias("conv2d", bias.as_ref(), shape.filters);
    if !all_supported(&[&x, &w, &bias]) {
        return reference::conv2d(x, w, bias, options);
    }
    run(Conv(shape, Precision::current()), x, w, bias)
}

/// 1-D convolution: `y [B, To, O]` from `x [B, T, C]`, `w [O, k, C / groups]` and `bias [O]`; see
/// [`conv2d`], whose kernels run along images of one row.
///
/// # Panics
/// As [`conv2d`].
#[track_caller]
pub fn conv1d(
    x: Tensor<3>,
    w: Tensor<3>,
    bias: Option<Tensor<1>>,
    options: ConvOptions<1>,
) -> Tensor<3> {
    let (image, kernel) = (row(x.dims()), row(w.dims()));
    let shape = ConvShape::new("conv1d", image, kernel, options.in_two());
    check_bias("conv1d", bias.as_ref(), shape.filters);
    if !all_supported(&[&x, &w, &bias]) {
        return reference::conv1d(x, w, bias, options);
    }
    let y = run(
        Conv(shape, Precision::current()),
        x.reshape(image),
        w.reshape(kernel),
        bias,
    );
    let [batch, _, time, filters] = y.dims();
    y.reshape([batch, time, filters])
}

/// Transposed 2-D convolution of NHWC images: `y [B, Ho, Wo, O]` from `x [B, H, W, C]`,
/// `w [C, kh, kw, O / groups]` and `bias [O]`, with
/// `Ho = (H - 1) stride - 2 padding + dilation (kh - 1) + output_padding + 1` and `Wo` alike.
///
/// `y[b, u, v, o] = bias[o] + Σ w[c, p, q, o'] · x[b, i, j, c]`, summed over pixels `i, j` and taps `p, q` with
/// `i s - P + p d = u` and `j s - P + q d = v`, and over the channels `c` of the group `g` that output channel
/// `o = g O / groups + o'` belongs to, with stride `s`, padding `P` and dilation `d`.
///
/// As PyTorch's `conv_transpose2d`, but channels last; a PyTorch weight `[C, O / groups, kh, kw]` becomes
/// this one by `permute(0, 2, 3, 1)`. It is the gradient of [`conv2d`]'s input, by the same kernels
/// (Dumoulin and Visin, "A guide to convolution arithmetic for deep learning", 2016, chapter 4).
///
/// # Panics
/// If channels, groups, weight and `bias` do not fit together, a stride or dilation is 0, the output
/// padding is not below the stride or the dilation, or nothing would come out.
#[track_caller]
pub fn conv_transpose2d(
    x: Tensor<4>,
    w: Tensor<4>,
    bias: Option<Tensor<1>>,
    options: ConvOptions<2>,
    output_padding: [usize; 2],
) -> Tensor<4> {
    let name = "conv_transpose2d";
    let shape = ConvShape::transposed(name, x.dims(), w.dims(), options, output_padding);
    check_bias(name, bias.as_ref(), shape.channels);
    if !all_supported(&[&x, &w, &bias]) {
        return reference::conv_transpose2d(x, w, bias, options, output_padding);
    }
    run(Transposed(shape, Precision::current()), x, w, bias)
}

/// Transposed 1-D convolution: `y [B, To, O]` from `x [B, T, C]`, `w [C, k, O / groups]` and `bias [O]`;
/// see [`conv_transpose2d`].
///
/// # Panics
/// As [`conv_transpose2d`].
#[track_caller]
pub fn conv_transpose1d(
    x: Tensor<3>,
    w: Tensor<3>,
    bias: Option<Tensor<1>>,
    options: ConvOptions<1>,
    output_padding: usize,
) -> Tensor<3> {
    let name = "conv_transpose1d";
    let (image, kernel) = (row(x.dims()), row(w.dims()));
    let padding = [0, output_padding];
    let shape = ConvShape::transposed(name, image, kernel, options.in_two(), padding);
    check_bias(name, bias.as_ref(), shape.channels);
    if !all_supported(&[&x, &w, &bias]) {
        return reference::conv_transpose1d(x, w, bias, options, output_padding);
    }
    let y = run(
        Transposed(shape, Precision::current()),
        x.reshape(image),
        w.reshape(kernel),
        bias,
    );
    let [batch, _, time, channels] = y.dims();
    y.reshape([batch, time, channels])
}

/// A sequence as an image of one row.
fn row([outer, time, channels]: [usize; 3]) -> [usize; 4] {
    [outer, 1, time, channels]
}

#[track_caller]
fn check_bias(name: &str, bias: Option<&Tensor<1>>, channels: usize) {
    if let Some(bias) = bias {
        let [found] = bias.dims();
        assert!(
            found == channels,
            "{name}: bias has {found} values for {channels} output channels"
        );
    }
}

/// Enters the operation in the graph, with or without a bias.
fn run<F: Fused<2> + Fused<3>>(
    operation: F,
    x: Tensor<4>,
    w: Tensor<4>,
    bias: Option<Tensor<1>>,
) -> Tensor<4> {
    let (x, w) = (x.into_dispatch(), w.into_dispatch());
    match bias {
        Some(bias) => apply::<F, 3, 4>(operation, [x, w, bias.into_dispatch()]),
        None => apply::<F, 2, 4>(operation, [x, w]),
    }
}

/// What both operations do with and without a bias, on operands that are already rounded.
trait Convolution {
    fn output(&self, x: &[f32], w: &[f32], bias: Option<&[f32]>) -> FlexTensor;
    fn input_gradient(&self, w: &[f32], dy: &[f32]) -> FlexTensor;
    fn weight_gradient(&self, x: &[f32], dy: &[f32]) -> FlexTensor;
    fn precision(&self) -> Precision;
    /// Output channels.
    fn outputs(&self) -> usize;

    fn run(&self, x: &Dense, w: &Dense, bias: Option<&Dense>) -> FlexTensor {
        let precision = self.precision();
        let (x, w) = (
            rounded(precision, x.values()),
            rounded(precision, w.values()),
        );
        self.output(&x, &w, bias.map(Dense::values))
    }

    fn gradients(
        &self,
        (x, w): &(Dense, Dense),
        dy: &Dense,
        [want_x, want_w, want_bias]: [bool; 3],
    ) -> [Option<FlexTensor>; 3] {
        let (precision, channels) = (self.precision(), self.outputs());
        let sums = || tensor(weight_grad::column_sums(dy.values(), channels), [channels]);
        let slopes = rounded(precision, dy.values());
        [
            want_x.then(|| self.input_gradient(&rounded(precision, w.values()), &slopes)),
            want_w.then(|| self.weight_gradient(&rounded(precision, x.values()), &slopes)),
            want_bias.then(sums),
        ]
    }
}

#[derive(Clone, Debug)]
struct Conv(ConvShape, Precision);

impl Convolution for Conv {
    fn output(&self, x: &[f32], w: &[f32], bias: Option<&[f32]>) -> FlexTensor {
        tensor(paths::forward(self.0, x, w, bias), self.0.output_dims())
    }

    fn input_gradient(&self, w: &[f32], dy: &[f32]) -> FlexTensor {
        let dx = paths::input_gradient(self.0, dy, w, None);
        tensor(dx, self.0.input_dims())
    }

    fn weight_gradient(&self, x: &[f32], dy: &[f32]) -> FlexTensor {
        tensor(paths::weight_gradient(self.0, x, dy), self.0.weight_dims())
    }

    fn precision(&self) -> Precision {
        self.1
    }

    fn outputs(&self) -> usize {
        self.0.filters
    }
}

/// Holds the convolution that it is the transpose of: its `x` is that one's output.
#[derive(Clone, Debug)]
struct Transposed(ConvShape, Precision);

impl Convolution for Transposed {
    fn output(&self, x: &[f32], w: &[f32], bias: Option<&[f32]>) -> FlexTensor {
        let y = paths::input_gradient(self.0, x, w, bias);
        tensor(y, self.0.input_dims())
    }

    fn input_gradient(&self, w: &[f32], dy: &[f32]) -> FlexTensor {
        let dx = paths::forward(self.0, dy, w, None);
        tensor(dx, self.0.output_dims())
    }

    fn weight_gradient(&self, x: &[f32], dy: &[f32]) -> FlexTensor {
        tensor(paths::weight_gradient(self.0, dy, x), self.0.weight_dims())
    }

    fn precision(&self) -> Precision {
        self.1
    }

    fn outputs(&self) -> usize {
        self.0.channels
    }
}

macro_rules! fused {
    ($operation:ty) => {
        impl Fused<2> for $operation {
            type Saved = (Dense, Dense);

            fn forward(&self, [x, w]: &[Dense; 2]) -> (FlexTensor, Self::Saved) {
                (self.run(x, w, None), (x.clone(), w.clone()))
            }

            fn backward(
                &self,
                saved: Self::Saved,
                dy: Dense,
                [x, w]: [bool; 2],
            ) -> [Option<FlexTensor>; 2] {
                let [x, w, _] = self.gradients(&saved, &dy, [x, w, false]);
                [x, w]
            }
        }

        impl Fused<3> for $operation {
            type Saved = (Dense, Dense);

            fn forward(&self, [x, w, bias]: &[Dense; 3]) -> (FlexTensor, Self::Saved) {
                (self.run(x, w, Some(bias)), (x.clone(), w.clone()))
            }

            fn backward(
                &self,
                saved: Self::Saved,
                dy: Dense,
                wanted: [bool; 3],
            ) -> [Option<FlexTensor>; 3] {
                self.gradients(&saved, &dy, wanted)
            }
        }
    };
}

fused!(Conv);
fused!(Transposed);
