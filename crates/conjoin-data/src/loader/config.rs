//! Options of a loader.

use crate::{Columns, DataError};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How samples become batches.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LoaderConfig {
    /// How many samples a batch has: `{ size = 64 }`, or `{ tokens = 4096, column = "letters" }`.
    pub batch: BatchConfig,
    /// Draw a new order every epoch.
    #[serde(default = "yes")]
    pub shuffle: bool,
    /// Threads that prepare batches; with 0 the caller's thread does. Batches are the same for any
    /// number.
    #[serde(default = "one")]
    pub workers: usize,
    /// Batches that each worker keeps ready.
    #[serde(default = "two")]
    pub prefetch: usize,
    /// How many samples an epoch may be left out because they cannot be read.
    #[serde(default)]
    pub skip_budget: usize,
    /// Leave out a last batch that is smaller than `batch.size`.
    #[serde(default)]
    pub drop_last: bool,
}

fn yes() -> bool {
    true
}

fn one() -> usize {
    1
}

fn two() -> usize {
    2
}

/// The size of a batch: either `size` or `tokens` is given.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct BatchConfig {
    /// Samples in a batch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size: Option<usize>,
    /// Greatest number of entries of `column` in a batch, padding included.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tokens: Option<usize>,
    /// A ragged column of the source; samples of like length in it share a batch. Needed with
    /// `tokens`, possible with `size`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub column: Option<String>,
}

/// A checked [`BatchConfig`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Limit {
    /// So many rows.
    Rows(usize),
    /// Rows times the longest row is at most this.
    Entries(usize),
}

impl LoaderConfig {
    /// Batches of so many samples; everything else by default.
    pub fn of_size(size: usize) -> Self {
        Self::new(BatchConfig {
            size: Some(size),
            ..BatchConfig::default()
        })
    }

    /// Batches of at most so many entries of a ragged column; everything else by default.
    pub fn of_tokens(tokens: usize, column: &str) -> Self {
        Self::new(BatchConfig {
            tokens: Some(tokens),
            column: Some(column.to_owned()),
            ..BatchConfig::default()
        })
    }

    fn new(batch: BatchConfig) -> Self {
        Self {
            batch,
            shuffle: yes(),
            workers: one(),
            prefetch: two(),
            skip_budget: 0,
            drop_last: false,
        }
    }

    /// Finds mistakes, given the columns of the source.
    ///
    /// # Errors
    /// [`DataError::Config`] with a key such as `loader.batch.column`.
    pub fn check(&self, source: &Columns) -> Result<(), DataError> {
        self.limit(source).map(|_| ())
    }

    pub(super) fn limit(&self, source: &Columns) -> Result<Limit, DataError> {
        let limit = match (self.batch.size, self.batch.tokens) {
            (Some(size), None) => Limit::Rows(size),
            (None, Some(tokens)) => Limit::Entries(tokens),
            (found, _) => {
                let found = if found.is_some() { "both" } else { "neither" };
                return Err(DataError::config(
                    "loader.batch",
                    found,
                    "either `size` or `tokens`",
                ));
            }
        };
        match limit {
            Limit::Rows(0) => {
                return Err(DataError::config("loader.batch.size", "0", "at least 1"));
            }
            Limit::Entries(0) => {
                return Err(DataError::config("loader.batch.tokens", "0", "at least 1"));
            }
            Limit::Entries(_) if self.drop_last => {
                let expected = "false: with `batch.tokens` no size is the full one";
                return Err(DataError::config("loader.drop_last", "true", expected));
            }
            Limit::Entries(_) if self.batch.column.is_none() => {
                let expected = "the ragged column whose entries `tokens` counts";
                return Err(DataError::config(
                    "loader.batch.column",
                    "nothing",
                    expected,
                ));
            }
            Limit::Rows(_) | Limit::Entries(_) => {}
        }
        if self.workers > 0 && self.prefetch == 0 {
            return Err(DataError::config(
                "loader.prefetch",
                "0",
                "at least 1, or `workers = 0`",
            ));
        }
        if let Some(column) = &self.batch.column
            && !source.get(column).is_some_and(|contract| contract.ragged)
        {
            let ragged = source.iter().filter(|(_, contract)| contract.ragged);
            let names: Vec<String> = ragged.map(|(name, _)| format!("`{name}`")).collect();
            let among = if names.is_empty() {
                "there is none".to_owned()
            } else {
                names.join(", ")
            };
            return Err(DataError::config(
                "loader.batch.column",
                format!("`{column}`"),
                format!("a ragged column of the source: {among}"),
            ));
        }
        Ok(limit)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Contract, Vocabulary};

    fn refusal(json: &str) -> String {
        let config: LoaderConfig = serde_json::from_str(json).unwrap();
        let vocabulary = Vocabulary::new("v", ["a"]);
        let columns = Columns::from([
            (
                "letters".to_owned(),
                Contract::tokens("T", vocabulary.clone()),
            ),
            ("label".to_owned(), Contract::label(vocabulary)),
        ]);
        config.check(&columns).unwrap_err().to_string()
    }

    #[test]
    fn mistakes_are_named() {
        assert_eq!(
            refusal(r#"{"batch": {}}"#),
            "option `loader.batch`: found neither, expected either `size` or `tokens`"
        );
        assert!(refusal(r#"{"batch": {"size": 1, "tokens": 1}}"#).contains("found both"));
        assert!(refusal(r#"{"batch": {"size": 0}}"#).contains("`loader.batch.size`: found 0"));
        assert!(
            refusal(r#"{"batch": {"tokens": 9}}"#).contains("`loader.batch.column`: found nothing")
        );
        assert_eq!(
            refusal(r#"{"batch": {"tokens": 9, "column": "label"}}"#),
            "option `loader.batch.column`: found `label`, expected a ragged column of the source: \
             `letters`"
        );
        let json = r#"{"batch": {"tokens": 9, "column": "letters"}, "drop_last": true}"#;
        assert!(refusal(json).contains("`loader.drop_last`"));
        assert!(refusal(r#"{"batch": {"size": 1}, "prefetch": 0}"#).contains("`loader.prefetch`"));
    }
}
