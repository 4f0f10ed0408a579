//! `state.json`: where the run is. Together with the weights, the optimiser's state and the
//! recipe it determines everything that follows: data order depends on the seed, the stage and the
//! epoch, all other randomness on the seed and the global step.

use crate::TrainError;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// Position of a run between two optimiser steps.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct RunState {
    /// The run's seed.
    pub seed: u64,
    /// Names of all stages of the run.
    pub stages: Vec<String>,
    /// Index of the stage that comes next or is under way; the number of stages when all are done.
    pub stage: usize,
    /// Optimiser steps done in the whole run.
    pub global_step: u64,
    /// The stage under way; `None` between stages.
    pub progress: Option<Progress>,
    /// Global steps at which stages ended; their checkpoints stay.
    pub stage_ends: BTreeSet<u64>,
    /// The best evaluation of the latest stage that was evaluated.
    pub best: Option<Best>,
}

/// A stage that has begun.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Progress {
    /// Optimiser steps of the stage.
    pub steps: u64,
    /// Optimiser steps done.
    pub step: u64,
    /// Pass over the data that the next batch belongs to.
    pub epoch: u64,
    /// Index of the next batch in that pass.
    pub batch: usize,
    /// Seconds spent in the stage before this process.
    pub seconds: f64,
    /// Evaluations since the watched score improved.
    pub stale: u32,
    /// Best value of the watched score in this stage.
    pub best: Option<Exact>,
    /// Losses of gated objectives before the stage, by the gate's position.
    pub gates: Vec<Exact>,
}

/// A number that decides something later, stored as text: the JSON parser may be off by a bit.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Exact(pub f64);

impl From<Exact> for String {
    fn from(number: Exact) -> Self {
        format!("{:?}", number.0)
    }
}

impl TryFrom<String> for Exact {
    type Error = std::num::ParseFloatError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse().map(Self)
    }
}

/// The best evaluation of a stage.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Best {
    pub stage: String,
    pub metric: String,
    pub value: f64,
    /// Global step whose checkpoint holds the weights.
    pub global_step: u64,
    /// All scores of that evaluation.
    pub scores: BTreeMap<String, f64>,
}

impl RunState {
    pub(crate) fn encode(&self, path: &Path) -> Result<Vec<u8>, TrainError> {
        let mut bytes = serde_json::to_vec_pretty(self)
            .map_err(|e| TrainError::io(path, "encode", e.into()))?;
        bytes.push(b'\n');
        Ok(bytes)
    }

    pub(crate) fn decode(bytes: &[u8], path: &Path) -> Result<Self, TrainError> {
        serde_json::from_slice(bytes).map_err(|e| TrainError::damaged(path, e.to_string()))
    }

    /// Global step at which a stage of the run ended; its checkpoint stays.
    pub fn end_of(&self, stage: &str) -> Option<u64> {
        let index = self.stages.iter().position(|name| name == stage)?;
        // Every stage has at least one step, and they run in order.
        self.stage_ends.iter().nth(index).copied()
    }

    /// Whether every stage is done.
    pub fn is_finished(&self) -> bool {
        self.stage >= self.stages.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_that_decide_survive_bit_for_bit() {
        let state = RunState {
            progress: Some(Progress {
                best: Some(Exact(0.1 + 0.2)),
                gates: vec![Exact(1.0 / 3.0), Exact(f64::MIN_POSITIVE), Exact(-7e300)],
                ..Progress::default()
            }),
            ..RunState::default()
        };
        let path = Path::new("state.json");
        let bytes = state.encode(path).unwrap();
        assert_eq!(RunState::decode(&bytes, path).unwrap(), state);
        assert!(RunState::decode(&bytes[1..], path).is_err());
    }
}
