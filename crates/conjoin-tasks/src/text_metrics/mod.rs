//! Metrics of translated text, over plain strings: BLEU, chrF and TER with the numbers that
//! sacreBLEU (Post 2018, "A Call for Clarity in Reporting BLEU Scores") gives.
//!
//! Each metric has statistics of one sentence that can be added; the score of a corpus is computed
//! from the sum. Hence a score of any subset, and of any resampled corpus, needs no second reading.

pub mod bleu;
pub mod chrf;
mod edits;
pub mod ter;
mod tokenise;

pub use tokenise::BleuTokeniser;

use std::collections::HashMap;
use std::fmt;
use std::hash::Hash;

/// Hypotheses and references that do not fit together.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TextMetricError {
    #[error("there are {hypotheses} hypotheses, but references for {references}")]
    Count {
        hypotheses: usize,
        references: usize,
    },
    #[error("hypothesis {0} (from 1) has no reference")]
    NoReference(usize),
}

/// Every hypothesis must have at least one reference.
fn check<H, R>(hypotheses: &[H], references: &[Vec<R>]) -> Result<(), TextMetricError> {
    if hypotheses.len() != references.len() {
        return Err(TextMetricError::Count {
            hypotheses: hypotheses.len(),
            references: references.len(),
        });
    }
    match references.iter().position(Vec::is_empty) {
        Some(position) => Err(TextMetricError::NoReference(position + 1)),
        None => Ok(()),
    }
}

/// The first part of a signature: the number of references of each sentence, `var` where it varies.
fn reference_count(references: impl IntoIterator<Item = usize>) -> String {
    let mut counts = references.into_iter();
    let first = counts.next().unwrap_or(1);
    if counts.all(|count| count == first) {
        format!("nrefs:{first}")
    } else {
        "nrefs:var".to_owned()
    }
}

/// The last part of a signature: the release of sacreBLEU whose definitions are followed, and whose
/// scores and lines the golden files hold. Ours is not named, so that signatures compare.
const VERSION: &str = "version:2.6.0";

/// A score as sacreBLEU prints it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Printed {
    /// The score's name among those of the task: `bleu`.
    pub metric: &'static str,
    /// How the score came about: `nrefs:1|case:mixed|eff:no|tok:13a|smooth:exp|version:2.6.0`.
    pub signature: String,
    /// The whole line: `BLEU|nrefs:1|… = 31.42 62.1/37.2/25.0/17.3 (BP = 1.000 ratio = …)`.
    pub line: String,
}

impl Printed {
    /// `score` is displayed as `NAME = …`; the signature goes behind the name.
    pub fn new(metric: &'static str, score: &impl fmt::Display, signature: String) -> Self {
        let text = score.to_string();
        let line = match text.split_once(" = ") {
            Some((name, rest)) => format!("{name}|{signature} = {rest}"),
            None => text,
        };
        Self {
            metric,
            signature,
            line,
        }
    }
}

/// What Python's `str.split` splits at: Unicode white space and the four separators of ASCII.
fn is_space(c: char) -> bool {
    c.is_whitespace() || ('\u{1c}'..='\u{1f}').contains(&c)
}

/// The words of a line as Python's `str.split` gives them.
fn words(line: &str) -> Vec<&str> {
    line.split(is_space)
        .filter(|word| !word.is_empty())
        .collect()
}

/// The tokens of a line with spaces between them, for metrics that know words by their spaces.
pub(crate) fn spaced(tokeniser: BleuTokeniser, line: &str) -> String {
    tokeniser.tokens(line).join(" ")
}

/// How often each run of `order` neighbours occurs.
fn ngrams<T: Eq + Hash>(items: &[T], order: usize) -> HashMap<&[T], u64> {
    let mut counts = HashMap::new();
    for run in items.windows(order) {
        *counts.entry(run).or_insert(0) += 1;
    }
    counts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_does_not_fit_is_named() {
        let none: Vec<Vec<&str>> = vec![vec!["a"], vec![]];
        assert_eq!(
            check(&["a", "b"], &none).unwrap_err().to_string(),
            "hypothesis 2 (from 1) has no reference"
        );
        assert_eq!(
            check(&["a"], &none).unwrap_err().to_string(),
            "there are 1 hypotheses, but references for 2"
        );
    }

    #[test]
    fn words_are_those_of_python() {
        assert_eq!(words(" a\u{a0}b\u{1f}\tc\u{3000}"), ["a", "b", "c"]);
        assert!(words(" \n").is_empty());
    }
}
