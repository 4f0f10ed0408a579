//! The parts of a log, by kind.

use std::collections::BTreeMap;

/// One optimiser step.
#[derive(Debug, Clone, PartialEq)]
pub struct StepRecord {
    pub stage: String,
    pub global_step: u64,
    pub loss: f64,
    pub terms: BTreeMap<String, f64>,
    pub lr: BTreeMap<String, f64>,
    pub grad_norm: Option<f64>,
    pub shares: BTreeMap<String, f64>,
    pub samples: usize,
    pub seconds: f64,
}

/// Scores on a data set at some step.
#[derive(Debug, Clone, PartialEq)]
pub struct Evaluation {
    pub stage: String,
    pub global_step: u64,
    pub data: String,
    pub scores: BTreeMap<String, f64>,
    pub best: bool,
}

/// Values seen at an interface.
#[derive(Debug, Clone, PartialEq)]
pub struct InterfaceRecord {
    pub stage: String,
    pub global_step: u64,
    pub port: String,
    pub shape: Vec<usize>,
    pub mean: f64,
    pub std: f64,
    pub min: f64,
    pub max: f64,
    pub zeros: f64,
}

/// Seconds by module and by kind of work in one stage.
#[derive(Debug, Clone, PartialEq)]
pub struct TimingRecord {
    pub stage: String,
    pub forward: BTreeMap<String, f64>,
    pub backward: f64,
    pub optimiser: f64,
    pub data: f64,
    pub evaluation: f64,
    pub checkpoint: f64,
}

/// A module's own objective before and after a stage.
#[derive(Debug, Clone, PartialEq)]
pub struct GateRecord {
    pub stage: String,
    pub objective: String,
    pub before: f64,
    pub after: f64,
    pub tolerance: f64,
    pub passed: bool,
}

/// A stage as it went.
#[derive(Debug, Clone, PartialEq)]
pub struct StageRecord {
    pub name: String,
    /// Steps that were planned.
    pub steps: u64,
    pub trained: BTreeMap<String, usize>,
    pub frozen: Vec<String>,
    /// Wall-clock seconds, once the stage is finished.
    pub seconds: Option<f64>,
    /// Why it ended before its last step, if it did.
    pub early: Option<String>,
    /// Global step at which it ended.
    pub(super) finished_at: Option<u64>,
}
