//! Bounds on recorded numbers, by which rules single frames out.

use crate::DataError;
use crate::lerobot::{FeatureKind, Frame, Info};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What one recorded number must keep, or the numbers of one row.
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
    /// In place of the three, for a feature of rows such as agents: some row keeps all of these.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub row: Vec<LerobotRowBound>,
}

/// What one number of a row must keep.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LerobotRowBound {
    /// Which number of the row, counted from 0.
    #[serde(default)]
    pub index: usize,
    /// The number is greater than this.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub above: Option<f32>,
    /// The number is less than this.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub below: Option<f32>,
}

impl LerobotRowBound {
    /// Finds what does not fit so many numbers.
    fn check(&self, size: usize, of: &str) -> Result<(), DataError> {
        if self.index >= size {
            let expected = format!("a number below {size}, the size of {of}");
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

    fn holds(&self, numbers: &[f32]) -> bool {
        numbers.get(self.index).is_some_and(|&n| {
            self.above.is_none_or(|above| n > above) && self.below.is_none_or(|below| n < below)
        })
    }
}

impl LerobotBound {
    /// The bound on all numbers of the feature as one row.
    fn whole(&self) -> LerobotRowBound {
        LerobotRowBound {
            index: self.index,
            above: self.above,
            below: self.below,
        }
    }

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
        if self.row.is_empty() {
            let size = feature.shape.iter().product::<usize>();
            return self.whole().check(size, &format!("`{}`", self.feature));
        }
        if self.index != 0 || self.above.is_some() || self.below.is_some() {
            let expected = "either it or `index`, `above` and `below`";
            return Err(DataError::config("row", "both", expected));
        }
        let Some(size) = row_size(info, &self.feature) else {
            let found = format!("`{}`, which is one row", self.feature);
            return Err(DataError::config("feature", found, "a feature of rows"));
        };
        for (i, bound) in self.row.iter().enumerate() {
            bound
                .check(size, &format!("a row of `{}`", self.feature))
                .map_err(|error| error.below(&format!("row[{i}]")))?;
        }
        Ok(())
    }

    fn holds(&self, frame: &Frame, info: &Info) -> bool {
        let Some(numbers) = frame.values.get(&self.feature) else {
            return false;
        };
        if self.row.is_empty() {
            return self.whole().holds(numbers);
        }
        let size = row_size(info, &self.feature).unwrap_or(numbers.len());
        let mut rows = numbers.chunks_exact(size.max(1));
        rows.any(|row| self.row.iter().all(|bound| bound.holds(row)))
    }
}

/// Numbers of a row of a feature that has several: of all dimensions but the first, as the recording notes them.
fn row_size(info: &Info, feature: &str) -> Option<usize> {
    let noted = info.noted(feature).shape;
    let shape = noted.or_else(|| Some(info.feature(feature)?.shape.clone()))?;
    (shape.len() > 1).then(|| shape[1..].iter().product())
}

/// Finds bounds that do not fit a recording; the key is below the rule.
pub(super) fn check(bounds: &[LerobotBound], info: &Info) -> Result<(), DataError> {
    if bounds.is_empty() {
        return Err(DataError::config("bounds", "none", "at least one"));
    }
    for (i, bound) in bounds.iter().enumerate() {
        bound
            .check(info)
            .map_err(|error| error.below(&format!("bounds[{i}]")))?;
    }
    Ok(())
}

/// Whether a frame of a recording keeps all of the bounds.
pub(super) fn hold(bounds: &[LerobotBound], frame: &Frame, info: &Info) -> bool {
    bounds.iter().all(|bound| bound.holds(frame, info))
}
