//! Each module's own objective when it had been trained apart and now: what joining took or gave.
//!
//! Every stage's objectives are measured through that stage's own route and wires, on the weights of
//! the checkpoint at the stage's end and on the present ones, on the same batches.

use crate::checkpoint::{RunState, Store, load_graph};
use crate::data::{DataSets, spread_batches};
use crate::evaluate::objective_sums;
use crate::plan::{ObjectivePlan, Plan, StagePlan};
use crate::{TrainError, seeds};
use burn::tensor::Device;
use conjoin_graph::graph::Graph;

/// A batch's loss times what it counts, and how much that is.
pub type Sums = Vec<(f64, f64)>;

/// One objective of one stage, then and now.
#[derive(Debug, Clone, PartialEq)]
pub struct StageObjective {
    pub stage: String,
    pub objective: String,
    /// Nodes that the stage trained.
    pub modules: Vec<String>,
    /// The data set that it was measured on.
    pub data: String,
    pub then: Then,
    /// On the present weights, batch by batch.
    pub now: Sums,
}

/// The objective at the end of its own stage.
#[derive(Debug, Clone, PartialEq)]
pub enum Then {
    /// On the weights of this global step, batch by batch.
    Measured { step: u64, sums: Sums },
    /// Those are the present weights.
    Now,
    /// It cannot be measured, in words.
    Unknown(String),
}

/// Measures the objectives of every stage of a plan, in order.
///
/// `graph` is a copy for evaluation with the weights of global step `step`, `state` that of the
/// newest checkpoint of `store`, `device` one without autodiff. At most `batches` batches of each
/// data set are read, spread over it: that of a later stage's gate on the objective, else the one that the stage
/// evaluates on, else the one that it trains on.
///
/// # Errors
/// Data cannot be read, or the graph cannot run.
pub fn gate_table(
    plan: &Plan,
    (graph, step): (&Graph, u64),
    (store, state): (&Store, &RunState),
    data: &DataSets,
    device: &Device,
    batches: usize,
) -> Result<Vec<StageObjective>, TrainError> {
    let mut rows = Vec::new();
    for stage in &plan.stages {
        let earlier = weights_then(graph, step, store, state, stage)?;
        for objective in &stage.objectives {
            let name = data_of(plan, stage, objective);
            let loader = data.loader(&name, seeds::evaluation_data(plan.seed))?;
            let measure = |graph: &Graph| -> Result<Sums, TrainError> {
                let one = [objective];
                let batches = spread_batches(&loader, batches);
                let mut sums = objective_sums(graph, stage, &one, batches, device)?;
                Ok(sums.remove(&objective.name).unwrap_or_default())
            };
            rows.push(StageObjective {
                stage: stage.config.name.clone(),
                objective: objective.name.clone(),
                modules: stage.config.train.clone(),
                now: measure(graph)?,
                then: match &earlier {
                    Earlier::At(step, graph) => Then::Measured {
                        step: *step,
                        sums: measure(graph)?,
                    },
                    Earlier::Now => Then::Now,
                    Earlier::Unknown(why) => Then::Unknown(why.clone()),
                },
                data: name,
            });
        }
    }
    Ok(rows)
}

/// The weights at the end of a stage.
enum Earlier {
    At(u64, Graph),
    Now,
    Unknown(String),
}

fn weights_then(
    graph: &Graph,
    now: u64,
    store: &Store,
    state: &RunState,
    stage: &StagePlan,
) -> Result<Earlier, TrainError> {
    let Some(step) = state.end_of(&stage.config.name) else {
        return Ok(Earlier::Unknown("the stage has not ended yet".to_owned()));
    };
    if step == now {
        return Ok(Earlier::Now);
    }
    if !store.path(step).exists() {
        return Ok(Earlier::Unknown(format!(
            "the run keeps no checkpoint of the stage's end, step {step}"
        )));
    }
    match store.read(step) {
        Ok(found) => Ok(Earlier::At(
            step,
            load_graph(graph.evaluation_copy(), &found, true)?,
        )),
        Err(error) => Ok(Earlier::Unknown(error.to_string())),
    }
}

/// The data set that an objective of a stage is measured on.
fn data_of(plan: &Plan, stage: &StagePlan, objective: &ObjectivePlan) -> String {
    let gates = plan.stages.iter().flat_map(|later| &later.config.gate);
    let own = gates
        .filter(|gate| gate.stage == stage.config.name && gate.objective == objective.name)
        .find_map(|gate| gate.data.as_ref());
    let evaluated = stage.config.evaluate.as_ref().map(|config| &config.data);
    own.or(evaluated).unwrap_or(&stage.config.data).clone()
}
