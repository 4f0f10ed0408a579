//! How often frames come in an epoch, by bounds on the recorded numbers: what is rare in a recording and must
//! still be learned comes several times (random oversampling), what there is too much of comes seldom
//! (undersampling).

use super::bound::{self, LerobotBound};
use crate::DataError;
use crate::lerobot::{Frame, Info};
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

/// A rule: of the frames within all of its bounds only each n-th comes, unless a rule to oversample holds too.
/// Of several rules that hold for a frame, the first counts.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LerobotUndersample {
    /// The first of so many such frames comes, then the first of the next.
    pub every: usize,
    /// What must hold, all of it.
    pub bounds: Vec<LerobotBound>,
}

impl LerobotOversample {
    /// Finds what does not fit a recording; the key is below the rule.
    pub(super) fn check(&self, info: &Info) -> Result<(), DataError> {
        if self.times == 0 {
            return Err(DataError::config("times", "0", "at least 1"));
        }
        bound::check(&self.bounds, info)
    }
}

impl LerobotUndersample {
    /// Finds what does not fit a recording; the key is below the rule.
    pub(super) fn check(&self, info: &Info) -> Result<(), DataError> {
        if self.every == 0 {
            return Err(DataError::config("every", "0", "at least 1"));
        }
        bound::check(&self.bounds, info)
    }
}

/// Says how often each frame comes, asked in their order.
#[derive(Debug)]
pub(super) struct Draw<'a> {
    pub over: &'a [LerobotOversample],
    pub under: &'a [LerobotUndersample],
    /// How many frames each rule to undersample held for.
    seen: Vec<usize>,
}

impl<'a> Draw<'a> {
    pub fn new(over: &'a [LerobotOversample], under: &'a [LerobotUndersample]) -> Self {
        let seen = vec![0; under.len()];
        Self { over, under, seen }
    }

    /// The features that the rules look at.
    pub fn features(&self) -> Vec<&'a str> {
        let over = self.over.iter().flat_map(|rule| &rule.bounds);
        let under = self.under.iter().flat_map(|rule| &rule.bounds);
        let mut names: Vec<&str> = (over.chain(under))
            .map(|bound| bound.feature.as_str())
            .collect();
        names.sort_unstable();
        names.dedup();
        names
    }

    /// How often the next frame comes in an epoch: once where no rule holds.
    pub fn times(&mut self, frame: &Frame, info: &Info) -> usize {
        let hold = |bounds: &[LerobotBound]| bound::hold(bounds, frame, info);
        let holding = self.over.iter().filter(|rule| hold(&rule.bounds));
        if let Some(times) = holding.map(|rule| rule.times).max() {
            return times;
        }
        let mut rules = self.under.iter().zip(&mut self.seen);
        let Some((rule, seen)) = rules.find(|(rule, _)| hold(&rule.bounds)) else {
            return 1;
        };
        *seen += 1;
        usize::from((*seen - 1).is_multiple_of(rule.every))
    }
}
