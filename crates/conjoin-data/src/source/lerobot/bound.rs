//! Bounds on recorded numbers, by which rules single frames out.

use crate::DataError;
use crate::lerobot::{FeatureKind, Frame, Info};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

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

/// Whether a frame keeps all of the bounds.
pub(super) fn hold(bounds: &[LerobotBound], frame: &Frame) -> bool {
    bounds.iter().all(|bound| bound.holds(frame))
}
