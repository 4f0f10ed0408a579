//! The plan of one arm.

use super::Meaning;
use super::stages::StageGraph;
use crate::sections::Arm;
use conjoin_graph::{NodeSpec, Route};
use conjoin_train::{DataPlan, ObjectivePlan, Plan, StageConfig, StagePlan};
use std::collections::{BTreeMap, BTreeSet};

pub(super) fn build(meaning: &Meaning, arm: Option<&Arm>) -> Plan {
    let parts = &meaning.parts;
    let nodes: Vec<NodeSpec> = parts
        .nodes
        .iter()
        .filter_map(|node| {
            Some(NodeSpec {
                name: node.name.clone(),
                config: node.kind.clone()?,
            })
        })
        .collect();
    let data = parts
        .data
        .iter()
        .filter_map(|(name, config)| {
            let columns = meaning.columns.get(name)?.columns.clone();
            Some((
                name.clone(),
                DataPlan {
                    config: config.clone()?,
                    columns,
                },
            ))
        })
        .collect();
    let declared: Vec<(&StageConfig, &StageGraph)> = parts
        .stages
        .iter()
        .zip(&meaning.graphs)
        .filter_map(|(stage, graph)| stage.as_ref().zip(graph.as_ref()))
        .collect();
    let chosen: Vec<_> = match arm {
        None => declared,
        Some(arm) => arm
            .stages
            .iter()
            .filter_map(|name| {
                declared
                    .iter()
                    .find(|(stage, _)| stage.name == *name)
                    .copied()
            })
            .collect(),
    };
    let stages = chosen
        .into_iter()
        .map(|(stage, graph)| build_stage(meaning, &nodes, arm, stage, graph));
    Plan {
        name: parts.name.clone(),
        seed: parts.seed,
        data,
        stages: stages.collect(),
        wiring: meaning.joined.clone(),
        resolution: meaning.task.clone(),
        nodes,
        oracle: parts.oracle.iter().cloned().collect(),
    }
}

fn build_stage(
    meaning: &Meaning,
    nodes: &[NodeSpec],
    arm: Option<&Arm>,
    stage: &StageConfig,
    graph: &StageGraph,
) -> StagePlan {
    let mut config = stage.clone();
    if let Some(epochs) = arm.and_then(|arm| arm.epochs.get(&stage.name)) {
        config.epochs = Some(*epochs);
        config.steps = None;
    }
    let trained: BTreeSet<String> = stage.train.iter().cloned().collect();
    let objectives = objectives(meaning, stage, &trained);
    StagePlan {
        route: Route::new(nodes, &graph.wiring, &graph.resolution),
        wiring: graph.wiring.clone(),
        resolution: graph.resolution.clone(),
        trained,
        objectives,
        config,
    }
}

fn objectives(
    meaning: &Meaning,
    stage: &StageConfig,
    trained: &BTreeSet<String>,
) -> Vec<ObjectivePlan> {
    // In the order of the recipe, not of the alphabet.
    let order: BTreeMap<&str, usize> = meaning
        .parts
        .objectives
        .iter()
        .enumerate()
        .map(|(position, (name, _))| (name.as_str(), position))
        .collect();
    let mut all: Vec<ObjectivePlan> = stage
        .objectives
        .iter()
        .filter_map(|(name, weight)| {
            let config = meaning.parts.objective(name)?.clone();
            let updates = match &config.updates {
                Some(updates) => updates
                    .iter()
                    .filter(|n| trained.contains(*n))
                    .cloned()
                    .collect(),
                None => trained.clone(),
            };
            Some(ObjectivePlan {
                name: name.clone(),
                weight: config.weight * weight,
                config,
                updates,
            })
        })
        .collect();
    all.sort_by_key(|objective| order.get(objective.name.as_str()).copied());
    all
}
