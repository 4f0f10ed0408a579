//! The differentiable operation on Burn tensors.

use burn::backend::flex::FlexTensor;
use burn::tensor::Tensor;
use burn::tensor::module::conv2d as burn_conv2d;
use burn::tensor::ops::ConvOptions;

use super::shape::ConvShape;
use super::{direct, weight_grad, winograd};
use crate::flex::{Dense, Fused, apply, supported, tensor};

/// 2-D convolution of NHWC images: `y [B, Ho, Wo, O]` from `x [B, H, W, C]`, `w [O, kh, kw, C]` and
/// `bias [O]`, with `Ho = (H + 2 padding - kh) / stride + 1` and `Wo` alike.
///
/// As PyTorch's `conv2d` (a cross-correlation) with `padding_mode="zeros"`, but channels last. A
/// PyTorch weight `[O, C, kh, kw]` becomes this one by `permute(0, 2, 3, 1)`: the products of one
/// kernel row then lie side by side, as the pixels do.
///
/// On Flex: Winograd F(4x4, 3x3) for 3x3 kernels of stride 1 with channels in multiples of 16, else a
/// direct kernel. The bits of every result are the same for any number of threads.
///
/// # Panics
/// If the channels of `x` and `w` differ, `bias` does not have `O` values, the stride is 0 or the
/// kernel is larger than the padded image.
pub fn conv2d(
    x: Tensor<4>,
    w: Tensor<4>,
    bias: Option<Tensor<1>>,
    stride: usize,
    padding: usize,
) -> Tensor<4> {
    let conv = Conv {
        shape: ConvShape::new(x.dims(), w.dims(), stride, padding),
    };
    if let Some(bias) = &bias {
        assert_eq!(
            bias.dims(),
            [conv.shape.filters],
            "conv2d: one bias a filter"
        );
    }
    if !(supported(&x) && supported(&w)) {
        return reference(x, w, bias, stride, padding);
    }
    match bias {
        Some(bias) => apply(
            conv,
            [x.into_dispatch(), w.into_dispatch(), bias.into_dispatch()],
        ),
        None => apply(conv, [x.into_dispatch(), w.into_dispatch()]),
    }
}

/// [`conv2d`] by Burn's own operations, for any device.
pub fn reference(
    x: Tensor<4>,
    w: Tensor<4>,
    bias: Option<Tensor<1>>,
    stride: usize,
    padding: usize,
) -> Tensor<4> {
    let options = ConvOptions::new([stride; 2], [padding; 2], [1; 2], 1);
    burn_conv2d(
        x.permute([0, 3, 1, 2]),
        w.permute([0, 3, 1, 2]),
        bias,
        options,
    )
    .permute([0, 2, 3, 1])
}

/// The operation with and without a bias.
#[derive(Clone, Debug)]
struct Conv {
    shape: ConvShape,
}

impl Conv {
    fn forward(&self, x: &Dense, w: &Dense, bias: Option<&Dense>) -> (FlexTensor, (Dense, Dense)) {
        let shape = self.shape;
        let mut y = vec![0.0f32; shape.batch * shape.out_image()];
        let bias = bias.map(Dense::values);
        if winograd::fits(shape) {
            winograd::forward(shape, x.values(), w.values(), bias, &mut y);
        } else {
            direct::forward(shape, x.values(), w.values(), bias, &mut y);
        }
        let dims = [
            shape.batch,
            shape.out_height(),
            shape.out_width(),
            shape.filters,
        ];
        (tensor(y, dims), (x.clone(), w.clone()))
    }

    fn input_gradient(&self, w: &Dense, dy: &Dense) -> FlexTensor {
        let shape = self.shape;
        let mut dx = vec![0.0f32; shape.batch * shape.image()];
        if winograd::fits(shape) {
            winograd::input_gradient(shape, dy.values(), w.values(), &mut dx);
        } else {
            direct::input_gradient(shape, dy.values(), w.values(), &mut dx);
        }
        tensor(dx, [shape.batch, shape.height, shape.width, shape.channels])
    }

    fn weight_gradient(&self, x: &Dense, dy: &Dense) -> FlexTensor {
        let shape = self.shape;
        let dw = if winograd::fits(shape) {
            winograd::weight_gradient(shape, x.values(), dy.values())
        } else {
            weight_grad::weight_gradient(shape, x.values(), dy.values())
        };
        tensor(
            dw,
            [
                shape.filters,
                shape.kernel[0],
                shape.kernel[1],
                shape.channels,
            ],
        )
    }

    fn bias_gradient(&self, dy: &Dense) -> FlexTensor {
        tensor(
            weight_grad::column_sums(dy.values(), self.shape.filters),
            [self.shape.filters],
        )
    }
}

impl Fused<2> for Conv {
    type Saved = (Dense, Dense);

    fn forward(&self, [x, w]: &[Dense; 2]) -> (FlexTensor, Self::Saved) {
        Conv::forward(self, x, w, None)
    }

    fn backward(
        &self,
        (x, w): Self::Saved,
        dy: Dense,
        wanted: [bool; 2],
    ) -> [Option<FlexTensor>; 2] {
        [
            wanted[0].then(|| self.input_gradient(&w, &dy)),
            wanted[1].then(|| self.weight_gradient(&x, &dy)),
        ]
    }
}

impl Fused<3> for Conv {
    type Saved = (Dense, Dense);

    fn forward(&self, [x, w, bias]: &[Dense; 3]) -> (FlexTensor, Self::Saved) {
        Conv::forward(self, x, w, Some(bias))
    }

    fn backward(
        &self,
        (x, w): Self::Saved,
        dy: Dense,
        wanted: [bool; 3],
    ) -> [Option<FlexTensor>; 3] {
        [
            wanted[0].then(|| self.input_gradient(&w, &dy)),
            wanted[1].then(|| self.weight_gradient(&x, &dy)),
            wanted[2].then(|| self.bias_gradient(&dy)),
        ]
    }
}
