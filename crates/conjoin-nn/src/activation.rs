//! Functions applied element by element.

use crate::init::Fill;
use burn::tensor::{Tensor, activation};

/// A function of each element.
#[derive(
    Debug,
    Clone,
    Copy,
    Default,
    PartialEq,
    Eq,
    serde::Serialize,
    serde::Deserialize,
    schemars::JsonSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum Activation {
    /// The identity.
    #[default]
    None,
    /// Hyperbolic tangent.
    Tanh,
    /// `max(x, 0)`.
    Relu,
    /// `x * Phi(x)`, exact (Hendrycks and Gimpel 2016).
    Gelu,
    /// `1 / (1 + exp(-x))`.
    Sigmoid,
}

impl Activation {
    pub fn apply<const D: usize>(self, x: Tensor<D>) -> Tensor<D> {
        match self {
            Self::None => x,
            Self::Tanh => x.tanh(),
            Self::Relu => activation::relu(x),
            Self::Gelu => activation::gelu(x),
            Self::Sigmoid => activation::sigmoid(x),
        }
    }

    /// Initial weights for a matrix whose product goes into this function: He for what is zero on
    /// one side, Xavier for the rest.
    pub fn fill(self, fan_in: usize, fan_out: usize) -> Fill {
        match self {
            Self::Relu | Self::Gelu => Fill::HeNormal { fan_in },
            Self::None | Self::Tanh | Self::Sigmoid => Fill::XavierUniform { fan_in, fan_out },
        }
    }
}
