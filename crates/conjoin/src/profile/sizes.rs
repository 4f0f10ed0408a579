//! The sizes that dimensions have in the batches at hand, and the operations that follow.

use crate::error::CliError;
use conjoin_data::{Batch, Columns, Dim};
use conjoin_graph::NodeConfig;
use conjoin_train::{Plan, StagePlan};
use std::collections::{BTreeMap, BTreeSet};

/// The sizes of every batch.
#[derive(Debug, Default)]
pub(super) struct Sizes {
    batches: Vec<BatchSizes>,
}

#[derive(Debug)]
struct BatchSizes {
    samples: usize,
    /// By symbol, padding included.
    dims: BTreeMap<String, usize>,
}

impl Sizes {
    /// Takes in a batch, padded as it is.
    pub fn add(&mut self, batch: &Batch, columns: &Columns) {
        let mut dims = BTreeMap::new();
        for (name, column) in &batch.columns {
            let contract = columns.get(name).map(|contract| contract.dims.as_slice());
            let sizes = contract.unwrap_or_default().iter().zip(&column.array.shape);
            for (dim, &size) in sizes.skip(1) {
                if let Dim::Symbol(symbol) = dim {
                    dims.insert(symbol.clone(), size);
                }
            }
        }
        let samples = batch.size();
        self.batches.push(BatchSizes { samples, dims });
    }

    /// Samples of a batch, on average.
    pub fn samples(&self) -> f64 {
        self.mean(|batch| batch.samples as f64)
    }

    /// The size of every dimension that varies, on average, rounded.
    pub fn means(&self) -> BTreeMap<String, usize> {
        let symbols = self.batches.iter().flat_map(|batch| batch.dims.keys());
        let symbols: BTreeSet<&String> = symbols.collect();
        let size = |symbol: &String| {
            self.mean(|batch| batch.dims.get(symbol).copied().unwrap_or(0) as f64)
        };
        let means = symbols.into_iter();
        means
            .map(|symbol| (symbol.clone(), size(symbol).round() as usize))
            .collect()
    }

    /// Floating-point operations of a node's forward pass for a batch, on average. Batches of few long
    /// samples and of many short ones have no sample of mean size, so each is counted as it is.
    pub fn flops(&self, plan: &Plan, stage: &StagePlan, node: &str) -> f64 {
        let spec = plan.nodes.iter().find(|spec| spec.name == node);
        let Some((spec, bound)) = spec.zip(stage.resolution.bound.get(node)) else {
            return 0.0;
        };
        self.mean(|batch| {
            let size = |symbol: &str| match symbol {
                "B" => 1,
                _ => batch.dims.get(symbol).copied().unwrap_or(1),
            };
            batch.samples as f64 * spec.config.flops(bound, &size)
        })
    }

    fn mean(&self, of: impl Fn(&BatchSizes) -> f64) -> f64 {
        self.batches.iter().map(of).sum::<f64>() / self.batches.len().max(1) as f64
    }
}

/// The columns of a data set of a plan.
pub(super) fn columns<'a>(plan: &'a Plan, data: &str) -> Result<&'a Columns, CliError> {
    let found = plan.data.get(data).map(|data| &data.columns);
    found.ok_or_else(|| CliError::failed(format!("the plan has no data set {data:?}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn means_are_over_batches() {
        let batch = |samples, length| BatchSizes {
            samples,
            dims: BTreeMap::from([("T".to_owned(), length)]),
        };
        let sizes = Sizes {
            batches: vec![batch(100, 10), batch(10, 100)],
        };
        assert_eq!(sizes.samples(), 55.0);
        assert_eq!(sizes.means()["T"], 55);
        // As many entries in either, which 55 times 55 is not.
        let entries = sizes.mean(|batch| (batch.samples * batch.dims["T"]) as f64);
        assert_eq!(entries, 1000.0);
    }
}
