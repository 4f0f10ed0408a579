//! What a plan will build: nodes with ports, shapes and numbers of weights, arithmetic, memory,
//! stages. Nothing is allocated and no data is read.

use crate::recipe::Checked;
use burn::tensor::Device;
use conjoin_graph::graph::GraphError;
use conjoin_graph::{Bound, Contract, Graph, NodeConfig, NodeSpec, PortRef, Resolution};
use conjoin_train::{OptimiserConfig, StagePlan};
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

/// The size at which symbolic dimensions (`T`, `U`, …) are counted.
pub const NOMINAL: usize = 10;

/// Bytes of a weight.
const F32: usize = 4;

/// A checked recipe in figures.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Summary {
    pub name: String,
    pub seed: u64,
    pub task: String,
    /// The arm whose stages are listed.
    pub arm: Option<String>,
    pub arms: BTreeMap<String, Vec<String>>,
    pub nodes: Vec<NodeSummary>,
    /// Weights of all nodes of the arm.
    pub parameters: usize,
    /// Symbolic dimensions with the size at which `flops` counts them.
    pub nominal: BTreeMap<String, usize>,
    pub stages: Vec<StageSummary>,
    /// Largest of the stages' memory, in bytes.
    pub memory: usize,
}

/// One node.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct NodeSummary {
    pub name: String,
    pub kind: String,
    pub inputs: Vec<PortSummary>,
    pub outputs: Vec<PortSummary>,
    pub parameters: usize,
    /// Running statistics, which are saved but not trained.
    pub statistics: usize,
    /// Floating-point operations of one forward pass for one sample.
    pub flops: f64,
}

/// One port and what it carries.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct PortSummary {
    pub port: String,
    /// What feeds an input.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    /// Such as `features [B, T, 256]`.
    pub carries: String,
}

/// One stage.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct StageSummary {
    pub name: String,
    pub data: String,
    /// Such as `5 epochs`.
    pub length: String,
    pub trained: Vec<String>,
    pub frozen: Vec<String>,
    pub objectives: Vec<String>,
    /// Weights that change.
    pub trained_parameters: usize,
    /// Floating-point operations of one forward pass for one sample.
    pub flops: f64,
    /// Bytes of weights, gradients and optimiser state; activations come on top.
    pub memory: usize,
}

/// Tells what a checked recipe will build.
///
/// # Errors
/// A node cannot be built, which checking should have found.
pub fn summarise(checked: &Checked) -> Result<Summary, GraphError> {
    let plan = &checked.plan;
    let resolutions: Vec<&Resolution> = plan
        .stages
        .iter()
        .map(|stage| &stage.resolution)
        .chain([&plan.resolution])
        .collect();
    let graph = Graph::build(
        &plan.nodes,
        resolutions.iter().copied(),
        &Device::flex(),
        plan.seed,
    )?;
    let mut symbols = BTreeSet::new();
    let nodes: Vec<NodeSummary> = plan
        .nodes
        .iter()
        .filter_map(|spec| {
            let wirings = plan.stages.iter().map(|s| (&s.wiring, &s.resolution));
            let all: Vec<_> = wirings.chain([(&plan.wiring, &plan.resolution)]).collect();
            // The use with the most inputs wired is the one to show.
            let (wiring, found) = all
                .into_iter()
                .filter(|(_, resolution)| resolution.bound.contains_key(&spec.name))
                .max_by_key(|(wiring, _)| {
                    wiring.keys().filter(|to| to.node == spec.name).count()
                })?;
            Some(node_summary(spec, wiring, found, &graph, &mut symbols))
        })
        .collect();
    let stages: Vec<StageSummary> = plan
        .stages
        .iter()
        .map(|stage| stage_summary(stage, &nodes))
        .collect();
    let arms = checked
        .arms
        .iter()
        .map(|(name, arm)| (name.clone(), arm.stages.clone()));
    Ok(Summary {
        name: plan.name.clone(),
        seed: plan.seed,
        task: checked.task.kind().to_owned(),
        arm: checked.arm.clone(),
        arms: arms.collect(),
        parameters: nodes.iter().map(|node| node.parameters).sum(),
        nominal: symbols
            .into_iter()
            .map(|symbol| (symbol, NOMINAL))
            .collect(),
        memory: stages.iter().map(|stage| stage.memory).max().unwrap_or(0),
        nodes,
        stages,
    })
}

fn node_summary(
    spec: &NodeSpec,
    wiring: &conjoin_graph::Wiring,
    resolution: &Resolution,
    graph: &Graph,
    symbols: &mut BTreeSet<String>,
) -> NodeSummary {
    let empty = Bound::default();
    let bound = resolution.bound.get(&spec.name).unwrap_or(&empty);
    let carries = |contract: &Contract| contract.to_string();
    let inputs = spec.config.inputs().into_iter().filter_map(|port| {
        let contract = bound.contract(port.name)?;
        let wire = wiring.get(&PortRef::new(&spec.name, port.name));
        Some(PortSummary {
            port: port.name.to_owned(),
            from: wire.map(|wire| wire.from.to_string()),
            carries: carries(contract),
        })
    });
    let outputs = resolution.outputs.get(&spec.name).into_iter().flatten();
    let outputs = outputs.map(|port| PortSummary {
        port: port.name.to_owned(),
        from: None,
        carries: carries(&port.contract),
    });
    let (mut parameters, mut statistics) = (0, 0);
    if let Some(node) = graph.node(&spec.name) {
        node.visit(&mut |param| {
            let count: usize = param.shape.iter().product();
            if param.statistic {
                statistics += count;
            } else {
                parameters += count;
            }
        });
    }
    let met = std::cell::RefCell::new(BTreeSet::new());
    let flops = spec.config.flops(bound, &|symbol| {
        if symbol == "B" {
            return 1;
        }
        met.borrow_mut().insert(symbol.to_owned());
        NOMINAL
    });
    symbols.extend(met.into_inner());
    NodeSummary {
        name: spec.name.clone(),
        kind: spec.config.name().to_owned(),
        inputs: inputs.collect(),
        outputs: outputs.collect(),
        parameters,
        statistics,
        flops,
    }
}

fn stage_summary(stage: &StagePlan, nodes: &[NodeSummary]) -> StageSummary {
    let config = &stage.config;
    let route: BTreeSet<&str> = stage.route.nodes().collect();
    let on_route = || {
        nodes
            .iter()
            .filter(|node| route.contains(node.name.as_str()))
    };
    let trained = || on_route().filter(|node| stage.trained.contains(&node.name));
    let state: usize = trained()
        .map(|node| {
            let optimiser = config
                .optimisers
                .get(&node.name)
                .unwrap_or(&config.optimiser);
            node.parameters * (1 + slots(optimiser))
        })
        .sum();
    // An exponential average of the weights is one more copy; the mean of several keeps them all.
    let copies = usize::from(config.ema.is_some()) + config.average.map_or(0, |a| a.last);
    let average = copies * trained().map(|n| n.parameters).sum::<usize>();
    let held: usize = nodes
        .iter()
        .map(|node| node.parameters + node.statistics)
        .sum();
    StageSummary {
        name: config.name.clone(),
        data: config.data.clone(),
        length: length(config.steps, config.epochs),
        trained: trained().map(|node| node.name.clone()).collect(),
        frozen: config.freeze.clone(),
        objectives: stage
            .objectives
            .iter()
            .map(|objective| objective.name.clone())
            .collect(),
        trained_parameters: trained().map(|node| node.parameters).sum(),
        flops: on_route().map(|node| node.flops).sum(),
        memory: F32 * (held + state + average),
    }
}

/// Values that an optimiser keeps for each weight.
fn slots(optimiser: &OptimiserConfig) -> usize {
    match optimiser {
        OptimiserConfig::Sgd(config) => usize::from(config.momentum > 0.0),
        OptimiserConfig::Adam(_) | OptimiserConfig::Adamw(_) => 2,
        OptimiserConfig::Rmsprop(config) => {
            1 + usize::from(config.momentum > 0.0) + usize::from(config.centered)
        }
    }
}

fn length(steps: Option<u64>, epochs: Option<f64>) -> String {
    match (steps, epochs) {
        (Some(1), _) => "1 step".to_owned(),
        (Some(steps), _) => format!("{steps} steps"),
        (None, Some(1.0)) => "1 epoch".to_owned(),
        (None, Some(epochs)) => format!("{epochs} epochs"),
        (None, None) => String::new(),
    }
}

/// A number with thousands apart: `1,234,567`.
pub fn thousands(number: usize) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (position, digit) in digits.chars().enumerate() {
        if position > 0 && (digits.len() - position).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A number of operations or bytes in a fitting unit: `1.5 M`.
pub fn scaled(number: f64) -> String {
    let units = [(1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k")];
    match units.into_iter().find(|(size, _)| number >= *size) {
        Some((size, unit)) => format!("{:.1} {unit}", number / size),
        None => format!("{number:.0} "),
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{} ({}, seed {})\n", self.name, self.task, self.seed)?;
        let mut rows =
            vec![["node", "kind", "weights", "FLOPs", "port", "", "carries"].map(str::to_owned)];
        for node in &self.nodes {
            let ports = node.inputs.iter().map(|port| ("<-", port));
            let ports = ports.chain(node.outputs.iter().map(|port| ("->", port)));
            for (index, (arrow, port)) in ports.enumerate() {
                let head = |text: String| if index == 0 { text } else { String::new() };
                rows.push([
                    head(node.name.clone()),
                    head(node.kind.clone()),
                    head(thousands(node.parameters)),
                    head(scaled(node.flops).trim_end().to_owned()),
                    port.port.clone(),
                    match &port.from {
                        Some(from) => format!("{arrow} {from}"),
                        None => arrow.to_owned(),
                    },
                    port.carries.clone(),
                ]);
            }
        }
        write_table(f, &rows, &[2, 3])?;
        let nominal: Vec<String> = self
            .nominal
            .iter()
            .map(|(symbol, size)| format!("{symbol} = {size}"))
            .collect();
        let at = if nominal.is_empty() {
            String::new()
        } else {
            format!(" with {}", nominal.join(", "))
        };
        writeln!(
            f,
            "\n{} weights; FLOPs of one sample forward{at}",
            thousands(self.parameters)
        )?;
        match &self.arm {
            Some(arm) => writeln!(f, "\nstages of arm \"{arm}\"")?,
            None => writeln!(f, "\nstages")?,
        }
        let mut rows = vec![
            [
                "stage",
                "length",
                "data",
                "trained weights",
                "FLOPs",
                "memory",
                "trains",
                "freezes",
            ]
            .map(str::to_owned),
        ];
        for stage in &self.stages {
            rows.push([
                stage.name.clone(),
                stage.length.clone(),
                stage.data.clone(),
                thousands(stage.trained_parameters),
                scaled(stage.flops).trim_end().to_owned(),
                format!("{}B", scaled(stage.memory as f64)),
                stage.trained.join(", "),
                stage.frozen.join(", "),
            ]);
        }
        write_table(f, &rows, &[3, 4, 5])?;
        writeln!(
            f,
            "\nmemory: weights, gradients and optimiser state; activations come on top"
        )?;
        for (name, stages) in &self.arms {
            writeln!(f, "arm {name}: {}", stages.join(" -> "))?;
        }
        Ok(())
    }
}

/// Columns as wide as their widest cell; those of `right` are flush right.
pub fn write_table<const N: usize>(
    f: &mut fmt::Formatter<'_>,
    rows: &[[String; N]],
    right: &[usize],
) -> fmt::Result {
    let width = |column: usize| {
        rows.iter()
            .map(|row| row[column].chars().count())
            .max()
            .unwrap_or(0)
    };
    let widths: Vec<usize> = (0..N).map(width).collect();
    for row in rows {
        let mut line = String::new();
        for (column, cell) in row.iter().enumerate() {
            let width = widths[column];
            let cell = if right.contains(&column) {
                format!("{cell:>width$}")
            } else {
                format!("{cell:<width$}")
            };
            line.push_str(&cell);
            line.push_str("  ");
        }
        writeln!(f, "{}", line.trim_end())?;
    }
    Ok(())
}
