//! LSTM, GRU and plain RNN: layers, directions, dropout between layers, and one step at a time.
//!
//! Shapes: input `[B, T, input]`, states `[B, T, hidden * directions]`, last `[B, hidden *
//! directions]`; rows are padded at the end of T and carry a length each.
//!
//! LSTM: Hochreiter and Schmidhuber 1997 with the forget gate of Gers et al. 2000; gates stacked
//! as input, forget, cell, output. GRU: Cho et al. 2014; gates stacked as reset, update, new. RNN:
//! Elman 1990. Names and layouts of parameters are those of `torch.nn.LSTM`, `GRU` and `RNN`:
//! `layers.1.backward.weight_hh` here is `weight_hh_l1_reverse` there.

use crate::init::{Fill, Init};
use crate::mode::Mode;
use crate::sequence::{at, last_valid};
use crate::vanilla::{self, Weights};
use burn::module::{Module, Param};
use burn::tensor::Tensor;
use conjoin_kernels::rnn;

/// The recurrence of one layer.
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
pub enum Cell {
    /// Long short-term memory.
    #[default]
    Lstm,
    /// Gated recurrent unit.
    Gru,
    /// No gates: the hyperbolic tangent of input and state (Elman 1990).
    Rnn,
}

impl Cell {
    /// Matrices stacked in one weight.
    pub fn gates(self) -> usize {
        match self {
            Self::Lstm => 4,
            Self::Gru => 3,
            Self::Rnn => 1,
        }
    }
}

/// The shape and behaviour of a stack.
#[derive(Debug, Clone, PartialEq)]
pub struct RecurrentOptions {
    pub cell: Cell,
    /// Features of the input.
    pub input: usize,
    /// Features of one direction's state.
    pub hidden: usize,
    pub layers: usize,
    pub bidirectional: bool,
    /// Probability of dropping an element of the states between two layers.
    pub dropout: f64,
    /// GRU only: the reset gate acts on the product with the state (cuDNN, PyTorch) rather than on
    /// the state itself (Cho et al. 2014).
    pub reset_after: bool,
    /// Every layer begins with the given state, not the first one alone.
    pub initial_everywhere: bool,
}

/// One layer in one direction.
#[derive(Module, Debug)]
pub struct Direction {
    /// `[gates * hidden, input]`
    weight_ih: Param<Tensor<2>>,
    /// `[gates * hidden, hidden]`
    weight_hh: Param<Tensor<2>>,
    /// `[gates * hidden]`
    bias_ih: Param<Tensor<1>>,
    /// `[gates * hidden]`
    bias_hh: Param<Tensor<1>>,
    #[module(skip)]
    cell: Cell,
    reset_after: bool,
}

impl Direction {
    /// Input weights Xavier, recurrent weights orthogonal gate by gate, biases zero but for the
    /// LSTM's forget gate, which begins open (Jozefowicz et al. 2015).
    pub(crate) fn new(init: &Init, input: usize, options: &RecurrentOptions) -> Self {
        let (hidden, blocks) = (options.hidden, options.cell.gates());
        let rows = blocks * hidden;
        let fill_ih = Fill::XavierUniform {
            fan_in: input,
            fan_out: hidden,
        };
        let fill_bias = match options.cell {
            Cell::Lstm => Fill::Block {
                block: 1,
                blocks,
                value: 1.0,
            },
            Cell::Gru | Cell::Rnn => Fill::Constant(0.0),
        };
        Self {
            weight_ih: init.param("weight_ih", [rows, input], fill_ih),
            weight_hh: init.param("weight_hh", [rows, hidden], Fill::Orthogonal { blocks }),
            bias_ih: init.param("bias_ih", [rows], fill_bias),
            bias_hh: init.param("bias_hh", [rows], Fill::Constant(0.0)),
            cell: options.cell,
            reset_after: options.reset_after,
        }
    }

    pub(crate) fn hidden(&self) -> usize {
        self.weight_hh.lazy_shape()[1]
    }

    pub(crate) fn weights(&self) -> Weights {
        Weights {
            weight_ih: self.weight_ih.val(),
            weight_hh: self.weight_hh.val(),
            bias_ih: self.bias_ih.val(),
            bias_hh: self.bias_hh.val(),
        }
    }

    /// `[B, T, input]` to the states `[B, T, hidden]`, zero behind each row's length.
    fn forward(
        &self,
        x: Tensor<3>,
        initial: Tensor<2>,
        lengths: &[usize],
        reverse: bool,
    ) -> Tensor<3> {
        let (w_ih, w_hh) = (self.weight_ih.val(), self.weight_hh.val());
        let (b_ih, b_hh) = (self.bias_ih.val(), self.bias_hh.val());
        match self.cell {
            Cell::Lstm => {
                let memory = initial.zeros_like();
                let bias = b_ih + b_hh;
                rnn::lstm(x, initial, memory, w_ih, w_hh, bias, lengths, reverse)
            }
            Cell::Gru => rnn::gru(
                x,
                initial,
                w_ih,
                w_hh,
                b_ih,
                b_hh,
                lengths,
                reverse,
                self.reset_after,
            ),
            Cell::Rnn => vanilla::forward(x, initial, self.weights(), lengths, reverse),
        }
    }

    /// The state before the first step; an LSTM's cell begins with zeros.
    pub(crate) fn begin(&self, hidden: Tensor<2>) -> LayerState {
        let memory = (self.cell == Cell::Lstm).then(|| hidden.zeros_like());
        LayerState { hidden, memory }
    }

    /// `[B, input]` and the state before to the state after.
    pub(crate) fn step(&self, x: Tensor<2>, state: LayerState) -> LayerState {
        let (w_ih, w_hh) = (self.weight_ih.val(), self.weight_hh.val());
        let (b_ih, b_hh) = (self.bias_ih.val(), self.bias_hh.val());
        let LayerState { hidden, memory } = state;
        match memory {
            Some(memory) => {
                let (hidden, memory) = rnn::lstm_step(x, hidden, memory, w_ih, w_hh, b_ih + b_hh);
                LayerState {
                    hidden,
                    memory: Some(memory),
                }
            }
            None if self.cell == Cell::Rnn => LayerState {
                hidden: vanilla::step(x, hidden, self.weights()),
                memory: None,
            },
            None => LayerState {
                hidden: rnn::gru_step(x, hidden, w_ih, w_hh, b_ih, b_hh, self.reset_after),
                memory: None,
            },
        }
    }
}

/// One layer: forward in time and, in a bidirectional stack, backward.
#[derive(Module, Debug)]
pub struct Layer {
    forward: Direction,
    backward: Option<Direction>,
}

impl Layer {
    /// `[B, T, input]` to `[B, T, hidden * directions]`, directions side by side.
    fn forward(&self, x: Tensor<3>, initial: Tensor<2>, lengths: &[usize]) -> Tensor<3> {
        let Some(backward) = &self.backward else {
            return self.forward.forward(x, initial, lengths, false);
        };
        let forward = &self.forward;
        let ahead = forward.forward(x.clone(), initial.clone(), lengths, false);
        let back = backward.forward(x, initial, lengths, true);
        Tensor::cat(vec![ahead, back], 2)
    }
}

/// State of one layer after a step.
#[derive(Debug, Clone)]
pub struct LayerState {
    /// `[B, hidden]`
    pub hidden: Tensor<2>,
    /// `[B, hidden]`, the LSTM's cell; `None` for the others.
    pub memory: Option<Tensor<2>>,
}

/// State of all layers after a step.
#[derive(Debug, Clone)]
pub struct RecurrentState {
    pub layers: Vec<LayerState>,
}

/// What a stack makes of whole sequences.
#[derive(Debug, Clone)]
pub struct RecurrentOutput {
    /// `[B, T, hidden * directions]`, zero behind each row's length.
    pub states: Tensor<3>,
    /// `[B, hidden * directions]`: the last layer's state after the last valid position, and of
    /// the backward direction after the first.
    pub last: Tensor<2>,
}

/// A stack of recurrent layers.
#[derive(Module, Debug)]
pub struct Recurrent {
    layers: Vec<Layer>,
    dropout: f64,
    initial_everywhere: bool,
}

impl Recurrent {
    pub fn new(init: &Init, options: &RecurrentOptions) -> Self {
        let directions = 1 + usize::from(options.bidirectional);
        let layers = (0..options.layers)
            .map(|index| {
                let init = init.child("layers").child(&index.to_string());
                let input = match index {
                    0 => options.input,
                    _ => options.hidden * directions,
                };
                let direction = |name| Direction::new(&init.child(name), input, options);
                Layer {
                    forward: direction("forward"),
                    backward: options.bidirectional.then(|| direction("backward")),
                }
            })
            .collect();
        Self {
            layers,
            dropout: options.dropout,
            initial_everywhere: options.initial_everywhere,
        }
    }

    /// The given state for a layer that has it, and zeros for the others.
    fn initial(&self, index: usize, given: Option<&Tensor<2>>, zeros: Tensor<2>) -> Tensor<2> {
        let has = index == 0 || self.initial_everywhere;
        given.filter(|_| has).cloned().unwrap_or(zeros)
    }

    /// Runs whole sequences. `initial` `[B, hidden]` is the state before the first position, in both
    /// directions, of the first layer or of all; all other states begin with zeros.
    pub fn forward(
        &self,
        x: Tensor<3>,
        initial: Option<Tensor<2>>,
        lengths: &[usize],
        mode: &mut Mode,
    ) -> RecurrentOutput {
        let [rows, _, _] = x.dims();
        let device = x.device();
        let mut states = x;
        let mut bidirectional = false;
        for (index, layer) in self.layers.iter().enumerate() {
            if index > 0 {
                states = mode.dropout(states, self.dropout);
            }
            let zeros = Tensor::zeros([rows, layer.forward.hidden()], &device);
            let before = self.initial(index, initial.as_ref(), zeros);
            states = layer.forward(states, before, lengths);
            bidirectional = layer.backward.is_some();
        }
        let mut last = last_valid(states.clone(), lengths);
        if bidirectional {
            let [_, size] = last.dims();
            let back = at(states.clone(), 0).narrow(1, size / 2, size / 2);
            last = Tensor::cat(vec![last.narrow(1, 0, size / 2), back], 1);
        }
        RecurrentOutput { states, last }
    }

    /// The state before the first position, for `rows` rows; the device is that of `like`.
    pub fn initial_state(&self, initial: Option<Tensor<2>>, like: &Tensor<2>) -> RecurrentState {
        let [rows, _] = like.dims();
        let layers = self
            .layers
            .iter()
            .enumerate()
            .map(|(index, layer)| {
                let zeros = || Tensor::zeros([rows, layer.forward.hidden()], &like.device());
                let hidden = self.initial(index, initial.as_ref(), zeros());
                layer.forward.begin(hidden)
            })
            .collect();
        RecurrentState { layers }
    }

    /// Runs one position, `[B, input]`, through a stack of one direction; the output is the last
    /// layer's hidden state. `T` steps equal one forward pass in evaluation. The backward direction
    /// of a bidirectional stack is left out: callers do not step such a stack.
    pub fn step(&self, x: Tensor<2>, state: RecurrentState, mode: &mut Mode) -> RecurrentState {
        debug_assert!(
            self.layers.iter().all(|layer| layer.backward.is_none()),
            "the backward direction needs positions that a step does not have"
        );
        let mut input = x;
        let mut layers = Vec::with_capacity(self.layers.len());
        for (index, (layer, before)) in self.layers.iter().zip(state.layers).enumerate() {
            if index > 0 {
                input = mode.dropout(input, self.dropout);
            }
            let after = layer.forward.step(input, before);
            input = after.hidden.clone();
            layers.push(after);
        }
        RecurrentState { layers }
    }
}
