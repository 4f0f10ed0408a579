//! The runs behind a comparison: their losses over each other, and the way to each one's report.

use super::page::{Section, Table, figure, grid, plain};
use crate::chart::{LineChart, Series};
use crate::markup::{Element, el};
use crate::number;
use crate::run_log::RunLog;
use std::collections::BTreeSet;

/// One arm with one seed.
#[derive(Debug, Clone, PartialEq)]
pub struct ComparedRun {
    pub arm: String,
    pub seed: u64,
    pub log: RunLog,
    /// The run's own report, relative to this one; empty where it lies elsewhere.
    pub report: String,
}

impl ComparedRun {
    fn samples(&self) -> usize {
        self.log.steps.iter().map(|step| step.samples).sum()
    }

    /// One term of the loss over the samples seen, broken between stages.
    fn curve(&self, term: &str) -> Vec<Vec<(f64, f64)>> {
        let mut pieces: Vec<Vec<(f64, f64)>> = Vec::new();
        let (mut stage, mut seen) = (None, 0);
        for step in &self.log.steps {
            if stage != Some(&step.stage) {
                stage = Some(&step.stage);
                pieces.push(Vec::new());
            }
            seen += step.samples;
            if let (Some(piece), Some(&loss)) = (pieces.last_mut(), step.terms.get(term)) {
                piece.push((seen as f64, loss));
            }
        }
        pieces
    }
}

pub(super) fn section(runs: &[ComparedRun]) -> Option<Section> {
    if runs.is_empty() {
        return None;
    }
    let mut section = Section::new("runs", "The runs").lead(
        "Running means of each term of the loss over the samples seen; the seeds of an arm share \
         a colour. Every run has a report of its own.",
    );
    let steps = runs.iter().flat_map(|run| &run.log.steps);
    let terms: BTreeSet<&String> = steps.flat_map(|step| step.terms.keys()).collect();
    let charts: Vec<Element> = terms
        .into_iter()
        .filter_map(|term| Some(figure(format!("Loss: {term}"), chart(runs, term).svg()?)))
        .collect();
    if !charts.is_empty() {
        section = section.with(grid(charts));
    }
    Some(section.with(table(runs).build()))
}

fn chart(runs: &[ComparedRun], term: &str) -> LineChart {
    let mut series: Vec<Series> = Vec::new();
    for run in runs {
        let pieces = run.curve(term);
        match series.iter_mut().find(|series| series.name == run.arm) {
            Some(series) => series.pieces.extend(pieces),
            None => series.push(Series {
                name: run.arm.clone(),
                pieces,
                marks: Vec::new(),
                // The colour of the arm in the comparison above.
                colour: series.len(),
            }),
        }
    }
    let longest = series.iter().flat_map(|s| &s.pieces).map(Vec::len).max();
    LineChart {
        title: format!("Loss {term} of each arm"),
        x_label: "samples".to_owned(),
        series,
        bands: Vec::new(),
        log: false,
        percent: false,
        smoothing: Some((longest.unwrap_or(0) as f64 / 30.0).clamp(1.0, 150.0)),
        size: (510.0, 280.0),
    }
}

fn table(runs: &[ComparedRun]) -> Table {
    let mut table = Table::new(["Run", "Stages", "Steps", "Samples", "Time"]).text_columns(&[1]);
    for run in runs {
        let name = format!("{}, seed {}", run.arm, run.seed);
        let link = if run.report.is_empty() {
            plain(name)
        } else {
            el("a").set("href", run.report.as_str()).text(name)
        };
        let stages: Vec<&str> = run.log.stages.iter().map(|s| s.name.as_str()).collect();
        let seconds: f64 = run.log.stages.iter().filter_map(|s| s.seconds).sum();
        table.row(vec![
            link,
            plain(stages.join(" → ")),
            plain(number::count(run.log.steps.len() as u64)),
            plain(number::count(run.samples() as u64)),
            plain(number::duration(seconds)),
        ]);
    }
    table
}
