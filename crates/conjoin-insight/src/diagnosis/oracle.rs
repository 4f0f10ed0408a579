//! The oracle report: what the system would score if an interface carried the truth.

use super::effects::{Effect, Outcome, effects};
use super::{Wire, list};
use crate::metric::Metric;
use crate::statistics::{Bootstrap, StatisticsError};
use serde::{Deserialize, Serialize};

/// An interface with a ground truth, as it was scored.
#[derive(Debug, Clone, PartialEq)]
pub struct OracleInput {
    pub wire: Wire,
    /// The column of the truth, and who says that it is.
    pub truth: String,
    pub told_by: String,
    /// With this interface alone replaced.
    pub alone: Outcome,
    /// With this one and all before it replaced.
    pub together: Outcome,
}

/// Every interface with a ground truth, in the order of the route.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct OracleReport {
    pub rows: Vec<OracleRow>,
    /// Interfaces between nodes that nobody knows the truth about.
    pub untold: Vec<Untold>,
}

/// One interface with a ground truth.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct OracleRow {
    #[serde(flatten)]
    pub wire: Wire,
    pub truth: String,
    pub told_by: String,
    /// Place by gain of the headline metric, the largest first, from 1.
    pub rank: usize,
    /// The headline metric first.
    pub alone: Vec<Effect>,
    pub together: Vec<Effect>,
}

/// An interface without a ground truth.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Untold {
    #[serde(flatten)]
    pub wire: Wire,
    /// Why what somebody named is not the truth.
    pub why: Option<String>,
}

impl OracleReport {
    /// Compares every replacement with the system as it is. `order` has the metrics, the headline
    /// first.
    ///
    /// # Errors
    /// See [`effects`].
    pub fn new(
        base: &Outcome,
        inputs: Vec<OracleInput>,
        untold: Vec<Untold>,
        order: &[String],
        bootstrap: &Bootstrap,
    ) -> Result<Self, StatisticsError> {
        let pick = |which: fn(&OracleInput) -> &Outcome| -> Vec<Outcome> {
            inputs.iter().map(|input| which(input).clone()).collect()
        };
        let changed = [pick(|i| &i.alone), pick(|i| &i.together)].concat();
        let mut alone = effects(base, &changed, order, bootstrap)?;
        let together = alone.split_off(inputs.len());
        let gain = |effects: &[Effect]| effects.first().map_or(f64::NEG_INFINITY, Effect::gain);
        let gains: Vec<f64> = alone.iter().map(|effects| gain(effects)).collect();
        let mut ranked: Vec<usize> = (0..inputs.len()).collect();
        ranked.sort_by(|&a, &b| gains[b].total_cmp(&gains[a]));
        let rank = |index: usize| ranked.iter().position(|&i| i == index).unwrap_or(0) + 1;
        let rows = inputs.into_iter().zip(alone.into_iter().zip(together));
        Ok(Self {
            rows: rows
                .enumerate()
                .map(|(index, (input, (alone, together)))| OracleRow {
                    wire: input.wire,
                    truth: input.truth,
                    told_by: input.told_by,
                    rank: rank(index),
                    alone,
                    together,
                })
                .collect(),
            untold,
        })
    }

    /// The rows by rank.
    pub fn ranked(&self) -> Vec<&OracleRow> {
        let mut rows: Vec<&OracleRow> = self.rows.iter().collect();
        rows.sort_by_key(|row| row.rank);
        rows
    }

    pub(super) fn findings(&self) -> Vec<String> {
        let Some(first) = self.ranked().first().copied() else {
            return vec![self.nothing()];
        };
        let Some(effect) = first.alone.first() else {
            return Vec::new();
        };
        let metric = Metric::of(&effect.metric);
        let to = &first.wire.to;
        let change = metric.format_difference(effect.change.value);
        vec![if !effect.is_seen() {
            let others = first.alone.iter().skip(1).filter(|other| other.is_seen());
            let others: Vec<String> = others
                .map(|other| {
                    let metric = Metric::of(&other.metric);
                    let change = metric.format_difference(other.change.value);
                    format!("; {} changes by {change}", metric.label)
                })
                .collect();
            format!(
                "The truth at no single interface changes {} beyond its interval; at {to}, which \
                 ranks first, it changes by {change}{}.",
                metric.label,
                others.concat()
            )
        } else if effect.gain() > 0.0 {
            format!(
                "Most is lost at {to}: with {} in place of {}, {} would be {} ({change}).",
                first.truth,
                first.wire.from,
                metric.label,
                metric.format(effect.value)
            )
        } else {
            format!(
                "The truth makes every interface worse; at {to} {} changes by {change}. What reads \
                 it is fitted to what the system predicts.",
                metric.label
            )
        }]
    }

    /// Why there is no row.
    pub(super) fn nothing(&self) -> String {
        let names: Vec<String> = self
            .untold
            .iter()
            .map(|one| format!("{} (from {})", one.wire.to, one.wire.from))
            .collect();
        match names.len() {
            0 => "There is no interface between nodes to put the truth into.".to_owned(),
            1 => format!(
                "The one interface between nodes has no ground truth: {}.",
                names[0]
            ),
            count => format!(
                "None of the {count} interfaces between nodes has a ground truth: {}.",
                list(&names)
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compare::Outcomes;

    fn outcome(right: usize) -> Outcome {
        let flags = (0..100).map(|i| i < right).collect();
        [("accuracy".to_owned(), Outcomes::Correct(flags))].into()
    }

    fn input(to: &str, alone: usize, together: usize) -> OracleInput {
        OracleInput {
            wire: Wire {
                to: to.to_owned(),
                from: "eye.features".to_owned(),
            },
            truth: "data.truth".to_owned(),
            told_by: "[oracle]".to_owned(),
            alone: outcome(alone),
            together: outcome(together),
        }
    }

    fn report(inputs: Vec<OracleInput>) -> OracleReport {
        let quick = Bootstrap {
            replicates: 200,
            ..Bootstrap::default()
        };
        let order = ["accuracy".to_owned()];
        OracleReport::new(&outcome(40), inputs, Vec::new(), &order, &quick).unwrap()
    }

    #[test]
    fn the_largest_gain_ranks_first_and_rows_keep_their_order() {
        let report = report(vec![
            input("a.x", 45, 45),
            input("b.x", 90, 95),
            input("c.x", 40, 99),
        ]);
        let ranks: Vec<usize> = report.rows.iter().map(|row| row.rank).collect();
        assert_eq!(ranks, [2, 1, 3]);
        assert_eq!(report.ranked()[0].wire.to, "b.x");
        assert!((report.rows[2].together[0].change.value - 0.59).abs() < 1e-12);
        let said = report.findings().concat();
        assert!(said.starts_with("Most is lost at b.x"), "{said}");
        assert!(said.contains("90.00 % (+50.00 pp)"), "{said}");
    }

    #[test]
    fn no_gain_and_no_truth_are_said() {
        let said = report(vec![input("a.x", 40, 40)]).findings().concat();
        assert!(said.contains("at no single interface"), "{said}");
        let said = report(vec![input("a.x", 10, 10)]).findings().concat();
        assert!(said.contains("makes every interface worse"), "{said}");
        let mut none = report(Vec::new());
        none.untold.push(Untold {
            wire: input("a.x", 0, 0).wire,
            why: None,
        });
        let said = none.findings().concat();
        assert!(said.contains("a.x (from eye.features)"), "{said}");
    }
}
