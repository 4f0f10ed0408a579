//! Frames that come more than once in an epoch (random oversampling): what is rare in a recording, and what
//! a model must still learn, by bounds on the recorded numbers.

use crate::DataError;
use crate::lerobot::{FeatureKind, Frame, Info};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A rule: frames within all of its bounds come several times in an epoch. Of several rules that hold for a
/// frame, the one with the most counts.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LerobotOversample {
    /// How often such a frame comes in an epoch.
    pub times: usize,
    /// What must hold, all of it.
    pub bounds: Vec<LerobotBound>,
}

/// What one recorded number must keep.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LerobotBound {
    /// A feature of numbers; it need not be in a column.
    pub feature: String,
    /// Which of its numbers, counted from 0 in the order in which they are stored.
    #[serde(default)]
    pub index: usize,
    /// The number is greater than this.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub above: Option<f32>,
    /// The number is less than this.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub below: Option<f32>,
}

impl LerobotOversample {
    /// Finds what does not fit a recording; the key is below the rule.
    pub(super) fn check(&self, info: &Info) -> Result<(), DataError> {
        if self.times == 0 {
            return Err(DataError::config("times", "0", "at least 1"));
        }
        if self.bounds.is_empty() {
            return Err(DataError::config("bounds", "none", "at least one"));
        }
        for (i, bound) in self.bounds.iter().enumerate() {
            bound
                .check(info)
                .map_err(|error| error.below(&format!("bounds[{i}]")))?;
        }
        Ok(())
    }

    fn holds(&self, frame: &Frame) -> bool {
        self.bounds.iter().all(|bound| bound.holds(frame))
    }
}

impl LerobotBound {
    fn check(&self, info: &Info) -> Result<(), DataError> {
        let numbers = |kind| kind == FeatureKind::Float32;
        let feature = info.feature(&self.feature).filter(|f| numbers(f.kind));
        let Some(feature) = feature else {
            let there = info.features.iter().filter(|f| numbers(f.kind));
            let there: Vec<String> = there.map(|f| format!("`{}`", f.name)).collect();
            let found = format!("`{}`", self.feature);
            let expected = format!("a feature of numbers among {}", there.join(", "));
            return Err(DataError::config("feature", found, expected));
        };
        let size = feature.shape.iter().product::<usize>();
        if self.index >= size {
            let expected = format!("a number below {size}, the size of `{}`", self.feature);
            return Err(DataError::config("index", self.index.to_string(), expected));
        }
        if self.above.is_none() && self.below.is_none() {
            let expected = "`above`, `below` or both";
            return Err(DataError::config("above", "nothing", expected));
        }
        for (key, bound) in [("above", self.above), ("below", self.below)] {
            if let Some(bound) = bound.filter(|bound| !bound.is_finite()) {
                return Err(DataError::config(key, bound.to_string(), "a finite number"));
            }
        }
        Ok(())
    }

    fn holds(&self, frame: &Frame) -> bool {
        let numbers = frame.values.get(&self.feature);
        numbers.and_then(|n| n.get(self.index)).is_some_and(|&n| {
            self.above.is_none_or(|above| n > above) && self.below.is_none_or(|below| n < below)
        })
    }
}

/// The features that some rules look at.
pub(super) fn features(rules: &[LerobotOversample]) -> Vec<&str> {
    let bounds = rules.iter().flat_map(|rule| &rule.bounds);
    let mut names: Vec<&str> = bounds.map(|bound| bound.feature.as_str()).collect();
    names.sort_unstable();
    names.dedup();
    names
}

/// How often a frame comes in an epoch: once where no rule holds.
pub(super) fn times(rules: &[LerobotOversample], frame: &Frame) -> usize {
    let holding = rules.iter().filter(|rule| rule.holds(frame));
    holding.map(|rule| rule.times).max().unwrap_or(1)
}
