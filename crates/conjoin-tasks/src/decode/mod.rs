//! Producing a sequence one token at a time over any graph.
//!
//! The route is split at the tokens column: what does not depend on it (an encoder) runs once, the
//! rest runs once a position with the state its nodes keep. No prefix is recomputed.
//!
//! Shapes: `N` rows, `V` vocabulary, `T` source positions.

mod beam;
mod greedy;

pub use beam::{BeamConfig, beam_search};
pub use greedy::greedy;

use burn::tensor::{DType, Device, Int, Tensor, TensorData};
use conjoin_graph::graph::GraphError;
use conjoin_graph::node::State;
use conjoin_graph::{Graph, Pass, PortRef, Route, Value, ValueError};
use std::collections::{BTreeMap, BTreeSet};

/// A failure while decoding.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    #[error(transparent)]
    Graph(#[from] GraphError),
    #[error("logits: {0}")]
    Value(#[from] ValueError),
}

/// One decoded sequence.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Hypothesis {
    /// Tokens without begin and end symbols.
    pub tokens: Vec<i64>,
    /// Natural-log probability of the tokens and, where it was reached, the end symbol.
    pub log_probability: f64,
    /// Whether the end symbol was produced within the length limit.
    pub finished: bool,
    /// Attention weights over the source, a row a token (the end symbol's last, if finished).
    pub alignment: Vec<Vec<f32>>,
}

/// What a decoder runs and which symbols it uses.
#[derive(Debug, Clone)]
pub struct DecoderSetup {
    /// The column that carries the tokens said so far.
    pub tokens: String,
    /// Port with `[N, 1, V]` logits after each step.
    pub logits: PortRef,
    /// Port with `[N, 1, T]` attention weights, if hypotheses should carry them.
    pub alignment: Option<PortRef>,
    pub bos: i64,
    pub eos: i64,
    /// Symbols that are never produced: padding, begin, unknown, mask.
    pub banned: Vec<i64>,
    /// Longest output in tokens, the end symbol included.
    pub max_length: usize,
}

/// A graph in the middle of producing sequences: one state a row.
struct Session<'a> {
    graph: &'a Graph,
    setup: &'a DecoderSetup,
    after: Route,
    columns: BTreeMap<String, Value>,
    known: BTreeMap<PortRef, Value>,
    states: BTreeMap<String, State>,
    device: Device,
}

/// Log-probabilities of the next token of each row, and attention weights if asked for.
struct StepOutput {
    /// `rows * vocabulary`, banned symbols at minus infinity.
    log_probabilities: Vec<f32>,
    vocabulary: usize,
    alignment: Option<Vec<Vec<f32>>>,
}

impl<'a> Session<'a> {
    /// Runs everything that does not depend on the tokens said so far.
    fn begin(
        graph: &'a Graph,
        route: &Route,
        columns: &BTreeMap<String, Value>,
        setup: &'a DecoderSetup,
        device: &Device,
    ) -> Result<Self, DecodeError> {
        let (before, after) = route.split_at_column(&setup.tokens);
        let outside = after.outside_ports();
        let trace = graph.forward(&before, columns, &Pass::default())?;
        let known = outside
            .iter()
            .map(|port| Ok((port.clone(), trace.get(port)?.clone())))
            .collect::<Result<_, GraphError>>()?;
        let read: BTreeSet<&str> = after.columns();
        let columns = columns
            .iter()
            .filter(|(name, _)| read.contains(name.as_str()) && **name != setup.tokens)
            .map(|(name, value)| (name.clone(), value.clone()))
            .collect();
        Ok(Self {
            graph,
            setup,
            after,
            columns,
            known,
            states: BTreeMap::new(),
            device: device.clone(),
        })
    }

    /// Feeds one token a row and returns what may follow.
    fn step(&mut self, tokens: &[i64]) -> Result<StepOutput, DecodeError> {
        let rows = tokens.len();
        let data = TensorData::new(tokens.to_vec(), [rows, 1]);
        let input = Tensor::<2, Int>::from_data(data, (&self.device, DType::I64));
        self.columns.insert(
            self.setup.tokens.clone(),
            Value::with_lengths(input, Some(vec![1; rows].into())),
        );
        let trace = self
            .graph
            .step(&self.after, &self.columns, &self.known, &mut self.states)?;
        let logits: Tensor<3> = trace.get(&self.setup.logits)?.tensor()?;
        let vocabulary = logits.dims()[2];
        let mut log_probabilities: Vec<f32> = logits.into_data().iter::<f32>().collect();
        for row in log_probabilities.chunks_exact_mut(vocabulary) {
            log_softmax(row, &self.setup.banned);
        }
        let alignment = match &self.setup.alignment {
            None => None,
            Some(port) => {
                let value = trace.get(port)?;
                let width = value.shape().last().copied().unwrap_or(1).max(1);
                let weights = value.to_f32();
                Some(weights.chunks(width).map(<[f32]>::to_vec).collect())
            }
        };
        Ok(StepOutput {
            log_probabilities,
            vocabulary,
            alignment,
        })
    }

    /// Keeps these rows, in this order; a row may be kept several times.
    fn select_rows(&mut self, rows: &[usize]) {
        for value in self.known.values_mut().chain(self.columns.values_mut()) {
            *value = value.clone().select_rows(rows);
        }
        for state in self.states.values_mut() {
            state.select_rows(rows);
        }
    }
}

/// In place, in f64 for the sum; banned symbols get no probability.
fn log_softmax(row: &mut [f32], banned: &[i64]) {
    for &symbol in banned {
        if let Some(logit) = usize::try_from(symbol).ok().and_then(|i| row.get_mut(i)) {
            *logit = f32::NEG_INFINITY;
        }
    }
    let largest = row.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let sum: f64 = row.iter().map(|&x| f64::from(x - largest).exp()).sum();
    let shift = largest + sum.ln() as f32;
    for logit in row {
        *logit -= shift;
    }
}

#[cfg(test)]
mod tests {
    use super::log_softmax;

    #[test]
    fn banned_symbols_get_no_probability_and_the_rest_sums_to_one() {
        let mut row = [1.0, 2.0, 100.0, -3.0];
        log_softmax(&mut row, &[2]);
        assert_eq!(row[2], f32::NEG_INFINITY);
        let sum: f32 = row.iter().map(|x| x.exp()).sum();
        assert!((sum - 1.0).abs() < 1e-6, "{sum}");
        assert!((row[1] - row[0] - 1.0).abs() < 1e-6);
    }
}
