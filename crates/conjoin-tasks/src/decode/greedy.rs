//! The most probable token at each position.

use super::{DecodeError, DecoderSetup, Hypothesis, Session};
use burn::tensor::Device;
use conjoin_graph::{Graph, Route, Value};
use std::collections::BTreeMap;

/// Decodes every row of a batch. Rows that reach the end symbol leave the batch.
pub fn greedy(
    graph: &Graph,
    route: &Route,
    columns: &BTreeMap<String, Value>,
    rows: usize,
    setup: &DecoderSetup,
    device: &Device,
) -> Result<Vec<Hypothesis>, DecodeError> {
    let mut done = vec![Hypothesis::default(); rows];
    if rows == 0 {
        return Ok(done);
    }
    let mut session = Session::begin(graph, route, columns, setup, device)?;
    let mut active: Vec<usize> = (0..rows).collect();
    let mut last = vec![setup.bos; rows];
    for _ in 0..setup.max_length {
        let output = session.step(&last)?;
        let mut kept = Vec::with_capacity(active.len());
        let mut next = Vec::with_capacity(active.len());
        for (position, &row) in active.iter().enumerate() {
            let at = position * output.vocabulary;
            let (token, log_probability) =
                most_probable(&output.log_probabilities[at..at + output.vocabulary]);
            let hypothesis = &mut done[row];
            hypothesis.log_probability += f64::from(log_probability);
            if let Some(alignment) = &output.alignment {
                hypothesis.alignment.push(alignment[position].clone());
            }
            if token == setup.eos {
                hypothesis.finished = true;
            } else {
                hypothesis.tokens.push(token);
                kept.push(position);
                next.push(token);
            }
        }
        if kept.is_empty() {
            break;
        }
        if kept.len() < active.len() {
            session.select_rows(&kept);
            active = kept.iter().map(|&position| active[position]).collect();
        }
        last = next;
    }
    Ok(done)
}

/// The first of the largest entries.
fn most_probable(row: &[f32]) -> (i64, f32) {
    let mut best = (0, f32::NEG_INFINITY);
    for (index, &value) in row.iter().enumerate() {
        if value > best.1 {
            best = (index as i64, value);
        }
    }
    best
}
