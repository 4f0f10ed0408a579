//! From what a task scored to outcomes of every item, by metric.

use conjoin_insight::Outcomes;
use conjoin_tasks::{Outputs, Scored};
use std::collections::BTreeMap;

/// Metrics that are sums over items.
pub(crate) fn of(scored: &Scored) -> BTreeMap<String, Outcomes> {
    let errors = || {
        let counts = scored.items.iter();
        Outcomes::Errors(counts.map(|i| (i.errors as u32, i.length as u32)).collect())
    };
    match scored.outputs {
        Outputs::Classes { .. } => {
            let right = scored.items.iter().map(|item| item.errors == 0).collect();
            [("accuracy".to_owned(), Outcomes::Correct(right))].into()
        }
        // BLEU and chrF are no sums over items; edits are.
        Outputs::Texts(_) => [("ter".to_owned(), errors())].into(),
        Outputs::Sequences(_) => {
            let words = scored.items.iter().map(|i| (u32::from(i.errors > 0), 1));
            [
                ("per".to_owned(), errors()),
                ("wer".to_owned(), Outcomes::Errors(words.collect())),
            ]
            .into()
        }
    }
}

/// As [`of`], with the cross-entropy of every class: it moves where no answer does.
pub(crate) fn with_likelihoods(scored: &Scored) -> BTreeMap<String, Outcomes> {
    let mut outcomes = of(scored);
    if let Outputs::Classes { items, .. } = &scored.outputs {
        let surprise = items.iter().map(|item| {
            let probability = item.probabilities.get(item.target).copied();
            -f64::from(probability.unwrap_or(0.0).max(f32::MIN_POSITIVE)).ln()
        });
        let values = Outcomes::Values(surprise.collect());
        outcomes.insert("cross-entropy".to_owned(), values);
    }
    outcomes
}
