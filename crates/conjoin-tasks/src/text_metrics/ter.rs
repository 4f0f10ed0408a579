//! Translation edit rate (Snover, Dorr, Schwartz, Micciulla, Makhoul 2006, "A Study of Translation
//! Edit Rate with Targeted Human Annotation"), as sacreBLEU 2 computes it by default.

use super::edits::edits;
use super::{TextMetricError, VERSION, check, reference_count, words};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::iter::Sum;
use std::ops::AddAssign;

/// Options of TER.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TerOptions {
    /// Tell upper from lower case.
    #[serde(default)]
    pub case_sensitive: bool,
}

impl TerOptions {
    /// sacreBLEU's account of how a score came about; `references` is how many each sentence has.
    pub fn signature(&self, references: impl IntoIterator<Item = usize>) -> String {
        format!(
            "{}|case:{}|tok:tercom|norm:no|punct:yes|asian:no|{VERSION}",
            reference_count(references),
            if self.case_sensitive { "mixed" } else { "lc" },
        )
    }
}

/// What TER needs to know of one sentence, or of many after addition.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct TerStatistics {
    /// Edits to the reference that needs the fewest.
    pub edits: u64,
    /// Mean number of words of the references.
    pub reference_length: f64,
}

/// The score of a sentence or corpus.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct TerScore {
    /// Edits in a hundred words of the reference; can exceed 100.
    pub score: f64,
    pub statistics: TerStatistics,
}

/// TER over sentences, each with one or more references.
///
/// # Errors
/// The lists differ in length, or a sentence has no reference.
pub fn corpus<H: AsRef<str>, R: AsRef<str>>(
    hypotheses: &[H],
    references: &[Vec<R>],
    options: &TerOptions,
) -> Result<TerScore, TextMetricError> {
    check(hypotheses, references)?;
    let sum: TerStatistics = hypotheses
        .iter()
        .zip(references)
        .map(|(hypothesis, references)| statistics(hypothesis.as_ref(), references, options))
        .sum();
    Ok(sum.score())
}

/// The statistics of one sentence.
pub fn statistics<R: AsRef<str>>(
    hypothesis: &str,
    references: &[R],
    options: &TerOptions,
) -> TerStatistics {
    let fold = |line: &str| {
        if options.case_sensitive {
            line.to_owned()
        } else {
            line.to_lowercase()
        }
    };
    let hypothesis = fold(hypothesis);
    let hypothesis = words(&hypothesis);
    let (mut fewest, mut length) = (None, 0);
    for reference in references {
        let reference = fold(reference.as_ref());
        let reference = words(&reference);
        length += reference.len();
        let found = edits(&hypothesis, &reference);
        fewest = Some(fewest.map_or(found, |fewest: usize| fewest.min(found)));
    }
    TerStatistics {
        edits: fewest.unwrap_or(hypothesis.len()) as u64,
        reference_length: length as f64 / references.len().max(1) as f64,
    }
}

impl TerStatistics {
    /// The score that follows.
    pub fn score(&self) -> TerScore {
        let rate = if self.reference_length > 0.0 {
            self.edits as f64 / self.reference_length
        } else {
            f64::from(u8::from(self.edits > 0))
        };
        TerScore {
            score: 100.0 * rate,
            statistics: *self,
        }
    }
}

impl AddAssign for TerStatistics {
    fn add_assign(&mut self, other: Self) {
        self.edits += other.edits;
        self.reference_length += other.reference_length;
    }
}

impl Sum for TerStatistics {
    fn sum<I: Iterator<Item = Self>>(all: I) -> Self {
        all.fold(Self::default(), |mut sum, next| {
            sum += next;
            sum
        })
    }
}

impl fmt::Display for TerScore {
    /// As sacreBLEU prints it: `TER = 52.17`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TER = {:.2}", self.score)
    }
}
