//! Affine map of the last dimension, with an activation: `y = f(x Wᵀ + b)`.
//!
//! Shapes: x `[.., input]`, W `[output, input]`, b `[output]`, y `[.., output]`.

use crate::activation::Activation;
use crate::init::{Fill, Init};
use burn::module::{Module, Param};
use burn::tensor::Tensor;
use conjoin_kernels::linear::{PreparedLinear, linear, linear_prepared};

/// Weight and bias have PyTorch's names and layout (`torch.nn.Linear`).
#[derive(Module, Debug)]
pub struct Linear {
    weight: Param<Tensor<2>>,
    bias: Option<Param<Tensor<1>>>,
    #[module(skip)]
    activation: Activation,
    #[module(skip)]
    prepared: PreparedLinear,
}

impl Linear {
    /// Weights are filled as the activation wants them, the bias with zeros.
    pub fn new(
        init: &Init,
        input: usize,
        output: usize,
        bias: bool,
        activation: Activation,
    ) -> Self {
        let fill = activation.fill(input, output);
        Self::filled(init, input, output, bias, activation, fill)
    }

    /// Weights are filled as told, the bias with zeros.
    pub fn filled(
        init: &Init,
        input: usize,
        output: usize,
        bias: bool,
        activation: Activation,
        fill: Fill,
    ) -> Self {
        Self {
            weight: init.param("weight", [output, input], fill),
            bias: bias.then(|| init.param("bias", [output], Fill::Constant(0.0))),
            activation,
            prepared: PreparedLinear::default(),
        }
    }

    /// The bias begins with a value of its own.
    pub fn biased(init: &Init, input: usize, output: usize, fill: Fill, bias: f32) -> Self {
        let layer = Self::filled(init, input, output, false, Activation::None, fill);
        Self {
            bias: Some(init.param("bias", [output], Fill::Constant(bias))),
            ..layer
        }
    }

    /// `[.., input]` to `[.., output]`.
    pub fn forward<const D: usize>(&self, x: Tensor<D>) -> Tensor<D> {
        let weight = self.weight.val();
        let mut shape = x.dims();
        let rows = shape[..D - 1].iter().product::<usize>();
        let [output, input] = weight.dims();
        shape[D - 1] = output;
        let bias = self.bias.as_ref().map(Param::val);
        let x = x.reshape([rows, input]);
        let activation = self.activation.kernel();
        linear_prepared(x, weight, bias, activation, &self.prepared).reshape(shape)
    }

    /// The weight `[output, input]`, and the bias `[output]`, for operations that take them in.
    pub(crate) fn parameters(&self) -> (Tensor<2>, Option<Tensor<1>>) {
        (self.weight.val(), self.bias.as_ref().map(Param::val))
    }

    /// Multiply-adds for one row, times two.
    pub fn flops(input: usize, output: usize) -> f64 {
        2.0 * input as f64 * output as f64
    }
}

/// An affine map with the weights of another module, such as an embedding's table (Press and Wolf
/// 2017); its own is only the bias.
#[derive(Module, Debug)]
pub struct TiedLinear {
    bias: Option<Param<Tensor<1>>>,
}

impl TiedLinear {
    /// The bias begins with zeros.
    pub fn new(init: &Init, output: usize, bias: bool) -> Self {
        Self {
            bias: bias.then(|| init.param("bias", [output], Fill::Constant(0.0))),
        }
    }

    /// Rows `[N, input]` and a weight `[output, input]` to `[N, output]`.
    pub fn forward(&self, x: Tensor<2>, weight: Tensor<2>) -> Tensor<2> {
        let bias = self.bias.as_ref().map(Param::val);
        linear(x, weight, bias, Activation::None.kernel())
    }
}
