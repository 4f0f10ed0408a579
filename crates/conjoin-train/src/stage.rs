//! What a recipe says about a stage: what is trained, on which data, towards which objectives, for
//! how long, from where.

use crate::optimiser::OptimiserConfig;
use crate::schedule::{RampConfig, ScheduleConfig};
use conjoin_graph::PortRef;
use conjoin_graph::weights::ImportConfig;
use conjoin_kernels::Precision;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// One entry of `[[stages]]`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct StageConfig {
    /// Unique name of the stage.
    pub name: String,
    /// The data set of `[data]` that is trained on.
    pub data: String,
    /// Nodes whose weights change.
    pub train: Vec<String>,
    /// Nodes that take part and stay as they are. Every node on the stage's route is either
    /// trained or frozen, and says so.
    #[serde(default)]
    pub freeze: Vec<String>,
    /// Objectives of `[objectives]` with their weight in this stage.
    pub objectives: BTreeMap<String, f64>,
    /// Inputs that are fed differently in this stage, by `node.port`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub inputs: BTreeMap<String, InputConfig>,
    /// Inputs (`node.port`) through which no gradient flows back.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub stop_gradient: Vec<String>,
    /// Nodes that begin again from their initial weights.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub reset: Vec<String>,
    /// Weights imported for single nodes before the stage begins.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub weights: BTreeMap<String, ImportConfig>,
    /// Length in optimiser steps. Exactly one of `steps` and `epochs` is given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub steps: Option<u64>,
    /// Length in passes over the data; may be a fraction.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub epochs: Option<f64>,
    /// The optimiser of every trained node.
    #[serde(default)]
    pub optimiser: OptimiserConfig,
    /// Optimisers of single nodes that differ from `optimiser`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub optimisers: BTreeMap<String, OptimiserConfig>,
    /// Peak learning rate: one number, or a number a node.
    pub lr: LrConfig,
    /// How the learning rate moves over the stage.
    #[serde(default)]
    pub schedule: ScheduleConfig,
    /// Largest global norm of all gradients; larger ones are scaled down.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub clip_norm: Option<f64>,
    /// Batches whose gradients are averaged before an optimiser step.
    #[serde(default = "one")]
    pub accumulate: usize,
    /// Precision of the operands of matrix products in training steps. Sums, weights, optimiser,
    /// normalisation and losses are in single precision always, and so are evaluation, scores,
    /// predictions and checkpoints.
    #[serde(default, skip_serializing_if = "PrecisionConfig::is_f32")]
    pub precision: PrecisionConfig,
    /// Decay of an exponential moving average of the weights; the average is what is evaluated,
    /// kept as best and handed to the next stage.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ema: Option<f64>,
    /// Mean of the weights at several steps, the last of them the stage's end; the mean is what is
    /// evaluated from the first of them on, kept as best and handed to the next stage. Not together
    /// with `ema`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub average: Option<AverageConfig>,
    /// L1 and L2 penalties on the weights of single nodes, logged as terms of their own.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub regularise: BTreeMap<String, PenaltyConfig>,
    /// Evaluation while training.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub evaluate: Option<EvaluateConfig>,
    /// Ends the stage when a score stops improving; the stage then hands on its best weights.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub early_stopping: Option<EarlyStoppingConfig>,
    /// Own metrics of modules that must survive this stage.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub gate: Vec<GateConfig>,
    /// Checkpoints within the stage; one is always written at its end.
    #[serde(default)]
    pub checkpoint: CheckpointConfig,
    /// Ports that the task scores after this stage instead of those of `[task]`, by the task's
    /// name for them.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub score: BTreeMap<String, PortRef>,
    /// Score the task after this stage: `false` where its modules cannot do the task yet, and scoring
    /// them would take long. The last stage is always scored.
    #[serde(default = "yes", skip_serializing_if = "is_yes")]
    pub scored: bool,
}

fn yes() -> bool {
    true
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "as serde calls it")]
fn is_yes(value: &bool) -> bool {
    *value
}

fn one() -> usize {
    1
}

/// Precision of products in training steps.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum PrecisionConfig {
    /// Single precision.
    #[default]
    F32,
    /// Operands rounded to bfloat16: faster on processors with AVX512_BF16 (but for convolutions, which
    /// are rounded alike), the same numbers up to the order of sums on every other processor. On a GPU it
    /// changes nothing.
    Bf16,
}

impl PrecisionConfig {
    #[allow(clippy::trivially_copy_pass_by_ref)] // as serde calls it
    fn is_f32(&self) -> bool {
        *self == Self::F32
    }
}

impl From<PrecisionConfig> for Precision {
    fn from(config: PrecisionConfig) -> Self {
        match config {
            PrecisionConfig::F32 => Self::F32,
            PrecisionConfig::Bf16 => Self::Bf16,
        }
    }
}

/// How an input is fed in a stage.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum InputConfig {
    /// `false`: an optional input is left open.
    Open(bool),
    /// Another source.
    Source(PortRef),
    /// A wire that moves from ground truth to prediction.
    Schedule(InputSchedule),
}

/// Teacher forcing, scheduled sampling, and training on true inputs first and predicted ones later
/// are this one mechanism.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct InputSchedule {
    /// Ground truth.
    pub from: PortRef,
    /// The prediction. If it lies downstream of the input (a decoder fed with its own output), an
    /// extra pass without gradient computes it (Mihaylova and Martins 2019).
    pub to: PortRef,
    /// Share of elements taken from the prediction over the course of the stage.
    #[serde(default)]
    pub share: RampConfig,
}

/// One learning rate, or one a node.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum LrConfig {
    All(f64),
    PerNode(BTreeMap<String, f64>),
}

impl LrConfig {
    /// The peak learning rate of a node.
    pub fn of(&self, node: &str) -> Option<f64> {
        match self {
            Self::All(lr) => Some(*lr),
            Self::PerNode(nodes) => nodes.get(node).copied(),
        }
    }
}

/// Penalties added to the loss: `l1 * sum |w| + l2 / 2 * sum w^2` over a node's weights.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PenaltyConfig {
    #[serde(default)]
    pub l1: f64,
    #[serde(default)]
    pub l2: f64,
}

/// Averaging of checkpoints (Vaswani et al. 2017, section 6.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AverageConfig {
    /// How many of the latest weights are averaged. All of them are kept in memory and in
    /// checkpoints.
    pub last: usize,
    /// Steps between them.
    pub every: u64,
}

/// Evaluation within a stage.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct EvaluateConfig {
    /// Data set to evaluate on.
    pub data: String,
    /// Steps between evaluations; 0 evaluates at the end only.
    #[serde(default)]
    pub every: u64,
    /// Largest number of batches; all when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub batches: Option<usize>,
    /// Also compute the task's scores, not only the objectives' losses.
    #[serde(default)]
    pub task: bool,
}

/// Early stopping on a score of the evaluation: an objective's name, `total`, or a task's metric.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct EarlyStoppingConfig {
    /// Score to watch.
    pub metric: String,
    /// Evaluations without improvement before the stage ends.
    pub patience: u32,
    /// Smallest change that counts as an improvement.
    #[serde(default)]
    pub min_change: f64,
}

/// A module's own objective, measured before and after the stage.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct GateConfig {
    /// The earlier stage whose route, data and wiring the objective is measured with.
    pub stage: String,
    /// The objective.
    pub objective: String,
    /// Data set to measure on; the earlier stage's own when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub data: Option<String>,
    /// Largest number of batches to measure on; all when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub batches: Option<usize>,
    /// Largest allowed relative increase of the loss.
    pub tolerance: f64,
    /// What to do when it rose further.
    #[serde(default)]
    pub on_fail: OnGateFail,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum OnGateFail {
    /// The run fails; checkpoints stay.
    #[default]
    Fail,
    /// The weights return to what they were before the stage, and training goes on.
    RollBack,
    /// Only a warning.
    Warn,
}

/// Checkpoints within a stage.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CheckpointConfig {
    /// Steps between checkpoints; 0 writes at the stage's end only.
    #[serde(default)]
    pub every: u64,
    /// How many of the latest checkpoints are kept, besides the best and each stage's last.
    #[serde(default = "two")]
    pub keep: usize,
}

impl Default for CheckpointConfig {
    fn default() -> Self {
        Self { every: 0, keep: 2 }
    }
}

fn two() -> usize {
    2
}
