//! Random samples of declared shapes: for measuring time and memory of a system before its data is
//! there.
//!
//! Columns: whatever the options declare. Sample `i` depends on the seed and `i` alone.

use super::Source;
use crate::random::{DataRng, stream};
use crate::{Columns, Contract, DataError, Field, Meaning, Sample, Vocabulary};
use rand::Rng;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Symbols of a random vocabulary that are never drawn as tokens.
const SPECIAL: [&str; 4] = ["<pad>", "<bos>", "<eos>", "<unk>"];

/// Columns of random numbers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RandomConfig {
    /// Number of samples.
    pub samples: usize,
    /// Samples of another seed are others.
    #[serde(default)]
    pub seed: u64,
    /// The columns by name.
    pub columns: BTreeMap<String, RandomColumn>,
}

/// One random column.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RandomColumn {
    /// image, features, label or tokens.
    pub kind: RandomKind,
    /// Shape of one sample's image ([height, width, channels]) or features.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub shape: Vec<usize>,
    /// Classes of a label, or symbols of the vocabulary of tokens, four special ones included.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size: Option<usize>,
    /// Fewest and most tokens of a sample.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub length: Option<[usize; 2]>,
    /// Name of the time dimension of tokens; columns with the same name have equal lengths.
    #[serde(default = "time")]
    pub time: String,
}

fn time() -> String {
    "T".to_owned()
}

/// What a random column holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum RandomKind {
    /// Uniform in [0, 1).
    Image,
    /// Uniform in [-1, 1).
    Features,
    /// A class, all equally likely.
    Label,
    /// Symbols that are not special, all equally likely.
    Tokens,
}

impl RandomColumn {
    fn check(&self, name: &str) -> Result<(), DataError> {
        let wrong = |key: &str, found: String, expected: &str| {
            Err(DataError::config(
                format!("columns.{name}.{key}"),
                found,
                expected,
            ))
        };
        let shape = || format!("{:?}", self.shape);
        let size = || self.size.map_or("nothing".to_owned(), |s| s.to_string());
        match self.kind {
            RandomKind::Image if self.shape.len() != 3 || self.shape.contains(&0) => {
                wrong("shape", shape(), "[height, width, channels], all above 0")
            }
            RandomKind::Features if self.shape.is_empty() || self.shape.contains(&0) => {
                wrong("shape", shape(), "at least one size, all above 0")
            }
            RandomKind::Label if self.size.is_none_or(|size| size < 2) => {
                wrong("size", size(), "at least 2 classes")
            }
            RandomKind::Tokens if self.size.is_none_or(|size| size <= SPECIAL.len()) => {
                wrong("size", size(), "at least 5 symbols, 4 of them special")
            }
            RandomKind::Tokens => match self.length {
                Some([least, most]) if least >= 1 && least <= most => Ok(()),
                Some(found) => wrong(
                    "length",
                    format!("{found:?}"),
                    "[fewest, most] with 1 <= fewest <= most",
                ),
                None => wrong("length", "nothing".to_owned(), "[fewest, most]"),
            },
            _ => Ok(()),
        }
    }

    fn contract(&self) -> Contract {
        match (self.kind, self.shape.as_slice()) {
            (RandomKind::Image, &[height, width, channels]) => {
                Contract::image(height, width, channels, (0.0, 1.0))
            }
            (RandomKind::Label, _) => {
                let classes = (0..self.size.unwrap_or(0)).map(|i| format!("class{i}"));
                Contract::label(Vocabulary::new("random", classes))
            }
            (RandomKind::Tokens, _) => Contract::tokens(&self.time, self.symbols()),
            (RandomKind::Image | RandomKind::Features, shape) => {
                let dims = std::iter::once("B".into()).chain(shape.iter().map(|&n| n.into()));
                let mut contract = Contract::new(Meaning::Features, dims);
                contract.range = Some((-1.0, 1.0));
                contract
            }
        }
    }

    fn symbols(&self) -> Arc<Vocabulary> {
        let others = (SPECIAL.len()..self.size.unwrap_or(0)).map(|i| format!("symbol{i}"));
        let special = SPECIAL.iter().map(ToString::to_string);
        Vocabulary::new("random", special.chain(others))
    }

    /// The number of tokens of a sample.
    fn tokens(&self, seed: u64, index: usize) -> usize {
        let [least, most] = self.length.unwrap_or([1, 1]);
        stream(seed, &format!("length {}", self.time), &[index as u64]).random_range(least..=most)
    }

    fn field(&self, seed: u64, index: usize, rng: &mut DataRng) -> Field {
        let mut dense = |low: f32| Field::Dense {
            shape: self.shape.clone(),
            data: (0..self.shape.iter().product())
                .map(|_| rng.random_range(low..1.0))
                .collect(),
        };
        let size = self.size.unwrap_or(1).max(1) as i64;
        match self.kind {
            RandomKind::Image => dense(0.0),
            RandomKind::Features => dense(-1.0),
            RandomKind::Label => Field::Label(rng.random_range(0..size)),
            RandomKind::Tokens => Field::Tokens(
                (0..self.tokens(seed, index))
                    .map(|_| rng.random_range(SPECIAL.len() as i64..size))
                    .collect(),
            ),
        }
    }
}

impl RandomConfig {
    /// Contracts of the declared columns.
    pub fn columns(&self) -> Columns {
        self.columns
            .iter()
            .map(|(name, column)| (name.clone(), column.contract()))
            .collect()
    }

    pub(super) fn check(&self) -> Result<(), DataError> {
        if self.samples == 0 {
            return Err(DataError::config("samples", "0", "at least 1"));
        }
        if self.columns.is_empty() {
            return Err(DataError::config("columns", "none", "at least one column"));
        }
        self.columns
            .iter()
            .try_for_each(|(name, column)| column.check(name))
    }

    pub fn open(&self) -> RandomSource {
        RandomSource {
            config: self.clone(),
            columns: self.columns(),
        }
    }
}

/// Samples that are drawn when they are read.
#[derive(Debug)]
pub struct RandomSource {
    config: RandomConfig,
    columns: Columns,
}

impl Source for RandomSource {
    fn len(&self) -> usize {
        self.config.samples
    }

    fn columns(&self) -> Columns {
        self.columns.clone()
    }

    fn sample(&self, index: usize) -> Result<Sample, DataError> {
        let seed = self.config.seed;
        let columns = self.config.columns.iter();
        Ok(
            columns.fold(Sample::new(self.key(index)), |sample, (name, column)| {
                let mut rng = stream(seed, &format!("column {name}"), &[index as u64]);
                sample.with(name, column.field(seed, index, &mut rng))
            }),
        )
    }

    fn key(&self, index: usize) -> Cow<'_, str> {
        format!("random {} sample {index}", self.config.seed).into()
    }

    fn location(&self, index: usize) -> String {
        self.key(index).into_owned()
    }

    fn length(&self, index: usize, column: &str) -> Option<usize> {
        let column = self.config.columns.get(column)?;
        (column.kind == RandomKind::Tokens).then(|| column.tokens(self.config.seed, index))
    }

    fn text(&self, index: usize) -> String {
        self.key(index).into_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(columns: &str) -> RandomConfig {
        let text = format!(r#"{{"samples": 40, "seed": 3, "columns": {columns}}}"#);
        serde_json::from_str(&text).unwrap()
    }

    #[test]
    fn samples_keep_their_contracts() {
        let config = config(
            r#"{
                "image": {"kind": "image", "shape": [4, 5, 3]},
                "x": {"kind": "features", "shape": [7]},
                "label": {"kind": "label", "size": 3},
                "in": {"kind": "tokens", "size": 9, "length": [2, 6], "time": "U"},
                "out": {"kind": "tokens", "size": 9, "length": [2, 6], "time": "U"}
            }"#,
        );
        config.check().unwrap();
        let source = config.open();
        let columns = source.columns();
        assert_eq!(columns["image"].shape_text(), "[B, 4, 5, 3]");
        assert_eq!(columns["x"].shape_text(), "[B, 7]");
        assert_eq!(columns["in"].vocabulary, columns["out"].vocabulary);
        let mut lengths = Vec::new();
        let mut labels = Vec::new();
        for index in 0..source.len() {
            let sample = source.sample(index).unwrap();
            assert_eq!(sample, source.sample(index).unwrap());
            let Field::Tokens(said) = &sample.fields["in"] else {
                panic!("{sample:?}");
            };
            assert!(said.iter().all(|token| (4..9).contains(token)));
            assert_eq!(source.length(index, "in"), Some(said.len()));
            assert_eq!(source.length(index, "out"), Some(said.len()));
            lengths.push(said.len());
            labels.push(sample.fields["label"].clone());
        }
        for length in 2..=6 {
            assert!(lengths.contains(&length), "{length} in {lengths:?}");
        }
        for label in 0..3 {
            assert!(labels.contains(&Field::Label(label)));
        }
        let other = RandomConfig {
            seed: 4,
            ..config.clone()
        };
        assert_ne!(
            other.open().sample(0).unwrap().fields,
            source.sample(0).unwrap().fields
        );
    }

    #[test]
    fn wrong_columns_are_named() {
        let refused = |columns: &str| config(columns).check().unwrap_err().to_string();
        for (column, message) in [
            (
                r#"{"kind": "image", "shape": [4, 5]}"#,
                "option `columns.c.shape`: found [4, 5], expected [height, width, channels], all above 0",
            ),
            (
                r#"{"kind": "features"}"#,
                "option `columns.c.shape`: found [], expected at least one size, all above 0",
            ),
            (
                r#"{"kind": "label", "size": 1}"#,
                "option `columns.c.size`: found 1, expected at least 2 classes",
            ),
            (
                r#"{"kind": "tokens", "size": 9, "length": [3, 2]}"#,
                "option `columns.c.length`: found [3, 2], expected [fewest, most] with 1 <= fewest <= most",
            ),
        ] {
            let found = refused(&format!(r#"{{"c": {column}}}"#));
            assert_eq!(found, message);
        }
        assert_eq!(
            refused("{}"),
            "option `columns`: found none, expected at least one column"
        );
    }
}
