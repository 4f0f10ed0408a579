//! Means, bootstrap intervals over seeds and items, McNemar's exact test.
//!
//! A *seed* is one training run; an *item* is one scored word or image. A score is the mean over
//! seeds of `sum of totals / sum of sizes` over items, which covers error rates (errors over
//! reference length), accuracies (hits over one) and plain means (values over one).

mod bootstrap;
mod mcnemar;

pub use bootstrap::{Bootstrap, Design, Draw, Replicates, quantile};
pub use mcnemar::{McNemar, mcnemar};

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

/// What one seed did on every item: `totals[i]` of `sizes[i]`.
#[derive(Debug, Clone, PartialEq)]
pub struct Items {
    totals: Vec<f64>,
    sizes: Vec<f64>,
}

impl Items {
    /// `(errors, length)` of every item.
    pub fn ratios(pairs: &[(u32, u32)]) -> Self {
        Self {
            totals: pairs.iter().map(|&(errors, _)| f64::from(errors)).collect(),
            sizes: pairs.iter().map(|&(_, length)| f64::from(length)).collect(),
        }
    }

    /// One for every item that is right.
    pub fn flags(right: &[bool]) -> Self {
        Self {
            totals: right
                .iter()
                .map(|&right| f64::from(u8::from(right)))
                .collect(),
            sizes: vec![1.0; right.len()],
        }
    }

    /// A value of every item.
    pub fn values(values: &[f64]) -> Self {
        Self {
            totals: values.to_vec(),
            sizes: vec![1.0; values.len()],
        }
    }

    /// `(total, size)` of every item.
    pub fn sums(pairs: &[(f64, f64)]) -> Self {
        let (totals, sizes) = pairs.iter().copied().unzip();
        Self { totals, sizes }
    }

    pub fn len(&self) -> usize {
        self.totals.len()
    }

    pub fn is_empty(&self) -> bool {
        self.totals.is_empty()
    }

    /// `sum of totals / sum of sizes`; none if the sizes sum to zero.
    pub fn score(&self) -> Option<f64> {
        let size: f64 = self.sizes.iter().sum();
        (size > 0.0).then(|| self.totals.iter().sum::<f64>() / size)
    }

    /// The score when item `i` occurs `counts[i]` times.
    fn weighted(&self, counts: &[f64]) -> f64 {
        dot(&self.totals, counts) / dot(&self.sizes, counts)
    }

    pub(crate) fn is_finite(&self) -> bool {
        self.totals.iter().chain(&self.sizes).all(|v| v.is_finite())
    }
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

    #[test]
    fn a_score_is_the_mean_of_ratios_of_sums() {
        let first = Items::ratios(&[(1, 4), (0, 6)]);
        let second = Items::ratios(&[(3, 4), (0, 6)]);
        assert_eq!(first.score(), Some(0.1));
        assert!((score(&[first, second]).unwrap() - 0.2).abs() < 1e-15);
        assert_eq!(Items::flags(&[true, false, true, true]).score(), Some(0.75));
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
