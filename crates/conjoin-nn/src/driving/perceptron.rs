//! A perceptron with one hidden layer, `W2 relu(W1 x + b1) + b2`.
//!
//! Shapes: x `[.., input]`, hidden `[.., hidden]`, output `[.., output]`.

use crate::activation::Activation;
use crate::init::{Fill, Init};
use crate::linear::Linear;
use burn::module::Module;
use burn::tensor::Tensor;

/// Two affine maps with a rectifier between them.
#[derive(Module, Debug)]
pub(crate) struct Perceptron {
    linear1: Linear,
    linear2: Linear,
}

impl Perceptron {
    /// `sizes` are input, hidden and output.
    pub fn new(init: &Init, sizes: [usize; 3]) -> Self {
        let [_, hidden, output] = sizes;
        let fill = Activation::None.fill(hidden, output);
        Self::filled(init, sizes, fill)
    }

    /// The second map's weights begin as told.
    pub fn filled(init: &Init, [input, hidden, output]: [usize; 3], fill: Fill) -> Self {
        let (first, second) = (init.child("linear1"), init.child("linear2"));
        Self {
            linear1: Linear::new(&first, input, hidden, true, Activation::Relu),
            linear2: Linear::filled(&second, hidden, output, true, Activation::None, fill),
        }
    }

    pub fn forward<const D: usize>(&self, x: Tensor<D>) -> Tensor<D> {
        self.linear2.forward(self.linear1.forward(x))
    }

    /// Multiply-adds for one row, times two.
    pub fn flops([input, hidden, output]: [usize; 3]) -> f64 {
        Linear::flops(input, hidden) + Linear::flops(hidden, output)
    }
}
