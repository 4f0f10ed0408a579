//! Inputs that move from ground truth to prediction over a stage.
//!
//! A second source upstream is blended in by the graph itself. One downstream (a decoder fed with
//! its own output) is computed by an extra pass without gradient, after Mihaylova and Martins 2019,
//! "Scheduled Sampling for Transformers".

use crate::plan::StagePlan;
use crate::stage::InputConfig;
use conjoin_graph::blend::feed_back;
use conjoin_graph::graph::{Graph, GraphError, Keep, Pass};
use conjoin_graph::node::mix;
use conjoin_graph::{PortRef, Value};
use std::collections::BTreeMap;

/// Columns of a batch on a device.
pub(crate) type Columns = BTreeMap<String, Value>;

/// Share taken from predictions by each scheduled input at a step of a stage of `steps`.
pub(crate) fn shares(stage: &StagePlan, step: u64, steps: u64) -> BTreeMap<PortRef, f64> {
    let share = |(name, input): (&String, &InputConfig)| match input {
        InputConfig::Schedule(schedule) => {
            let port: PortRef = name.parse().ok()?;
            Some((port, schedule.share.at(step, steps)))
        }
        InputConfig::Open(_) | InputConfig::Source(_) => None,
    };
    stage.config.inputs.iter().filter_map(share).collect()
}

/// Computes what the feedback inputs read in this pass and enters it as overrides.
pub(crate) fn feed_predictions(
    graph: &Graph,
    stage: &StagePlan,
    columns: &Columns,
    pass: &mut Pass,
) -> Result<(), GraphError> {
    let share_of = |to: &PortRef| pass.shares.get(to).copied().unwrap_or(0.0);
    let due: Vec<_> = stage
        .route
        .feedback()
        .filter(|(to, ..)| share_of(to) > 0.0)
        .collect();
    if due.is_empty() {
        return Ok(());
    }
    let wanted = due
        .iter()
        .flat_map(|(_, wire, blend)| [wire.from.clone(), blend.with.clone()])
        .filter(|port| !port.is_data())
        .collect();
    let first = Pass {
        shares: pass.shares.clone(),
        keep: Keep::Only(wanted),
        precision: pass.precision,
        ..Pass::default()
    };
    let trace =
        graph
            .evaluation_copy()
            .forward(&stage.route, &without_autodiff(columns), &first)?;
    for (number, (to, wire, blend)) in due.into_iter().enumerate() {
        let truth = match columns.get(&wire.from.port).filter(|_| wire.from.is_data()) {
            Some(column) => column,
            None => trace.get(&wire.from)?,
        };
        let seed = mix(pass.training.unwrap_or(0), u64::MAX - number as u64);
        let share = pass.shares.get(to).copied().unwrap_or(0.0);
        let mixed = feed_back(truth, trace.get(&blend.with)?, share, seed).map_err(|error| {
            GraphError::Blend {
                at: to.to_string(),
                message: error.to_string(),
            }
        })?;
        pass.overrides.insert(to.clone(), mixed);
    }
    Ok(())
}

/// The same columns for a graph without autodiff.
pub(crate) fn without_autodiff(columns: &Columns) -> Columns {
    let inner = |(name, value): (&String, &Value)| {
        let payload = value.payload.clone().inner();
        (
            name.clone(),
            Value::with_lengths(payload, value.lengths.clone()),
        )
    };
    columns.iter().map(inner).collect()
}
