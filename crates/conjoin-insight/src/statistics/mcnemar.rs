//! McNemar's exact test for two classifiers on the same items (McNemar 1947).

use super::StatisticsError;
use serde::{Deserialize, Serialize};

/// How two arms disagree, and how likely so uneven a split is if they are equally good.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct McNemar {
    /// Items that only the first has right.
    pub only_first: u64,
    /// Items that only the second has right.
    pub only_second: u64,
    /// Two-sided probability under a fair coin.
    pub p: f64,
}

/// Compares which items each has right.
pub fn mcnemar(first: &[bool], second: &[bool]) -> Result<McNemar, StatisticsError> {
    if first.len() != second.len() {
        return Err(StatisticsError::Unpaired {
            first: first.len(),
            second: second.len(),
        });
    }
    let only = |a: &[bool], b: &[bool]| a.iter().zip(b).filter(|&(&a, &b)| a && !b).count() as u64;
    let (only_first, only_second) = (only(first, second), only(second, first));
    Ok(McNemar {
        only_first,
        only_second,
        p: two_sided(only_first, only_second),
    })
}

/// `min(1, 2 P(X <= min(a, b)))` for `X ~ Binomial(a + b, 1/2)`.
fn two_sided(a: u64, b: u64) -> f64 {
    let (n, smaller) = (a + b, a.min(b));
    // Largest term of the tail in logarithms, the others relative to it: no overflow at any n.
    let ln_largest: f64 = (1..=smaller)
        .map(|k| ((n - k + 1) as f64 / k as f64).ln())
        .sum::<f64>()
        - n as f64 * std::f64::consts::LN_2;
    let (mut term, mut sum) = (1.0, 1.0);
    for k in (1..=smaller).rev() {
        term *= k as f64 / (n - k + 1) as f64;
        sum += term;
    }
    (2.0 * ln_largest.exp() * sum).min(1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn disagreements_are_counted_by_side() {
        let first = [true, true, false, true, false];
        let second = [true, false, true, false, false];
        let test = mcnemar(&first, &second).unwrap();
        assert_eq!((test.only_first, test.only_second), (2, 1));
        assert_eq!(test.p, 1.0);
        assert!(mcnemar(&first, &second[..2]).is_err());
    }

    #[test]
    fn no_disagreement_is_no_evidence() {
        assert_eq!(two_sided(0, 0), 1.0);
    }
}
