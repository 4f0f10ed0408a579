//! The recipe after checking. All code below the recipe crate takes a plan, never a recipe.

use crate::objective::ObjectiveConfig;
use crate::stage::StageConfig;
use conjoin_data::{Contract, DataError, DataSetConfig, Source};
use conjoin_graph::{NodeSpec, PortRef, Resolution, Route, Wiring};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// A system: its graph, its data, its objectives and its stages, all checked.
#[derive(Debug, Clone)]
pub struct Plan {
    pub name: String,
    pub seed: u64,
    pub nodes: Vec<NodeSpec>,
    /// Wires of the joined graph.
    pub wiring: Wiring,
    pub data: BTreeMap<String, DataPlan>,
    pub stages: Vec<StagePlan>,
    /// The routes that tasks run on the joined graph, by data set.
    pub resolution: Resolution,
    /// Columns that hold the truth about what arrives at an input, or none where there is none, as
    /// the recipe's `[oracle]` has it.
    pub oracle: BTreeMap<PortRef, Option<PortRef>>,
}

/// A data set and the columns it yields after its transforms.
#[derive(Debug, Clone)]
pub struct DataPlan {
    pub config: DataSetConfig,
    pub columns: BTreeMap<String, Contract>,
}

/// A stage with everything that follows from the graph.
#[derive(Debug, Clone)]
pub struct StagePlan {
    pub config: StageConfig,
    /// The joined wiring with this stage's inputs.
    pub wiring: Wiring,
    pub resolution: Resolution,
    pub route: Route,
    pub trained: BTreeSet<String>,
    pub objectives: Vec<ObjectivePlan>,
}

/// An objective as one stage uses it.
#[derive(Debug, Clone)]
pub struct ObjectivePlan {
    pub name: String,
    pub config: ObjectiveConfig,
    /// Weight of the objective times its weight in the stage.
    pub weight: f64,
    /// Trained nodes that this objective changes.
    pub updates: BTreeSet<String>,
}

impl StagePlan {
    /// Ports whose values the loop reads after a pass.
    pub fn wanted(&self) -> BTreeSet<PortRef> {
        self.objectives
            .iter()
            .flat_map(|objective| {
                [
                    objective.config.prediction.clone(),
                    objective.config.target.clone(),
                ]
            })
            .collect()
    }
}

impl Plan {
    pub fn stage(&self, name: &str) -> Option<&StagePlan> {
        self.stages.iter().find(|stage| stage.config.name == name)
    }

    /// What the last stage scores in place of the task's own ports (its `score` table).
    pub fn score_ports(&self) -> BTreeMap<String, PortRef> {
        let last = self.stages.last();
        last.map(|stage| stage.config.score.clone())
            .unwrap_or_default()
    }

    /// Opens the source of a data set, without the examples of those it excludes.
    pub fn open_source(&self, data: &str) -> Result<Arc<dyn Source>, DataError> {
        let configs = self
            .data
            .iter()
            .map(|(name, data)| (name.clone(), data.config.clone()))
            .collect();
        conjoin_data::dataset::open(data, &configs)
    }
}
