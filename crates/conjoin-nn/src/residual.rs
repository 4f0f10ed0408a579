//! The residual stream of a deep stack, and where it is normalised.
//!
//! Shapes: everything `[B, T, D]`.

use crate::layer_norm::LayerNorm;
use burn::tensor::Tensor;

/// Where a sub-layer is normalised.
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
#[serde(rename_all = "lowercase")]
pub enum NormOrder {
    /// `x + f(norm(x))`: trains without warm-up (Xiong et al. 2020).
    #[default]
    Pre,
    /// `norm(x + f(x))` (Vaswani et al. 2017).
    Post,
}

/// The stream that sub-layers read and add to.
///
/// The sum of a sub-layer's output and the stream is put off until the next normalisation, so that
/// both happen in one pass over memory.
#[derive(Debug, Clone)]
pub struct Residual {
    order: NormOrder,
    stream: Tensor<3>,
    /// What the last sub-layer has still to add.
    branch: Option<Tensor<3>>,
}

impl Residual {
    pub fn new(order: NormOrder, x: Tensor<3>) -> Self {
        Self {
            order,
            stream: x,
            branch: None,
        }
    }

    /// Runs a sub-layer with its normalisation.
    pub fn sublayer(&mut self, norm: &LayerNorm, function: impl FnOnce(Tensor<3>) -> Tensor<3>) {
        match self.order {
            NormOrder::Pre => {
                let x = self.normalised(norm);
                self.branch = Some(function(x));
            }
            NormOrder::Post => {
                let y = function(self.stream.clone());
                (self.stream, _) = norm.forward_sum(y, self.stream.clone());
            }
        }
    }

    /// What comes out at the end, normalised once more if told so.
    pub fn finish(mut self, norm: Option<&LayerNorm>) -> Tensor<3> {
        match (norm, self.branch.take()) {
            (None, None) => self.stream,
            (None, Some(branch)) => self.stream + branch,
            (Some(norm), branch) => {
                self.branch = branch;
                self.normalised(norm)
            }
        }
    }

    /// The stream with everything added, normalised; the stream itself stays as it is.
    fn normalised(&mut self, norm: &LayerNorm) -> Tensor<3> {
        let Some(branch) = self.branch.take() else {
            return norm.forward(self.stream.clone());
        };
        let (x, sum) = norm.forward_sum(branch, self.stream.clone());
        self.stream = sum;
        x
    }
}
