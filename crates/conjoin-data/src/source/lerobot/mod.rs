//! Recordings in the layout of LeRobotDataset v3.0 as data sets: a sample is a frame.
//!
//! Columns: whatever the options make of the recording's features; images of `V` cameras are
//! `[B, V, H, W, 3]` in [0, 1] (`x/255`), one alone `[B, H, W, 3]`, numbers `[B, …]`; of `T` frames
//! `[B, V, H, W, 3 T]` and `[B, T, …]`.

mod bound;
mod cache;
mod column;
mod draw;

pub use bound::{LerobotBound, LerobotRowBound};
pub use cache::LerobotSource;
pub use draw::{LerobotOversample, LerobotUndersample};

use crate::lerobot::{Frame, Info};
use crate::random::stream;
use crate::{Columns, DataError, Sample};
use column::Column;
use rand::RngCore;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Frames of a recording.
///
/// `meta/info.json` is read when the recipe is checked: shapes, units and coordinate frames come from
/// it. A recording that was cut short is read up to its last whole episode. Frames are decoded once
/// and kept in memory, up to `memory`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LerobotConfig {
    /// The folder, which holds `meta/info.json`.
    pub path: PathBuf,
    /// Folders of further recordings, whose frames follow. Columns must come out of them as they come out
    /// of the first; `episodes` and `split` choose in each.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub also: Vec<PathBuf>,
    /// The columns by name.
    pub columns: BTreeMap<String, LerobotColumn>,
    /// Numbers of the episodes to use, from 0; all if neither this nor `split` is given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub episodes: Option<Vec<usize>>,
    /// Which part of the episodes to use: all, train or valid. An episode is in one of the two parts as
    /// a whole.
    #[serde(default)]
    pub split: LerobotSplit,
    /// Share of the episodes that are in the part `valid`, drawn evenly.
    #[serde(default = "tenth")]
    pub valid_share: f64,
    /// Use every n-th frame of each episode.
    #[serde(default = "one")]
    pub stride: usize,
    /// Frames that come more than once in an epoch, by bounds on their numbers:
    /// `[{ times = 4, bounds = [{ feature = "observation.state", index = 0, below = 0.5 }] }]`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub oversample: Vec<LerobotOversample>,
    /// Frames of which only each n-th comes, by bounds on their numbers:
    /// `[{ every = 4, bounds = [{ feature = "observation.state", index = 0, below = 0.1 }] }]`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub undersample: Vec<LerobotUndersample>,
    /// Decoded frames that are kept in memory, MiB; what is beyond is read from the file every time.
    #[serde(default = "two_gib")]
    pub memory: usize,
}

fn tenth() -> f64 {
    0.1
}

fn one() -> usize {
    1
}

fn two_gib() -> usize {
    2048
}

/// A part of a recording.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum LerobotSplit {
    #[default]
    All,
    Train,
    Valid,
}

/// A column: a feature of the recording, or several that are stacked.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LerobotColumn {
    /// The feature.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub feature: Option<String>,
    /// Features of one shape, stacked along a new first dimension.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub features: Vec<String>,
    /// Frames that are stacked, counted from the sample's own, which is 0: `[-4, 0]` is the frame four
    /// before and the own one. Before an episode's first frame that one stands in. Numbers are stacked
    /// along a new first dimension, images as `stack` says.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub delta_indices: Vec<i64>,
    /// How images of several frames are stacked: along their `channels`, `[.., H, W, F * C]`, or as further
    /// `views`, `[F * V, H, W, C]`, all views of the earliest frame first [default: channels].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stack: Option<Stack>,
    /// Sizes in which numbers that are stored flat are read [default: what the recording notes].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shape: Option<Vec<usize>>,
    /// image, quantity or features [default: image for images, quantity for numbers].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub meaning: Option<LerobotMeaning>,
    /// Units of the numbers [default: what the recording notes].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub units: Option<String>,
    /// Coordinate frame of the numbers [default: what the recording notes].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub frame: Option<String>,
    /// Least and greatest number [default: what the recording notes]; a frame with another is refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub range: Option<[f32; 2]>,
}

/// How images of several frames are stacked.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Stack {
    #[default]
    Channels,
    Views,
}

/// What the numbers of a column mean.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum LerobotMeaning {
    Image,
    Quantity,
    Features,
}

impl LerobotConfig {
    /// Contracts of the columns; none where the recording's `info.json` cannot be read, and without those
    /// that do not fit it, which `check` reports.
    pub fn columns(&self) -> Columns {
        let Ok(info) = Info::read(&self.path) else {
            return Columns::new();
        };
        let fitting = self.columns.iter().filter_map(|(name, column)| {
            let column = Column::new(name, column, &info).ok()?;
            Some((name.clone(), column.contract))
        });
        fitting.collect()
    }

    /// The files that must be there, with the options that name their folders.
    pub fn infos(&self) -> impl Iterator<Item = (&'static str, PathBuf)> {
        let keys = std::iter::once("path").chain(std::iter::repeat("also"));
        keys.zip(self.paths().map(|path| Info::path(path)))
    }

    /// Names of the features that columns can be made of; none where `info.json` cannot be read.
    pub fn features(&self) -> Vec<String> {
        Info::read(&self.path).map_or_else(
            |_| Vec::new(),
            |info| info.features.into_iter().map(|f| f.name).collect(),
        )
    }

    pub(super) fn check(&self) -> Result<(), DataError> {
        if self.columns.is_empty() {
            return Err(DataError::config("columns", "none", "at least one column"));
        }
        if self.stride == 0 {
            return Err(DataError::config("stride", "0", "at least 1"));
        }
        if !(self.valid_share > 0.0 && self.valid_share < 1.0) {
            let found = self.valid_share.to_string();
            return Err(DataError::config(
                "valid_share",
                found,
                "a number between 0 and 1",
            ));
        }
        if self.episodes.is_some() && self.split != LerobotSplit::All {
            return Err(DataError::config(
                "episodes",
                "a list beside `split`",
                "one of the two",
            ));
        }
        let info = read_info("path", &self.path)?;
        self.check_episodes(info.episodes)?;
        self.check_rules(&info)?;
        let columns = self.resolved(&info)?;
        for (i, path) in self.also.iter().enumerate() {
            let key = format!("also[{i}]");
            let info = read_info(&key, path)?;
            self.check_episodes(info.episodes)?;
            let others = self.check_rules(&info);
            let others = others.and_then(|()| self.resolved(&info));
            let others = others.map_err(|error| match error {
                DataError::Config {
                    key: inner,
                    found,
                    expected,
                } => DataError::config(&key, format!("{inner}: {found}"), expected),
                other => other,
            })?;
            if let Some((own, other)) = columns.iter().zip(&others).find(|(a, b)| a != b) {
                let found = format!("column `{}` as {}", own.name, other.contract);
                let expected = format!("{}, as in `{}`", own.contract, self.path.display());
                return Err(DataError::config(key, found, expected));
            }
        }
        Ok(())
    }

    /// The folders of all recordings.
    fn paths(&self) -> impl Iterator<Item = &PathBuf> {
        std::iter::once(&self.path).chain(&self.also)
    }

    /// Whether the listed episodes can be there; a recording that was cut short may have fewer.
    fn check_episodes(&self, count: usize) -> Result<(), DataError> {
        let Some(listed) = &self.episodes else {
            return Ok(());
        };
        if listed.is_empty() {
            return Err(DataError::config("episodes", "none", "at least one number"));
        }
        for (i, &episode) in listed.iter().enumerate() {
            let wrong = |found: String, expected: String| {
                Err(DataError::config(format!("episodes[{i}]"), found, expected))
            };
            if episode >= count {
                return wrong(episode.to_string(), format!("a number below {count}"));
            }
            if listed[..i].contains(&episode) {
                return wrong(format!("{episode} again"), "each number once".to_owned());
            }
        }
        Ok(())
    }

    /// Whether the rules of `oversample` and `undersample` ask for what a recording has.
    fn check_rules(&self, info: &Info) -> Result<(), DataError> {
        for (i, rule) in self.oversample.iter().enumerate() {
            let key = format!("oversample[{i}]");
            rule.check(info).map_err(|error| error.below(&key))?;
        }
        for (i, rule) in self.undersample.iter().enumerate() {
            let key = format!("undersample[{i}]");
            rule.check(info).map_err(|error| error.below(&key))?;
        }
        Ok(())
    }

    /// The columns as they come out of a recording.
    fn resolved(&self, info: &Info) -> Result<Vec<Column>, DataError> {
        let columns = self.columns.iter();
        columns
            .map(|(name, column)| Column::new(name, column, info))
            .collect()
    }

    /// Finds the whole episodes; frames are decoded when they are first asked for.
    ///
    /// # Errors
    /// An option does not fit the recording, or no wanted episode is whole.
    pub fn open(&self) -> Result<LerobotSource, DataError> {
        self.check()?;
        let columns = self.resolved(&read_info("path", &self.path)?)?;
        LerobotSource::new(self, columns)
    }

    /// What turns frames that were never recorded into samples, from the features that are given.
    ///
    /// # Errors
    /// As [`LerobotConfig::open`], or no column can be made of these features.
    pub fn sampler(&self, features: &[&str]) -> Result<LerobotSampler, DataError> {
        self.check()?;
        let mut columns = self.resolved(&read_info("path", &self.path)?)?;
        columns.retain(|column| {
            column
                .features
                .iter()
                .all(|f| features.contains(&f.as_str()))
        });
        if columns.is_empty() {
            let found = format!("features {}", features.join(", "));
            return Err(DataError::config(
                "columns",
                found,
                "all features of one column at least",
            ));
        }
        Ok(LerobotSampler { columns })
    }

    /// The episodes to use, of so many that were begun and so many that are whole.
    fn chosen(&self, begun: usize, whole: usize) -> Vec<usize> {
        let begun = begun.max(whole);
        let mut chosen = match (&self.episodes, self.split) {
            (Some(listed), _) => listed.clone(),
            (None, LerobotSplit::All) => (0..begun).collect(),
            (None, split) => {
                // Which part an episode is in is drawn from its number, not from its place in a cycle
                // of families.
                let mut drawn: Vec<usize> = (0..begun).collect();
                drawn.sort_by_key(|&e| stream(0, "validation episodes", &[e as u64]).next_u64());
                let share = (self.valid_share * begun as f64).round() as usize;
                let valid = share.clamp(1, begun.saturating_sub(1).max(1));
                match split {
                    LerobotSplit::Valid => drawn.truncate(valid),
                    _ => drawn = drawn.split_off(valid.min(begun)),
                }
                drawn
            }
        };
        chosen.sort_unstable();
        chosen.retain(|&episode| episode < whole);
        chosen
    }
}

/// Makes samples of frames just as [`LerobotSource`] makes them of recorded ones.
#[derive(Debug)]
pub struct LerobotSampler {
    columns: Vec<Column>,
}

impl LerobotSampler {
    /// Contracts of the columns that the features suffice for.
    pub fn columns(&self) -> Columns {
        let columns = self.columns.iter();
        columns
            .map(|column| (column.name.clone(), column.contract.clone()))
            .collect()
    }

    /// How many frames before a sample's own are read.
    pub fn history(&self) -> usize {
        history(&self.columns)
    }

    /// The sample of the last of some frames that follow each other; frames may hold more. Where there
    /// are fewer than the columns look back, the first stands in for those before it.
    ///
    /// # Errors
    /// There is no frame, or one lacks a feature, or has one of another shape or out of its range.
    pub fn sample(&self, key: &str, frames: &[&Frame]) -> Result<Sample, DataError> {
        let mut sample = Sample::new(key);
        let Some(last) = frames.len().checked_sub(1) else {
            return Err(DataError::format(key, "no frame", "one at least"));
        };
        for column in &self.columns {
            let rows = column.back.iter();
            let rows = rows.map(|back| column.row(frames[last.saturating_sub(*back)], key));
            let rows = rows.collect::<Result<Vec<_>, DataError>>()?;
            let views: Vec<_> = rows.iter().map(column::Row::view).collect();
            sample
                .fields
                .insert(column.name.clone(), column.field(&views, key)?);
        }
        Ok(sample)
    }
}

/// How many frames before a sample's own some columns read.
fn history(columns: &[Column]) -> usize {
    let back = columns.iter().flat_map(|column| &column.back);
    back.copied().max().unwrap_or(0)
}

/// `info.json`; whatever is wrong with it is told as a mistake of the key.
fn read_info(key: &str, path: &Path) -> Result<Info, DataError> {
    Info::read(path).map_err(|error| {
        let found = match error {
            DataError::Io { path, source } => format!("`{}` ({source})", path.display()),
            DataError::Format {
                place,
                found,
                expected,
            } => format!("`{place}`: {found}, not {expected}"),
            other => return other,
        };
        DataError::config(key, found, "a folder with a LeRobotDataset v3.0")
    })
}

/// How frames are called: in keys, and in messages.
fn frame_name(root: &Path, episode: usize, frame: usize) -> String {
    format!("episode {episode} frame {frame} of {}", root.display())
}
