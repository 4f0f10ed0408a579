//! Losses of a stage's objectives over a data set, without gradient.

use crate::TrainError;
use crate::pass::{columns, forward, kept_ports, loss};
use crate::plan::{ObjectivePlan, StagePlan};
use burn::tensor::{Device, Tensor};
use conjoin_data::{Batch, DataError, Loader};
use conjoin_graph::graph::{Graph, Pass};
use std::collections::BTreeMap;

/// Mean loss of each objective over what it counts, with true inputs and all randomness off.
///
/// `graph` is a copy for evaluation and `device` one without autodiff. Reads `batches` batches of
/// the loader's first epoch, or all.
pub(crate) fn objective_losses(
    graph: &Graph,
    stage: &StagePlan,
    objectives: &[&ObjectivePlan],
    loader: &Loader,
    batches: Option<usize>,
    device: &Device,
) -> Result<BTreeMap<String, f64>, TrainError> {
    let batches = loader.epoch(0, 0).take(batches.unwrap_or(usize::MAX));
    let sums = objective_sums(graph, stage, objectives, batches, device)?;
    let mean = |(name, batches): (String, Vec<(f64, f64)>)| {
        let (sum, count) = batches.into_iter().fold((0.0, 0.0), |sums, batch| {
            (sums.0 + batch.0, sums.1 + batch.1)
        });
        (name, sum / f64::max(count, 1.0))
    };
    Ok(sums.into_iter().map(mean).collect())
}

/// As [`objective_losses`] for batches from anywhere, one by one: the sum of the loss over what it counts, and how much
/// that is.
pub(crate) fn objective_sums(
    graph: &Graph,
    stage: &StagePlan,
    objectives: &[&ObjectivePlan],
    batches: impl Iterator<Item = Result<Batch, DataError>>,
    device: &Device,
) -> Result<BTreeMap<String, Vec<(f64, f64)>>, TrainError> {
    let pass = Pass {
        keep: kept_ports(objectives.iter().copied()),
        ..Pass::default()
    };
    let mut sums: BTreeMap<String, Vec<(f64, f64)>> = BTreeMap::new();
    for batch in batches {
        let columns = columns(stage, &batch?, device)?;
        let trace = forward(graph, stage, &columns, &pass)?;
        for objective in objectives {
            let loss = loss(stage, objective, &columns, &trace)?;
            let [mean, count] = read(loss.mean, loss.count);
            // A batch that counts nothing has no mean.
            let sum = if count > 0.0 { mean * count } else { 0.0 };
            let all = sums.entry(objective.name.clone()).or_default();
            all.push((sum, count));
        }
    }
    Ok(sums)
}

fn read(mean: Tensor<1>, count: Tensor<1>) -> [f64; 2] {
    let values: Vec<f64> = Tensor::cat(vec![mean, count], 0)
        .into_data()
        .iter::<f64>()
        .collect();
    [values[0], values[1]]
}

/// The weighted sum of all objectives' losses.
pub(crate) fn total(objectives: &[ObjectivePlan], losses: &BTreeMap<String, f64>) -> f64 {
    let weighted = |o: &ObjectivePlan| losses.get(&o.name).map(|loss| o.weight * loss);
    objectives.iter().filter_map(weighted).sum()
}
