//! What a change does to every metric, with paired intervals over items.

use super::Score;
use crate::compare::Outcomes;
use crate::metric::Metric;
use crate::statistics::{Bootstrap, Estimate, Items, Replicates, StatisticsError};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Outcomes of every item by metric.
pub type Outcome = BTreeMap<String, Outcomes>;

/// A metric under a change.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Effect {
    pub metric: String,
    /// The metric with the change in place.
    pub value: f64,
    /// That less the metric of the system as it is.
    pub change: Estimate,
}

impl Effect {
    /// The change, positive where it is for the better.
    pub fn gain(&self) -> f64 {
        if Metric::of(&self.metric).higher_is_better {
            self.change.value
        } else {
            -self.change.value
        }
    }

    /// Whether the interval of the change leaves zero out.
    pub fn is_seen(&self) -> bool {
        self.change.low > 0.0 || self.change.high < 0.0
    }
}

/// The metrics of the system as it is, those of `order` that the outcomes have and that have something to
/// score in them.
///
/// # Errors
/// There are no items, or an outcome is not finite.
pub fn scores(
    base: &Outcome,
    order: &[String],
    bootstrap: &Bootstrap,
) -> Result<Vec<Score>, StatisticsError> {
    let known = order
        .iter()
        .filter_map(|metric| Some((metric, base.get(metric)?)))
        .filter(|(_, outcomes)| !outcomes.is_blank());
    known
        .map(|(metric, outcomes)| {
            Ok(Score {
                metric: metric.clone(),
                score: bootstrap.score(&[outcomes.items()])?,
            })
        })
        .collect()
}

/// The effects of several changes on every metric in `order` that the outcomes have and that has something
/// to score in them, in that order.
///
/// # Errors
/// There are no items, an outcome is not finite, or a change was scored on other items.
pub fn effects(
    base: &Outcome,
    changed: &[Outcome],
    order: &[String],
    bootstrap: &Bootstrap,
) -> Result<Vec<Vec<Effect>>, StatisticsError> {
    let mut all: Vec<Vec<Effect>> = vec![Vec::new(); changed.len()];
    for metric in order {
        let known = base.get(metric).filter(|outcomes| !outcomes.is_blank());
        let Some(first) = known.map(Outcomes::items) else {
            continue;
        };
        let others: Vec<Items> = changed
            .iter()
            .filter_map(|outcome| outcome.get(metric).map(Outcomes::items))
            .collect();
        let odd = others.iter().find(|items| items.len() != first.len());
        if let Some(second) = odd.map(Items::len).or_else(|| {
            let missing = others.len() != changed.len();
            missing.then_some(0)
        }) {
            let first = first.len();
            return Err(StatisticsError::Unpaired { first, second });
        }
        if others.iter().any(|items| !items.is_finite()) {
            return Err(StatisticsError::NotFinite);
        }
        let score = |items: &Items| items.score().ok_or(StatisticsError::Empty);
        let base_score = score(&first)?;
        // One pass over the draws serves all changes, which also pairs them.
        let mut replicates = vec![Replicates::default(); others.len()];
        let shape = [first];
        bootstrap.resample(&shape, |draw| {
            let base = draw.score(&shape);
            for (items, replicates) in others.iter().zip(&mut replicates) {
                replicates.push(draw.score(std::slice::from_ref(items)) - base);
            }
        })?;
        for ((items, replicates), effects) in others.iter().zip(replicates).zip(&mut all) {
            let value = score(items)?;
            effects.push(Effect {
                metric: metric.clone(),
                value,
                change: replicates.interval(value - base_score, bootstrap.level)?,
            });
        }
    }
    Ok(all)
}

/// How many items came out differently under any metric.
pub fn items_changed(base: &Outcome, changed: &Outcome) -> usize {
    let mut differs: Vec<bool> = Vec::new();
    for (metric, outcomes) in base {
        let Some(other) = changed.get(metric) else {
            continue;
        };
        let flags = outcomes.differences(other);
        differs.resize(differs.len().max(flags.len()), false);
        for (one, flag) in differs.iter_mut().zip(flags) {
            *one |= flag;
        }
    }
    differs.into_iter().filter(|one| *one).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outcome(flags: &[bool]) -> Outcome {
        let errors = flags.iter().map(|&right| (u32::from(!right), 1)).collect();
        [
            ("accuracy".to_owned(), Outcomes::Correct(flags.to_vec())),
            ("wer".to_owned(), Outcomes::Errors(errors)),
        ]
        .into()
    }

    fn quick() -> Bootstrap {
        Bootstrap {
            replicates: 400,
            ..Bootstrap::default()
        }
    }

    #[test]
    fn changes_are_paired_and_gains_have_a_direction() {
        let base: Vec<bool> = (0..200).map(|i| i % 2 == 0).collect();
        let better: Vec<bool> = (0..200).map(|i| i % 4 != 1).collect();
        let order = ["wer".to_owned(), "accuracy".to_owned(), "bleu".to_owned()];
        let changed = [outcome(&better), outcome(&base)];
        let found = effects(&outcome(&base), &changed, &order, &quick()).unwrap();
        let metrics: Vec<&str> = found[0].iter().map(|e| e.metric.as_str()).collect();
        assert_eq!(metrics, ["wer", "accuracy"]);
        for effect in &found[0] {
            assert!((effect.gain() - 0.25).abs() < 1e-12 && effect.is_seen());
        }
        assert!(found[0][0].change.value < 0.0 && found[0][1].change.value > 0.0);
        // The same outcomes differ by nothing in any draw.
        let none = found[1][0].change;
        assert_eq!((none.value, none.low, none.high), (0.0, 0.0, 0.0));
        assert!(!found[1][0].is_seen());
        assert_eq!(items_changed(&outcome(&base), &changed[0]), 50);
        assert_eq!(items_changed(&outcome(&base), &changed[1]), 0);
    }

    #[test]
    fn a_metric_of_nothing_is_left_out() {
        let with = |shares: Vec<(f64, f64)>| {
            let mut outcome = outcome(&[true, false]);
            outcome.insert("pdms".to_owned(), Outcomes::Ratios(shares));
            outcome
        };
        let order = ["pdms".to_owned(), "wer".to_owned()];
        let (blank, known) = (with(vec![(0.0, 0.0); 2]), with(vec![(0.5, 1.0); 2]));
        let found = effects(&blank, std::slice::from_ref(&known), &order, &quick()).unwrap();
        assert_eq!(found[0].len(), 1);
        assert_eq!(scores(&blank, &order, &quick()).unwrap().len(), 1);
        assert_eq!(
            scores(&known, &order, &quick()).unwrap()[0].score.value,
            0.5
        );
    }

    #[test]
    fn other_items_cannot_be_paired() {
        let (two, one) = (outcome(&[true, false]), outcome(&[true]));
        let order = ["wer".to_owned()];
        let found = effects(&two, &[one], &order, &quick());
        assert_eq!(
            found,
            Err(StatisticsError::Unpaired {
                first: 2,
                second: 1
            })
        );
    }
}
