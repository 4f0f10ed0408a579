//! The shortcut probe: what the system does when an interface carries nothing, another sample's
//! value, or noise; and which interfaces it does not read.

use super::effects::{Effect, Outcome, effects, items_changed};
use super::{Wire, list};
use crate::metric::Metric;
use crate::number;
use crate::statistics::{Bootstrap, StatisticsError};
use serde::{Deserialize, Serialize};

/// An interface under several probes, as it was scored.
#[derive(Debug, Clone, PartialEq)]
pub struct ProbeInput {
    pub wire: Wire,
    /// The probes by name.
    pub outcomes: Vec<(String, Outcome)>,
}

/// Every probed interface, in the order of the route.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct ProbeReport {
    /// Names of the probes.
    pub probes: Vec<String>,
    pub rows: Vec<ProbeRow>,
}

/// One probed interface.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ProbeRow {
    #[serde(flatten)]
    pub wire: Wire,
    pub verdict: ProbeVerdict,
    /// In the order of [`ProbeReport::probes`].
    pub cells: Vec<ProbeCell>,
}

/// One interface under one probe.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ProbeCell {
    pub probe: String,
    /// Items that came out differently.
    pub changed: usize,
    /// The headline metric first.
    pub effects: Vec<Effect>,
}

/// Whether the system reads an interface.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ProbeVerdict {
    /// Some probe makes some metric worse.
    Used,
    /// No probe changes any item.
    Untouched,
    /// Items change, and no metric beyond its interval.
    Ignored,
    /// Some probe makes a metric better, and none makes one worse.
    Harmful,
}

impl ProbeVerdict {
    pub fn word(self) -> &'static str {
        match self {
            Self::Used => "used",
            Self::Untouched => "not read",
            Self::Ignored => "ignored",
            Self::Harmful => "better without",
        }
    }

    fn of(cells: &[ProbeCell]) -> Self {
        let seen = || {
            let effects = cells.iter().flat_map(|cell| &cell.effects);
            effects.filter(|effect| effect.is_seen())
        };
        if seen().any(|effect| effect.gain() < 0.0) {
            Self::Used
        } else if seen().next().is_some() {
            Self::Harmful
        } else if cells.iter().all(|cell| cell.changed == 0) {
            Self::Untouched
        } else {
            Self::Ignored
        }
    }
}

impl ProbeReport {
    /// Compares every probe with the system as it is. `order` has the metrics, the headline first.
    ///
    /// # Errors
    /// See [`effects`].
    pub fn new(
        base: &Outcome,
        inputs: Vec<ProbeInput>,
        order: &[String],
        bootstrap: &Bootstrap,
    ) -> Result<Self, StatisticsError> {
        let changed: Vec<Outcome> = inputs
            .iter()
            .flat_map(|input| input.outcomes.iter().map(|(_, outcome)| outcome.clone()))
            .collect();
        let mut all = effects(base, &changed, order, bootstrap)?.into_iter();
        let probes = inputs.first().map(|input| {
            let names = input.outcomes.iter().map(|(name, _)| name.clone());
            names.collect()
        });
        let rows = inputs.into_iter().map(|input| {
            let cells: Vec<ProbeCell> = input
                .outcomes
                .into_iter()
                .zip(&mut all)
                .map(|((probe, outcome), effects)| ProbeCell {
                    probe,
                    changed: items_changed(base, &outcome),
                    effects,
                })
                .collect();
            ProbeRow {
                wire: input.wire,
                verdict: ProbeVerdict::of(&cells),
                cells,
            }
        });
        Ok(Self {
            rows: rows.collect(),
            probes: probes.unwrap_or_default(),
        })
    }

    pub(super) fn findings(&self, items: usize) -> Vec<String> {
        let named = |verdict: ProbeVerdict| -> Vec<String> {
            let rows = self.rows.iter().filter(|row| row.verdict == verdict);
            rows.map(|row| format!("{} (from {})", row.wire.to, row.wire.from))
                .collect()
        };
        let probes: Vec<&str> = self.probes.iter().map(String::as_str).collect();
        let mut found = Vec::new();
        let untouched = named(ProbeVerdict::Untouched);
        if !untouched.is_empty() {
            found.push(format!(
                "Not read: {}. Not one of {} items came out differently under {}.",
                list(&untouched),
                number::count(items as u64),
                list(&probes)
            ));
        }
        let ignored = named(ProbeVerdict::Ignored);
        if !ignored.is_empty() {
            found.push(format!(
                "Ignored: {}. No metric moved beyond its interval under {}.",
                list(&ignored),
                list(&probes)
            ));
        }
        for row in self
            .rows
            .iter()
            .filter(|r| r.verdict == ProbeVerdict::Harmful)
        {
            let cells = row.cells.iter().flat_map(|cell| {
                let effects = cell.effects.iter().filter(|effect| effect.is_seen());
                effects.map(|effect| (cell.probe.as_str(), effect))
            });
            let Some((probe, effect)) = cells.last() else {
                continue;
            };
            let metric = Metric::of(&effect.metric);
            found.push(format!(
                "Better without: {} (from {}). Under {probe} {} changes by {}.",
                row.wire.to,
                row.wire.from,
                metric.label,
                metric.format_difference(effect.change.value)
            ));
        }
        if found.is_empty() && !self.rows.is_empty() {
            found.push("No interface is ignored.".to_owned());
        }
        if items < 100 && !self.rows.is_empty() {
            found.push(format!(
                "With {items} items only large effects can be told from chance."
            ));
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compare::Outcomes;

    fn outcome(wrong: impl Fn(usize) -> bool) -> Outcome {
        let errors = (0..400).map(|i| (u32::from(wrong(i)), 1)).collect();
        [("wer".to_owned(), Outcomes::Errors(errors))].into()
    }

    #[test]
    fn verdicts_follow_from_the_intervals() {
        let base = outcome(|i| i % 4 == 0);
        let probed = |name: &str, first: Outcome, second: Outcome| ProbeInput {
            wire: Wire {
                to: name.to_owned(),
                from: "eye.features".to_owned(),
            },
            outcomes: vec![("zero".to_owned(), first), ("noise".to_owned(), second)],
        };
        let inputs = vec![
            probed("used.x", base.clone(), outcome(|i| i % 2 == 0)),
            probed("dead.x", base.clone(), base.clone()),
            // Other items are wrong, as many as before.
            probed("vain.x", base.clone(), outcome(|i| i % 4 == 1)),
            probed("bad.x", base.clone(), outcome(|i| i % 8 == 0)),
        ];
        let order = ["wer".to_owned()];
        let quick = Bootstrap {
            replicates: 400,
            ..Bootstrap::default()
        };
        let report = ProbeReport::new(&base, inputs, &order, &quick).unwrap();
        let words: Vec<&str> = report.rows.iter().map(|row| row.verdict.word()).collect();
        assert_eq!(words, ["used", "not read", "ignored", "better without"]);
        assert_eq!(report.rows[2].cells[1].changed, 200);
        let said = report.findings(400).join("\n");
        assert!(
            said.contains("Not read: dead.x (from eye.features). Not one of 400"),
            "{said}"
        );
        assert!(said.contains("Ignored: vain.x"), "{said}");
        assert!(said.contains("Better without: bad.x"), "{said}");
        assert!(said.contains("WER changes by −12.50 pp"), "{said}");
        assert!(report.findings(20).join("").contains("With 20 items"));
    }
}
