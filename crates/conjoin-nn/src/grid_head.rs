//! A head on a map: numbers for each cell.
//!
//! Shapes: features `[B, X, Y, C]`, state `[B, D]`, values `[B, X, Y, K]`.
//!
//! A 3x3 convolution with batch normalisation and ReLU, then an affine map of each cell (the heads of
//! Zhou et al. 2019, "Objects as Points"). A linear map of the vehicle's state, where that is given, is added to
//! each cell before the ReLU, as BEVFormer adds it to its queries (Li et al. 2022): what cameras see of a motion
//! is relative to their own. That map is zero before training.

use crate::activation::Activation;
use crate::conv::{ConvNorm, Window};
use crate::init::{Fill, Init};
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
    /// `D`, or 0 where no state is given.
    pub state: usize,
    /// Channels between the two layers.
    pub hidden: usize,
    /// `K`.
    pub channels: usize,
    /// The sigmoid of each number before training: rare things begin rare, or they drown the first
    /// gradients (Lin et al. 2017, "Focal Loss", section 4.1).
    pub prior: f64,
}

impl GridHeadOptions {
    /// Multiply-adds for a map of some cells, times two.
    pub fn flops(self, cells: f64) -> f64 {
        let cell =
            Linear::flops(9 * self.input, self.hidden) + Linear::flops(self.hidden, self.channels);
        cells * cell + Linear::flops(self.state, self.hidden)
    }
}

/// Numbers for each cell of a map.
#[derive(Module, Debug)]
pub struct GridHead {
    hidden: ConvNorm,
    state: Option<Linear>,
    map: Linear,
}

impl GridHead {
    pub fn new(init: &Init, options: GridHeadOptions) -> Self {
        let (input, hidden, channels) = (options.input, options.hidden, options.channels);
        let bias = (options.prior / (1.0 - options.prior)).ln() as f32;
        let fill = Activation::None.fill(hidden, channels);
        let map = init.child("map");
        let state = || {
            let (init, none) = (init.child("state"), Activation::None);
            Linear::filled(
                &init,
                options.state,
                hidden,
                false,
                none,
                Fill::Constant(0.0),
            )
        };
        Self {
            hidden: ConvNorm::new(&init.child("hidden"), input, hidden, WINDOW),
            state: (options.state > 0).then(state),
            map: Linear::biased(&map, hidden, channels, fill, bias),
        }
    }

    /// `[B, X, Y, C]`, with `[B, D]` where that was promised, to `[B, X, Y, K]`.
    pub fn forward(
        &self,
        features: Tensor<4>,
        state: Option<Tensor<2>>,
        mode: &mut Mode,
    ) -> Tensor<4> {
        let [batch, x, y, _] = features.dims();
        let added = self.state.as_ref().zip(state).map(|(map, state)| {
            let state = map.forward(state.reshape([batch as i32, 1, 1, -1]));
            let hidden = state.dims()[3];
            state.expand([batch, x, y, hidden])
        });
        self.map
            .forward(self.hidden.forward(features, added, true, mode))
    }
}
