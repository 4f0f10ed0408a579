//! Producing a sequence one token at a time over any graph.
//!
//! The route is split at the tokens column: what does not depend on it (an encoder) runs once, the
//! rest runs once a position with the state its nodes keep. No prefix is recomputed, and what depends
//! on the source alone moves only when rows leave.
//!
//! Shapes: `N` rows, `V` vocabulary, `T` source positions.

mod beam;
mod greedy;
mod guard;
mod options;
mod prefix;
mod sampling;

pub use beam::{BeamConfig, beam_search};
pub use greedy::{greedy, sample};
pub use options::{EarlyStopping, LengthNormaliser, SamplingConfig, SearchConfig};
pub use sampling::stream_of;

pub(crate) use guard::forbid;

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
    /// What hypotheses are ranked by: the log-probability, in a beam search normalised by length and
    /// with the coverage penalty.
    pub score: f64,
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
    /// Symbols that are never produced, as [`conjoin_data::Vocabulary::unsaid`] gives them.
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
    /// The row of the batch that each row continues.
    sources: Vec<usize>,
    device: Device,
}

/// Log-probabilities of the next token of each row, and attention weights if asked for.
struct StepOutput {
    /// `rows * vocabulary`, banned symbols at minus infinity.
    log_probabilities: Vec<f32>,
    vocabulary: usize,
    /// `rows * width`
    alignment: Option<(Vec<f32>, usize)>,
}

impl StepOutput {
    /// Log-probabilities of one row, `[V]`.
    fn scores(&self, row: usize) -> &[f32] {
        &self.log_probabilities[row * self.vocabulary..(row + 1) * self.vocabulary]
    }

    fn scores_mut(&mut self, row: usize) -> &mut [f32] {
        &mut self.log_probabilities[row * self.vocabulary..(row + 1) * self.vocabulary]
    }

    /// Attention weights of one row, `[T]`.
    fn alignment(&self, row: usize) -> Option<&[f32]> {
        let (weights, width) = self.alignment.as_ref()?;
        weights.get(row * width..(row + 1) * width)
    }
}

impl<'a> Session<'a> {
    /// Runs everything that does not depend on the tokens said so far.
    fn begin(
        graph: &'a Graph,
        route: &Route,
        columns: &BTreeMap<String, Value>,
        rows: usize,
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
            sources: (0..rows).collect(),
            device: device.clone(),
        })
    }

    /// Valid positions of what each row attends to: of the ragged input, known beforehand, of the
    /// node that gives the attention weights.
    fn source_lengths(&self) -> Option<Vec<usize>> {
        let alignment = self.setup.alignment.as_ref()?;
        let known = self.after.sources_of(&alignment.node).find_map(|port| {
            let value = self.known.get(port)?;
            (value.shape().len() > 2).then_some(value)
        });
        Some(known?.row_lengths().to_vec())
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
        self.columns.remove(&self.setup.tokens);
        let logits: Tensor<3> = trace.get(&self.setup.logits)?.tensor()?;
        let vocabulary = logits.dims()[2];
        let mut log_probabilities: Vec<f32> = logits.into_data().iter::<f32>().collect();
        for row in log_probabilities.chunks_exact_mut(vocabulary) {
            for &symbol in &self.setup.banned {
                forbid(row, symbol);
            }
            log_softmax(row);
        }
        let alignment = match &self.setup.alignment {
            None => None,
            Some(port) => {
                let value = trace.get(port)?;
                let width = value.shape().last().copied().unwrap_or(1).max(1);
                Some((value.to_f32(), width))
            }
        };
        Ok(StepOutput {
            log_probabilities,
            vocabulary,
            alignment,
        })
    }

    /// Keeps these rows, in this order; a row may be kept several times. While every row goes on from
    /// the same source as the one in its place before, only what depends on the prefix moves.
    fn select_rows(&mut self, rows: &[usize]) {
        let count = self.sources.len();
        if rows.len() == count && rows.iter().copied().eq(0..count) {
            return;
        }
        let sources: Vec<usize> = rows.iter().map(|&row| self.sources[row]).collect();
        let moved = sources != self.sources;
        if moved {
            for value in self.known.values_mut().chain(self.columns.values_mut()) {
                *value = value.clone().select_rows(rows);
            }
        }
        for state in self.states.values_mut() {
            state.select_prefixes(rows);
            if moved {
                state.select_sources(rows);
            }
        }
        self.sources = sources;
    }
}

/// In place, in f64 for the sum; what stands at minus infinity gets no probability.
pub(crate) fn log_softmax(row: &mut [f32]) {
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
        super::guard::forbid(&mut row, 2);
        log_softmax(&mut row);
        assert_eq!(row[2], f32::NEG_INFINITY);
        let sum: f32 = row.iter().map(|x| x.exp()).sum();
        assert!((sum - 1.0).abs() < 1e-6, "{sum}");
        assert!((row[1] - row[0] - 1.0).abs() < 1e-6);
    }
}
