//! Classification: one class a sample.
//!
//! Shapes: `B` batch, `V` classes.

use crate::error::TaskError;
use crate::score_run::ScoreRun;
use crate::scored::{ClassOutput, ItemOutcome, Outputs, PredictedClass, Prediction, Scored};
use conjoin_graph::{PortRef, Value};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Scores, the headline first.
pub(crate) const METRICS: &[&str] = &["accuracy", "cross-entropy"];

/// Ports that are read.
pub(crate) const PORTS: &[&str] = &["logits", "target"];

/// Options of `[task] kind = "classification"`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ClassificationConfig {
    /// Logits over the classes, `[B, V]`.
    pub logits: PortRef,
    /// The true class, `[B]`.
    pub target: PortRef,
    /// Data set that is scored.
    pub data: String,
}

impl ClassificationConfig {
    pub(crate) fn ports(&self) -> BTreeMap<&'static str, PortRef> {
        [
            ("logits", self.logits.clone()),
            ("target", self.target.clone()),
        ]
        .into()
    }

    pub(crate) fn set_port(&mut self, name: &str, port: &PortRef) {
        match name {
            "logits" => self.logits = port.clone(),
            "target" => self.target = port.clone(),
            _ => {}
        }
    }

    /// Accuracy and mean cross-entropy (natural logarithm) over a data set.
    pub(crate) fn score(&self, run: &mut ScoreRun<'_>) -> Result<Scored, TaskError> {
        let target_column = run.column(&self.target)?;
        let names = run.vocabulary(&target_column)?.symbols.clone();
        let route = run.route(std::slice::from_ref(&self.logits))?;
        let mut items = Vec::new();
        let mut cross_entropy = 0.0;
        while let Some(batch) = run.next_batch()? {
            let trace = run.forward(&route, &batch, &self.logits)?;
            let targets = batch.values.get(&target_column).map(Value::to_i64);
            let targets = targets.ok_or_else(|| TaskError::column(&target_column))?;
            let probabilities = softmax(&trace);
            for (row, probabilities) in probabilities.into_iter().enumerate() {
                let target = usize::try_from(targets[row]).unwrap_or(0);
                cross_entropy -= f64::from(probabilities[target].max(f32::MIN_POSITIVE)).ln();
                items.push(ClassOutput {
                    key: run.key(batch.indices[row]),
                    index: batch.indices[row],
                    target,
                    predicted: most_probable(&probabilities),
                    probabilities,
                });
            }
        }
        Ok(summarise(names, items, cross_entropy))
    }

    /// Classes by probability for every sample, with its position.
    pub(crate) fn predict(
        &self,
        run: &mut ScoreRun<'_>,
    ) -> Result<Vec<(usize, Prediction)>, TaskError> {
        let names = run.vocabulary(&run.column(&self.target)?)?;
        let route = run.route(std::slice::from_ref(&self.logits))?;
        let mut found = Vec::new();
        while let Some(batch) = run.next_batch()? {
            let logits = run.forward(&route, &batch, &self.logits)?;
            for (row, probabilities) in softmax(&logits).into_iter().enumerate() {
                let mut classes: Vec<PredictedClass> = names
                    .symbols
                    .iter()
                    .zip(probabilities)
                    .map(|(class, probability)| PredictedClass {
                        class: class.clone(),
                        probability,
                    })
                    .collect();
                classes.sort_by(|a, b| b.probability.total_cmp(&a.probability));
                let input = run.key(batch.indices[row]);
                found.push((batch.indices[row], Prediction::Class { input, classes }));
            }
        }
        Ok(found)
    }
}

fn summarise(names: Vec<String>, items: Vec<ClassOutput>, cross_entropy: f64) -> Scored {
    let count = items.len().max(1) as f64;
    let right = items.iter().filter(|i| i.predicted == i.target).count();
    let scores = [
        ("accuracy".to_owned(), right as f64 / count),
        ("cross-entropy".to_owned(), cross_entropy / count),
    ];
    let outcomes = items
        .iter()
        .map(|item| ItemOutcome {
            key: item.key.clone(),
            errors: usize::from(item.predicted != item.target),
            length: 1,
        })
        .collect();
    Scored {
        scores: scores.into(),
        printed: Vec::new(),
        items: outcomes,
        outputs: Outputs::Classes { names, items },
    }
}

/// Rows of `[B, V]` logits as probabilities.
fn softmax(logits: &Value) -> Vec<Vec<f32>> {
    let width = logits.shape().last().copied().unwrap_or(1).max(1);
    logits
        .to_f32()
        .chunks(width)
        .map(|row| {
            let largest = row.iter().copied().fold(f32::NEG_INFINITY, f32::max);
            let exp: Vec<f32> = row.iter().map(|x| (x - largest).exp()).collect();
            let sum: f32 = exp.iter().sum();
            exp.into_iter().map(|x| x / sum).collect()
        })
        .collect()
}

fn most_probable(row: &[f32]) -> usize {
    let mut best = 0;
    for (index, value) in row.iter().enumerate() {
        if *value > row[best] {
            best = index;
        }
    }
    best
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accuracy_counts_right_items() {
        let item = |target, predicted| ClassOutput {
            key: String::new(),
            index: 0,
            target,
            predicted,
            probabilities: vec![0.5, 0.5],
        };
        let names = vec!["a".to_owned(), "b".to_owned()];
        let scored = summarise(
            names,
            vec![item(0, 0), item(1, 0), item(1, 1), item(0, 0)],
            2.0,
        );
        assert_eq!(scored.scores["accuracy"], 0.75);
        assert_eq!(scored.scores["cross-entropy"], 0.5);
        assert_eq!(scored.items.iter().map(|i| i.errors).sum::<usize>(), 1);
    }
}
