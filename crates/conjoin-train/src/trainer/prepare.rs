//! Before a stage: nodes that begin again, weights that come from elsewhere, the stage's length.

use super::Trainer;
use crate::checkpoint::{self, Found, Store};
use crate::event::Level;
use crate::plan::StagePlan;
use crate::stage::PrecisionConfig;
use crate::{TrainError, seeds};
use burn::tensor::Tensor;
use conjoin_graph::graph::{Graph, GraphError};
use conjoin_graph::node::Node;
use conjoin_graph::weights::{ImportConfig, ImportReport, import};
use conjoin_kernels::flex::supported;
use std::path::PathBuf;

impl Trainer {
    /// Resets and imports what the stage asks for, and warns of what the device does not do.
    pub(super) fn prepare(&mut self, stage: &StagePlan) -> Result<(), TrainError> {
        let rounds = supported(&Tensor::<1>::zeros([1], &self.device));
        if stage.config.precision == PrecisionConfig::Bf16 && !rounds {
            let text = format!(
                "stage {:?}: products stay in single precision on this device",
                stage.config.name
            );
            self.say(Level::Warning, text)?;
        }
        for name in &stage.config.reset {
            self.reset(name)
                .map_err(|source| TrainError::graph(stage, source))?;
        }
        for (name, config) in &stage.config.weights {
            self.import(stage, name, config)?;
        }
        Ok(())
    }

    /// Gives a node the weights that it had when the run began.
    fn reset(&mut self, name: &str) -> Result<(), GraphError> {
        let specs: Vec<_> = self
            .plan
            .nodes
            .iter()
            .filter(|n| n.name == name)
            .cloned()
            .collect();
        let stages = self.plan.stages.iter().map(|stage| &stage.resolution);
        let resolutions: Vec<_> = stages.chain([&self.plan.resolution]).collect();
        let fresh = Graph::build(&specs, resolutions, &self.device, self.plan.seed)?;
        if let Some(node) = fresh.node(name) {
            self.graph.replace(name, node.boxed_clone());
        }
        Ok(())
    }

    /// Loads one node's weights and tells which keys were used, missing and unused.
    fn import(
        &mut self,
        stage: &StagePlan,
        name: &str,
        config: &ImportConfig,
    ) -> Result<(), TrainError> {
        let wrong = |problem: String| TrainError::Stage {
            stage: stage.config.name.clone(),
            problem: format!("weights of node {name:?}: {problem}"),
        };
        let node = self
            .graph
            .node(name)
            .map(Node::boxed_clone)
            .ok_or_else(|| wrong("there is no such node".to_owned()))?;
        let (path, found) = file_of(name, config).map_err(|e| wrong(e.to_string()))?;
        let (node, report) = import(node, config, &path).map_err(|source| TrainError::Import {
            stage: stage.config.name.clone(),
            node: name.to_owned(),
            source: Box::new(source),
        })?;
        self.graph.replace(name, node);
        if let Some(found) = found {
            let graph = std::mem::take(&mut self.graph);
            self.graph = checkpoint::load_average(graph, name, &found)?;
        }
        let text = format!(
            "weights of node {name:?} from {}: {}",
            path.display(),
            told(&report)
        );
        self.say(Level::Info, text)
    }

    /// Optimiser steps of a stage. An epoch counts as many batches as the first one has.
    pub(super) fn length(&self, stage: &StagePlan) -> Result<u64, TrainError> {
        let config = &stage.config;
        if let Some(steps) = config.steps {
            return Ok(steps.max(1));
        }
        let seed = seeds::training_data(self.plan.seed, &config.name);
        let loader = self.data.loader(&config.data, seed)?;
        let batches = loader.batches_in_epoch(0) as f64 * config.epochs.unwrap_or(1.0);
        Ok(((batches / config.accumulate.max(1) as f64).round() as u64).max(1))
    }
}

/// The file to read: the path itself, or the node's file in the best checkpoint of a run.
fn file_of(node: &str, config: &ImportConfig) -> Result<(PathBuf, Option<Found>), TrainError> {
    if !config.path.is_dir() {
        return Ok((config.path.clone(), None));
    }
    let root = &config.path;
    let missing = |missing: String| TrainError::NoRun {
        root: root.clone(),
        missing,
    };
    let checkpoints = root.join("checkpoints");
    if !checkpoints.is_dir() {
        return Err(missing("checkpoints".to_owned()));
    }
    let found = checkpoint::best(&Store::new(checkpoints))?
        .ok_or_else(|| missing("a checkpoint".to_owned()))?;
    let path = found.path.join(checkpoint::node_file(node));
    Ok((path, Some(found)))
}

fn told(report: &ImportReport) -> String {
    let list = |what: &str, keys: &[String]| match keys {
        [] => format!("none {what}"),
        keys => format!("{} {what} ({})", keys.len(), keys.join(", ")),
    };
    let parts = [
        list("used", &report.used),
        list("missing", &report.missing),
        list("unused", &report.unused),
    ];
    parts.join(", ")
}
