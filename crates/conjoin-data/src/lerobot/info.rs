//! `meta/info.json`: what a recording holds, before any frame is read.

use super::VERSION;
use super::feature::{Feature, FeatureKind};
use crate::DataError;
use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};

/// What `meta/info.json` says.
#[derive(Debug, Clone, PartialEq)]
pub struct Info {
    /// Features that can be read, those of every recording (`timestamp`, `frame_index` …) included.
    pub features: Vec<Feature>,
    /// Features that cannot, such as videos, and their type.
    pub unread: Vec<(String, String)>,
    /// What the recorder was given to keep.
    pub extra: Value,
    /// Number of episodes.
    pub episodes: usize,
}

/// What the recorder noted of a feature.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Noted {
    /// Sizes that the flat numbers are to be read in.
    pub shape: Option<Vec<usize>>,
    pub units: Option<String>,
    pub frame: Option<String>,
    pub range: Option<(f32, f32)>,
}

impl Info {
    /// Where it lies in a recording.
    pub fn path(root: &Path) -> PathBuf {
        root.join("meta/info.json")
    }

    /// # Errors
    /// The file cannot be read, or is not of this layout.
    pub fn read(root: &Path) -> Result<Self, DataError> {
        let path = Self::path(root);
        let text = fs::read_to_string(&path).map_err(|e| DataError::io(&path, e))?;
        let place = path.display().to_string();
        let info: Value = serde_json::from_str(&text)
            .map_err(|e| DataError::format(&place, e.to_string(), "JSON"))?;
        let version = info["codebase_version"].as_str().unwrap_or("nothing");
        if version != VERSION {
            let found = format!("codebase_version {version}");
            return Err(DataError::format(&place, found, VERSION));
        }
        let described = info["features"]
            .as_object()
            .ok_or_else(|| DataError::format(&place, "no features", "a table of features"))?;
        let (mut features, mut unread) = (Vec::new(), Vec::new());
        for (name, value) in described {
            let dtype = value["dtype"].as_str().unwrap_or("nothing");
            match FeatureKind::named(dtype) {
                Some(kind) => features.push(Feature::from_json(name, kind, value)?),
                None => unread.push((name.clone(), dtype.to_owned())),
            }
        }
        Ok(Self {
            features,
            unread,
            extra: info["conjoin"].clone(),
            episodes: info["total_episodes"].as_u64().unwrap_or(0) as usize,
        })
    }

    pub fn feature(&self, name: &str) -> Option<&Feature> {
        self.features.iter().find(|feature| feature.name == name)
    }

    /// What the recorder noted of a feature; what is not of the right form counts as not noted.
    pub fn noted(&self, feature: &str) -> Noted {
        let noted = &self.extra["columns"][feature];
        let text = |key: &str| noted[key].as_str().map(str::to_owned);
        let shape = noted["shape"].as_array().and_then(|sizes| {
            let sizes = sizes.iter().map(|size| Some(size.as_u64()? as usize));
            sizes.collect()
        });
        let bound = |index: usize| noted["range"][index].as_f64().map(|value| value as f32);
        Noted {
            shape,
            units: text("units"),
            frame: text("frame"),
            range: bound(0).zip(bound(1)),
        }
    }
}
