//! An image as a sequence of patches (Dosovitskiy et al. 2021, section 3.1).
//!
//! Shapes: image `[B, H, W, C]`, patches `[B, N, D]` with `N = (H / P) (W / P)`, row by row, and one
//! position more, the first, with a class token.

use crate::init::{Fill, Init};
use burn::module::{Module, Param};
use burn::tensor::Tensor;
use conjoin_kernels::conv::{ConvOptions, conv2d};

/// An affine map of each square patch, which is a convolution whose stride is its kernel's size, and
/// optionally a trained vector before the first patch.
#[derive(Module, Debug)]
pub struct PatchEmbedding {
    /// `[D, P, P, C]`
    weight: Param<Tensor<4>>,
    /// `[D]`
    bias: Param<Tensor<1>>,
    /// `[D]`
    class_token: Option<Param<Tensor<1>>>,
    patch: usize,
}

/// Sizes of a [`PatchEmbedding`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PatchOptions {
    /// Channels of the image.
    pub channels: usize,
    /// Height and width of a patch.
    pub patch: usize,
    /// Features of a patch's vector.
    pub size: usize,
    pub class_token: bool,
}

impl PatchOptions {
    /// Positions of the sequence for an image of this height and width; 0 where patches do not fill it.
    pub fn positions(&self, height: usize, width: usize) -> usize {
        let fills =
            self.patch > 0 && height.is_multiple_of(self.patch) && width.is_multiple_of(self.patch);
        if !fills {
            return 0;
        }
        (height / self.patch) * (width / self.patch) + usize::from(self.class_token)
    }

    /// Multiply-adds for one image, times two.
    pub fn flops(&self, height: usize, width: usize) -> f64 {
        2.0 * (height * width * self.channels * self.size) as f64
    }
}

impl PatchEmbedding {
    pub fn new(init: &Init, options: &PatchOptions) -> Self {
        let PatchOptions {
            channels,
            patch,
            size,
            class_token,
        } = *options;
        let fill = Fill::XavierUniform {
            fan_in: patch * patch * channels,
            fan_out: size,
        };
        let token = Fill::Normal { std: 0.02 };
        Self {
            weight: init.param("weight", [size, patch, patch, channels], fill),
            bias: init.param("bias", [size], Fill::Constant(0.0)),
            class_token: class_token.then(|| init.param("class_token", [size], token)),
            patch,
        }
    }

    /// `[B, H, W, C]` to `[B, N, D]`; rows and columns that do not fill a patch are left out.
    pub fn forward(&self, image: Tensor<4>) -> Tensor<3> {
        let options = ConvOptions::new(self.patch, 0);
        let map = conv2d(image, self.weight.val(), Some(self.bias.val()), options);
        let [batch, rows, columns, size] = map.dims();
        let patches = map.reshape([batch, rows * columns, size]);
        match &self.class_token {
            None => patches,
            Some(token) => {
                let token = token.val().reshape([1, 1, size]).expand([batch, 1, size]);
                Tensor::cat(vec![token, patches], 1)
            }
        }
    }
}
