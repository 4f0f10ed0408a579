//! Optimisers with exactly PyTorch's formulas, and what belongs to a step: gradients, penalties,
//! averages of the weights.

mod average;
mod gradients;
pub(crate) mod penalty;
mod state;

pub use average::Average;
pub use gradients::GradientStore;
pub use state::Optimiser;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

conjoin_data::closed_kinds! {
    /// Which rule turns gradients into steps.
    pub enum OptimiserConfig {
        /// Stochastic gradient descent with momentum (Sutskever et al. 2013).
        Sgd(SgdConfig) = "sgd",
        /// Adam (Kingma and Ba 2015); weight decay is added to the gradient.
        Adam(AdamConfig) = "adam",
        /// Adam with decoupled weight decay (Loshchilov and Hutter 2019).
        Adamw(AdamWConfig) = "adamw",
        /// RMSprop (Tieleman and Hinton 2012).
        Rmsprop(RmsPropConfig) = "rmsprop",
    }
}

impl Default for OptimiserConfig {
    fn default() -> Self {
        Self::Adamw(AdamWConfig::default())
    }
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct SgdConfig {
    /// Momentum; 0 turns it off.
    pub momentum: f64,
    /// Share by which the current gradient is damped in the momentum.
    pub dampening: f64,
    /// Nesterov's momentum.
    pub nesterov: bool,
    /// L2 penalty added to the gradient.
    pub weight_decay: f64,
}

#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct AdamConfig {
    /// Decay of the first moment.
    pub beta1: f64,
    /// Decay of the second moment.
    pub beta2: f64,
    /// Added to the root of the second moment.
    pub eps: f64,
    /// L2 penalty added to the gradient.
    pub weight_decay: f64,
}

impl Default for AdamConfig {
    fn default() -> Self {
        Self {
            beta1: 0.9,
            beta2: 0.999,
            eps: 1e-8,
            weight_decay: 0.0,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct AdamWConfig {
    /// Decay of the first moment.
    pub beta1: f64,
    /// Decay of the second moment.
    pub beta2: f64,
    /// Added to the root of the second moment.
    pub eps: f64,
    /// Share of a weight that decays a step, times the learning rate.
    pub weight_decay: f64,
}

impl Default for AdamWConfig {
    fn default() -> Self {
        Self {
            beta1: 0.9,
            beta2: 0.999,
            eps: 1e-8,
            weight_decay: 0.01,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct RmsPropConfig {
    /// Decay of the squared-gradient average.
    pub alpha: f64,
    /// Added to the root of the average.
    pub eps: f64,
    /// Momentum; 0 turns it off.
    pub momentum: f64,
    /// Subtracts the squared mean of the gradient.
    pub centered: bool,
    /// L2 penalty added to the gradient.
    pub weight_decay: f64,
}

impl Default for RmsPropConfig {
    fn default() -> Self {
        Self {
            alpha: 0.99,
            eps: 1e-8,
            momentum: 0.0,
            centered: false,
            weight_decay: 0.0,
        }
    }
}
