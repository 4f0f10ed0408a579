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
        /// Binary cross-entropy of logits against probabilities.
        BinaryCrossEntropy(BinaryCrossEntropyConfig) = "binary-cross-entropy",
        /// Penalty-reduced focal loss of a heat map's logits (Zhou et al. 2019), per centre.
        Focal(FocalConfig) = "focal",
        /// Mean absolute error where the target's first number, a weight, is not 0.
        MaskedL1(MaskedL1Config) = "masked-l1",
        /// Ways of agents against what they did: distance of the nearest way, and its probability.
        MultiModal(MultiModalConfig) = "multi-modal",
        /// Plans of x, y, heading, speed: smooth distance in metres, headings compared round the circle.
        Plan(PlanConfig) = "plan",
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

/// As `torch.nn.BCEWithLogitsLoss`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct BinaryCrossEntropyConfig {
    /// Factor of the part that a target of 1 has; above 1 for what is rare.
    pub positive_weight: f64,
    /// Only so many first numbers of the target's last dimension count, such as 1 where a row begins with
    /// whether there is something; all when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub first: Option<usize>,
}

impl Default for BinaryCrossEntropyConfig {
    fn default() -> Self {
        Self {
            positive_weight: 1.0,
            first: None,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct MultiModalConfig {
    /// Where the loss of an x or y turns from squared to absolute, in metres.
    pub delta: f64,
    /// Weight of the cross-entropy of the nearest way.
    pub mode_weight: f64,
    /// How the nearest way is found.
    pub nearest: Nearest,
}

impl Default for MultiModalConfig {
    fn default() -> Self {
        Self {
            delta: 1.0,
            mode_weight: 1.0,
            nearest: Nearest::default(),
        }
    }
}

/// Targets are 1 at a centre, and less the farther a cell is from it. The loss of a cell that is no centre
/// is reduced by `(1 - target)^beta` (Law and Deng 2018, equation 1).
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct FocalConfig {
    /// How much less cells count that are right already.
    pub alpha: f64,
    /// How much less cells near a centre count.
    pub beta: f64,
}

impl Default for FocalConfig {
    fn default() -> Self {
        Self {
            alpha: 2.0,
            beta: 4.0,
        }
    }
}

/// The target's last dimension has one number more than the prediction's: the weight, in front.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct MaskedL1Config {}

/// How the nearest way is found.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Nearest {
    /// By the mean distance over all known steps.
    #[default]
    Mean,
    /// By the distance at the last known step.
    Final,
}

#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct PlanConfig {
    /// Where the loss of each number turns from squared to absolute, in metres.
    pub beta: f64,
    /// Metres that a radian of heading counts as.
    pub heading: f64,
    /// Metres that a metre per second of speed counts as.
    pub speed: f64,
}

impl Default for PlanConfig {
    fn default() -> Self {
        Self {
            beta: 0.5,
            heading: 2.0,
            speed: 0.5,
        }
    }
}
