//! What a frame holds: images and vectors of numbers, by name.

use crate::DataError;
use arrow_schema::{DataType, Field, Fields};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::Arc;

/// How a feature is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FeatureKind {
    /// RGB bytes, stored as PNG; shape `[height, width, 3]`.
    Image,
    Float32,
    Int64,
    Bool,
}

impl FeatureKind {
    /// Its name in `info.json`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Image => "image",
            Self::Float32 => "float32",
            Self::Int64 => "int64",
            Self::Bool => "bool",
        }
    }

    pub(super) fn named(name: &str) -> Option<Self> {
        [Self::Image, Self::Float32, Self::Int64, Self::Bool]
            .into_iter()
            .find(|kind| kind.name() == name)
    }

    fn data_type(self) -> DataType {
        match self {
            Self::Image => DataType::Struct(Fields::from(vec![
                Field::new("bytes", DataType::Binary, true),
                Field::new("path", DataType::Utf8, true),
            ])),
            Self::Float32 => DataType::Float32,
            Self::Int64 => DataType::Int64,
            Self::Bool => DataType::Boolean,
        }
    }
}

/// A named column.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Feature {
    pub name: String,
    pub kind: FeatureKind,
    /// `[height, width, 3]` of an image, `[n]` of numbers; `[1]` is stored as a plain number.
    pub shape: Vec<usize>,
    /// What the n numbers are, in order; may be empty.
    pub names: Vec<String>,
}

impl Feature {
    pub fn image(name: &str, height: usize, width: usize) -> Self {
        Self {
            name: name.to_owned(),
            kind: FeatureKind::Image,
            shape: vec![height, width, 3],
            names: ["height", "width", "channels"].map(str::to_owned).to_vec(),
        }
    }

    /// A vector of `length` numbers.
    pub fn vector(name: &str, length: usize) -> Self {
        Self {
            name: name.to_owned(),
            kind: FeatureKind::Float32,
            shape: vec![length],
            names: Vec::new(),
        }
    }

    pub(super) fn scalar(name: &str, kind: FeatureKind) -> Self {
        Self {
            name: name.to_owned(),
            kind,
            shape: vec![1],
            names: Vec::new(),
        }
    }

    pub(super) fn field(&self) -> Field {
        let single = self.kind.data_type();
        let data_type = match self.kind {
            FeatureKind::Float32 if self.shape != [1] => {
                let item = Arc::new(Field::new("item", single, true));
                DataType::FixedSizeList(item, self.shape.iter().product::<usize>() as i32)
            }
            _ => single,
        };
        Field::new(&self.name, data_type, true)
    }

    /// The entry in `info.json`.
    pub(super) fn to_json(&self) -> Value {
        let names = if self.names.is_empty() {
            Value::Null
        } else {
            json!(self.names)
        };
        json!({"dtype": self.kind.name(), "shape": self.shape, "names": names})
    }

    pub(super) fn from_json(
        name: &str,
        kind: FeatureKind,
        value: &Value,
    ) -> Result<Self, DataError> {
        let place = format!("meta/info.json: features.{name}");
        let shape: Option<Vec<usize>> = value["shape"]
            .as_array()
            .and_then(|dims| dims.iter().map(|d| Some(d.as_u64()? as usize)).collect());
        let names = value["names"].as_array().map_or(Vec::new(), |names| {
            names
                .iter()
                .filter_map(|n| n.as_str().map(str::to_owned))
                .collect()
        });
        Ok(Self {
            name: name.to_owned(),
            kind,
            shape: shape.ok_or_else(|| {
                let found = value["shape"].to_string();
                DataError::format(format!("{place}.shape"), found, "a list of sizes")
            })?,
            names,
        })
    }
}

/// A picture.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Image {
    pub width: usize,
    pub height: usize,
    /// RGB, row by row.
    pub rgb: Vec<u8>,
}

/// One row: what was recorded at one moment.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Frame {
    pub images: BTreeMap<String, Image>,
    pub values: BTreeMap<String, Vec<f32>>,
}

impl Frame {
    /// Whether the frame holds just the features, each of its shape.
    pub(super) fn check(&self, features: &[Feature]) -> Result<(), DataError> {
        for feature in features {
            let place = format!("feature {}", feature.name);
            let found = match feature.kind {
                FeatureKind::Image => {
                    let image = self.images.get(&feature.name);
                    image.map(|image| {
                        vec![
                            image.height,
                            image.width,
                            image.rgb.len() / (image.height * image.width).max(1),
                        ]
                    })
                }
                _ => self
                    .values
                    .get(&feature.name)
                    .map(|values| vec![values.len()]),
            };
            if found.as_ref() != Some(&feature.shape) {
                let found = found.map_or("nothing".to_owned(), |f| format!("shape {f:?}"));
                return Err(DataError::format(
                    place,
                    found,
                    format!("shape {:?}", feature.shape),
                ));
            }
        }
        let known = |name: &String| features.iter().any(|f| f.name == *name);
        if let Some(name) = self
            .images
            .keys()
            .chain(self.values.keys())
            .find(|n| !known(n))
        {
            let names: Vec<&str> = features.iter().map(|f| f.name.as_str()).collect();
            return Err(DataError::format(
                "frame",
                format!("feature {name}"),
                format!("only {}", names.join(", ")),
            ));
        }
        Ok(())
    }
}
