//! Convolution and batch normalisation on images with channels last.
//!
//! Shapes: x `[B, H, W, C]`, weight `[O, kh, kw, C]`, statistics `[C]`.

use crate::init::{Fill, Init};
use crate::mode::Mode;
use burn::module::{Module, Param};
use burn::tensor::Tensor;
use conjoin_kernels::batch_norm::batch_norm;
use conjoin_kernels::conv::{ConvOptions, Norm, PreparedConv, conv2d, conv2d_norm};

/// Added to the variance before its square root, as in PyTorch.
const EPSILON: f64 = 1e-5;
/// Share of the new batch in running statistics, as in PyTorch.
const MOMENTUM: f64 = 0.1;

/// Normalisation of each channel over batch and positions (Ioffe and Szegedy 2015), with the sum
/// and the ReLU that follow it in residual networks. Names and update of the running statistics are
/// those of `torch.nn.BatchNorm2d`.
#[derive(Module, Debug)]
pub struct BatchNorm {
    weight: Param<Tensor<1>>,
    bias: Param<Tensor<1>>,
    running_mean: Param<Tensor<1>>,
    running_var: Param<Tensor<1>>,
}

impl BatchNorm {
    pub fn new(init: &Init, channels: usize) -> Self {
        Self {
            weight: init.param("weight", [channels], Fill::Constant(1.0)),
            bias: init.param("bias", [channels], Fill::Constant(0.0)),
            running_mean: init.statistic("running_mean", channels, 0.0),
            running_var: init.statistic("running_var", channels, 1.0),
        }
    }

    /// The running statistics and the weights, for a pass of evaluation.
    fn running(&self) -> Norm {
        Norm {
            mean: self.running_mean.val(),
            variance: self.running_var.val(),
            gamma: self.weight.val(),
            beta: self.bias.val(),
            eps: EPSILON,
        }
    }

    /// Normalises by the batch's statistics, and records the new running ones in `mode`. Then adds
    /// `residual`, then applies ReLU.
    fn by_batch(
        &self,
        x: Tensor<4>,
        residual: Option<Tensor<4>>,
        relu: bool,
        mode: &mut Mode,
    ) -> Tensor<4> {
        let (gamma, beta) = (self.weight.val(), self.bias.val());
        let (y, mean, var) = batch_norm(x, gamma, beta, EPSILON, residual, relu);
        mode.record(&self.running_mean, blend(&self.running_mean, mean));
        mode.record(&self.running_var, blend(&self.running_var, var));
        y
    }
}

/// The next value of a running statistic, outside the gradient graph.
fn blend(running: &Param<Tensor<1>>, batch: Tensor<1>) -> Tensor<1> {
    let old = running.val();
    let autodiff = old.is_autodiff();
    let next = old.inner() * (1.0 - MOMENTUM) + batch.inner() * MOMENTUM;
    if autodiff { next.autodiff() } else { next }
}

/// Size of a square kernel, its stride, and the padding that keeps the size at stride 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Window {
    pub kernel: usize,
    pub stride: usize,
}

impl Window {
    pub fn padding(self) -> usize {
        self.kernel / 2
    }

    /// Positions that come out of `size` positions, for an odd kernel.
    pub fn output(self, size: usize) -> usize {
        (size + 2 * self.padding() - self.kernel) / self.stride + 1
    }
}

/// Convolution without bias, then [`BatchNorm`], which has one.
#[derive(Module, Debug)]
pub struct ConvNorm {
    weight: Param<Tensor<4>>,
    norm: BatchNorm,
    #[module(skip)]
    window: Window,
    #[module(skip)]
    prepared: PreparedConv,
}

impl ConvNorm {
    pub fn new(init: &Init, input: usize, output: usize, window: Window) -> Self {
        let kernel = window.kernel;
        let fill = Fill::HeNormal {
            fan_in: kernel * kernel * input,
        };
        Self {
            weight: init.param("weight", [output, kernel, kernel, input], fill),
            norm: BatchNorm::new(&init.child("norm"), output),
            window,
            prepared: PreparedConv::default(),
        }
    }

    /// `[B, H, W, input]` to `[B, H', W', output]`: convolution, normalisation by the batch's statistics
    /// in training (`mode` takes up the new running ones) and by the running ones otherwise, the sum with
    /// `residual`, ReLU.
    pub fn forward(
        &self,
        x: Tensor<4>,
        residual: Option<Tensor<4>>,
        relu: bool,
        mode: &mut Mode,
    ) -> Tensor<4> {
        let Window { stride, .. } = self.window;
        let options = ConvOptions::new(stride, self.window.padding());
        let weight = self.weight.val();
        if !mode.is_training() {
            let (norm, prepared) = (self.norm.running(), &self.prepared);
            return conv2d_norm(x, weight, norm, residual, relu, options, prepared);
        }
        let y = conv2d(x, weight, None, options);
        self.norm.by_batch(y, residual, relu, mode)
    }
}
