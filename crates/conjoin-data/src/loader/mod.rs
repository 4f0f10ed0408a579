//! Loaders: samples of a source -> shuffled, grouped, padded and prefetched batches.
//!
//! The order depends on the seed and the epoch alone, and the content of a batch on what it is made
//! from alone: any number of workers gives the same batches, and an epoch can begin at any batch
//! without reading those before it.

mod collate;
mod config;
mod epoch;
mod plan;
#[cfg(test)]
mod tests;

pub(crate) use collate::Collator;
pub use config::{BatchConfig, LoaderConfig};
pub use epoch::{EpochIter, Skipped};

use crate::{Columns, DataError, Source, TransformConfig, Transforms};
use config::Limit;
use epoch::Recipe;
use plan::{Order, Plan};
use std::sync::{Arc, Mutex, PoisonError};

/// Makes the batches of any epoch.
#[derive(Debug)]
pub struct Loader {
    recipe: Arc<Recipe>,
    config: LoaderConfig,
    limit: Limit,
    lengths: Option<Vec<(u32, u32)>>,
    /// The plan made last, with its epoch: asking for the number of batches and then for the
    /// batches sorts once.
    last_plan: Mutex<Option<(u64, Arc<Plan>)>>,
}

impl Loader {
    /// # Errors
    /// The options or transforms do not fit the source, the source is empty, or a sample by itself
    /// is longer than the token budget.
    pub fn new(
        source: Arc<dyn Source>,
        transforms: &[TransformConfig],
        config: LoaderConfig,
        seed: u64,
    ) -> Result<Self, DataError> {
        let mut columns = source.columns();
        let limit = config.limit(&columns)?;
        let lengths = match &config.batch.column {
            Some(column) => Some(lengths(source.as_ref(), &columns, column, limit)?),
            None => None,
        };
        let rows = source.len();
        if rows == 0 {
            return Err(DataError::config(
                "source",
                "no sample",
                "at least one sample",
            ));
        }
        if let Limit::Rows(size) = limit
            && config.drop_last
            && rows < size
        {
            let found = format!("{size} with `drop_last`");
            let expected = format!("at most {rows}, the samples there are");
            return Err(DataError::config("loader.batch.size", found, expected));
        }
        let transforms = Transforms::bind(transforms, &mut columns)?;
        Ok(Self {
            recipe: Arc::new(Recipe {
                source,
                transforms,
                collator: Collator::new(columns),
                seed,
            }),
            config,
            limit,
            lengths,
            last_plan: Mutex::new(None),
        })
    }

    /// Contracts of the columns of every batch.
    pub fn columns(&self) -> &Columns {
        self.recipe.collator.columns()
    }

    /// Where the samples come from; `Batch::indices` counts in it.
    pub fn source(&self) -> &Arc<dyn Source> {
        &self.recipe.source
    }

    /// Number of batches, which depends on the epoch where batches are cut by a token budget.
    pub fn batches_in_epoch(&self, epoch: u64) -> usize {
        self.plan(epoch).len()
    }

    /// The batches of an epoch from number `start_batch` on, prepared by the workers as they are
    /// taken. Dropping the iterator ends the workers.
    pub fn epoch(&self, epoch: u64, start_batch: usize) -> EpochIter {
        EpochIter::new(
            Arc::clone(&self.recipe),
            self.plan(epoch),
            epoch,
            start_batch,
            &self.config,
        )
    }

    fn plan(&self, epoch: u64) -> Arc<Plan> {
        // A poisoned lock still holds a plan that was complete when it was stored.
        let mut last = self
            .last_plan
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if let Some((made_for, plan)) = last.as_ref()
            && *made_for == epoch
        {
            return Arc::clone(plan);
        }
        let order = Order {
            rows: self.recipe.source.len(),
            limit: self.limit,
            lengths: self.lengths.as_deref(),
            shuffle: self.config.shuffle,
            drop_last: self.config.drop_last,
            seed: self.recipe.seed,
        };
        let plan = Arc::new(Plan::new(order, epoch));
        *last = Some((epoch, Arc::clone(&plan)));
        plan
    }
}

/// For each row its length in `column`, and in all ragged columns together.
fn lengths(
    source: &dyn Source,
    columns: &Columns,
    column: &str,
    limit: Limit,
) -> Result<Vec<(u32, u32)>, DataError> {
    let ragged: Vec<&str> = columns
        .iter()
        .filter(|(_, contract)| contract.ragged)
        .map(|(name, _)| name.as_str())
        .collect();
    let mut lengths = Vec::with_capacity(source.len());
    for index in 0..source.len() {
        let length = source.length(index, column).unwrap_or(0);
        if let Limit::Entries(entries) = limit
            && length > entries
        {
            return Err(DataError::format(
                source.location(index),
                format!("length {length} in column `{column}`"),
                format!("at most {entries} (option `loader.batch.tokens`)"),
            ));
        }
        let all: usize = ragged
            .iter()
            .filter_map(|name| source.length(index, name))
            .sum();
        lengths.push((length as u32, all as u32));
    }
    Ok(lengths)
}
