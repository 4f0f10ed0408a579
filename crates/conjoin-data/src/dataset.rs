//! A data set as a recipe declares it: a source, what happens to its samples, how they are batched,
//! and which other data sets must not leak into it.

use crate::source::{Filtered, SourceConfig};
use crate::{Columns, DataError, Loader, LoaderConfig, Source, TransformConfig, Transforms};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

/// One data set of a recipe.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DataSetConfig {
    /// Where samples come from.
    pub source: SourceConfig,
    /// What happens to each sample, in order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub transforms: Vec<TransformConfig>,
    /// How samples become batches.
    pub loader: LoaderConfig,
    /// Names of other data sets of the recipe whose examples are left out here.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub exclude: Vec<String>,
}

impl DataSetConfig {
    /// Contracts of the columns of every batch, after all options have been checked; reads no data.
    ///
    /// # Errors
    /// [`DataError::Config`] with a key below the data set's table.
    pub fn columns(&self) -> Result<Columns, DataError> {
        self.source.check().map_err(|e| e.below("source"))?;
        let mut columns = self.source.columns();
        self.loader.check(&columns)?;
        Transforms::bind(&self.transforms, &mut columns)?;
        Ok(columns)
    }

    /// Opens the source and makes batches of it; for a data set that excludes others use
    /// [`open`], then [`DataSetConfig::loader`].
    ///
    /// # Errors
    /// As [`Loader::new`].
    pub fn loader(&self, source: Arc<dyn Source>, seed: u64) -> Result<Loader, DataError> {
        Loader::new(source, &self.transforms, self.loader.clone(), seed)
    }
}

/// Opens the source of the data set `name`, without the examples of those it excludes.
///
/// # Errors
/// A name is unknown, a data set excludes itself, or a source cannot be opened.
pub fn open(
    name: &str,
    all: &BTreeMap<String, DataSetConfig>,
) -> Result<Arc<dyn Source>, DataError> {
    let names = || {
        let names: Vec<String> = all.keys().map(|name| format!("`{name}`")).collect();
        format!("one of {}", names.join(", "))
    };
    let find = |key: &str, wanted: &str| {
        all.get(wanted).ok_or_else(|| DataError::config(key, format!("`{wanted}`"), names()))
    };
    let read = |config: &DataSetConfig| config.source.open().map_err(|e| e.below("source"));
    let config = find("data", name)?;
    let mut excluded = HashSet::new();
    for other in &config.exclude {
        if other == name {
            let found = format!("`{other}`, the data set itself");
            return Err(DataError::config("exclude", found, "other data sets"));
        }
        let other = read(find("exclude", other)?)?;
        excluded.extend((0..other.len()).map(|i| other.key(i).into_owned()));
    }
    let source: Arc<dyn Source> = read(config)?.into();
    if excluded.is_empty() {
        return Ok(source);
    }
    Ok(Arc::new(Filtered::new(source, &excluded)))
}
