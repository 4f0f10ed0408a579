//! One safetensors file a node: every parameter and running statistic under its path.
//!
//! Names, types and shapes are validated against the node before any tensor is read, and every key
//! is accounted for: used, missing or unused.

use crate::node::Node;
use crate::value::Value;
use burn::tensor::{Tensor, TensorData};
use safetensors::tensor::{Dtype, SafeTensors, TensorView};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// Weights that cannot be read or do not fit.
#[derive(Debug, thiserror::Error)]
pub enum WeightsError {
    #[error("{path}: cannot read: {source}")]
    Read {
        path: PathBuf,
        source: std::io::Error,
    },
    #[error("{path}: not a safetensors file: {message}")]
    Format { path: PathBuf, message: String },
    #[error("{path}: {key}: expected shape {expected:?}, found {found:?}")]
    Shape {
        path: PathBuf,
        key: String,
        expected: Vec<usize>,
        found: Vec<usize>,
    },
    #[error("{path}: {key}: expected element type F32, found {found}")]
    Type {
        path: PathBuf,
        key: String,
        found: String,
    },
    #[error("{path}: {}", list_keys(.missing, .unused))]
    Keys {
        path: PathBuf,
        missing: Vec<String>,
        unused: Vec<String>,
    },
    #[error("cannot encode weights: {0}")]
    Encode(String),
}

fn list_keys(missing: &[String], unused: &[String]) -> String {
    let mut parts = Vec::new();
    if !missing.is_empty() {
        parts.push(format!("missing keys: {}", missing.join(", ")));
    }
    if !unused.is_empty() {
        parts.push(format!("unused keys: {}", unused.join(", ")));
    }
    parts.join("; ")
}

/// What an import did with every key.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImportReport {
    pub used: Vec<String>,
    /// Parameters of the node that the file does not have.
    pub missing: Vec<String>,
    /// Keys of the file (under the prefix) that the node does not have.
    pub unused: Vec<String>,
}

/// How keys of a file map to a node's parameters, and what may be left over.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ImportConfig {
    /// A safetensors file, or a run directory whose best checkpoint is used.
    pub path: PathBuf,
    /// Only keys that begin with this are read; the rest of the key is the parameter's path.
    #[serde(default)]
    pub prefix: String,
    /// Parameters that may be missing from the file (they keep their initial values).
    #[serde(default)]
    pub allow_missing: Vec<String>,
    /// Keys of the file that may stay unused.
    #[serde(default)]
    pub allow_unused: Vec<String>,
}

/// Values of a node's parameters and statistics by path.
pub fn tensors(node: &dyn Node) -> Vec<(String, Vec<usize>, Vec<f32>)> {
    let mut found = Vec::new();
    node.visit(&mut |param| {
        found.push((
            param.path.to_owned(),
            param.shape.clone(),
            param.value().to_f32(),
        ));
    });
    found
}

/// Encodes named f32 arrays as a safetensors file, with metadata.
pub fn encode(
    tensors: &[(String, Vec<usize>, Vec<f32>)],
    metadata: Option<BTreeMap<String, String>>,
) -> Result<Vec<u8>, WeightsError> {
    let metadata = metadata.map(|entries| entries.into_iter().collect());
    let bytes: Vec<Vec<u8>> = tensors
        .iter()
        .map(|(_, _, values)| values.iter().flat_map(|v| v.to_le_bytes()).collect())
        .collect();
    let views = tensors
        .iter()
        .zip(&bytes)
        .map(|((name, shape, _), bytes)| {
            TensorView::new(Dtype::F32, shape.clone(), bytes)
                .map(|view| (name.as_str(), view))
                .map_err(|error| WeightsError::Encode(error.to_string()))
        })
        .collect::<Result<Vec<_>, _>>()?;
    safetensors::serialize(views, metadata).map_err(|error| WeightsError::Encode(error.to_string()))
}

/// Shapes and elements by name.
pub type Arrays = BTreeMap<String, (Vec<usize>, Vec<f32>)>;

/// Decodes a file of named f32 arrays.
pub fn decode(path: &Path, bytes: &[u8]) -> Result<Arrays, WeightsError> {
    let file = SafeTensors::deserialize(bytes).map_err(|error| WeightsError::Format {
        path: path.to_owned(),
        message: error.to_string(),
    })?;
    file.tensors()
        .into_iter()
        .map(|(name, view)| {
            if view.dtype() != Dtype::F32 {
                return Err(WeightsError::Type {
                    path: path.to_owned(),
                    key: name,
                    found: format!("{:?}", view.dtype()),
                });
            }
            let values = view
                .data()
                .chunks_exact(4)
                .map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]]))
                .collect();
            Ok((name, (view.shape().to_vec(), values)))
        })
        .collect()
}

/// Reads a file and loads it into a node; every key must be used unless the config allows it.
pub fn import(
    node: Box<dyn Node>,
    config: &ImportConfig,
    path: &Path,
) -> Result<(Box<dyn Node>, ImportReport), WeightsError> {
    let bytes = std::fs::read(path).map_err(|source| WeightsError::Read {
        path: path.to_owned(),
        source,
    })?;
    let file: Arrays = decode(path, &bytes)?
        .into_iter()
        .filter_map(|(key, tensor)| {
            key.strip_prefix(&config.prefix)
                .map(|rest| (rest.to_owned(), tensor))
        })
        .collect();
    let report = compare(node.as_ref(), &file, path)?;
    let missing = left_over(&report.missing, &config.allow_missing);
    let unused = left_over(&report.unused, &config.allow_unused);
    if !missing.is_empty() || !unused.is_empty() {
        return Err(WeightsError::Keys {
            path: path.to_owned(),
            missing,
            unused,
        });
    }
    Ok((assign(node, file), report))
}

/// Loads values by path; parameters without a value keep theirs. Shapes have been checked.
pub fn assign(node: Box<dyn Node>, mut values: Arrays) -> Box<dyn Node> {
    node.map(&mut |slot| match values.remove(slot.path) {
        None => slot.value,
        Some((shape, elements)) => {
            let count = elements.len();
            let flat = Tensor::<1>::from_data(
                TensorData::new(elements, [count]),
                &slot.value.payload.device(),
            );
            reshape(flat, &shape)
        }
    })
}

fn reshape(flat: Tensor<1>, shape: &[usize]) -> Value {
    match *shape {
        [a, b] => flat.reshape([a, b]).into(),
        [a, b, c] => flat.reshape([a, b, c]).into(),
        [a, b, c, d] => flat.reshape([a, b, c, d]).into(),
        [a, b, c, d, e] => flat.reshape([a, b, c, d, e]).into(),
        _ => flat.into(),
    }
}

/// Compares the keys and shapes of a file with a node's parameters.
pub fn compare(node: &dyn Node, file: &Arrays, path: &Path) -> Result<ImportReport, WeightsError> {
    let mut report = ImportReport::default();
    let mut wrong = None;
    let mut known = BTreeSet::new();
    node.visit(&mut |param| {
        known.insert(param.path.to_owned());
        match file.get(param.path) {
            None => report.missing.push(param.path.to_owned()),
            Some((shape, _)) if *shape != param.shape => {
                wrong.get_or_insert_with(|| WeightsError::Shape {
                    path: path.to_owned(),
                    key: param.path.to_owned(),
                    expected: param.shape.clone(),
                    found: shape.clone(),
                });
            }
            Some(_) => report.used.push(param.path.to_owned()),
        }
    });
    report.unused = file
        .keys()
        .filter(|key| !known.contains(*key))
        .cloned()
        .collect();
    match wrong {
        Some(error) => Err(error),
        None => Ok(report),
    }
}

fn left_over(keys: &[String], allowed: &[String]) -> Vec<String> {
    keys.iter()
        .filter(|key| !allowed.contains(key))
        .cloned()
        .collect()
}
