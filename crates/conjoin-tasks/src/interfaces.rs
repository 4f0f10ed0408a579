//! The interfaces of a system and what its task is scored with in their place: the truth, nothing,
//! another sample's value, noise.
//!
//! An interface is a wire on the task's route that carries values of samples: from one node to the
//! next, or from a column to a node. Where a column holds what the wire should carry, the wire has a
//! ground truth.

use crate::{TaskConfig, TaskError};
use conjoin_data::{Columns, Contract};
use conjoin_graph::graph::GraphError;
use conjoin_graph::probe::{self, Probe};
use conjoin_graph::spec::{resolve, same_values};
use conjoin_graph::{Graph, Meaning, NodeSpec, PortRef, Resolution, Route, Wire, Wiring};
use conjoin_train::Plan;
use conjoin_train::stage::InputConfig;

/// A wire that a task's scores depend on.
#[derive(Debug, Clone, PartialEq)]
pub struct Interface {
    /// The input that it feeds; the name of the interface.
    pub to: PortRef,
    /// What feeds it: a node's output or a column.
    pub from: PortRef,
    pub contract: Contract,
    /// The column is what the system itself has said so far.
    pub fed_back: bool,
    pub truth: Truth,
}

/// Where the truth about an interface comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Truth {
    /// This column, as `told_by` says.
    Column { column: PortRef, told_by: String },
    /// The interface is data already.
    Given,
    /// Nobody knows it; a reason where somebody tried.
    Unknown(Option<String>),
}

/// What an interface carries instead.
#[derive(Debug, Clone, Copy)]
pub enum Change<'a> {
    /// Its ground truth.
    Truth(&'a Interface),
    /// What a probe makes of its value, drawn from a seed.
    Probe(&'a Interface, Probe, u64),
}

/// The interfaces of a plan's task on a data set, in the order in which the route runs. `task` has
/// the ports that are scored.
///
/// # Errors
/// There is no such data set, or an output of the task is not computed on it.
pub fn interfaces(plan: &Plan, task: &TaskConfig, data: &str) -> Result<Vec<Interface>, TaskError> {
    let set = plan.data.get(data);
    let columns = &set
        .ok_or_else(|| TaskError::DataSet(data.to_owned()))?
        .columns;
    let outputs = task.outputs();
    let resolution = resolve(&plan.nodes, &plan.wiring, columns, Some(&outputs));
    for port in &outputs {
        if resolution.contract(port, columns).is_none() {
            return Err(GraphError::MissingPort(port.to_string()).into());
        }
    }
    let route = Route::new(&plan.nodes, &plan.wiring, &resolution);
    let found = Finder {
        plan,
        task,
        data,
        columns,
        resolution: &resolution,
    };
    let wires = route.wires();
    Ok(wires
        .filter_map(|(to, wire)| found.interface(to, wire))
        .collect())
}

struct Finder<'a> {
    plan: &'a Plan,
    task: &'a TaskConfig,
    data: &'a str,
    columns: &'a Columns,
    resolution: &'a Resolution,
}

impl Finder<'_> {
    fn interface(&self, to: &PortRef, wire: &Wire) -> Option<Interface> {
        let contract = self.resolution.contract(&wire.from, self.columns)?;
        // Another module's weights are no value of a sample.
        if contract.meaning == Meaning::Parameters {
            return None;
        }
        let fed_back = self.task.fed_back() == Some(&wire.from);
        Some(Interface {
            truth: self.truth(to, &wire.from, contract, fed_back),
            to: to.clone(),
            from: wire.from.clone(),
            contract: contract.clone(),
            fed_back,
        })
    }

    fn truth(&self, to: &PortRef, from: &PortRef, carried: &Contract, fed_back: bool) -> Truth {
        match self.plan.oracle.get(to) {
            Some(None) => return Truth::Unknown(None),
            // Of what is data already there is nothing to ask.
            Some(Some(column)) if !from.is_data() => {
                return self.column(column, carried, "[oracle]".to_owned());
            }
            _ => {}
        }
        if fed_back {
            return Truth::Column {
                column: from.clone(),
                told_by: "the task".to_owned(),
            };
        }
        if from.is_data() {
            return Truth::Given;
        }
        // What a stage feeds in place of the prediction, at first or always.
        let stages = self.plan.stages.iter().rev();
        let told = stages.filter_map(|stage| {
            let input = stage.config.inputs.get(&to.to_string())?;
            let column = match input {
                InputConfig::Schedule(schedule) => &schedule.from,
                InputConfig::Source(from) => from,
                InputConfig::Open(_) => return None,
            };
            let told_by = format!("stage {}", stage.config.name);
            column
                .is_data()
                .then(|| self.column(column, carried, told_by))
        });
        let mut told: Vec<Truth> = told.collect();
        let known = told.iter().position(|t| matches!(t, Truth::Column { .. }));
        match (known, told.is_empty()) {
            (Some(place), _) => told.swap_remove(place),
            (None, false) => told.swap_remove(0),
            (None, true) => Truth::Unknown(None),
        }
    }

    /// A column as the truth, if this data set has it and it carries what the wire does.
    fn column(&self, column: &PortRef, carried: &Contract, told_by: String) -> Truth {
        let Some(found) = self.columns.get(&column.port).filter(|_| column.is_data()) else {
            let text = format!("data set {} has no {column}, named by {told_by}", self.data);
            return Truth::Unknown(Some(text));
        };
        if same_values(found, carried) {
            let column = column.clone();
            return Truth::Column { column, told_by };
        }
        Truth::Unknown(Some(format!(
            "{column}, named by {told_by}, carries {found}, and the wire {carried}"
        )))
    }
}

/// A graph in which some interfaces carry something else.
pub(crate) struct Changed {
    pub nodes: Vec<NodeSpec>,
    pub wiring: Wiring,
    pub graph: Graph,
    pub true_prefix: bool,
}

impl Changed {
    pub fn new(plan: &Plan, graph: &Graph, changes: &[Change<'_>]) -> Result<Self, GraphError> {
        let mut changed = Self {
            nodes: plan.nodes.clone(),
            wiring: plan.wiring.clone(),
            graph: graph.evaluation_copy(),
            true_prefix: false,
        };
        for change in changes {
            match change {
                Change::Truth(interface) if interface.fed_back => changed.true_prefix = true,
                Change::Truth(interface) => {
                    if let (Truth::Column { column, .. }, Some(wire)) =
                        (&interface.truth, changed.wiring.get_mut(&interface.to))
                    {
                        wire.from = column.clone();
                    }
                }
                Change::Probe(interface, probe, seed) => probe::insert(
                    &mut changed.nodes,
                    &mut changed.wiring,
                    &mut changed.graph,
                    (&interface.to, &interface.contract),
                    (*probe, *seed),
                )?,
            }
        }
        Ok(changed)
    }
}
