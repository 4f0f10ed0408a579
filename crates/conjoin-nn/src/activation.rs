//! Functions applied element by element.

use crate::init::Fill;
use conjoin_kernels::linear;

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
    /// `x / (1 + exp(-x))`, also called swish (Hendrycks and Gimpel 2016; Ramachandran et al. 2017).
    Silu,
}

impl Activation {
    /// The same function as the kernels name it.
    pub(crate) fn kernel(self) -> linear::Activation {
        match self {
            Self::None => linear::Activation::None,
            Self::Tanh => linear::Activation::Tanh,
            Self::Relu => linear::Activation::Relu,
            Self::Gelu => linear::Activation::Gelu,
            Self::Sigmoid => linear::Activation::Sigmoid,
            Self::Silu => linear::Activation::Silu,
        }
    }

    /// Initial weights for a matrix whose product goes into this function: He for what is zero on
    /// one side, Xavier for the rest.
    pub fn fill(self, fan_in: usize, fan_out: usize) -> Fill {
        match self {
            Self::Relu | Self::Gelu | Self::Silu => Fill::HeNormal { fan_in },
            Self::None | Self::Tanh | Self::Sigmoid => Fill::XavierUniform { fan_in, fan_out },
        }
    }
}
