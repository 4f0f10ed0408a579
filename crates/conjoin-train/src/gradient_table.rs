//! Which loss moves which module, how strongly, and where losses pull against each other.
//!
//! Every objective runs backward by itself, through the route, the wires and the data of the latest
//! stage that has it, as that stage's last step did: with dropout, batch statistics and the last
//! share of its scheduled inputs. Cosines between losses as in Yu et al. 2020, "Gradient Surgery for
//! Multi-Task Learning".

use crate::data::{DataSets, spread_batches};
use crate::inputs::{feed_predictions, shares};
use crate::optimiser::GradientStore;
use crate::parameters::parameter_name;
use crate::pass::{columns, forward, kept_ports, loss};
use crate::plan::{ObjectivePlan, Plan, StagePlan};
use crate::{TrainError, seeds};
use burn::tensor::Device;
use conjoin_data::Batch;
use conjoin_graph::graph::{Graph, Pass};
use std::collections::BTreeMap;

/// Gradients of all losses at all modules, batch by batch.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct GradientTable {
    pub losses: Vec<LossGradients>,
    pub cosines: Vec<Cosine>,
}

/// The gradients of one loss.
#[derive(Debug, Clone, PartialEq)]
pub struct LossGradients {
    pub objective: String,
    /// The stage whose route, wires and data it was computed with.
    pub stage: String,
    pub data: String,
    /// Factor of the loss in the stage's sum; the norms contain it.
    pub weight: f64,
    /// Unweighted, a batch each.
    pub losses: Vec<f64>,
    /// Every node of the plan, in its order.
    pub modules: Vec<(String, Reach)>,
}

/// What arrives at a module.
#[derive(Debug, Clone, PartialEq)]
pub enum Reach {
    /// Norm over all of the module's weights, a batch each.
    Norms(Vec<f64>),
    Nothing(Reason),
}

/// Why a module gets no gradient.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    /// The loss does not depend on it in this stage.
    NoRoute,
    /// The stage freezes it.
    Frozen,
    /// The objective's `updates` leave it out.
    NotUpdated,
    /// Every way back to it is cut by `stop_gradient`.
    Cut,
    /// It has no weights.
    NoWeights,
    /// The gradient arrives and is exactly zero, or its weights take no part in the loss.
    Zero,
}

/// Cosine between the gradients of two losses at one module, a batch each. Losses of different stages
/// have different batches.
#[derive(Debug, Clone, PartialEq)]
pub struct Cosine {
    pub module: String,
    pub first: String,
    pub second: String,
    pub values: Vec<f64>,
}

/// By module, the flat gradient of its weights on the host.
type Gradients = BTreeMap<String, Vec<f32>>;

/// Runs every objective of a plan backward on `batches` batches of its stage's data.
///
/// `graph` has the weights in question on `device`, both with autodiff; which nodes are trained is
/// changed, no weight is.
///
/// # Errors
/// Data cannot be read, the graph cannot run, or a loss or gradient is not finite.
pub fn gradient_table(
    plan: &Plan,
    graph: &mut Graph,
    data: &DataSets,
    device: &Device,
    batches: usize,
) -> Result<GradientTable, TrainError> {
    let mut table = GradientTable::default();
    let mut all: Vec<Vec<Gradients>> = Vec::new();
    for (stage, objective) in latest(plan) {
        graph.train_only(&stage.trained);
        let seed = seeds::training_data(plan.seed, &stage.config.name);
        let loader = data.loader(&stage.config.data, seed)?;
        let (mut losses, mut gradients) = (Vec::new(), Vec::new());
        for (number, batch) in spread_batches(&loader, batches).enumerate() {
            let pass_seed = seeds::pass(plan.seed, u64::MAX, number);
            let one = Backward {
                graph,
                stage,
                objective,
                device,
            };
            let (loss, gradient) = one.run(&batch?, pass_seed)?;
            losses.push(loss);
            gradients.push(gradient);
        }
        table.losses.push(LossGradients {
            objective: objective.name.clone(),
            stage: stage.config.name.clone(),
            data: stage.config.data.clone(),
            weight: objective.weight,
            losses,
            modules: plan
                .nodes
                .iter()
                .map(|node| &node.name)
                .filter(|name| graph.node(name).is_some())
                .map(|name| {
                    (
                        name.clone(),
                        reach(graph, stage, objective, name, &gradients),
                    )
                })
                .collect(),
        });
        all.push(gradients);
    }
    table.cosines = cosines(&table.losses, &all);
    Ok(table)
}

/// Every objective with the latest stage that has it, in the order of the stages.
fn latest(plan: &Plan) -> Vec<(&StagePlan, &ObjectivePlan)> {
    let mut found: Vec<(&StagePlan, &ObjectivePlan)> = Vec::new();
    for stage in &plan.stages {
        for objective in &stage.objectives {
            found.retain(|(_, earlier)| earlier.name != objective.name);
            found.push((stage, objective));
        }
    }
    found
}

struct Backward<'a> {
    graph: &'a Graph,
    stage: &'a StagePlan,
    objective: &'a ObjectivePlan,
    device: &'a Device,
}

impl Backward<'_> {
    /// The unweighted loss on a batch, and the gradients of the weighted one.
    fn run(&self, batch: &Batch, seed: u64) -> Result<(f64, Gradients), TrainError> {
        let Self {
            graph,
            stage,
            objective,
            device,
        } = self;
        let columns = columns(stage, batch, device)?;
        let mut pass = Pass {
            training: Some(seed),
            // The end of the stage, whatever its length.
            shares: shares(stage, 1, 1),
            precision: stage.config.precision.into(),
            keep: kept_ports([*objective]),
            ..Pass::default()
        };
        feed_predictions(graph, stage, &columns, &mut pass)
            .map_err(|source| TrainError::graph(stage, source))?;
        let mut trace = forward(graph, stage, &columns, &pass)?;
        let mean = loss(stage, objective, &columns, &trace)?.mean;
        trace.clear();
        let value: Vec<f64> = mean.clone().inner().into_data().iter::<f64>().collect();
        let value = value.first().copied().unwrap_or(f64::NAN);
        let mut store = GradientStore::default();
        if mean.is_tracked() {
            let gradients = (mean * objective.weight).backward();
            store.collect(graph, &objective.updates, gradients);
        }
        if !value.is_finite() || !store.norm().is_finite() {
            return Err(TrainError::Objective {
                stage: stage.config.name.clone(),
                objective: objective.name.clone(),
                problem: format!(
                    "its loss is {value} and the norm of its gradient {}, which is no number to \
                     compare",
                    store.norm()
                ),
            });
        }
        Ok((value, by_module(graph, objective, &store)))
    }
}

fn by_module(graph: &Graph, objective: &ObjectivePlan, store: &GradientStore) -> Gradients {
    let mut gradients = Gradients::new();
    for name in &objective.updates {
        let Some(node) = graph.node(name) else {
            continue;
        };
        let flat = gradients.entry(name.clone()).or_default();
        node.visit(&mut |param| {
            if param.statistic {
                return;
            }
            // A weight without gradient keeps its place, so that cosines compare like with like.
            match store.get(&parameter_name(name, param.path)) {
                Some(gradient) => flat.extend(gradient.clone().into_data().iter::<f32>()),
                None => flat.extend(vec![0.0; param.shape.iter().product()]),
            }
        });
    }
    gradients
}

/// What a loss does at a module, and why nothing where it is nothing.
fn reach(
    graph: &Graph,
    stage: &StagePlan,
    objective: &ObjectivePlan,
    module: &str,
    gradients: &[Gradients],
) -> Reach {
    let ports = [&objective.config.prediction, &objective.config.target];
    let route = stage.route.upstream(ports, |_, _| true);
    if !route.contains(module) {
        return Reach::Nothing(Reason::NoRoute);
    }
    if !has_weights(graph, module) {
        return Reach::Nothing(Reason::NoWeights);
    }
    if !stage.trained.contains(module) {
        return Reach::Nothing(Reason::Frozen);
    }
    if !objective.updates.contains(module) {
        return Reach::Nothing(Reason::NotUpdated);
    }
    let open = stage.route.upstream(ports, |_, wire| !wire.detach);
    if !open.contains(module) {
        return Reach::Nothing(Reason::Cut);
    }
    let norm = |batch: &Gradients| batch.get(module).map_or(0.0, |flat| dot(flat, flat).sqrt());
    let norms: Vec<f64> = gradients.iter().map(norm).collect();
    if norms.iter().all(|norm| *norm == 0.0) {
        return Reach::Nothing(Reason::Zero);
    }
    Reach::Norms(norms)
}

fn has_weights(graph: &Graph, module: &str) -> bool {
    let mut any = false;
    if let Some(node) = graph.node(module) {
        node.visit(&mut |param| any |= !param.statistic);
    }
    any
}

/// All pairs of losses that both move a module.
fn cosines(losses: &[LossGradients], all: &[Vec<Gradients>]) -> Vec<Cosine> {
    let mut found = Vec::new();
    let moves = |loss: &LossGradients, module: &str| {
        let mut modules = loss.modules.iter();
        modules.any(|(name, reach)| name == module && matches!(reach, Reach::Norms(_)))
    };
    for (second, b) in losses.iter().enumerate() {
        for (first, a) in losses[..second].iter().enumerate() {
            for (module, _) in &b.modules {
                if !moves(a, module) || !moves(b, module) {
                    continue;
                }
                let pairs = all[first].iter().zip(&all[second]);
                let values = pairs.filter_map(|(x, y)| cosine(x.get(module)?, y.get(module)?));
                found.push(Cosine {
                    module: module.clone(),
                    first: a.objective.clone(),
                    second: b.objective.clone(),
                    values: values.collect(),
                });
            }
        }
    }
    found
}

/// None where one of the two is zero.
fn cosine(a: &[f32], b: &[f32]) -> Option<f64> {
    let norms = (dot(a, a) * dot(b, b)).sqrt();
    (norms > 0.0).then(|| (dot(a, b) / norms).clamp(-1.0, 1.0))
}

fn dot(a: &[f32], b: &[f32]) -> f64 {
    a.iter()
        .zip(b)
        .map(|(x, y)| f64::from(*x) * f64::from(*y))
        .sum()
}
