//! Normalisation of each vector along the last dimension.
//!
//! Shapes: x `[B, T, D]`, weight and bias `[D]`, output `[B, T, D]`.

use crate::init::{Fill, Init};
use burn::module::{Module, Param};
use burn::tensor::Tensor;
use conjoin_kernels::layer_norm::{layer_norm, layer_norm_residual};

/// What PyTorch adds to the variance before its square root, if nothing else is said.
pub const EPSILON: f64 = 1e-5;

/// `y = (x - mean) / sqrt(variance + epsilon) * weight + bias` with mean and variance of each vector
/// (Ba, Kiros and Hinton 2016); names are those of `torch.nn.LayerNorm`.
#[derive(Module, Debug)]
pub struct LayerNorm {
    weight: Param<Tensor<1>>,
    bias: Param<Tensor<1>>,
    epsilon: f64,
}

impl LayerNorm {
    pub fn new(init: &Init, size: usize) -> Self {
        Self::with_epsilon(init, size, EPSILON)
    }

    /// `epsilon` keeps vectors without variance from being divided by zero.
    pub fn with_epsilon(init: &Init, size: usize, epsilon: f64) -> Self {
        Self {
            weight: init.param("weight", [size], Fill::Constant(1.0)),
            bias: init.param("bias", [size], Fill::Constant(0.0)),
            epsilon,
        }
    }

    pub fn forward(&self, x: Tensor<3>) -> Tensor<3> {
        let (weight, bias) = (self.weight.val(), self.bias.val());
        layer_norm(x, weight, bias, self.epsilon)
    }

    /// The sum `x + residual` normalised, and the sum itself.
    pub fn forward_sum(&self, x: Tensor<3>, residual: Tensor<3>) -> (Tensor<3>, Tensor<3>) {
        let (weight, bias) = (self.weight.val(), self.bias.val());
        layer_norm_residual(x, residual, weight, bias, self.epsilon)
    }
}

/// `x` normalised, where there is something to do it.
pub(crate) fn normed(norm: Option<&LayerNorm>, x: Tensor<3>) -> Tensor<3> {
    match norm {
        Some(norm) => norm.forward(x),
        None => x,
    }
}
