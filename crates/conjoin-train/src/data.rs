//! The data sets of a plan: opened once, when somebody first needs them.

use crate::plan::Plan;
use conjoin_data::{Batch, DataError, Loader, Source};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// At most `count` batches of a loader's first epoch, evenly spread over it: where samples of one
/// length share a batch, the first ones would not stand for all.
pub fn spread_batches(
    loader: &Loader,
    count: usize,
) -> Box<dyn Iterator<Item = Result<Batch, DataError>> + '_> {
    let all = loader.batches_in_epoch(0);
    if count >= all {
        return Box::new(loader.epoch(0, 0));
    }
    let starts = (0..count).map(move |number| number * all / count);
    Box::new(starts.filter_map(|start| loader.epoch(0, start).next()))
}

/// Sources and loaders by the name of their data set.
#[derive(Debug)]
pub struct DataSets {
    plan: Arc<Plan>,
    open: Mutex<BTreeMap<String, Arc<dyn Source>>>,
    /// Data sets whose notes were handed out.
    told: Mutex<BTreeSet<String>>,
}

impl DataSets {
    /// The data sets of a plan; nothing is read yet.
    pub fn new(plan: Arc<Plan>) -> Self {
        Self {
            plan,
            open: Mutex::default(),
            told: Mutex::default(),
        }
    }

    /// Puts samples from elsewhere in the place of a data set's own source.
    #[must_use]
    pub fn with_source(self, name: &str, source: Arc<dyn Source>) -> Self {
        self.lock().insert(name.to_owned(), source);
        self
    }

    /// The source of a data set.
    ///
    /// # Errors
    /// It cannot be opened.
    pub fn source(&self, name: &str) -> Result<Arc<dyn Source>, DataError> {
        let mut open = self.lock();
        if let Some(source) = open.get(name) {
            return Ok(Arc::clone(source));
        }
        let source = self.plan.open_source(name)?;
        open.insert(name.to_owned(), Arc::clone(&source));
        Ok(source)
    }

    /// What a person should know of how an open data set was read; once for each.
    pub fn notes(&self, name: &str) -> Vec<String> {
        let Some(source) = self.lock().get(name).cloned() else {
            return Vec::new();
        };
        // A panic elsewhere cannot leave the set half changed.
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        if told.insert(name.to_owned()) {
            source.notes()
        } else {
            Vec::new()
        }
    }

    /// The batches of a data set in the order that `seed` gives.
    ///
    /// # Errors
    /// The source cannot be opened, or the options do not fit it.
    pub fn loader(&self, name: &str, seed: u64) -> Result<Loader, DataError> {
        let source = self.source(name)?;
        match self.plan.data.get(name) {
            Some(data) => data.config.loader(source, seed),
            None => Err(DataError::Config {
                key: "data".to_owned(),
                found: format!("`{name}`"),
                expected: "the name of a data set".to_owned(),
            }),
        }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Arc<dyn Source>>> {
        // A panic elsewhere cannot leave the map half changed.
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
