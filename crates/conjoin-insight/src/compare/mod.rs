//! Comparing arms: the same system trained in several ways, each with several seeds, scored on the
//! same items.
//!
//! An arm's score has an interval over seeds and items; its difference to the first arm is paired
//! by seed and item. For metrics that are right or wrong an item, McNemar's exact test is made
//! seed by seed.

mod lengths;
mod text;

pub use lengths::{LengthGroup, LengthTable, by_length};

pub(crate) use text::spread;

use crate::statistics::{
    Bootstrap, Estimate, Items, McNemar, Replicates, StatisticsError, mcnemar, score,
};
use conjoin_tasks::text_metrics::bleu::BleuStatistics;
use conjoin_tasks::text_metrics::chrf::ChrfStatistics;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// What one arm did with one seed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ArmResult {
    pub arm: String,
    pub seed: u64,
    /// Outcomes of every item, by the name of the metric. Item `i` is the same word or image in
    /// every arm and seed.
    pub metrics: BTreeMap<String, Outcomes>,
    /// Length of every item's source, in words or symbols; empty where items have no length.
    #[serde(default)]
    pub lengths: Vec<u32>,
    /// Hash over the items, which two results that are compared must share; empty if unknown.
    #[serde(default)]
    pub scored: String,
}

/// Outcomes of every item under one metric.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcomes {
    /// Errors and reference length of every item; the score is the ratio of their sums (PER, or
    /// WER with every length one).
    Errors(Vec<(u32, u32)>),
    /// Whether every item is right; the score is the share that is (accuracy).
    Correct(Vec<bool>),
    /// Counts of n-grams of every item; the score is the BLEU of their sums.
    Bleu(Vec<[u32; BleuStatistics::COUNTS]>),
    /// Counts of n-grams of characters of every item; the score is the chrF of their sums.
    Chrf(Vec<[u32; ChrfStatistics::COUNTS]>),
    /// A value of every item; the score is their mean (cross-entropy).
    Values(Vec<f64>),
    /// A total and a size of every item, 0 and 0 where it has none; the score is the ratio of their sums
    /// (infractions a kilometre).
    Ratios(Vec<(f64, f64)>),
}

impl Outcomes {
    pub(crate) fn items(&self) -> Items {
        match self {
            Self::Errors(pairs) => Items::ratios(pairs),
            Self::Correct(flags) => Items::flags(flags),
            Self::Bleu(counts) => Items::bleu(counts),
            Self::Chrf(counts) => Items::chrf(counts),
            Self::Values(values) => Items::values(values),
            Self::Ratios(pairs) => Items::sums(pairs),
        }
    }

    /// Whether there are items, but none of them has anything to score.
    pub(crate) fn is_blank(&self) -> bool {
        let items = self.items();
        !items.is_empty() && items.score().is_none()
    }

    /// Which items came out differently.
    pub(crate) fn differences(&self, other: &Self) -> Vec<bool> {
        fn differ<T: PartialEq>(a: &[T], b: &[T]) -> Vec<bool> {
            a.iter().zip(b).map(|(a, b)| a != b).collect()
        }
        match (self, other) {
            (Self::Errors(a), Self::Errors(b)) => differ(a, b),
            (Self::Correct(a), Self::Correct(b)) => differ(a, b),
            (Self::Values(a), Self::Values(b)) => differ(a, b),
            (Self::Bleu(a), Self::Bleu(b)) => differ(a, b),
            (Self::Chrf(a), Self::Chrf(b)) => differ(a, b),
            (Self::Ratios(a), Self::Ratios(b)) => differ(a, b),
            (one, _) => vec![true; one.items().len()],
        }
    }

    /// Right or wrong an item, where the metric says so.
    fn flags(&self) -> Option<Vec<bool>> {
        match self {
            Self::Correct(flags) => Some(flags.clone()),
            Self::Values(_) | Self::Bleu(_) | Self::Chrf(_) | Self::Ratios(_) => None,
            Self::Errors(pairs) => pairs
                .iter()
                .map(|&(errors, length)| (length == 1 && errors <= 1).then_some(errors == 0))
                .collect(),
        }
    }
}

/// Why arms cannot be compared.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CompareError {
    #[error("there is no arm to compare")]
    NoArm,
    #[error("arm {arm:?} has seed {seed} twice")]
    Twice { arm: String, seed: u64 },
    #[error("arm {arm:?} has seeds {found:?}, the first arm has {expected:?}")]
    Seeds {
        arm: String,
        found: Vec<u64>,
        expected: Vec<u64>,
    },
    #[error("arm {arm:?} with seed {seed} has metrics {found:?}, the first has {expected:?}")]
    Metrics {
        arm: String,
        seed: u64,
        found: Vec<String>,
        expected: Vec<String>,
    },
    #[error("arm {arm:?} with seed {seed} was scored on other items than the first")]
    Scored { arm: String, seed: u64 },
    #[error("{metric}: {source}")]
    Statistics {
        metric: String,
        source: StatisticsError,
    },
}

/// The table: every metric, and under it every arm in the order given.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Comparison {
    /// Share of replicates inside each interval.
    pub level: f64,
    pub replicates: usize,
    pub seeds: Vec<u64>,
    /// Items scored with each seed.
    pub items: usize,
    pub metrics: Vec<MetricTable>,
    /// Scores by the length of the source, where items have one.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub lengths: Vec<LengthTable>,
}

/// All arms under one metric.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct MetricTable {
    pub metric: String,
    pub arms: Vec<ArmRow>,
}

/// One arm under one metric.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ArmRow {
    pub arm: String,
    pub score: Estimate,
    /// Score of each seed, in the order of [`Comparison::seeds`].
    pub per_seed: Vec<f64>,
    /// This arm's score less the first arm's; absent in the first row.
    pub difference: Option<Estimate>,
    /// McNemar's test against the first arm, seed by seed; empty where items are not right or
    /// wrong.
    pub mcnemar: Vec<McNemar>,
}

impl ArmRow {
    /// The weakest of the seeds' tests.
    pub fn largest_p(&self) -> Option<f64> {
        self.mcnemar.iter().map(|test| test.p).reduce(f64::max)
    }
}

impl Comparison {
    /// Compares all arms with the one that comes first in `results`, under every metric that has something
    /// to score in each of them.
    pub fn new(results: &[ArmResult], bootstrap: &Bootstrap) -> Result<Self, CompareError> {
        let arms = group(results)?;
        let (_, first) = arms.first().ok_or(CompareError::NoArm)?;
        let names: Vec<&String> = first
            .first()
            .map(|result| result.metrics.keys().collect())
            .unwrap_or_default();
        let blank = |metric: &str| results.iter().any(|r| r.metrics[metric].is_blank());
        let metrics = (names.iter().filter(|metric| !blank(metric)))
            .map(|metric| metric_table(metric, &arms, bootstrap))
            .collect::<Result<Vec<_>, _>>()?;
        Ok(Self {
            level: bootstrap.level,
            replicates: bootstrap.replicates,
            seeds: first.iter().map(|result| result.seed).collect(),
            items: first
                .first()
                .and_then(|result| result.metrics.values().next())
                .map_or(0, |outcomes| outcomes.items().len()),
            lengths: by_length(results),
            metrics,
        })
    }
}

/// An arm and its seeds in ascending order.
type Arm<'a> = (&'a str, Vec<&'a ArmResult>);

/// Results by arm, with the same seeds and metrics in every arm.
fn group(results: &[ArmResult]) -> Result<Vec<Arm<'_>>, CompareError> {
    let mut arms: Vec<Arm<'_>> = Vec::new();
    for result in results {
        match arms.iter_mut().find(|(name, _)| *name == result.arm) {
            Some((_, seeds)) => seeds.push(result),
            None => arms.push((&result.arm, vec![result])),
        }
    }
    for (name, seeds) in &mut arms {
        seeds.sort_by_key(|result| result.seed);
        if let Some(pair) = seeds.windows(2).find(|pair| pair[0].seed == pair[1].seed) {
            return Err(CompareError::Twice {
                arm: (*name).to_owned(),
                seed: pair[0].seed,
            });
        }
    }
    let Some((_, first)) = arms.first() else {
        return Ok(arms);
    };
    let seeds_of = |arm: &[&ArmResult]| arm.iter().map(|r| r.seed).collect::<Vec<_>>();
    let metrics_of = |r: &ArmResult| r.metrics.keys().cloned().collect::<BTreeSet<_>>();
    let (expected_seeds, expected_metrics) = (seeds_of(first), metrics_of(first[0]));
    for (name, arm) in &arms {
        let found = seeds_of(arm);
        if found != expected_seeds {
            return Err(CompareError::Seeds {
                arm: (*name).to_owned(),
                found,
                expected: expected_seeds,
            });
        }
        if let Some(other) = arm.iter().find(|r| r.scored != first[0].scored) {
            return Err(CompareError::Scored {
                arm: (*name).to_owned(),
                seed: other.seed,
            });
        }
        if let Some(other) = arm.iter().find(|r| metrics_of(r) != expected_metrics) {
            return Err(CompareError::Metrics {
                arm: (*name).to_owned(),
                seed: other.seed,
                found: metrics_of(other).into_iter().collect(),
                expected: expected_metrics.into_iter().collect(),
            });
        }
    }
    Ok(arms)
}

fn metric_table(
    metric: &str,
    arms: &[Arm<'_>],
    bootstrap: &Bootstrap,
) -> Result<MetricTable, CompareError> {
    let named = |source| CompareError::Statistics {
        metric: metric.to_owned(),
        source,
    };
    let items: Vec<Vec<Items>> = arms
        .iter()
        .map(|(_, seeds)| seeds.iter().map(|r| r.metrics[metric].items()).collect())
        .collect();
    let values = items
        .iter()
        .map(|seeds| score(seeds))
        .collect::<Result<Vec<_>, _>>()
        .map_err(named)?;
    check_items(&items).map_err(named)?;

    // One pass over the draws serves all arms, which also pairs them.
    let mut scores = vec![Replicates::default(); arms.len()];
    let mut differences = vec![Replicates::default(); arms.len()];
    bootstrap
        .resample(&items[0], |draw| {
            let first = draw.score(&items[0]);
            for (arm, seeds) in items.iter().enumerate() {
                let value = if arm == 0 { first } else { draw.score(seeds) };
                scores[arm].push(value);
                differences[arm].push(value - first);
            }
        })
        .map_err(named)?;

    let mut rows = Vec::with_capacity(arms.len());
    for (index, ((arm, seeds), (score, difference))) in arms
        .iter()
        .zip(scores.into_iter().zip(differences))
        .enumerate()
    {
        let (value, first) = (values[index], values[0]);
        let interval = |r: Replicates, value| r.interval(value, bootstrap.level).map_err(named);
        rows.push(ArmRow {
            arm: (*arm).to_owned(),
            score: interval(score, value)?,
            per_seed: items[index].iter().filter_map(Items::score).collect(),
            difference: match index {
                0 => None,
                _ => Some(interval(difference, value - first)?),
            },
            mcnemar: match index {
                0 => Vec::new(),
                _ => tests(metric, &arms[0].1, seeds).map_err(named)?,
            },
        });
    }
    Ok(MetricTable {
        metric: metric.to_owned(),
        arms: rows,
    })
}

/// Every arm must have been scored on as many items as the first, seed by seed.
fn check_items(items: &[Vec<Items>]) -> Result<(), StatisticsError> {
    for arm in items {
        for (seed, first) in arm.iter().zip(&items[0]) {
            if seed.len() != first.len() {
                return Err(StatisticsError::Unpaired {
                    first: first.len(),
                    second: seed.len(),
                });
            }
        }
    }
    Ok(())
}

/// McNemar's test of two arms, seed by seed, where the metric is right or wrong an item.
fn tests(
    metric: &str,
    first: &[&ArmResult],
    second: &[&ArmResult],
) -> Result<Vec<McNemar>, StatisticsError> {
    first
        .iter()
        .zip(second)
        .filter_map(|(a, b)| Some((a.metrics[metric].flags()?, b.metrics[metric].flags()?)))
        .map(|(a, b)| mcnemar(&a, &b))
        .collect()
}

#[cfg(test)]
mod tests;
