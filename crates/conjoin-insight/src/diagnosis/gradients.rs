//! The gradient table: how strongly each loss moves each module, where two losses agree, and what
//! gets nothing.

use super::list;
use crate::number;
use crate::statistics::{mean, standard_deviation};
use serde::{Deserialize, Serialize};

/// A figure over batches.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Spread {
    pub mean: f64,
    /// Standard deviation over batches; none with fewer than two.
    pub deviation: Option<f64>,
    pub batches: usize,
}

impl Spread {
    /// None of no values.
    pub fn of(values: &[f64]) -> Option<Self> {
        Some(Self {
            mean: mean(values)?,
            deviation: standard_deviation(values),
            batches: values.len(),
        })
    }

    /// `0.412 ±0.031`.
    pub(super) fn text(&self) -> String {
        let mean = number::significant(self.mean, 3);
        match self.deviation {
            Some(deviation) => format!("{mean} ±{}", number::significant(deviation, 2)),
            None => mean,
        }
    }
}

/// Losses by modules.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct GradientReport {
    /// Modules in the order of the graph.
    pub modules: Vec<String>,
    pub losses: Vec<LossRow>,
    pub cosines: Vec<CosineRow>,
}

/// One loss.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LossRow {
    pub objective: String,
    /// The stage whose route and data it was computed with.
    pub stage: String,
    pub data: String,
    /// Factor of the loss in the stage's sum; norms contain it.
    pub weight: f64,
    /// The loss, unweighted.
    pub loss: Option<Spread>,
    /// In the order of [`GradientReport::modules`].
    pub cells: Vec<ModuleCell>,
}

/// What one loss does at one module.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ModuleCell {
    /// Norm of the gradient of all of its weights.
    Norm(Spread),
    /// Nothing, and why.
    Nothing(String),
}

/// Two losses at a module that both move.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CosineRow {
    pub module: String,
    pub first: String,
    pub second: String,
    pub cosine: Spread,
}

impl CosineRow {
    /// Whether the losses pull against each other: two standard errors below zero, and by more than
    /// the tenth within which the gradients of many weights are all but orthogonal.
    pub fn is_conflict(&self) -> bool {
        let Spread {
            mean,
            deviation,
            batches,
        } = self.cosine;
        let error = deviation.unwrap_or(0.0) / (batches.max(1) as f64).sqrt();
        mean < -0.1 && mean + 2.0 * error < 0.0
    }
}

impl GradientReport {
    /// Modules that no loss moves, each with the reasons.
    pub fn unmoved(&self) -> Vec<(&str, Vec<String>)> {
        let modules = self.modules.iter().enumerate();
        modules
            .filter_map(|(index, module)| {
                let mut reasons: Vec<(&str, Vec<&str>)> = Vec::new();
                for loss in &self.losses {
                    match loss.cells.get(index)? {
                        ModuleCell::Norm(_) => return None,
                        ModuleCell::Nothing(why) => {
                            match reasons.iter_mut().find(|(known, _)| known == why) {
                                Some((_, losses)) => losses.push(&loss.objective),
                                None => reasons.push((why, vec![&loss.objective])),
                            }
                        }
                    }
                }
                let several = reasons.len() > 1;
                let reasons = reasons.into_iter().map(|(why, losses)| {
                    if several {
                        format!("{}: {why}", list(&losses))
                    } else {
                        why.to_owned()
                    }
                });
                Some((module.as_str(), reasons.collect()))
            })
            .collect()
    }

    pub(super) fn findings(&self) -> Vec<String> {
        // A module without weights has nothing to learn.
        let unmoved = self.unmoved().into_iter();
        let unmoved: Vec<String> = unmoved
            .filter(|(_, reasons)| *reasons != ["no weights"])
            .map(|(module, reasons)| format!("{module} ({})", reasons.join("; ")))
            .collect();
        let mut found = Vec::new();
        if !unmoved.is_empty() {
            found.push(format!("No loss moves {}.", list(&unmoved)));
        }
        for row in self.cosines.iter().filter(|row| row.is_conflict()) {
            found.push(format!(
                "At {} the losses {} and {} pull against each other: cosine {}.",
                row.module,
                row.first,
                row.second,
                row.cosine.text()
            ));
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn norm(values: &[f64]) -> ModuleCell {
        ModuleCell::Norm(Spread::of(values).unwrap())
    }

    fn row(objective: &str, cells: Vec<ModuleCell>) -> LossRow {
        LossRow {
            objective: objective.to_owned(),
            stage: "joint".to_owned(),
            data: "train".to_owned(),
            weight: 1.0,
            loss: None,
            cells,
        }
    }

    #[test]
    fn what_nothing_moves_is_told_with_its_reasons() {
        let nothing = |why: &str| ModuleCell::Nothing(why.to_owned());
        let cosine = |module: &str, values: &[f64]| CosineRow {
            module: module.to_owned(),
            first: "a".to_owned(),
            second: "b".to_owned(),
            cosine: Spread::of(values).unwrap(),
        };
        let report = GradientReport {
            modules: ["eye", "head", "pool"].map(str::to_owned).into(),
            losses: vec![
                row(
                    "a",
                    vec![norm(&[1.0, 3.0]), nothing("frozen"), nothing("no weights")],
                ),
                row(
                    "b",
                    vec![
                        nothing("frozen"),
                        nothing("no route"),
                        nothing("no weights"),
                    ],
                ),
            ],
            cosines: vec![cosine("eye", &[-0.5, -0.4]), cosine("ear", &[-0.5, 0.2])],
        };
        let said = report.findings();
        assert_eq!(said[0], "No loss moves head (a: frozen; b: no route).");
        assert!(
            said[1].starts_with("At eye the losses a and b pull against"),
            "{said:?}"
        );
        assert_eq!(said.len(), 2);
        let ModuleCell::Norm(spread) = &report.losses[0].cells[0] else {
            panic!("a norm")
        };
        assert_eq!(spread.text(), "2.00 ±1.4");
    }
}
