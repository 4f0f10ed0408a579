//! A recurrent decoder that attends before each of its steps.
//!
//! Shapes: input `[B, U, input]` and memory `[B, T, M]`, both padded at the end with a length a row;
//! states `[B, U, hidden]`, attended `[B, U, size]` or `[B, U, M]`, weights `[B, U, T]`.
//!
//! Bahdanau, Cho and Bengio 2015: `a_t = softmax(score(h_{t-1}, memory))`, `c_t = a_t · memory`,
//! `h_t = cell([x_t; c_t], h_{t-1})`. Layers above the first are plain ones over its states. What comes
//! out may be merged, `tanh(W [c_t; s_t])` with the last layer's state `s_t` (Luong et al. 2015, equation
//! 5).

use crate::attention::{Attention, AttentionOptions};
use crate::init::Init;
use crate::mode::Mode;
use crate::recurrent::{Cell, Direction, Recurrent, RecurrentOptions, RecurrentState};
use burn::module::Module;
use burn::tensor::Tensor;
use conjoin_kernels::linear::{Activation, linear};
use conjoin_kernels::rnn::attentive::{self, Memory, Weights, attentive};

/// The shape and behaviour of an [`AttentiveDecoder`].
#[derive(Debug, Clone, PartialEq)]
pub struct AttentiveOptions {
    /// LSTM or GRU.
    pub cell: AttentiveCell,
    /// Features of the input.
    pub input: usize,
    pub layers: usize,
    /// Probability of dropping an element of the states between two layers.
    pub dropout: f64,
    /// Every layer begins with the given state, not the first one alone.
    pub initial_everywhere: bool,
    /// How the first layer attends; its queries are the states, so `query` is their size.
    pub attention: AttentionOptions,
}

/// The recurrence of an [`AttentiveDecoder`].
#[derive(
    Debug,
    Clone,
    Copy,
    Default,
    PartialEq,
    Eq,
    serde::Serialize,
    serde::Deserialize,
    schemars::JsonSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum AttentiveCell {
    /// Long short-term memory.
    #[default]
    Lstm,
    /// Gated recurrent unit; the reset gate acts after the product with the state.
    Gru,
}

impl AttentiveCell {
    fn cell(self) -> Cell {
        match self {
            Self::Lstm => Cell::Lstm,
            Self::Gru => Cell::Gru,
        }
    }

    fn kernel(self) -> attentive::Cell {
        match self {
            Self::Lstm => attentive::Cell::Lstm,
            Self::Gru => attentive::Cell::Gru,
        }
    }
}

impl AttentiveOptions {
    fn hidden(&self) -> usize {
        self.attention.query
    }

    /// One layer that reads `input` features.
    fn recurrent(&self, input: usize, layers: usize) -> RecurrentOptions {
        RecurrentOptions {
            cell: self.cell.cell(),
            input,
            hidden: self.hidden(),
            layers,
            bidirectional: false,
            dropout: self.dropout,
            reset_after: true,
            initial_everywhere: self.initial_everywhere,
        }
    }

    /// Multiply-adds for `steps` positions over a memory of `time` positions, of one sample, times two.
    pub fn flops(&self, steps: f64, time: f64) -> f64 {
        let (hidden, gates) = (self.hidden() as f64, self.cell.cell().gates() as f64);
        let layer = |input: usize| 2.0 * steps * gates * hidden * (input as f64 + hidden);
        let upper = (self.layers - 1) as f64 * layer(self.hidden());
        let first = layer(self.input + self.attention.memory);
        first + upper + Attention::flops(&self.attention, steps, time)
    }
}

/// What a decoder looks at.
#[derive(Debug, Clone)]
pub struct AttentiveMemory<'a> {
    /// `[B, T, M]`
    pub values: Tensor<3>,
    /// [`Attention::keys`] of it, where they are known.
    pub keys: Option<Tensor<3>>,
    /// Valid positions of each row.
    pub lengths: &'a [usize],
}

/// What a decoder makes of whole sequences.
#[derive(Debug, Clone)]
pub struct AttentiveOutput {
    /// The last layer's states, `[B, U, hidden]`, zero behind each row's length.
    pub states: Tensor<3>,
    /// `[B, U, size]`, or the contexts `[B, U, M]` without merging.
    pub attended: Tensor<3>,
    /// `[B, U, T]`
    pub weights: Tensor<3>,
}

/// A stack whose first layer attends before each step.
#[derive(Module, Debug)]
pub struct AttentiveDecoder {
    attention: Attention,
    /// Reads the input and the context, side by side.
    first: Direction,
    upper: Option<Recurrent>,
    #[module(skip)]
    cell: AttentiveCell,
    dropout: f64,
    initial_everywhere: bool,
}

impl AttentiveDecoder {
    pub fn new(init: &Init, options: &AttentiveOptions) -> Self {
        let read = options.input + options.attention.memory;
        let above = options.recurrent(options.hidden(), options.layers - 1);
        Self {
            attention: Attention::new(&init.child("attention"), &options.attention),
            first: Direction::new(&init.child("first"), read, &options.recurrent(read, 1)),
            upper: (options.layers > 1).then(|| Recurrent::new(&init.child("upper"), &above)),
            cell: options.cell,
            dropout: options.dropout,
            initial_everywhere: options.initial_everywhere,
        }
    }

    /// The given state for the layers above the first.
    fn above(&self, initial: Option<Tensor<2>>) -> Option<Tensor<2>> {
        initial.filter(|_| self.initial_everywhere)
    }

    /// What the score needs of the memory; see [`Attention::keys`].
    pub fn keys(&self, memory: &Tensor<3>) -> Option<Tensor<3>> {
        self.attention.keys(memory)
    }

    /// Runs whole sequences. `initial` `[B, hidden]` is the state before the first position, of the
    /// first layer or of all; other states, and an LSTM's cells, begin with zeros.
    pub fn forward(
        &self,
        x: Tensor<3>,
        initial: Option<Tensor<2>>,
        memory: AttentiveMemory<'_>,
        lengths: &[usize],
        mode: &mut Mode,
    ) -> AttentiveOutput {
        let ([rows, steps, input], hidden) = (x.dims(), self.first.hidden());
        let weights = self.first.weights();
        let [wide, read] = weights.weight_ih.dims();
        let h0 = initial.clone();
        let h0 = h0.unwrap_or_else(|| Tensor::zeros([rows, hidden], &x.device()));
        let c0 = (self.cell == AttentiveCell::Lstm).then(|| h0.zeros_like());
        let from_x = weights.weight_ih.clone().narrow(1, 0, input);
        let pre = linear(
            x.reshape([rows * steps, input]),
            from_x,
            Some(weights.bias_ih),
            Activation::None,
        );
        let (score, keys) = self.attention.before_steps(&memory.values);
        let found = attentive(
            self.cell.kernel(),
            pre.reshape([rows, steps, wide]),
            h0,
            c0,
            Memory {
                keys,
                values: memory.values,
                lengths: memory.lengths,
            },
            score,
            Weights {
                context: weights.weight_ih.narrow(1, input, read - input),
                state: weights.weight_hh,
                bias: weights.bias_hh,
            },
            lengths,
        );
        let states = match &self.upper {
            Some(upper) => {
                let below = mode.dropout(found.states, self.dropout);
                upper
                    .forward(below, self.above(initial), lengths, mode)
                    .states
            }
            None => found.states,
        };
        AttentiveOutput {
            attended: self.attention.merge(found.contexts, states.clone()),
            states,
            weights: found.weights,
        }
    }

    /// The state before the first position, for the rows of `like` `[B, ..]`.
    pub fn initial_state(&self, initial: Option<Tensor<2>>, like: &Tensor<2>) -> RecurrentState {
        let [rows, _] = like.dims();
        let zeros = || Tensor::zeros([rows, self.first.hidden()], &like.device());
        let first = self.first.begin(initial.clone().unwrap_or_else(zeros));
        let mut layers = vec![first];
        if let Some(upper) = &self.upper {
            layers.extend(upper.initial_state(self.above(initial), like).layers);
        }
        RecurrentState { layers }
    }

    /// Runs one position, `[B, input]`; the output's tensors have one position. `U` steps equal one
    /// forward pass in evaluation.
    pub fn step(
        &self,
        x: Tensor<2>,
        state: RecurrentState,
        memory: AttentiveMemory<'_>,
        mode: &mut Mode,
    ) -> (AttentiveOutput, RecurrentState) {
        let mut before = state.layers.into_iter();
        let begun = before
            .next()
            .unwrap_or_else(|| self.initial_state(None, &x).layers.swap_remove(0));
        let query = begun.hidden.clone().unsqueeze_dim(1);
        let AttentiveMemory {
            values,
            keys,
            lengths,
        } = memory;
        let (context, weights) = self.attention.look(query, values, keys, lengths);
        let read = Tensor::cat(vec![x, context.clone().squeeze_dim(1)], 1);
        let first = self.first.step(read, begun);
        let mut top = first.hidden.clone();
        let mut layers = vec![first];
        if let Some(upper) = &self.upper {
            let below = mode.dropout(top, self.dropout);
            let before = RecurrentState {
                layers: before.collect(),
            };
            layers.extend(upper.step(below, before, mode).layers);
            top = layers[layers.len() - 1].hidden.clone();
        }
        let states = top.unsqueeze_dim::<3>(1);
        let output = AttentiveOutput {
            attended: self.attention.merge(context, states.clone()),
            states,
            weights,
        };
        (output, RecurrentState { layers })
    }
}
