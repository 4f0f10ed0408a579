//! Forward passes of a stage's route as in evaluation: no gradients, no dropout.

use super::sizes::{Sizes, columns};
use super::{Mode, Profile, Request, Spread, machine, nodes};
use crate::error::CliError;
use crate::system::build;
use conjoin_graph::graph::Keep;
use conjoin_graph::{Pass, PortRef, Value};
use conjoin_train::{DataSets, TrainError};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Instant;

/// Runs the stage's route on batches that lie ready in memory.
pub(crate) fn inference(request: &Request) -> Result<Profile, CliError> {
    let failed = |error: &dyn std::fmt::Display| CliError::failed(error.to_string());
    let peak = machine::peak(&request.device);
    let (plan, stage) = (&request.plan, request.stage());
    let set = &stage.config.data;
    let data = DataSets::new(Arc::clone(plan));
    let loader = data.loader(set, plan.seed).map_err(TrainError::from)?;
    let graph = build(plan, &request.device)?.evaluation_copy();
    let keep: BTreeSet<PortRef> = stage
        .objectives
        .iter()
        .map(|objective| objective.config.prediction.clone())
        .filter(|port| !port.is_data())
        .collect();
    let pass = Pass {
        keep: Keep::Only(keep.clone()),
        ..Pass::default()
    };
    let mut sizes = Sizes::default();
    let mut seconds = Vec::new();
    let mut forward: BTreeMap<String, f64> = BTreeMap::new();
    let all = request.warm_up + request.steps;
    let batches = (0..).flat_map(|epoch| loader.epoch(epoch, 0));
    for (step, batch) in (0..all).zip(batches) {
        let batch = batch.map_err(TrainError::from)?;
        let values: BTreeMap<String, Value> = batch
            .columns
            .iter()
            .map(|(name, column)| {
                let value = Value::from_column(column, &request.device);
                value.map(|value| (name.clone(), value))
            })
            .collect::<Result<_, _>>()
            .map_err(|error| failed(&error))?;
        let begun = Instant::now();
        let trace = graph
            .forward(&stage.route, &values, &pass)
            .map_err(|error| failed(&error))?;
        for port in &keep {
            // Reading waits for a device that works on its own.
            drop(trace.get(port).map_err(|error| failed(&error))?.to_f32());
        }
        let elapsed = begun.elapsed().as_secs_f64();
        if step < request.warm_up {
            continue;
        }
        seconds.push(elapsed);
        sizes.add(&batch, columns(plan, set)?);
        for (node, duration) in &trace.seconds {
            *forward.entry(node.clone()).or_default() += duration.as_secs_f64();
        }
    }
    let steps = request.steps as f64;
    for seconds in forward.values_mut() {
        *seconds /= steps;
    }
    let nodes = nodes(request, &forward, &sizes);
    Ok(Profile {
        stage: stage.config.name.clone(),
        mode: Mode::Inference,
        steps: request.steps,
        samples: sizes.samples(),
        sizes: sizes.means(),
        seconds: Spread::of(seconds),
        flops: nodes.iter().map(|node| node.flops).sum(),
        nodes,
        phases: None,
        peak,
        memory: machine::memory(),
    })
}
