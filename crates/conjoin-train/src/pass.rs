//! One pass over one batch: columns to the device, the route, the objectives' losses.

use crate::TrainError;
use crate::inputs::Columns;
use crate::losses::Loss;
use crate::plan::{ObjectivePlan, StagePlan};
use burn::tensor::Device;
use conjoin_data::Batch;
use conjoin_graph::graph::{Graph, GraphError, Keep, Pass, Trace};
use conjoin_graph::{PortRef, Value};
use std::collections::BTreeSet;

impl TrainError {
    /// A failure of the graph in a stage.
    pub(crate) fn graph(stage: &StagePlan, source: GraphError) -> Self {
        Self::Graph {
            stage: stage.config.name.clone(),
            source: Box::new(source),
        }
    }
}

/// The columns that a stage reads, on a device.
pub(crate) fn columns(
    stage: &StagePlan,
    batch: &Batch,
    device: &Device,
) -> Result<Columns, TrainError> {
    let wanted = stage.wanted();
    let mut names: BTreeSet<&str> = stage.route.columns();
    names.extend(
        wanted
            .iter()
            .filter(|p| p.is_data())
            .map(|p| p.port.as_str()),
    );
    names
        .into_iter()
        .map(|name| {
            let column = batch
                .columns
                .get(name)
                .ok_or_else(|| GraphError::MissingColumn(name.to_owned()))?;
            let value = Value::from_column(column, device).map_err(|error| GraphError::Blend {
                at: format!("data.{name}"),
                message: error.to_string(),
            })?;
            Ok((name.to_owned(), value))
        })
        .collect::<Result<_, GraphError>>()
        .map_err(|source| TrainError::graph(stage, source))
}

/// Ports of nodes whose values the objectives read.
pub(crate) fn kept_ports<'a>(objectives: impl IntoIterator<Item = &'a ObjectivePlan>) -> Keep {
    let ports = objectives.into_iter().flat_map(|objective| {
        let config = &objective.config;
        [config.prediction.clone(), config.target.clone()]
    });
    Keep::Only(ports.filter(|port| !port.is_data()).collect())
}

/// Runs the stage's route.
pub(crate) fn forward(
    graph: &Graph,
    stage: &StagePlan,
    columns: &Columns,
    pass: &Pass,
) -> Result<Trace, TrainError> {
    graph
        .forward(&stage.route, columns, pass)
        .map_err(|source| TrainError::graph(stage, source))
}

/// The loss of one objective, unweighted.
pub(crate) fn loss(
    stage: &StagePlan,
    objective: &ObjectivePlan,
    columns: &Columns,
    trace: &Trace,
) -> Result<Loss, TrainError> {
    let find = |port: &PortRef| match columns.get(&port.port).filter(|_| port.is_data()) {
        Some(value) => Ok(value),
        None => trace.get(port),
    };
    let config = &objective.config;
    let graph_error = |source| TrainError::graph(stage, source);
    let prediction = find(&config.prediction).map_err(graph_error)?;
    let target = find(&config.target).map_err(graph_error)?;
    config
        .loss
        .evaluate(prediction, target)
        .map_err(|problem| TrainError::Objective {
            stage: stage.config.name.clone(),
            objective: objective.name.clone(),
            problem,
        })
}
