//! The sizes that dimensions have in the batches at hand, and the operations that follow.

use crate::error::CliError;
use conjoin_data::{Batch, Columns, Dim};
use conjoin_graph::NodeConfig;
use conjoin_train::{Plan, StagePlan};
use std::collections::BTreeMap;

/// Mean sizes over batches.
#[derive(Debug, Default)]
pub(super) struct Sizes {
    sums: BTreeMap<String, (usize, usize)>,
    samples: usize,
    batches: usize,
}

impl Sizes {
    /// Takes in a batch, padded as it is.
    pub fn add(&mut self, batch: &Batch, columns: &Columns) {
        self.samples += batch.size();
        self.batches += 1;
        for (name, column) in &batch.columns {
            let dims = columns.get(name).map(|contract| contract.dims.as_slice());
            for (dim, size) in dims
                .unwrap_or_default()
                .iter()
                .zip(&column.array.shape)
                .skip(1)
            {
                if let Dim::Symbol(symbol) = dim {
                    let (sum, count) = self.sums.entry(symbol.clone()).or_default();
                    *sum += size;
                    *count += 1;
                }
            }
        }
    }

    /// Samples of a batch, on average.
    pub fn samples(&self) -> f64 {
        self.samples as f64 / self.batches.max(1) as f64
    }

    /// The size of every dimension that varies, rounded.
    pub fn means(&self) -> BTreeMap<String, usize> {
        let mean = |(sum, count): &(usize, usize)| (sum + count / 2) / (*count).max(1);
        self.sums
            .iter()
            .map(|(s, sums)| (s.clone(), mean(sums)))
            .collect()
    }
}

/// Floating-point operations of a node's forward pass for one sample.
pub(super) fn flops(
    plan: &Plan,
    stage: &StagePlan,
    node: &str,
    sizes: &BTreeMap<String, usize>,
) -> f64 {
    let spec = plan.nodes.iter().find(|spec| spec.name == node);
    let bound = stage.resolution.bound.get(node);
    let size = |symbol: &str| match symbol {
        "B" => 1,
        _ => sizes.get(symbol).copied().unwrap_or(1),
    };
    spec.zip(bound)
        .map_or(0.0, |(spec, bound)| spec.config.flops(bound, &size))
}

/// The columns of a data set of a plan.
pub(super) fn columns<'a>(plan: &'a Plan, data: &str) -> Result<&'a Columns, CliError> {
    let found = plan.data.get(data).map(|data| &data.columns);
    found.ok_or_else(|| CliError::failed(format!("the plan has no data set {data:?}")))
}
