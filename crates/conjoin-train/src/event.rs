//! What the loop tells the world. Only listeners print or write; the loop emits.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// One line of `metrics.jsonl`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
pub enum Event {
    /// The run begins or goes on.
    Started {
        name: String,
        seed: u64,
        device: String,
        /// Global step that the run resumed from.
        resumed_from: Option<u64>,
        stages: Vec<String>,
    },
    StageStarted {
        stage: String,
        index: usize,
        steps: u64,
        /// Trained nodes and their numbers of weights.
        trained: BTreeMap<String, usize>,
        frozen: Vec<String>,
    },
    /// One optimiser step.
    Step {
        stage: String,
        /// Steps done in the stage, this one included.
        step: u64,
        /// Steps of the stage.
        steps: u64,
        /// Steps done in the run, this one included.
        global_step: u64,
        epoch: u64,
        /// Weighted sum of all terms.
        loss: f64,
        /// Every term by itself, unweighted.
        terms: BTreeMap<String, f64>,
        /// Learning rate of each trained node.
        lr: BTreeMap<String, f64>,
        /// Global norm of all gradients, before clipping.
        grad_norm: Option<f64>,
        /// Share taken from predictions by each scheduled input.
        shares: BTreeMap<String, f64>,
        samples: usize,
        /// Wall-clock time of the step.
        seconds: f64,
    },
    /// Scores on a data set.
    Evaluated {
        stage: String,
        global_step: u64,
        data: String,
        scores: BTreeMap<String, f64>,
        /// Best so far by the watched metric.
        best: bool,
    },
    /// Statistics of the values at an interface, measured on one batch.
    Interface {
        stage: String,
        global_step: u64,
        port: String,
        shape: Vec<usize>,
        mean: f64,
        std: f64,
        min: f64,
        max: f64,
        /// Share of exact zeros.
        zeros: f64,
    },
    /// Time by module over a stage: seconds of forward passes.
    Timing {
        stage: String,
        forward: BTreeMap<String, f64>,
        backward: f64,
        optimiser: f64,
        data: f64,
        evaluation: f64,
        checkpoint: f64,
    },
    /// A module's own objective before and after a stage.
    Gate {
        stage: String,
        objective: String,
        before: f64,
        after: f64,
        tolerance: f64,
        passed: bool,
    },
    Checkpoint {
        path: String,
        global_step: u64,
    },
    StageFinished {
        stage: String,
        global_step: u64,
        seconds: f64,
        /// Why it ended before its last step, if it did.
        early: Option<String>,
    },
    /// Something a person should read.
    Message {
        level: Level,
        text: String,
    },
    Finished {
        global_step: u64,
        seconds: f64,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Level {
    Info,
    Warning,
}

impl Event {
    /// The step that the event belongs to, where it belongs to one.
    pub fn global_step(&self) -> Option<u64> {
        match self {
            Self::Step { global_step, .. }
            | Self::Evaluated { global_step, .. }
            | Self::Interface { global_step, .. }
            | Self::Checkpoint { global_step, .. }
            | Self::StageFinished { global_step, .. }
            | Self::Finished { global_step, .. } => Some(*global_step),
            Self::Started { .. }
            | Self::StageStarted { .. }
            | Self::Timing { .. }
            | Self::Gate { .. }
            | Self::Message { .. } => None,
        }
    }
}

/// Receives every event in order.
pub trait Listener: Send {
    /// An error ends the run: a metric that cannot be written is not lost silently.
    fn on(&mut self, event: &Event) -> std::io::Result<()>;

    /// The run goes on from the checkpoint of a global step (0: from the start). What was recorded
    /// of later steps is to be forgotten.
    fn rewind(&mut self, _global_step: u64) -> std::io::Result<()> {
        Ok(())
    }
}
