//! Where a NaN or an infinity came from.
//!
//! When a loss or a gradient is not finite, the passes of the step are run again with every port
//! kept. The culprit is the first module in the order of the route whose output is not finite;
//! failing that, the module closest to the loss whose parameters have a gradient that is not.

use crate::TrainError;
use crate::inputs::Columns;
use crate::optimiser::GradientStore;
use crate::parameters::parameter_name;
use crate::pass::{forward, loss};
use crate::plan::{ObjectivePlan, StagePlan};
use conjoin_graph::graph::{Graph, Keep, Pass, Trace};
use conjoin_graph::value::Value;
use std::collections::BTreeSet;
use std::fmt;

/// The step, loss and module at which numbers ceased to be finite.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NotFinite {
    pub stage: String,
    /// Step of the stage, from 1.
    pub step: u64,
    /// Step of the run, from 1.
    pub global_step: u64,
    pub culprit: Culprit,
}

/// What went first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Culprit {
    /// A column of the batch.
    Column { column: String },
    /// A module's output; `weights` when its weights were not finite before.
    Output {
        term: String,
        port: String,
        weights: bool,
    },
    /// A loss of finite values.
    Loss { term: String },
    /// The gradient of a module's parameter, with finite outputs and losses.
    Gradient { term: String, parameter: String },
    /// Only all gradients together.
    Norm { term: String },
}

impl std::error::Error for NotFinite {}

impl fmt::Display for NotFinite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            stage,
            step,
            global_step,
            culprit,
        } = self;
        write!(
            f,
            "stage {stage:?}, step {step} (step {global_step} of the run): "
        )?;
        match culprit {
            Culprit::Column { column } => {
                write!(f, "column {column:?} of the data is not finite")
            }
            Culprit::Output {
                term,
                port,
                weights,
            } => {
                let module = port.split('.').next().unwrap_or(port);
                write!(
                    f,
                    "loss {term:?} is not finite; first was {port}, of module {module:?}"
                )?;
                if *weights {
                    write!(f, ", whose weights were not finite before the step")?;
                }
                Ok(())
            }
            Culprit::Loss { term } => write!(
                f,
                "loss {term:?} is not finite, although everything it reads is"
            ),
            Culprit::Gradient { term, parameter } => {
                let module = parameter.split('/').next().unwrap_or(parameter);
                write!(
                    f,
                    "the gradient of loss {term:?} is not finite; first was that of {parameter}, of \
                     module {module:?}"
                )
            }
            Culprit::Norm { term } => write!(
                f,
                "the norm of the gradient of loss {term:?} is too large to be a number"
            ),
        }?;
        write!(
            f,
            "; nothing of this step was kept (a smaller `lr`, `clip_norm` or a warm-up may help)"
        )
    }
}

/// A pass to be run again: what it read and how it ran.
#[derive(Debug)]
pub(crate) struct Replay<'a> {
    pub columns: &'a Columns,
    pub pass: &'a Pass,
}

/// Finds what went first in the passes of a step. The graph is as it was before the step.
pub(crate) fn find(
    graph: &Graph,
    stage: &StagePlan,
    replays: &[Replay<'_>],
) -> Result<Culprit, TrainError> {
    for replay in replays {
        let pass = Pass {
            keep: Keep::All,
            ..replay.pass.clone()
        };
        if let Some(column) = first_column(replay.columns) {
            return Ok(Culprit::Column { column });
        }
        let trace = forward(graph, stage, replay.columns, &pass)?;
        if let Some(port) = first_output(stage, &trace) {
            let module = port.split('.').next().unwrap_or(&port).to_owned();
            return Ok(Culprit::Output {
                term: first_term(stage, replay.columns, &trace)?,
                weights: !weights_are_finite(graph, &module),
                port,
            });
        }
        for objective in &stage.objectives {
            let loss = loss(stage, objective, replay.columns, &trace)?;
            if !is_finite(&loss.mean.inner().into()) {
                let term = objective.name.clone();
                return Ok(Culprit::Loss { term });
            }
        }
        drop(trace);
        for objective in &stage.objectives {
            if let Some(culprit) = first_gradient(graph, stage, objective, replay)? {
                return Ok(culprit);
            }
        }
    }
    let term = stage.objectives.iter().map(|o| o.name.as_str());
    let term = term.collect::<Vec<_>>().join(" + ");
    Ok(Culprit::Norm { term })
}

fn is_finite(value: &Value) -> bool {
    !value.payload.is_float() || value.to_f32().iter().all(|x| x.is_finite())
}

fn first_column(columns: &Columns) -> Option<String> {
    let mut bad = columns.iter().filter(|(_, value)| !is_finite(value));
    bad.next().map(|(name, _)| name.clone())
}

/// The first port that is not finite, in the order of the route.
fn first_output(stage: &StagePlan, trace: &Trace) -> Option<String> {
    stage.route.nodes().find_map(|node| {
        let mut ports = trace.values().filter(|(port, _)| port.node == node);
        ports
            .find(|(_, value)| !is_finite(value))
            .map(|(port, _)| port.to_string())
    })
}

/// The first loss that is not finite; all of them joined where only an unused output is not.
fn first_term(stage: &StagePlan, columns: &Columns, trace: &Trace) -> Result<String, TrainError> {
    for objective in &stage.objectives {
        let loss = loss(stage, objective, columns, trace)?;
        if !is_finite(&loss.mean.inner().into()) {
            return Ok(objective.name.clone());
        }
    }
    let names: Vec<&str> = stage.objectives.iter().map(|o| o.name.as_str()).collect();
    Ok(names.join(" + "))
}

fn weights_are_finite(graph: &Graph, module: &str) -> bool {
    let mut finite = true;
    if let Some(node) = graph.node(module) {
        node.visit(&mut |param| finite &= is_finite(&param.value()));
    }
    finite
}

/// The parameter with a bad gradient in the module closest to the loss.
fn first_gradient(
    graph: &Graph,
    stage: &StagePlan,
    objective: &ObjectivePlan,
    replay: &Replay<'_>,
) -> Result<Option<Culprit>, TrainError> {
    let trace = forward(graph, stage, replay.columns, replay.pass)?;
    let mean = loss(stage, objective, replay.columns, &trace)?.mean;
    if !mean.is_tracked() {
        return Ok(None);
    }
    let mut gradients = GradientStore::default();
    let updates: &BTreeSet<String> = &objective.updates;
    gradients.collect(graph, updates, (mean * objective.weight).backward());
    let order: Vec<&str> = stage.route.nodes().collect();
    for name in order.into_iter().rev() {
        let Some(node) = graph.node(name) else {
            continue;
        };
        let mut bad = None;
        node.visit(&mut |param| {
            let key = parameter_name(name, param.path);
            let gradient = gradients.get(&key);
            if gradient.is_some_and(|g| !is_finite(&g.clone().into())) {
                bad.get_or_insert(key);
            }
        });
        if let Some(parameter) = bad {
            let term = objective.name.clone();
            return Ok(Some(Culprit::Gradient { term, parameter }));
        }
    }
    Ok(None)
}
