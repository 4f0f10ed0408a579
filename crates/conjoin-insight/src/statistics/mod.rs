//! Means, bootstrap intervals over seeds and items, McNemar's exact test.
//!
//! A *seed* is one training run; an *item* is one scored word, sentence or image. A score is the mean
//! over seeds of a formula of sums over items: `sum of totals / sum of sizes`, which covers error rates
//! (errors over reference length), accuracies (hits over one) and plain means (values over one), or
//! BLEU or chrF.

mod bootstrap;
mod mcnemar;

pub use bootstrap::{Bootstrap, Design, Draw, Replicates, quantile};
pub use mcnemar::{McNemar, mcnemar};

use conjoin_tasks::text_metrics::bleu::{BleuOptions, BleuStatistics};
use conjoin_tasks::text_metrics::chrf::{ChrfOptions, ChrfStatistics};
use serde::{Deserialize, Serialize};

/// Why a statistic does not exist.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StatisticsError {
    #[error("there is nothing to take statistics of")]
    Empty,
    #[error("{first} items are paired with {second}")]
    Unpaired { first: usize, second: usize },
    #[error("the level {0} is not between 0 and 1")]
    Level(String),
    #[error("a value is not finite")]
    NotFinite,
}

/// A score with the ends of its interval.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Estimate {
    pub value: f64,
    pub low: f64,
    pub high: f64,
}

/// How sums over items become a score.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Formula {
    /// The first sum over the second.
    Ratio,
    /// BLEU of [`BleuStatistics::counts`].
    Bleu,
    /// chrF of [`ChrfStatistics::counts`].
    Chrf,
}

/// What one seed did on every item.
#[derive(Debug, Clone, PartialEq)]
pub struct Items {
    /// What is summed, a column a term of the formula, each with a number an item.
    columns: Vec<Vec<f64>>,
    formula: Formula,
}

impl Items {
    /// `(errors, length)` of every item.
    pub fn ratios(pairs: &[(u32, u32)]) -> Self {
        Self::of(
            pairs.iter().map(|&(errors, _)| f64::from(errors)),
            pairs.iter().map(|&(_, length)| f64::from(length)),
        )
    }

    /// One for every item that is right.
    pub fn flags(right: &[bool]) -> Self {
        let hits = right.iter().map(|&right| f64::from(u8::from(right)));
        Self::of(hits, right.iter().map(|_| 1.0))
    }

    /// A value of every item.
    pub fn values(values: &[f64]) -> Self {
        Self::of(values.iter().copied(), values.iter().map(|_| 1.0))
    }

    /// Counts of n-grams of every item, as [`BleuStatistics::counts`] gives them.
    pub fn bleu(counts: &[[u32; BleuStatistics::COUNTS]]) -> Self {
        Self::ngrams(counts, Formula::Bleu)
    }

    /// Counts of n-grams of every item, as [`ChrfStatistics::counts`] gives them.
    pub fn chrf(counts: &[[u32; ChrfStatistics::COUNTS]]) -> Self {
        Self::ngrams(counts, Formula::Chrf)
    }

    fn ngrams<const N: usize>(counts: &[[u32; N]], formula: Formula) -> Self {
        let column = |i: usize| counts.iter().map(|item| f64::from(item[i])).collect();
        Self {
            columns: (0..N).map(column).collect(),
            formula,
        }
    }

    fn of(totals: impl Iterator<Item = f64>, sizes: impl Iterator<Item = f64>) -> Self {
        Self {
            columns: vec![totals.collect(), sizes.collect()],
            formula: Formula::Ratio,
        }
    }

    /// `(total, size)` of every item.
    pub fn sums(pairs: &[(f64, f64)]) -> Self {
        Self::of(pairs.iter().map(|p| p.0), pairs.iter().map(|p| p.1))
    }

    pub fn len(&self) -> usize {
        self.columns[0].len()
    }

    pub fn is_empty(&self) -> bool {
        self.columns[0].is_empty()
    }

    /// The score of all items; none if there is nothing to score.
    pub fn score(&self) -> Option<f64> {
        self.score_of(0..self.len())
    }

    /// The score of some items; none if there is nothing to score among them.
    pub fn score_of(&self, items: impl Iterator<Item = usize> + Clone) -> Option<f64> {
        let sum = |column: &Vec<f64>| items.clone().map(|item| column[item]).sum();
        let sums: Vec<f64> = self.columns.iter().map(sum).collect();
        self.formula.score(&sums)
    }

    /// The score when item `i` occurs `counts[i]` times; NaN if there is nothing to score.
    fn weighted(&self, counts: &[f64]) -> f64 {
        let sums: Vec<f64> = self.columns.iter().map(|c| dot(c, counts)).collect();
        self.formula.score(&sums).unwrap_or(f64::NAN)
    }

    pub(crate) fn is_finite(&self) -> bool {
        self.columns.iter().flatten().all(|v| v.is_finite())
    }
}

impl Formula {
    /// None where there is nothing to score.
    fn score(self, sums: &[f64]) -> Option<f64> {
        match self {
            Self::Ratio => (sums[1] > 0.0).then(|| sums[0] / sums[1]),
            Self::Bleu => {
                let statistics = BleuStatistics::from_counts(whole(sums));
                (statistics.reference_length > 0)
                    .then(|| statistics.score(&BleuOptions::default()).score)
            }
            Self::Chrf => {
                let statistics = ChrfStatistics::from_counts(whole(sums));
                let characters = statistics.orders.first().map_or(0, |one| one.reference);
                (characters > 0).then(|| statistics.score(&ChrfOptions::default()))
            }
        }
    }
}

/// Sums of whole numbers, of which the score is a function.
fn whole<const N: usize>(sums: &[f64]) -> [u64; N] {
    std::array::from_fn(|i| sums[i].round() as u64)
}

/// Mean of the seeds' scores.
pub fn score(seeds: &[Items]) -> Result<f64, StatisticsError> {
    let scores: Option<Vec<f64>> = seeds.iter().map(Items::score).collect();
    mean(&scores.unwrap_or_default()).ok_or(StatisticsError::Empty)
}

/// Arithmetic mean; none of nothing.
pub fn mean(values: &[f64]) -> Option<f64> {
    (!values.is_empty()).then(|| values.iter().sum::<f64>() / values.len() as f64)
}

/// Standard deviation of a sample (divisor `n - 1`); none below two values.
pub fn standard_deviation(values: &[f64]) -> Option<f64> {
    let centre = mean(values)?;
    let squares: f64 = values.iter().map(|v| (v - centre).powi(2)).sum();
    (values.len() > 1).then(|| (squares / (values.len() - 1) as f64).sqrt())
}

/// Inner product in eight lanes, so that the compiler may use vector registers.
fn dot(a: &[f64], b: &[f64]) -> f64 {
    let mut lanes = [0.0; 8];
    let (a_chunks, a_rest) = a.as_chunks::<8>();
    let (b_chunks, b_rest) = b.as_chunks::<8>();
    for (a, b) in a_chunks.iter().zip(b_chunks) {
        for lane in 0..8 {
            lanes[lane] += a[lane] * b[lane];
        }
    }
    let rest: f64 = a_rest.iter().zip(b_rest).map(|(a, b)| a * b).sum();
    lanes.iter().sum::<f64>() + rest
}

#[cfg(test)]
mod tests {
    use super::*;
    use conjoin_tasks::text_metrics::{bleu, chrf};

    #[test]
    fn a_score_is_the_mean_of_ratios_of_sums() {
        let first = Items::ratios(&[(1, 4), (0, 6)]);
        let second = Items::ratios(&[(3, 4), (0, 6)]);
        assert_eq!(first.score(), Some(0.1));
        assert!((score(&[first, second]).unwrap() - 0.2).abs() < 1e-15);
        assert_eq!(Items::flags(&[true, false, true, true]).score(), Some(0.75));
    }

    /// Two outputs with what was expected.
    const PAIRS: [(&str, &str); 2] = [
        (
            "the file is opened by the user",
            "the file is opened by a user",
        ),
        (
            "save the document under a name",
            "the document is saved under a name",
        ),
    ];

    #[test]
    fn bleu_is_of_sums_and_not_a_mean() {
        let options = BleuOptions::default();
        let each = PAIRS.map(|(h, r)| bleu::statistics(h, &[r], &options));
        let items = Items::bleu(&each.map(|s| s.counts()));
        let references = PAIRS.map(|(_, r)| vec![r]);
        let whole = bleu::corpus(&PAIRS.map(|(h, _)| h), &references, &options).unwrap();
        assert_eq!(items.score(), Some(whole.score));
        assert_eq!(items.weighted(&[1.0, 1.0]), whole.score);
        assert_eq!(items.weighted(&[3.0, 0.0]), each[0].score(&options).score);
        assert_eq!(items.score_of(1..2), Some(each[1].score(&options).score));
    }

    #[test]
    fn chrf_is_of_sums_and_not_a_mean() {
        let options = ChrfOptions::default();
        let each = PAIRS.map(|(h, r)| chrf::statistics(h, &[r], &options));
        let counts = each.clone().map(|s| s.counts());
        for (statistics, counts) in each.iter().zip(counts) {
            let again = ChrfStatistics::from_counts(counts.map(u64::from));
            assert_eq!(again, *statistics);
        }
        let items = Items::chrf(&counts);
        let references = PAIRS.map(|(_, r)| vec![r]);
        let whole = chrf::corpus(&PAIRS.map(|(h, _)| h), &references, &options).unwrap();
        assert_eq!(items.score(), Some(whole.score));
        assert_eq!(items.weighted(&[1.0, 1.0]), whole.score);
        let mean = f64::midpoint(each[0].score(&options), each[1].score(&options));
        assert!((whole.score - mean).abs() > 1e-3, "{mean}");
        assert_eq!(items.weighted(&[3.0, 0.0]), each[0].score(&options));
        assert_eq!(items.score_of(1..2), Some(each[1].score(&options)));
        // A corpus without a character to find has no score.
        let empty = chrf::statistics("a", &[" "], &options);
        assert_eq!(Items::chrf(&[empty.counts()]).score(), None);
    }

    #[test]
    fn nothing_has_no_score() {
        assert_eq!(score(&[]), Err(StatisticsError::Empty));
        assert_eq!(
            score(&[Items::ratios(&[(0, 0)])]),
            Err(StatisticsError::Empty)
        );
        assert_eq!(mean(&[]), None);
        assert_eq!(standard_deviation(&[1.0]), None);
    }

    #[test]
    fn the_deviation_divides_by_one_less() {
        let deviation = standard_deviation(&[2.0, 4.0, 4.0, 4.0, 5.0, 5.0, 7.0, 9.0]).unwrap();
        assert!((deviation - 2.138_089_935_299_395).abs() < 1e-14);
    }

    #[test]
    fn the_inner_product_takes_every_item() {
        let a: Vec<f64> = (0..19).map(f64::from).collect();
        assert_eq!(dot(&a, &a), 2109.0);
    }
}
