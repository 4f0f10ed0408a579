//! Frames of a running system as the batches that training made of recorded ones.

use crate::lerobot::Frame;
use crate::loader::Collator;
use crate::source::{LerobotSampler, SourceConfig};
use crate::{Batch, Columns, DataError, DataSetConfig, Transforms};

/// Makes the columns of a data set from frames that were never recorded: the same columns, through the
/// same transforms.
///
/// Columns that need a feature which the frames do not have are left out, and so are the transforms that
/// work on them: a vehicle on the road knows no truth. Where a transform is random, use the data set of an
/// evaluation.
#[derive(Debug)]
pub struct Live {
    sampler: LerobotSampler,
    transforms: Transforms,
    collator: Collator,
}

impl Live {
    /// `features` are those that every frame has.
    ///
    /// # Errors
    /// The data set's source is not a recording, its options are wrong, or no column can be made.
    pub fn new(config: &DataSetConfig, features: &[&str]) -> Result<Self, DataError> {
        let SourceConfig::Lerobot(source) = &config.source else {
            let found = config.source.kind();
            let expected = "lerobot, whose columns are made of frames";
            return Err(DataError::config("source.kind", found, expected));
        };
        let sampler = source.sampler(features).map_err(|e| e.below("source"))?;
        let mut columns = sampler.columns();
        let transforms = Transforms::bind_present(&config.transforms, &mut columns)?;
        Ok(Self {
            sampler,
            transforms,
            collator: Collator::new(columns),
        })
    }

    /// Contracts of the columns of every batch.
    pub fn columns(&self) -> &Columns {
        self.collator.columns()
    }

    /// How many frames before a moment's own its columns are made of too.
    pub fn history(&self) -> usize {
        self.sampler.history()
    }

    /// A batch of moments, in their order: each its last frames, its own last; where there are fewer than
    /// columns look back, the first stands in.
    ///
    /// # Errors
    /// A frame lacks a feature, or has one of another shape or out of its range.
    pub fn batch(&self, moments: &[Vec<&Frame>]) -> Result<Batch, DataError> {
        let mut samples = Vec::with_capacity(moments.len());
        for (row, frames) in moments.iter().enumerate() {
            let place = format!("live frame {row}");
            let mut sample = self.sampler.sample(&place, frames)?;
            self.transforms.apply(&mut sample, 0, 0, row)?;
            self.collator.check(&sample, || place.clone())?;
            samples.push(sample);
        }
        let rows = (0..moments.len()).collect();
        Ok(self.collator.collate(&samples, rows))
    }
}
