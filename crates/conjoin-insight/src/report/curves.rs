//! Curves over the steps of the run: losses, learning rates, gradient norms, speed, scores.

use super::page::{Section, figure, grid};
use crate::chart::{Band, LineChart, Mark, Series};
use crate::markup::Element;
use crate::metric::Metric;
use crate::run_log::{RunLog, StepRecord};
use std::collections::{BTreeMap, BTreeSet};

const WIDE: (f64, f64) = (1040.0, 340.0);
const HALF: (f64, f64) = (510.0, 260.0);

/// A range of losses beyond this ratio is easier to read on a logarithmic axis.
const LOG_RATIO: f64 = 25.0;

/// Losses, and how the steps went.
pub(super) fn losses(log: &RunLog) -> Option<Section> {
    if log.steps.is_empty() {
        return None;
    }
    let mut section = Section::new("curves", "Training")
        .lead("Thick lines are running means; the measured values stay behind them, faint.");
    let bands = bands(log);
    let all: Vec<&StepRecord> = log.steps.iter().collect();
    let names: BTreeSet<&String> = all.iter().flat_map(|step| step.terms.keys()).collect();
    let names: Vec<&String> = names.into_iter().collect();
    if let Some(chart) = loss_chart("Loss by term", &all, &names, bands.clone(), WIDE) {
        section = section.with(chart.set("class", "wide"));
    }
    if bands.len() > 1 {
        let stages = bands.iter().filter_map(|band| {
            let steps: Vec<&StepRecord> = all
                .iter()
                .copied()
                .filter(|s| s.stage == band.label)
                .collect();
            loss_chart(
                &format!("Loss, stage {}", band.label),
                &steps,
                &names,
                Vec::new(),
                HALF,
            )
        });
        section = section.with(grid(stages));
    }
    let charts = [rates(log), norms(log), Some(speed(log)), shares(log)];
    let charts = charts.into_iter().flatten().filter_map(|chart| {
        let chart = LineChart {
            bands: bands.clone(),
            ..chart
        };
        Some(figure(chart.title.clone(), chart.svg()?))
    });
    Some(section.with(grid(charts)))
}

/// The range of steps of each stage.
fn bands(log: &RunLog) -> Vec<Band> {
    let mut bands: Vec<Band> = Vec::new();
    for step in &log.steps {
        let x = step.global_step as f64;
        match bands.last_mut() {
            Some(band) if band.label == step.stage => band.to = x,
            last => {
                // Stages touch: a stage begins where the one before it ended.
                let from = last.map_or(x - 1.0, |band| band.to);
                bands.push(Band {
                    from,
                    to: x,
                    label: step.stage.clone(),
                });
            }
        }
    }
    bands
}

/// A curve of one value of the steps, broken between stages.
fn series(
    name: impl Into<String>,
    colour: usize,
    steps: &[&StepRecord],
    value: impl Fn(&StepRecord) -> Option<f64>,
) -> Series {
    let mut pieces: Vec<Vec<(f64, f64)>> = Vec::new();
    let mut stage = None;
    for step in steps {
        if stage != Some(&step.stage) {
            stage = Some(&step.stage);
            pieces.push(Vec::new());
        }
        if let (Some(piece), Some(y)) = (pieces.last_mut(), value(step)) {
            piece.push((step.global_step as f64, y));
        }
    }
    Series {
        name: name.into(),
        pieces,
        marks: Vec::new(),
        colour,
    }
}

fn chart(title: impl Into<String>, series: Vec<Series>, steps: usize) -> LineChart {
    LineChart {
        title: title.into(),
        x_label: "step".to_owned(),
        series,
        bands: Vec::new(),
        log: false,
        percent: false,
        smoothing: Some((steps as f64 / 30.0).clamp(1.0, 150.0)),
        size: HALF,
    }
}

/// Terms of some steps, coloured by their place among `names`, above their weighted sum where that
/// is something else.
fn loss_chart(
    title: &str,
    steps: &[&StepRecord],
    names: &[&String],
    bands: Vec<Band>,
    size: (f64, f64),
) -> Option<Element> {
    let sum = series("weighted sum", 7, steps, |step| {
        let alone = step.terms.len() == 1 && step.terms.values().all(|term| *term == step.loss);
        (!alone).then_some(step.loss)
    });
    let terms = names.iter().enumerate().map(|(index, name)| {
        series(name.as_str(), index, steps, |step| {
            step.terms.get(*name).copied()
        })
    });
    let all: Vec<Series> = std::iter::once(sum).chain(terms).collect();
    let values = || {
        all.iter()
            .flat_map(|s| s.pieces.iter().flatten().map(|p| p.1))
    };
    let (low, high) = values().fold((f64::INFINITY, 0.0_f64), |(l, h), v| (l.min(v), h.max(v)));
    let log = low > 0.0 && high / low > LOG_RATIO;
    let chart = LineChart {
        bands,
        log,
        size,
        ..chart(title, all, steps.len())
    };
    let scale = if log { " (logarithmic)" } else { "" };
    Some(figure(format!("{title}{scale}"), chart.svg()?))
}

/// Nodes with the same rate at every step that both know share a curve.
fn rates(log: &RunLog) -> Option<LineChart> {
    let steps: Vec<&StepRecord> = log.steps.iter().collect();
    let nodes: BTreeSet<&String> = steps.iter().flat_map(|step| step.lr.keys()).collect();
    let mut groups: Vec<(BTreeMap<u64, f64>, Vec<&str>)> = Vec::new();
    for node in nodes {
        let rates: BTreeMap<u64, f64> = steps
            .iter()
            .filter_map(|step| Some((step.global_step, *step.lr.get(node)?)))
            .collect();
        let agrees = |known: &BTreeMap<u64, f64>| {
            rates
                .iter()
                .all(|(step, rate)| known.get(step).is_none_or(|other| other == rate))
        };
        match groups.iter_mut().find(|(known, _)| agrees(known)) {
            Some((known, names)) => {
                known.extend(rates);
                names.push(node);
            }
            None => groups.push((rates, vec![node])),
        }
    }
    let largest = groups.iter().map(|(_, names)| names.len()).max()?;
    let single = groups.len() == 1;
    let curves = groups.iter().enumerate().map(|(colour, (rates, names))| {
        let name = match names.len() {
            _ if single => "all nodes".to_owned(),
            n if n == largest && n > 3 => "the other nodes".to_owned(),
            _ => names.join(", "),
        };
        series(name, colour, &steps, |step| {
            rates.get(&step.global_step).copied()
        })
    });
    Some(LineChart {
        smoothing: None,
        ..chart("Learning rate", curves.collect(), 0)
    })
}

fn norms(log: &RunLog) -> Option<LineChart> {
    let steps: Vec<&StepRecord> = log.steps.iter().collect();
    let curve = series("gradient norm", 3, &steps, |step| step.grad_norm);
    curve
        .pieces
        .iter()
        .any(|piece| !piece.is_empty())
        .then(|| LineChart {
            log: true,
            ..chart(
                "Gradient norm before clipping (logarithmic)",
                vec![curve],
                steps.len(),
            )
        })
}

fn speed(log: &RunLog) -> LineChart {
    let steps: Vec<&StepRecord> = log.steps.iter().collect();
    let curve = series("samples a second", 2, &steps, |step| {
        (step.seconds > 0.0).then(|| step.samples as f64 / step.seconds)
    });
    chart("Samples a second", vec![curve], steps.len())
}

/// How far scheduled wires have moved from ground truth to prediction.
fn shares(log: &RunLog) -> Option<LineChart> {
    let steps: Vec<&StepRecord> = log.steps.iter().collect();
    let wires: BTreeSet<&String> = steps.iter().flat_map(|step| step.shares.keys()).collect();
    let curves: Vec<Series> = wires
        .into_iter()
        .enumerate()
        .map(|(colour, wire)| {
            series(wire.as_str(), colour, &steps, |s| {
                s.shares.get(wire).copied()
            })
        })
        .collect();
    (!curves.is_empty()).then(|| LineChart {
        percent: true,
        smoothing: None,
        ..chart("Share of predictions on scheduled wires", curves, 0)
    })
}

/// Scores over the steps, one chart a metric, where there is more than one point.
pub(super) fn evaluations(log: &RunLog) -> Option<Section> {
    let metrics: BTreeSet<&String> = log
        .evaluations
        .iter()
        .flat_map(|e| e.scores.keys())
        .collect();
    // The total of one objective is that objective.
    let is_twin = |name: &&String| {
        name.as_str() == "total" && log.evaluations.iter().all(|e| repeats(&e.scores, "total"))
    };
    let metrics = metrics.into_iter().filter(|name| !is_twin(name));
    let mut metrics: Vec<Metric> = metrics.map(|name| Metric::of(name)).collect();
    metrics.sort_by_key(|metric| !metric.percent);
    let charts: Vec<_> = metrics
        .iter()
        .filter_map(|metric| score_chart(log, metric))
        .collect();
    let figures = charts
        .into_iter()
        .filter_map(|chart| Some(figure(chart.title.clone(), chart.svg()?)));
    let section = Section::new("scores", "Scores over time");
    let figures: Vec<_> = figures.collect();
    (!figures.is_empty()).then(|| {
        section
            .lead("Rings mark the best so far by the watched score.")
            .with(grid(figures))
    })
}

/// Whether another score has the same value.
fn repeats(scores: &BTreeMap<String, f64>, name: &str) -> bool {
    let value = scores.get(name);
    value.is_none()
        || scores
            .iter()
            .any(|(other, score)| other != name && Some(score) == value)
}

fn score_chart(log: &RunLog, metric: &Metric) -> Option<LineChart> {
    let sets: BTreeSet<&String> = log.evaluations.iter().map(|e| &e.data).collect();
    let mut all = Vec::new();
    for (colour, data) in sets.into_iter().enumerate() {
        let mut pieces: BTreeMap<usize, Vec<(f64, f64)>> = BTreeMap::new();
        let mut best = None;
        for evaluation in log.evaluations.iter().filter(|e| e.data == *data) {
            let Some(&score) = evaluation.scores.get(&metric.name) else {
                continue;
            };
            let stage = log.stages.iter().position(|s| s.name == evaluation.stage);
            let x = evaluation.global_step as f64;
            pieces
                .entry(stage.unwrap_or(0))
                .or_default()
                .push((x, score));
            if evaluation.best && score.is_finite() {
                best = Some(Mark {
                    x,
                    y: score,
                    text: format!(
                        "best: {} at step {}",
                        metric.format(score),
                        evaluation.global_step
                    ),
                });
            }
        }
        all.push(Series {
            name: data.clone(),
            pieces: pieces.into_values().collect(),
            marks: best.into_iter().collect(),
            colour,
        });
    }
    // What is scored at the ends of stages alone stands in the table of stages.
    let within = all
        .iter()
        .flat_map(|s| &s.pieces)
        .any(|piece| piece.len() > 1);
    within.then(|| LineChart {
        percent: metric.percent,
        smoothing: None,
        bands: bands(log),
        ..chart(metric.label.clone(), all, 0)
    })
}
