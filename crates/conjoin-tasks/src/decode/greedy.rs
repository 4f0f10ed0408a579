//! One path a row: the most probable token at each position, or one drawn at random.

use super::guard::Guard;
use super::sampling::Draw;
use super::{DecodeError, DecoderSetup, Hypothesis, SearchConfig, Session};
use burn::tensor::Device;
use conjoin_graph::{Graph, Route, Value};
use std::collections::BTreeMap;

/// Decodes every row of a batch by the most probable token. Rows that reach the end symbol leave the
/// batch.
///
/// # Errors
/// The graph fails.
pub fn greedy(
    graph: &Graph,
    route: &Route,
    columns: &BTreeMap<String, Value>,
    rows: usize,
    setup: &DecoderSetup,
    search: &SearchConfig,
    device: &Device,
) -> Result<Vec<Hypothesis>, DecodeError> {
    let session = match rows {
        0 => return Ok(Vec::new()),
        _ => Session::begin(graph, route, columns, rows, setup, device)?,
    };
    walk(session, rows, setup, search, |_, _, scores| {
        most_probable(scores)
    })
}

/// Draws `search.sampling` many outputs for every row, the most probable first. `streams` names the
/// random numbers of each row.
///
/// # Errors
/// The graph fails.
pub fn sample(
    graph: &Graph,
    route: &Route,
    columns: &BTreeMap<String, Value>,
    streams: &[u64],
    setup: &DecoderSetup,
    search: &SearchConfig,
    device: &Device,
) -> Result<Vec<Vec<Hypothesis>>, DecodeError> {
    let sampling = search.sampling.clone().unwrap_or_default();
    let samples = sampling.samples.max(1);
    if streams.is_empty() {
        return Ok(Vec::new());
    }
    let mut session = Session::begin(graph, route, columns, streams.len(), setup, device)?;
    let each = (0..streams.len()).flat_map(|row| std::iter::repeat_n(row, samples));
    session.select_rows(&each.collect::<Vec<_>>());
    let mut draws: Vec<Draw> = streams
        .iter()
        .flat_map(|&stream| (0..samples).map(move |sample| (stream, sample)))
        .map(|(stream, sample)| Draw::new(&sampling, stream, sample))
        .collect();
    let all = walk(
        session,
        streams.len() * samples,
        setup,
        search,
        |row, position, scores| draws[row].token(scores, position),
    )?;
    let best_first = |hypotheses: &[Hypothesis]| {
        let mut sorted = hypotheses.to_vec();
        sorted.sort_by(|a, b| b.score.total_cmp(&a.score));
        sorted
    };
    Ok(all.chunks(samples).map(best_first).collect())
}

/// Extends every row by the token that `choose` picks for (row, position, log-probabilities), until
/// all have ended. A row for which nothing may follow stays unfinished.
fn walk(
    mut session: Session<'_>,
    rows: usize,
    setup: &DecoderSetup,
    search: &SearchConfig,
    mut choose: impl FnMut(usize, usize, &[f32]) -> Option<i64>,
) -> Result<Vec<Hypothesis>, DecodeError> {
    let guard = Guard::new(search, setup.eos);
    let mut done = vec![Hypothesis::default(); rows];
    let mut active: Vec<usize> = (0..rows).collect();
    let mut last = vec![setup.bos; rows];
    for position in 0..setup.max_length {
        let mut output = session.step(&last)?;
        let mut kept = Vec::with_capacity(active.len());
        let mut next = Vec::with_capacity(active.len());
        for (place, &row) in active.iter().enumerate() {
            let hypothesis = &mut done[row];
            if guard.acts(position) {
                guard.apply(output.scores_mut(place), position, &hypothesis.tokens);
            }
            let scores = output.scores(place);
            let Some(token) = choose(row, position, scores) else {
                continue;
            };
            hypothesis.log_probability += f64::from(scores[token as usize]);
            hypothesis.score = hypothesis.log_probability;
            let weights = output.alignment(place).map(<[f32]>::to_vec);
            hypothesis.alignment.extend(weights);
            if token == setup.eos {
                hypothesis.finished = true;
            } else {
                hypothesis.tokens.push(token);
                kept.push(place);
                next.push(token);
            }
        }
        if kept.is_empty() {
            break;
        }
        if kept.len() < active.len() {
            session.select_rows(&kept);
            active = kept.iter().map(|&place| active[place]).collect();
        }
        last = next;
    }
    Ok(done)
}

/// The first of the largest entries; none where nothing has any probability.
fn most_probable(scores: &[f32]) -> Option<i64> {
    let mut best = (None, f32::NEG_INFINITY);
    for (index, &value) in scores.iter().enumerate() {
        if value > best.1 {
            best = (Some(index as i64), value);
        }
    }
    best.0
}
