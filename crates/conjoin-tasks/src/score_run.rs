//! One pass of a task over data: batches on the device, routes, and what the data says about a sample.

use crate::error::TaskError;
use crate::transduction::symbols;
use burn::tensor::Device;
use conjoin_data::{Contract, DataError, Meaning, Source, Vocabulary};
use conjoin_graph::graph::{GraphError, Keep, Trace};
use conjoin_graph::{Graph, NodeSpec, Pass, PortRef, Route, Value, ValueError, Wiring};
use conjoin_train::DataPlan;
use std::collections::BTreeMap;
use std::sync::Arc;

pub(crate) type Batches<'a> = Box<dyn Iterator<Item = Result<conjoin_data::Batch, DataError>> + 'a>;

/// A batch on the device.
#[derive(Debug)]
pub(crate) struct TaskBatch {
    pub values: BTreeMap<String, Value>,
    pub indices: Vec<usize>,
}

impl TaskBatch {
    pub fn new(batch: conjoin_data::Batch, device: &Device) -> Result<Self, ValueError> {
        let columns = batch.columns.iter();
        let values = columns
            .map(|(name, column)| Ok((name.clone(), Value::from_column(column, device)?)))
            .collect::<Result<_, ValueError>>()?;
        Ok(Self {
            values,
            indices: batch.indices,
        })
    }
}

/// One pass of a task over data.
pub(crate) struct ScoreRun<'a> {
    pub graph: &'a Graph,
    pub nodes: &'a [NodeSpec],
    pub wiring: &'a Wiring,
    /// Outputs are what is said behind true tokens, position by position, and not behind the
    /// system's own.
    pub true_prefix: bool,
    /// At most so many batches are scored, or what counts as much.
    pub limit: Option<usize>,
    pub data: &'a DataPlan,
    pub columns: &'a BTreeMap<String, Contract>,
    pub source: &'a dyn Source,
    pub device: &'a Device,
    pub batches: Batches<'a>,
}

impl ScoreRun<'_> {
    /// The next batch on the device.
    pub fn next_batch(&mut self) -> Result<Option<TaskBatch>, TaskError> {
        let Some(batch) = self.batches.next() else {
            return Ok(None);
        };
        Ok(Some(TaskBatch::new(batch?, self.device)?))
    }

    /// The route of the joined graph to these ports.
    pub fn route(&self, wanted: &[PortRef]) -> Result<Route, TaskError> {
        route_to(self.nodes, self.wiring, self.columns, wanted)
    }

    /// The value of one port for a batch.
    pub fn forward(
        &self,
        route: &Route,
        batch: &TaskBatch,
        port: &PortRef,
    ) -> Result<Value, TaskError> {
        let trace = self.trace(route, batch, std::slice::from_ref(port))?;
        Ok(trace.get(port)?.clone())
    }

    /// The values of some ports for a batch.
    pub fn trace(
        &self,
        route: &Route,
        batch: &TaskBatch,
        ports: &[PortRef],
    ) -> Result<Trace, TaskError> {
        trace(self.graph, route, batch, ports)
    }

    /// The name of the column that a task's port names.
    pub fn column(&self, port: &PortRef) -> Result<String, TaskError> {
        if port.is_data() && self.columns.contains_key(&port.port) {
            Ok(port.port.clone())
        } else {
            Err(TaskError::Column(port.to_string()))
        }
    }

    pub fn vocabulary(&self, column: &str) -> Result<Arc<Vocabulary>, TaskError> {
        self.columns
            .get(column)
            .and_then(|contract| contract.vocabulary.clone())
            .ok_or_else(|| TaskError::Vocabulary(column.to_owned()))
    }

    pub fn key(&self, index: usize) -> String {
        self.source.key(index).into_owned()
    }

    /// The text of tokens of a column, where they are pieces of text.
    pub fn detokenise(&self, column: &str, tokens: &[i64]) -> Option<String> {
        self.source.detokenise(column, tokens)
    }

    /// All right answers for a sample as text.
    pub fn reference_texts(&self, index: usize) -> Vec<String> {
        self.source.reference_texts(index)
    }

    /// All right answers for each row: the source's, else the target column without special
    /// symbols.
    pub fn references(
        &self,
        batch: &TaskBatch,
        target: &str,
        vocabulary: &Vocabulary,
    ) -> Vec<Vec<Vec<i64>>> {
        let mut known: Vec<Vec<Vec<i64>>> = batch
            .indices
            .iter()
            .map(|&index| self.source.references(index))
            .collect();
        if known.iter().all(|references| !references.is_empty()) {
            return known;
        }
        let told = batch.values.get(target).map(token_rows).unwrap_or_default();
        for (references, mut tokens) in known.iter_mut().zip(told) {
            if references.is_empty() {
                tokens.retain(|&token| !vocabulary.is_special(token));
                references.push(tokens);
            }
        }
        known
    }

    /// The symbols, row by row, of the token column that the route reads besides the produced one;
    /// empty where there is none.
    pub fn source_symbols(
        &self,
        route: &Route,
        batch: &TaskBatch,
        produced: &str,
    ) -> Vec<Vec<String>> {
        let column = route.columns().into_iter().find(|&name| {
            let meaning = self.columns.get(name).map(|contract| contract.meaning);
            name != produced && meaning == Some(Meaning::Tokens)
        });
        let none = || vec![Vec::new(); batch.indices.len()];
        let Some(column) = column else {
            return none();
        };
        match (self.vocabulary(column), batch.values.get(column)) {
            (Ok(vocabulary), Some(value)) => token_rows(value)
                .iter()
                .map(|tokens| symbols(&vocabulary, tokens))
                .collect(),
            _ => none(),
        }
    }
}

/// The route of a graph to these ports.
pub(crate) fn route_to(
    nodes: &[NodeSpec],
    wiring: &Wiring,
    columns: &BTreeMap<String, Contract>,
    wanted: &[PortRef],
) -> Result<Route, TaskError> {
    let resolution = conjoin_graph::spec::resolve(nodes, wiring, columns, Some(wanted));
    for port in wanted {
        if resolution.contract(port, columns).is_none() {
            return Err(GraphError::MissingPort(port.to_string()).into());
        }
    }
    Ok(Route::new(nodes, wiring, &resolution))
}

/// The values of some ports for a batch, its columns among them.
pub(crate) fn trace(
    graph: &Graph,
    route: &Route,
    batch: &TaskBatch,
    ports: &[PortRef],
) -> Result<Trace, TaskError> {
    let pass = Pass {
        keep: Keep::Only(ports.iter().cloned().collect()),
        ..Pass::default()
    };
    let mut trace = graph.forward(route, &batch.values, &pass)?;
    for port in ports.iter().filter(|port| port.is_data()) {
        let column = batch.values.get(&port.port);
        let column = column.ok_or_else(|| TaskError::column(&port.port))?;
        trace.insert(port.clone(), column.clone());
    }
    Ok(trace)
}

/// The valid tokens of each row of a `[B, T]` value.
pub(crate) fn token_rows(value: &Value) -> Vec<Vec<i64>> {
    let width = value.shape().get(1).copied().unwrap_or(1).max(1);
    let lengths = value.row_lengths();
    let tokens = value.to_i64();
    tokens
        .chunks(width)
        .enumerate()
        .map(|(row, tokens)| {
            let length = lengths.get(row).copied().unwrap_or(width);
            tokens[..length.min(width)].to_vec()
        })
        .collect()
}
