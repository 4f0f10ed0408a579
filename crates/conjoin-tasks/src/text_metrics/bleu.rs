//! BLEU (Papineni, Roukos, Ward, Zhu 2002, "BLEU: a Method for Automatic Evaluation of Machine
//! Translation"), as sacreBLEU 2 computes it with exponential smoothing, its default.

use super::{BleuTokeniser, TextMetricError, VERSION, check, ngrams, reference_count};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use std::fmt;
use std::iter::Sum;
use std::ops::AddAssign;

/// Longest n-gram.
pub const ORDER: usize = 4;

/// Options of BLEU.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct BleuOptions {
    /// How text is cut into tokens: 13a, zh, char or none.
    #[serde(default)]
    pub tokenise: BleuTokeniser,
    /// Compare in lower case.
    #[serde(default)]
    pub lowercase: bool,
    /// Leave out orders for which a hypothesis has no n-gram; for single sentences.
    #[serde(default)]
    pub effective_order: bool,
}

impl BleuOptions {
    /// sacreBLEU's account of how a score came about; `references` is how many each sentence has.
    pub fn signature(&self, references: impl IntoIterator<Item = usize>) -> String {
        format!(
            "{}|case:{}|eff:{}|tok:{}|smooth:exp|{VERSION}",
            reference_count(references),
            if self.lowercase { "lc" } else { "mixed" },
            if self.effective_order { "yes" } else { "no" },
            self.tokenise.name(),
        )
    }
}

/// What BLEU needs to know of one sentence, or of many after addition.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct BleuStatistics {
    /// Tokens of the hypothesis.
    pub hypothesis_length: u64,
    /// Tokens of the reference that is closest in length, the shorter on a tie.
    pub reference_length: u64,
    /// N-grams of the hypothesis that a reference has, by order from 1.
    pub correct: [u64; ORDER],
    /// N-grams of the hypothesis, by order from 1.
    pub total: [u64; ORDER],
}

/// The score of a sentence or corpus.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct BleuScore {
    /// From 0 to 100.
    pub score: f64,
    /// Smoothed precisions by order from 1, in per cent.
    pub precisions: [f64; ORDER],
    pub brevity_penalty: f64,
    pub statistics: BleuStatistics,
}

/// BLEU over sentences, each with one or more references.
///
/// # Errors
/// The lists differ in length, or a sentence has no reference.
pub fn corpus<H: AsRef<str>, R: AsRef<str>>(
    hypotheses: &[H],
    references: &[Vec<R>],
    options: &BleuOptions,
) -> Result<BleuScore, TextMetricError> {
    check(hypotheses, references)?;
    let sum: BleuStatistics = hypotheses
        .iter()
        .zip(references)
        .map(|(hypothesis, references)| statistics(hypothesis.as_ref(), references, options))
        .sum();
    Ok(sum.score(options))
}

/// The statistics of one sentence.
pub fn statistics<R: AsRef<str>>(
    hypothesis: &str,
    references: &[R],
    options: &BleuOptions,
) -> BleuStatistics {
    let tokens = |line: &str| {
        if options.lowercase {
            options.tokenise.tokens(&line.to_lowercase())
        } else {
            options.tokenise.tokens(line)
        }
    };
    let hypothesis = tokens(hypothesis);
    let references: Vec<Vec<String>> = references.iter().map(|r| tokens(r.as_ref())).collect();
    let length = hypothesis.len() as u64;
    let closest = references.iter().map(|reference| reference.len() as u64);
    let closest = closest.min_by_key(|&other| (other.abs_diff(length), other));
    let mut found = BleuStatistics {
        hypothesis_length: length,
        reference_length: closest.unwrap_or(0),
        ..BleuStatistics::default()
    };
    for order in 1..=ORDER {
        let mut allowed: HashMap<&[String], u64> = HashMap::new();
        for reference in &references {
            for (ngram, count) in ngrams(reference, order) {
                let most = allowed.entry(ngram).or_insert(0);
                *most = count.max(*most);
            }
        }
        for (ngram, count) in ngrams(&hypothesis, order) {
            found.total[order - 1] += count;
            found.correct[order - 1] += count.min(allowed.get(ngram).copied().unwrap_or(0));
        }
    }
    found
}

impl BleuStatistics {
    /// How many counts there are.
    pub const COUNTS: usize = 2 + 2 * ORDER;

    /// Lengths of hypothesis and reference, then the correct n-grams and all n-grams by order: what
    /// is summed over sentences.
    pub fn counts(&self) -> [u32; Self::COUNTS] {
        let mut all = [self.hypothesis_length, self.reference_length]
            .into_iter()
            .chain(self.correct)
            .chain(self.total);
        std::array::from_fn(|_| {
            all.next()
                .map_or(0, |count| u32::try_from(count).unwrap_or(u32::MAX))
        })
    }

    /// The statistics of such counts.
    pub fn from_counts(counts: [u64; Self::COUNTS]) -> Self {
        Self {
            hypothesis_length: counts[0],
            reference_length: counts[1],
            correct: std::array::from_fn(|i| counts[2 + i]),
            total: std::array::from_fn(|i| counts[2 + ORDER + i]),
        }
    }

    /// The score that follows; only `effective_order` of the options matters here.
    pub fn score(&self, options: &BleuOptions) -> BleuScore {
        let (length, wanted) = (self.hypothesis_length as f64, self.reference_length as f64);
        let brevity_penalty = match self.hypothesis_length {
            n if n >= self.reference_length => 1.0,
            0 => 0.0,
            _ => (1.0 - wanted / length).exp(),
        };
        let mut found = BleuScore {
            score: 0.0,
            precisions: [0.0; ORDER],
            brevity_penalty,
            statistics: *self,
        };
        if self.correct.iter().all(|&correct| correct == 0) {
            return found;
        }
        // Smoothing method 3 of Chen and Cherry 2014: each order without a match counts half a
        // match of the one before.
        let (mut smooth, mut orders) = (1.0, ORDER);
        for (i, precision) in found.precisions.iter_mut().enumerate() {
            let (correct, total) = (self.correct[i] as f64, self.total[i] as f64);
            if self.total[i] == 0 {
                break;
            }
            if options.effective_order {
                orders = i + 1;
            }
            *precision = if self.correct[i] == 0 {
                smooth *= 2.0;
                100.0 / (smooth * total)
            } else {
                100.0 * correct / total
            };
        }
        // The logarithm of nothing is a very small number, so that the score becomes 0.
        let log = |p: f64| if p == 0.0 { -9_999_999_999.0 } else { p.ln() };
        let logs: f64 = found.precisions[..orders].iter().map(|&p| log(p)).sum();
        found.score = brevity_penalty * (logs / orders as f64).exp();
        found
    }
}

impl AddAssign for BleuStatistics {
    fn add_assign(&mut self, other: Self) {
        self.hypothesis_length += other.hypothesis_length;
        self.reference_length += other.reference_length;
        for i in 0..ORDER {
            self.correct[i] += other.correct[i];
            self.total[i] += other.total[i];
        }
    }
}

impl Sum for BleuStatistics {
    fn sum<I: Iterator<Item = Self>>(all: I) -> Self {
        all.fold(Self::default(), |mut sum, next| {
            sum += next;
            sum
        })
    }
}

impl fmt::Display for BleuScore {
    /// As sacreBLEU prints it: `BLEU = 31.42 62.1/37.2/25.0/17.3 (BP = 1.000 ratio = …)`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let precisions: Vec<String> = self.precisions.iter().map(|p| format!("{p:.1}")).collect();
        let (length, wanted) = (
            self.statistics.hypothesis_length,
            self.statistics.reference_length,
        );
        let ratio = match wanted {
            0 => 0.0,
            _ => length as f64 / wanted as f64,
        };
        write!(
            f,
            "BLEU = {:.2} {} (BP = {:.3} ratio = {ratio:.3} hyp_len = {length} ref_len = {wanted})",
            self.score,
            precisions.join("/"),
            self.brevity_penalty,
        )
    }
}
