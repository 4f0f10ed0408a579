//! Scores after each stage, and the gates that guard them.

use super::page::{Section, Table, badge, code, muted, plain, strong};
use crate::metric::Metric;
use crate::number;
use crate::run_log::RunLog;
use std::collections::{BTreeMap, BTreeSet};

/// Scores on one data set after each stage, in the order of the stages.
#[derive(Debug, Clone, PartialEq)]
pub struct StageScores {
    /// Name of the data set.
    pub data: String,
    pub stages: Vec<(String, BTreeMap<String, f64>)>,
}

pub(super) fn section(scores: &StageScores, log: &RunLog) -> Option<Section> {
    let names: BTreeSet<&String> = scores.stages.iter().flat_map(|(_, s)| s.keys()).collect();
    if names.is_empty() {
        return None;
    }
    // Rates and accuracies before losses.
    let mut metrics: Vec<Metric> = names.into_iter().map(|name| Metric::of(name)).collect();
    metrics.sort_by_key(|metric| !metric.percent);
    let mut head = vec!["After stage".to_owned(), "Trained".to_owned()];
    head.extend(["Steps", "Time"].map(str::to_owned));
    head.extend(metrics.iter().map(|metric| metric.label.clone()));
    let mut table = Table::new(head).text_columns(&[1]);
    let best: Vec<Option<f64>> = metrics.iter().map(|metric| best(metric, scores)).collect();
    for (stage, values) in &rows(scores, log) {
        let record = log.stages.iter().find(|record| record.name == *stage);
        let trained = record.map_or_else(String::new, |record| {
            record
                .trained
                .keys()
                .cloned()
                .collect::<Vec<_>>()
                .join(", ")
        });
        let steps = log.steps.iter().filter(|step| step.stage == *stage).count();
        let mut cells = vec![
            strong(stage.as_str()),
            muted(trained),
            plain(if steps > 0 {
                number::count(steps as u64)
            } else {
                String::new()
            }),
            plain(
                record
                    .and_then(|r| r.seconds)
                    .map(number::duration)
                    .unwrap_or_default(),
            ),
        ];
        for (metric, best) in metrics.iter().zip(&best) {
            cells.push(match values.get(&metric.name) {
                Some(value) if Some(*value) == *best => strong(metric.format(*value)),
                Some(value) => plain(metric.format(*value)),
                None => muted("–"),
            });
        }
        table.row(cells);
    }
    let lead = format!(
        "Scores on {} after each stage; the best of each column is bold.",
        scores.data
    );
    Some(
        Section::new("stages", "Stage by stage")
            .lead(lead)
            .with(table.build()),
    )
}

/// The scored stages and those that the log knows besides, in the order in which they ran.
fn rows(scores: &StageScores, log: &RunLog) -> Vec<(String, BTreeMap<String, f64>)> {
    let scored = |name: &str| scores.stages.iter().find(|(stage, _)| stage == name);
    let known = |name: &str| log.stages.iter().any(|stage| stage.name == name);
    let ran = log.stages.iter().map(|stage| {
        scored(&stage.name)
            .cloned()
            .unwrap_or_else(|| (stage.name.clone(), BTreeMap::new()))
    });
    let others = scores
        .stages
        .iter()
        .filter(|(stage, _)| !known(stage))
        .cloned();
    ran.chain(others).collect()
}

fn best(metric: &Metric, scores: &StageScores) -> Option<f64> {
    scores
        .stages
        .iter()
        .filter_map(|(_, values)| values.get(&metric.name).copied())
        .filter(|value| value.is_finite())
        .reduce(|a, b| if metric.better(b, a) { b } else { a })
}

/// What each module still does by itself after joint training.
pub(super) fn gates(log: &RunLog) -> Option<Section> {
    if log.gates.is_empty() {
        return None;
    }
    let mut table = Table::new([
        "Stage",
        "Objective",
        "Before",
        "After",
        "Change",
        "Allowed",
        "Gate",
    ])
    .text_columns(&[1, 6]);
    for gate in &log.gates {
        let change = gate.after - gate.before;
        let sign = if change > 0.0 { "+" } else { "" };
        table.row(vec![
            plain(gate.stage.as_str()),
            code(gate.objective.as_str()),
            plain(number::significant(gate.before, 4)),
            plain(number::significant(gate.after, 4)),
            plain(format!("{sign}{}", number::significant(change, 3))),
            plain(format!("+{}", number::significant(gate.tolerance, 3))),
            badge(if gate.passed { "passed" } else { "failed" }, gate.passed),
        ]);
    }
    Some(
        Section::new("gates", "Gates")
            .lead(
                "The objective of a module by itself, before and after the stage. A gate fails \
                 where it rose by more than allowed.",
            )
            .with(table.build()),
    )
}
