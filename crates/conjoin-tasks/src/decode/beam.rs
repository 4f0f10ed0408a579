//! Beam search: the most probable sequences among those that a fixed number of prefixes leads to.

use super::{DecodeError, DecoderSetup, Hypothesis, Session};
use burn::tensor::Device;
use conjoin_graph::{Graph, Route, Value};
use std::collections::BTreeMap;

/// How wide and by what a beam search ranks.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct BeamConfig {
    /// Prefixes kept a row; at least 1.
    pub width: usize,
    /// A finished hypothesis is ranked by `log p / length^length_penalty`, the end symbol counted.
    pub length_penalty: f64,
}

impl BeamConfig {
    fn rank(&self, log_probability: f64, length: usize) -> f64 {
        log_probability / (length.max(1) as f64).powf(self.length_penalty)
    }
}

/// The prefixes and finished hypotheses of one row of the batch.
struct Row {
    live: Vec<Hypothesis>,
    finished: Vec<(f64, Hypothesis)>,
}

/// A continuation: rank by probability, from which live prefix, with which token.
struct Candidate {
    log_probability: f64,
    parent: usize,
    token: i64,
}

/// Decodes every row of a batch; returns for each row its hypotheses, best first (at most
/// `width`, at least one).
pub fn beam_search(
    graph: &Graph,
    route: &Route,
    columns: &BTreeMap<String, Value>,
    rows: usize,
    setup: &DecoderSetup,
    config: BeamConfig,
    device: &Device,
) -> Result<Vec<Vec<Hypothesis>>, DecodeError> {
    let mut beams: Vec<Row> = (0..rows)
        .map(|_| Row {
            live: vec![Hypothesis::default()],
            finished: Vec::new(),
        })
        .collect();
    if rows == 0 {
        return Ok(Vec::new());
    }
    let mut session = Session::begin(graph, route, columns, setup, device)?;
    for position in 0..setup.max_length {
        let last: Vec<i64> = beams
            .iter()
            .flat_map(|beam| &beam.live)
            .map(|hypothesis| hypothesis.tokens.last().copied().unwrap_or(setup.bos))
            .collect();
        let output = session.step(&last)?;
        let mut parents = Vec::new();
        let mut first = 0;
        for beam in &mut beams {
            let count = beam.live.len();
            let scores = &output.log_probabilities
                [first * output.vocabulary..(first + count) * output.vocabulary];
            let alignment = output.alignment.as_ref().map(|a| &a[first..first + count]);
            let kept = advance(beam, scores, output.vocabulary, alignment, setup, config);
            parents.extend(kept.into_iter().map(|parent| first + parent));
            first += count;
            if is_settled(beam, config, position + 1, setup.max_length) {
                parents.truncate(parents.len() - beam.live.len());
                let unfinished = std::mem::take(&mut beam.live);
                close(beam, unfinished, config);
            }
        }
        if parents.is_empty() {
            break;
        }
        session.select_rows(&parents);
    }
    Ok(beams
        .into_iter()
        .map(|mut beam| {
            let unfinished = std::mem::take(&mut beam.live);
            close(&mut beam, unfinished, config);
            beam.finished.truncate(config.width);
            beam.finished.into_iter().map(|(_, h)| h).collect()
        })
        .collect())
}

/// Extends the live prefixes of one row by one token; returns the parent of each new prefix.
fn advance(
    beam: &mut Row,
    scores: &[f32],
    vocabulary: usize,
    alignment: Option<&[Vec<f32>]>,
    setup: &DecoderSetup,
    config: BeamConfig,
) -> Vec<usize> {
    let mut candidates: Vec<Candidate> = Vec::with_capacity(beam.live.len() * vocabulary);
    for (parent, hypothesis) in beam.live.iter().enumerate() {
        let row = &scores[parent * vocabulary..(parent + 1) * vocabulary];
        candidates.extend(
            row.iter()
                .enumerate()
                .filter(|(_, score)| score.is_finite())
                .map(|(token, &score)| Candidate {
                    log_probability: hypothesis.log_probability + f64::from(score),
                    parent,
                    token: token as i64,
                }),
        );
    }
    // Twice the width, so that enough prefixes stay when all of the best ones end here.
    candidates.sort_by(|a, b| {
        b.log_probability
            .total_cmp(&a.log_probability)
            .then(a.parent.cmp(&b.parent))
            .then(a.token.cmp(&b.token))
    });
    candidates.truncate(2 * config.width);
    let mut live = Vec::with_capacity(config.width);
    let mut parents = Vec::with_capacity(config.width);
    for (place, candidate) in candidates.into_iter().enumerate() {
        if live.len() == config.width {
            break;
        }
        let mut hypothesis = beam.live[candidate.parent].clone();
        hypothesis.log_probability = candidate.log_probability;
        if let Some(alignment) = alignment {
            hypothesis
                .alignment
                .push(alignment[candidate.parent].clone());
        }
        if candidate.token == setup.eos {
            // An ending outside the best `width` would crowd out better ones found later.
            if place < config.width {
                hypothesis.finished = true;
                let length = hypothesis.tokens.len() + 1;
                let rank = config.rank(hypothesis.log_probability, length);
                beam.finished.push((rank, hypothesis));
            }
        } else {
            hypothesis.tokens.push(candidate.token);
            live.push(hypothesis);
            parents.push(candidate.parent);
        }
    }
    beam.finished.sort_by(|a, b| b.0.total_cmp(&a.0));
    beam.live = live;
    parents
}

/// Whether no live prefix can still enter the list of results.
fn is_settled(beam: &Row, config: BeamConfig, length: usize, max_length: usize) -> bool {
    if beam.live.is_empty() {
        return true;
    }
    if beam.finished.len() < config.width {
        return false;
    }
    let worst = beam.finished[config.width - 1].0;
    let best_live = beam.live[0].log_probability;
    // A log-probability only falls; dividing by the longest length is the most it can gain.
    let reachable = if config.length_penalty > 0.0 {
        max_length
    } else {
        length + 1
    };
    config.rank(best_live, reachable) <= worst
}

/// Adds prefixes that never ended, behind all finished hypotheses.
fn close(beam: &mut Row, unfinished: Vec<Hypothesis>, config: BeamConfig) {
    if beam.finished.is_empty() {
        let ranked = unfinished.into_iter().map(|hypothesis| {
            let length = hypothesis.tokens.len();
            (config.rank(hypothesis.log_probability, length), hypothesis)
        });
        beam.finished.extend(ranked);
    }
}
