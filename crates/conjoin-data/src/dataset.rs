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
        all.get(wanted)
            .ok_or_else(|| DataError::config(key, format!("`{wanted}`"), names()))
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

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    fn read(json: &str) -> DataSetConfig {
        serde_json::from_str(json).unwrap()
    }

    #[test]
    fn columns_need_no_data() {
        let config = read(
            r#"{"source": {"kind": "idx", "dir": "nowhere", "split": "train",
                           "classes": "fashion-mnist"},
                "transforms": [{"kind": "rotate90"}],
                "loader": {"batch": {"size": 8}}}"#,
        );
        let columns = config.columns().unwrap();
        assert_eq!(
            columns.keys().collect::<Vec<_>>(),
            ["image", "label", "rotation"]
        );
        assert!(
            config
                .source
                .open()
                .unwrap_err()
                .to_string()
                .contains("nowhere")
        );
    }

    #[test]
    fn mistakes_have_the_path_of_their_key() {
        let key = |json: &str| read(json).columns().unwrap_err().key().unwrap().to_owned();
        let cmudict = r#""source": {"kind": "cmudict", "split": "test", "limit": LIMIT}"#;
        let with = |limit: &str, rest: &str| {
            key(&format!("{{{}, {rest}}}", cmudict.replace("LIMIT", limit)))
        };
        assert_eq!(
            with("0", r#""loader": {"batch": {"size": 8}}"#),
            "source.limit"
        );
        assert_eq!(
            with("9", r#""loader": {"batch": {"size": 0}}"#),
            "loader.batch.size"
        );
        let transforms = r#""transforms": [{"kind": "mask-tokens", "column": "letters", "rate": 2}],
                            "loader": {"batch": {"size": 8}}"#;
        assert_eq!(with("9", transforms), "transforms[0].rate");
    }

    #[test]
    fn excluded_words_are_left_out() {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(b"hello\nworld\nread\n").unwrap();
        let loader = r#""loader": {"batch": {"size": 8}}"#;
        let path = serde_json::to_string(file.path()).unwrap();
        let list = format!(r#"{{"kind": "cmudict", "split": "test", "words": {path}}}"#);
        let words = ["hello", "world", "read"];
        let train = r#"{"kind": "cmudict", "split": "train"}"#;
        let mut sets = BTreeMap::from([
            (
                "listed".to_owned(),
                read(&format!(r#"{{"source": {list}, {loader}}}"#)),
            ),
            (
                "train".to_owned(),
                read(&format!(
                    r#"{{"source": {train}, {loader}, "exclude": ["listed"]}}"#
                )),
            ),
        ]);
        let keys = |name: &str, sets: &BTreeMap<String, DataSetConfig>| -> HashSet<String> {
            let source = open(name, sets).unwrap();
            (0..source.len())
                .map(|i| source.key(i).into_owned())
                .collect()
        };
        assert_eq!(keys("listed", &sets), words.map(str::to_owned).into());
        let kept = keys("train", &sets);
        assert!(words.iter().all(|word| !kept.contains(*word)));

        let train = sets.get_mut("train").unwrap();
        train.exclude.clear();
        let all = keys("train", &sets);
        assert!(
            words.iter().any(|word| all.contains(*word)),
            "the test can fail"
        );
        assert!(kept.is_subset(&all));

        sets.get_mut("train").unwrap().exclude = vec!["lisetd".to_owned()];
        assert_eq!(
            open("train", &sets).unwrap_err().to_string(),
            "option `exclude`: found `lisetd`, expected one of `listed`, `train`"
        );
        sets.get_mut("train").unwrap().exclude = vec!["train".to_owned()];
        assert!(
            open("train", &sets)
                .unwrap_err()
                .to_string()
                .contains("itself")
        );
    }
}
