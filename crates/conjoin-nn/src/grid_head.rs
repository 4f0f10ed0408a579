//! A head on a map: numbers for each cell.
//!
//! Shapes: features `[B, X, Y, C]`, values `[B, X, Y, K]`.
//!
//! A 3x3 convolution with batch normalisation and ReLU, then an affine map of each cell (the heads of
//! Zhou et al. 2019, "Objects as Points").

use crate::activation::Activation;
use crate::conv::{ConvNorm, Window};
use crate::init::Init;
use crate::linear::Linear;
use crate::mode::Mode;
use burn::module::Module;
use burn::tensor::Tensor;

const WINDOW: Window = Window {
    kernel: 3,
    stride: 1,
};

/// The shape of a [`GridHead`].
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct GridHeadOptions {
    /// `C`.
    pub input: usize,
    /// Channels between the two layers.
    pub hidden: usize,
    /// `K`.
    pub channels: usize,
    /// The sigmoid of each number before training: rare things begin rare, or they drown the first
    /// gradients (Lin et al. 2017, "Focal Loss", section 4.1).
    pub prior: f64,
}

impl GridHeadOptions {
    /// Multiply-adds for one cell, times two.
    pub fn flops(self) -> f64 {
        Linear::flops(9 * self.input, self.hidden) + Linear::flops(self.hidden, self.channels)
    }
}

/// Numbers for each cell of a map.
#[derive(Module, Debug)]
pub struct GridHead {
    hidden: ConvNorm,
    map: Linear,
}

impl GridHead {
    pub fn new(init: &Init, options: GridHeadOptions) -> Self {
        let (input, hidden, channels) = (options.input, options.hidden, options.channels);
        let bias = (options.prior / (1.0 - options.prior)).ln() as f32;
        let fill = Activation::None.fill(hidden, channels);
        let map = init.child("map");
        Self {
            hidden: ConvNorm::new(&init.child("hidden"), input, hidden, WINDOW),
            map: Linear::biased(&map, hidden, channels, fill, bias),
        }
    }

    /// `[B, X, Y, C]` to `[B, X, Y, K]`.
    pub fn forward(&self, features: Tensor<4>, mode: &mut Mode) -> Tensor<4> {
        self.map
            .forward(self.hidden.forward(features, None, true, mode))
    }
}
