//! Percentile bootstrap over seeds and items (Efron and Tibshirani 1993, chapter 13).

use super::{Estimate, Items, StatisticsError, score};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// How items belong to seeds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Design {
    /// Every seed is scored on the same items, as on a fixed test split: a replicate draws the
    /// items once for all its seeds, so that the luck of the split does not average out over
    /// seeds (Owen 2007, the pigeonhole bootstrap).
    Crossed,
    /// Every seed has items of its own: a replicate draws seeds, then items within each.
    Nested,
}

/// A percentile bootstrap. The same values give the same interval, on every machine.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Bootstrap {
    /// Number of resamples.
    pub replicates: usize,
    /// Share of replicates inside the interval.
    pub level: f64,
    /// Seed of the draws.
    pub seed: u64,
    pub design: Design,
}

impl Default for Bootstrap {
    fn default() -> Self {
        Self {
            replicates: 10_000,
            level: 0.95,
            seed: 0,
            design: Design::Crossed,
        }
    }
}

/// One resample: which seeds, and how often each item.
#[derive(Debug)]
pub struct Draw {
    seeds: Vec<usize>,
    /// One count an item; one vector for all drawn seeds (crossed) or one each (nested).
    counts: Vec<Vec<f64>>,
}

impl Draw {
    /// Mean over the drawn seeds of their scores on the drawn items; NaN where only items of size
    /// zero were drawn.
    pub fn score(&self, seeds: &[Items]) -> f64 {
        let sum: f64 = self
            .seeds
            .iter()
            .enumerate()
            .map(|(slot, &seed)| {
                seeds[seed].weighted(&self.counts[slot.min(self.counts.len() - 1)])
            })
            .sum();
        sum / self.seeds.len() as f64
    }
}

/// Replicates of one statistic.
#[derive(Debug, Clone, Default)]
pub struct Replicates(Vec<f64>);

impl Replicates {
    pub fn push(&mut self, value: f64) {
        // A draw of empty references alone has no score.
        if value.is_finite() {
            self.0.push(value);
        }
    }

    /// The interval that leaves out `(1 - level) / 2` at each end.
    pub fn interval(mut self, value: f64, level: f64) -> Result<Estimate, StatisticsError> {
        if self.0.is_empty() {
            return Err(StatisticsError::Empty);
        }
        self.0.sort_by(f64::total_cmp);
        let tail = (1.0 - level) / 2.0;
        Ok(Estimate {
            value,
            low: quantile(&self.0, tail),
            high: quantile(&self.0, 1.0 - tail),
        })
    }
}

/// Quantile of ascending values with linear interpolation (Hyndman and Fan 1996, type 7, the
/// default of NumPy). `ascending` must not be empty; `share` is in `0..=1`.
pub fn quantile(ascending: &[f64], share: f64) -> f64 {
    debug_assert!(!ascending.is_empty(), "a quantile of nothing");
    let position = share * (ascending.len() - 1) as f64;
    let below = position.floor() as usize;
    let above = (below + 1).min(ascending.len() - 1);
    ascending[below] + (position - below as f64) * (ascending[above] - ascending[below])
}

impl Bootstrap {
    /// The score of some seeds with its interval.
    pub fn score(&self, seeds: &[Items]) -> Result<Estimate, StatisticsError> {
        let value = score(seeds)?;
        let mut replicates = Replicates::default();
        self.resample(seeds, |draw| replicates.push(draw.score(seeds)))?;
        replicates.interval(value, self.level)
    }

    /// How much higher the second score is than the first, with its interval. Seed `k` and item
    /// `i` of the first are paired with seed `k` and item `i` of the second.
    pub fn difference(
        &self,
        first: &[Items],
        second: &[Items],
    ) -> Result<Estimate, StatisticsError> {
        check_paired(first, second)?;
        let value = score(second)? - score(first)?;
        let mut replicates = Replicates::default();
        self.resample(first, |draw| {
            replicates.push(draw.score(second) - draw.score(first));
        })?;
        replicates.interval(value, self.level)
    }

    /// Hands every resample to `visit`. Several statistics that share their draws are paired and
    /// cost one pass.
    pub fn resample(
        &self,
        shape: &[Items],
        mut visit: impl FnMut(&Draw),
    ) -> Result<(), StatisticsError> {
        self.check(shape)?;
        let mut random = ChaCha8Rng::seed_from_u64(self.seed);
        let vectors = match self.design {
            Design::Crossed => 1,
            Design::Nested => shape.len(),
        };
        let mut draw = Draw {
            seeds: vec![0; shape.len()],
            counts: vec![Vec::new(); vectors],
        };
        for _ in 0..self.replicates {
            for seed in &mut draw.seeds {
                *seed = random.random_range(0..shape.len());
            }
            for (counts, &seed) in draw.counts.iter_mut().zip(&draw.seeds) {
                let items = shape[seed].len();
                counts.clear();
                counts.resize(items, 0.0);
                for _ in 0..items {
                    counts[random.random_range(0..items as u32) as usize] += 1.0;
                }
            }
            visit(&draw);
        }
        Ok(())
    }

    fn check(&self, shape: &[Items]) -> Result<(), StatisticsError> {
        if !(self.level > 0.0 && self.level < 1.0) {
            return Err(StatisticsError::Level(self.level.to_string()));
        }
        let Some(first) = shape.first() else {
            return Err(StatisticsError::Empty);
        };
        for seed in shape {
            if seed.is_empty() {
                return Err(StatisticsError::Empty);
            }
            if !seed.is_finite() {
                return Err(StatisticsError::NotFinite);
            }
            if self.design == Design::Crossed && seed.len() != first.len() {
                return Err(StatisticsError::Unpaired {
                    first: first.len(),
                    second: seed.len(),
                });
            }
        }
        Ok(())
    }
}

fn check_paired(first: &[Items], second: &[Items]) -> Result<(), StatisticsError> {
    let lengths = |seeds: &[Items]| seeds.iter().map(Items::len).collect::<Vec<_>>();
    let (a, b) = (lengths(first), lengths(second));
    if a == b {
        Ok(())
    } else {
        Err(StatisticsError::Unpaired {
            first: a.iter().sum(),
            second: b.iter().sum(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_values_give_the_same_interval() {
        let values = |step: f64| {
            (1..40)
                .map(|i| (f64::from(i) * step).sin())
                .collect::<Vec<_>>()
        };
        let seeds = [Items::values(&values(0.7)), Items::values(&values(1.3))];
        let bootstrap = Bootstrap {
            replicates: 500,
            ..Bootstrap::default()
        };
        let first = bootstrap.score(&seeds).unwrap();
        assert_eq!(first, bootstrap.score(&seeds).unwrap());
        let other = Bootstrap {
            seed: 1,
            ..bootstrap
        };
        assert_ne!(first, other.score(&seeds).unwrap());
    }

    #[test]
    fn shared_items_do_not_average_out_over_seeds() {
        // Seeds that agree on every item hold no more information than one seed.
        let item: Vec<f64> = (0..200).map(|i| f64::from(i % 7)).collect();
        let seeds = vec![Items::values(&item); 10];
        let width = |design, seeds: &[Items]| {
            let bootstrap = Bootstrap {
                replicates: 2000,
                design,
                ..Bootstrap::default()
            };
            let estimate = bootstrap.score(seeds).unwrap();
            estimate.high - estimate.low
        };
        let one = width(Design::Crossed, &seeds[..1]);
        let crossed = width(Design::Crossed, &seeds);
        let nested = width(Design::Nested, &seeds);
        assert!((crossed / one - 1.0).abs() < 0.1, "{crossed} against {one}");
        assert!(
            (nested / one - 0.316).abs() < 0.05,
            "{nested} against {one}"
        );
    }

    #[test]
    fn pairing_removes_what_both_share() {
        let first: Vec<f64> = (0..100).map(|i| f64::from(i % 10)).collect();
        let second: Vec<f64> = first.iter().map(|v| v + 0.5).collect();
        let estimate = Bootstrap::default()
            .difference(&[Items::values(&first)], &[Items::values(&second)])
            .unwrap();
        assert!((estimate.low - 0.5).abs() < 1e-12 && (estimate.high - 0.5).abs() < 1e-12);
    }

    #[test]
    fn what_cannot_be_resampled_is_an_error() {
        let bootstrap = Bootstrap::default();
        assert_eq!(bootstrap.score(&[]), Err(StatisticsError::Empty));
        assert_eq!(
            bootstrap.score(&[Items::values(&[])]),
            Err(StatisticsError::Empty)
        );
        assert_eq!(
            bootstrap.score(&[Items::values(&[f64::NAN])]),
            Err(StatisticsError::NotFinite)
        );
        assert_eq!(
            bootstrap.score(&[Items::values(&[1.0]), Items::values(&[1.0, 2.0])]),
            Err(StatisticsError::Unpaired {
                first: 1,
                second: 2
            })
        );
        let level = Bootstrap {
            level: 1.5,
            ..bootstrap
        };
        assert_eq!(
            level.score(&[Items::values(&[1.0])]),
            Err(StatisticsError::Level("1.5".to_owned()))
        );
    }
}
