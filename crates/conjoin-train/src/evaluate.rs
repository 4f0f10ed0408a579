//! Losses of a stage's objectives over a data set, without gradient.

use crate::TrainError;
use crate::pass::{columns, forward, kept_ports, loss};
use crate::plan::{ObjectivePlan, StagePlan};
use burn::tensor::{Device, Tensor};
use conjoin_data::Loader;
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
    let pass = Pass {
        keep: kept_ports(objectives.iter().copied()),
        ..Pass::default()
    };
    let mut sums: BTreeMap<&str, (f64, f64)> = BTreeMap::new();
    for batch in loader.epoch(0, 0).take(batches.unwrap_or(usize::MAX)) {
        let columns = columns(stage, &batch?, device)?;
        let trace = forward(graph, stage, &columns, &pass)?;
        for objective in objectives {
            let loss = loss(stage, objective, &columns, &trace)?;
            let [mean, count] = read(loss.mean, loss.count);
            let sum = sums.entry(&objective.name).or_default();
            // A batch that counts nothing has no mean.
            if count > 0.0 {
                sum.0 += mean * count;
                sum.1 += count;
            }
        }
    }
    let mean = |(name, (sum, count)): (&str, (f64, f64))| (name.to_owned(), sum / count.max(1.0));
    Ok(sums.into_iter().map(mean).collect())
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
