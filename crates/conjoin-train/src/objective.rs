//! Objectives: losses over ports. Losses take tensors, never graphs.

use conjoin_graph::PortRef;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// One entry of `[objectives]`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ObjectiveConfig {
    pub loss: LossConfig,
    /// The port that is scored.
    pub prediction: PortRef,
    /// What it is compared with: a column or another port.
    pub target: PortRef,
    /// Factor of this objective in every stage that uses it.
    pub weight: f64,
    /// Only these nodes are changed by this objective; all trained nodes when absent.
    pub updates: Option<Vec<String>>,
}

conjoin_data::closed_kinds! {
    /// Losses, averaged over what they count (valid positions, rows, elements).
    pub enum LossConfig {
        /// Softmax cross-entropy of logits against tokens or labels; padding and -100 do not count.
        CrossEntropy(CrossEntropyConfig) = "cross-entropy",
        /// Mean squared error.
        Mse(MseConfig) = "mse",
        /// Mean absolute error.
        L1(L1Config) = "l1",
        /// Huber's loss: squared near zero, absolute beyond `delta`.
        Huber(HuberConfig) = "huber",
    }
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct CrossEntropyConfig {
    /// Label smoothing in [0, 1) (Szegedy et al. 2016).
    pub smoothing: f64,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct MseConfig {}

#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct L1Config {}

#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct HuberConfig {
    /// Where the loss turns from squared to absolute.
    pub delta: f64,
}

impl Default for HuberConfig {
    fn default() -> Self {
        Self { delta: 1.0 }
    }
}
