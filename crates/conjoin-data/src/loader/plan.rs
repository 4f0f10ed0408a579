//! Which rows form which batch: a function of the seed and the epoch alone.

use super::config::Limit;
use crate::random::stream;
use rand::seq::SliceRandom;
use std::ops::Range;

/// Length of each row in the column that batches are grouped by, and a second measure that orders
/// rows of equal length (all ragged columns together), so that these pad little too.
pub(super) type Lengths = [(u32, u32)];

/// Rows are sorted by length within pools of about this many batches: large enough for little
/// padding, small enough for batches to differ from epoch to epoch.
const POOL_BATCHES: usize = 32;

/// The batches of an epoch.
#[derive(Debug)]
pub(super) struct Plan {
    rows: Vec<usize>,
    batches: Vec<Range<usize>>,
}

/// What a plan is made from.
#[derive(Debug, Clone, Copy)]
pub(super) struct Order<'a> {
    pub rows: usize,
    pub limit: Limit,
    /// Given where rows of like length share a batch; needed with [`Limit::Entries`].
    pub lengths: Option<&'a Lengths>,
    pub shuffle: bool,
    pub drop_last: bool,
    pub seed: u64,
}

impl Plan {
    pub fn new(order: Order, epoch: u64) -> Self {
        let mut rng = stream(order.seed, "order", &[epoch]);
        let mut rows: Vec<usize> = (0..order.rows).collect();
        if order.shuffle {
            rows.shuffle(&mut rng);
        }
        if let Some(lengths) = order.lengths {
            sort_in_pools(&mut rows, lengths, order);
        }
        let mut batches = cut(&rows, order);
        if let Limit::Rows(size) = order.limit
            && order.drop_last
        {
            batches.retain(|batch| batch.len() == size);
        }
        if order.shuffle {
            batches.shuffle(&mut rng);
        }
        Self { rows, batches }
    }

    /// Number of batches.
    pub fn len(&self) -> usize {
        self.batches.len()
    }

    /// Rows of one batch.
    pub fn batch(&self, batch: usize) -> &[usize] {
        &self.rows[self.batches[batch].clone()]
    }
}

/// Sorts by length within pools; without shuffling all rows are one pool. Every second pool is
/// sorted downwards, so that a batch that reaches over a border finds like lengths on both sides.
fn sort_in_pools(rows: &mut [usize], lengths: &Lengths, order: Order) {
    let pool = if order.shuffle {
        pool_size(lengths, order.limit)
    } else {
        rows.len()
    };
    for (number, pool) in rows.chunks_mut(pool.max(1)).enumerate() {
        // Stable: rows of equal length stay in their random order.
        pool.sort_by_key(|&row| lengths[row]);
        if number % 2 == 1 {
            pool.reverse();
        }
    }
}

fn pool_size(lengths: &Lengths, limit: Limit) -> usize {
    let rows_per_batch = match limit {
        Limit::Rows(size) => size,
        Limit::Entries(entries) => {
            let total: usize = lengths.iter().map(|&(length, _)| length as usize).sum();
            entries * lengths.len() / total.max(1)
        }
    };
    rows_per_batch.max(1).saturating_mul(POOL_BATCHES)
}

/// Cuts the rows, in their order, into the longest batches within the limit.
fn cut(rows: &[usize], order: Order) -> Vec<Range<usize>> {
    let mut batches = Vec::new();
    let mut begin = 0;
    let mut longest = 0;
    for (end, &row) in rows.iter().enumerate() {
        let count = end - begin + 1;
        let length = order.lengths.map_or(0, |lengths| lengths[row].0 as usize);
        let full = match order.limit {
            Limit::Rows(size) => count > size,
            Limit::Entries(entries) => count > 1 && count * longest.max(length) > entries,
        };
        if full {
            batches.push(begin..end);
            begin = end;
            longest = 0;
        }
        longest = longest.max(length);
    }
    if begin < rows.len() {
        batches.push(begin..rows.len());
    }
    batches
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn order(rows: usize, limit: Limit, lengths: Option<&Lengths>) -> Order<'_> {
        Order {
            rows,
            limit,
            lengths,
            shuffle: true,
            drop_last: false,
            seed: 7,
        }
    }

    fn batches(plan: &Plan) -> Vec<Vec<usize>> {
        (0..plan.len()).map(|b| plan.batch(b).to_vec()).collect()
    }

    proptest! {
        #[test]
        fn every_row_once_and_within_the_budget(
            lengths in prop::collection::vec((1u32..30, 0u32..60), 1..400),
            budget in 30usize..300,
            by_entries: bool,
            shuffle: bool,
            epoch in 0u64..5,
        ) {
            let limit = if by_entries { Limit::Entries(budget) } else { Limit::Rows(budget / 10) };
            let order = Order { shuffle, ..order(lengths.len(), limit, Some(&lengths)) };
            let plan = Plan::new(order, epoch);
            let mut seen: Vec<usize> = batches(&plan).concat();
            seen.sort_unstable();
            prop_assert_eq!(seen, (0..lengths.len()).collect::<Vec<_>>());
            for batch in batches(&plan) {
                let longest = batch.iter().map(|&r| lengths[r].0 as usize).max().unwrap();
                match limit {
                    Limit::Entries(_) => prop_assert!(batch.len() * longest <= budget),
                    Limit::Rows(size) => prop_assert!(batch.len() <= size),
                }
            }
        }

        #[test]
        fn fixed_sizes_leave_one_short_batch_at_most(
            rows in 1usize..300,
            size in 1usize..40,
            drop_last: bool,
        ) {
            let order = Order { drop_last, ..order(rows, Limit::Rows(size), None) };
            let plan = Plan::new(order, 0);
            let short = batches(&plan).iter().filter(|b| b.len() < size).count();
            prop_assert!(short <= usize::from(!drop_last));
            prop_assert_eq!(plan.len(), if drop_last { rows / size } else { rows.div_ceil(size) });
        }
    }

    #[test]
    fn seed_and_epoch_decide() {
        let make = |seed, epoch| {
            let order = Order {
                seed,
                ..order(100, Limit::Rows(8), None)
            };
            batches(&Plan::new(order, epoch))
        };
        assert_eq!(make(1, 0), make(1, 0));
        assert_ne!(make(1, 0), make(1, 1));
        assert_ne!(make(1, 0), make(2, 0));
    }

    #[test]
    fn without_shuffling_the_order_is_the_sources() {
        let order = Order {
            shuffle: false,
            ..order(5, Limit::Rows(2), None)
        };
        assert_eq!(
            batches(&Plan::new(order, 3)),
            [vec![0, 1], vec![2, 3], vec![4]]
        );
    }

    #[test]
    fn grouping_by_length_saves_padding() {
        let lengths: Vec<(u32, u32)> = (0..20_000u32).map(|i| (3 + i * 7919 % 20, 0)).collect();
        let padded = |lengths: Option<&Lengths>, all: &Lengths| -> f64 {
            let plan = Plan::new(order(all.len(), Limit::Rows(100), lengths), 0);
            let entries = |batch: &Vec<usize>| {
                batch.len() * batch.iter().map(|&r| all[r].0 as usize).max().unwrap()
            };
            let total: usize = batches(&plan).iter().map(entries).sum();
            total as f64 / all.iter().map(|l| f64::from(l.0)).sum::<f64>()
        };
        let (apart, grouped) = (padded(None, &lengths), padded(Some(&lengths), &lengths));
        assert!(apart > 1.6 && grouped < 1.06, "{apart} {grouped}");
    }
}
