//! The endless stream of training batches, with a position that can be stored.

use crate::TrainError;
use conjoin_data::{Batch, EpochIter, Loader};

/// Batches of epoch after epoch.
#[derive(Debug)]
pub(super) struct Batches {
    loader: Loader,
    iter: EpochIter,
    epoch: u64,
    /// Skipped samples of this epoch that were reported.
    reported: usize,
}

impl Batches {
    /// From batch number `batch` of an epoch on.
    pub fn new(loader: Loader, epoch: u64, batch: usize) -> Self {
        Self {
            iter: loader.epoch(epoch, batch),
            loader,
            epoch,
            reported: 0,
        }
    }

    /// The next batch; a new epoch begins where one ends.
    ///
    /// # Errors
    /// A sample cannot be read, or an epoch has no batch at all.
    pub fn next(&mut self, stage: &str) -> Result<Batch, TrainError> {
        let mut empty = 0;
        while empty < 2 {
            if let Some(batch) = self.iter.next() {
                return Ok(batch?);
            }
            self.epoch += 1;
            self.iter = self.loader.epoch(self.epoch, 0);
            self.reported = 0;
            empty += 1;
        }
        Err(TrainError::Stage {
            stage: stage.to_owned(),
            problem: "no sample of the data set can be read".to_owned(),
        })
    }

    /// Epoch and number of the batch that comes next.
    pub fn position(&self) -> (u64, usize) {
        (self.epoch, self.iter.position())
    }

    /// Messages about samples that were left out since the last call.
    pub fn new_skips(&mut self) -> Vec<String> {
        let skipped = self.iter.skipped();
        let new = skipped.get(self.reported..).unwrap_or_default();
        let messages = new.iter().map(|s| format!("left out: {}", s.message));
        let messages = messages.collect();
        self.reported = skipped.len();
        messages
    }
}
