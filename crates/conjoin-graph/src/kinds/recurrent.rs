//! Node kind `recurrent`: a sequence `[B, T, D]` to states `[B, T, hidden * directions]` and the
//! final state `[B, hidden * directions]`.

use super::shared::{
    at_least_one, contract, dropout_probability, extent, init, initial_port, initial_state, known,
    mode,
};
use crate::node::{
    Context, Forward, Inputs, Node, NodeConfig, NodeError, Outputs, Scope, State, Stepping,
};
use crate::port::{Bound, InputPort, OutputPort, Want};
use crate::value::Value;
use burn::module::Module;
use burn::tensor::Tensor;
use conjoin_data::{Contract, Meaning};
use conjoin_nn::recurrent::LayerState;
use conjoin_nn::{Cell, Recurrent, RecurrentOptions, RecurrentState};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Recurrent layers over a sequence: LSTM, GRU or plain RNN. A decoder from a fixed context (Sutskever
/// et al. 2014; Cho et al. 2014) has that as its `initial` state, and at every position too with its
/// input `context`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RecurrentConfig {
    /// The recurrence; `rnn` is the plain one, without gates (Elman 1990).
    #[serde(default)]
    pub cell: Cell,
    /// Features of one direction's state.
    pub hidden: usize,
    /// Layers, each reading the states of the one below.
    #[serde(default = "one")]
    pub layers: usize,
    /// Run backward in time as well; such a node cannot run one step at a time.
    #[serde(default)]
    pub bidirectional: bool,
    /// Probability of dropping an element of the states between two layers in training.
    #[serde(default)]
    pub dropout: f64,
    /// GRU only: the reset gate acts after the product with the state, as in PyTorch (default), or
    /// before it, as published (Cho et al. 2014).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reset_after: Option<bool>,
    /// Which layers begin with the state at input `initial`; the others begin with zeros.
    #[serde(default)]
    pub initial: InitialLayers,
}

/// Layers that a given state is for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum InitialLayers {
    /// The lowest one.
    #[default]
    First,
    /// Every layer.
    All,
}

fn one() -> usize {
    1
}

impl RecurrentConfig {
    fn directions(&self) -> usize {
        1 + usize::from(self.bidirectional)
    }

    fn check(&self, inputs: &Bound) -> Result<(), NodeError> {
        at_least_one("hidden", self.hidden)?;
        at_least_one("layers", self.layers)?;
        dropout_probability(self.dropout)?;
        let refuse = |message: &str| Err(NodeError::Options(message.to_owned()));
        let found = match self.cell {
            Cell::Lstm => "lstm",
            Cell::Gru => "gru",
            Cell::Rnn => "rnn",
        };
        if self.cell != Cell::Gru && self.reset_after.is_some() {
            return refuse(&format!(
                "reset_after: expected only with cell = \"gru\", found with \"{found}\""
            ));
        }
        if self.layers == 1 && self.dropout > 0.0 {
            return refuse("dropout: acts between layers, expected layers of at least 2, found 1");
        }
        if self.bidirectional && inputs.contract("initial").is_some() {
            return refuse("input \"initial\": expected only with bidirectional = false");
        }
        Ok(())
    }
}

#[derive(Module, Debug)]
struct RecurrentNode {
    stack: Recurrent,
    bidirectional: bool,
    /// Features of the context; 0 where there is none.
    context: usize,
}

impl NodeConfig for RecurrentConfig {
    fn inputs(&self) -> Vec<InputPort> {
        let sequence = InputPort::new(
            "sequence",
            "features along time",
            &[Meaning::Features, Meaning::Quantity],
            &[Want::Any("B"), Want::Any("T"), Want::Known("D")],
        );
        let context = InputPort::new(
            "context",
            "read at every position next to the sequence; zeros if not wired here",
            &[Meaning::Features],
            &[Want::Any("B"), Want::Known("C")],
        );
        vec![sequence, initial_port(self.hidden), context.optional()]
    }

    fn outputs(&self, inputs: &Bound) -> Result<Vec<OutputPort>, NodeError> {
        self.check(inputs)?;
        let size = self.hidden * self.directions();
        let ragged = contract(inputs, "sequence")?.ragged;
        let dims = [inputs.dim("B"), inputs.dim("T"), size.into()];
        let states = Contract::new(Meaning::Features, dims).with_ragged(ragged);
        let last = Contract::new(Meaning::Features, [inputs.dim("B"), size.into()]);
        let about = "state of each direction behind its last valid position";
        Ok(vec![
            OutputPort::new("states", "last layer's state at each position", states),
            OutputPort::new("final", about, last),
        ])
    }

    fn init(&self, inputs: &Bound, scope: &Scope) -> Result<Box<dyn Node>, NodeError> {
        let context = inputs.size("C").unwrap_or(0);
        let options = RecurrentOptions {
            cell: self.cell,
            input: known(inputs, "D")? + context,
            hidden: self.hidden,
            layers: self.layers,
            bidirectional: self.bidirectional,
            dropout: self.dropout,
            reset_after: self.reset_after.unwrap_or(true),
            initial_everywhere: self.initial == InitialLayers::All,
        };
        Ok(Box::new(RecurrentNode {
            stack: Recurrent::new(&init(scope).child("stack"), &options),
            bidirectional: self.bidirectional,
            context,
        }))
    }

    /// Every gate multiplies the input and the state, in each layer, direction and position.
    fn flops(&self, inputs: &Bound, size: &dyn Fn(&str) -> usize) -> f64 {
        let directions = self.directions();
        let rows = self.cell.gates() * self.hidden;
        let columns = inputs.size("D").unwrap_or(0)
            + inputs.size("C").unwrap_or(0)
            + (self.layers - 1) * self.hidden * directions
            + self.layers * self.hidden;
        2.0 * extent(&inputs.dim("T"), size) * (directions * rows * columns) as f64
    }

    fn stepping(&self) -> Stepping {
        if self.bidirectional {
            Stepping::No
        } else {
            Stepping::Stateful
        }
    }
}

impl RecurrentNode {
    /// The sequence `[B, T, D]` with the context behind each position's features, `[B, T, D + C]`.
    fn sequence(&self, inputs: &Inputs) -> Result<Tensor<3>, NodeError> {
        let sequence: Tensor<3> = inputs.tensor("sequence")?;
        if self.context == 0 {
            return Ok(sequence);
        }
        let [rows, time, _] = sequence.dims();
        let shape = [rows, time, self.context];
        let context = if inputs.find("context").is_some() {
            let context: Tensor<2> = inputs.tensor("context")?;
            context.unsqueeze_dim::<3>(1).expand(shape)
        } else {
            Tensor::zeros(shape, &sequence.device())
        };
        Ok(Tensor::cat(vec![sequence, context], 2))
    }
}

impl Forward for RecurrentNode {
    fn forward(&self, inputs: &Inputs, context: &mut Context) -> Result<Outputs, NodeError> {
        let sequence = inputs.get("sequence")?;
        let output = self.stack.forward(
            self.sequence(inputs)?,
            initial_state(inputs)?,
            &sequence.row_lengths(),
            &mut mode(context),
        );
        let states = Value::with_lengths(output.states, sequence.lengths.clone());
        Ok(Outputs::one("states", states).and("final", output.last))
    }

    /// The state holds `hidden` and, for an LSTM, `memory`, both `[B, layers, hidden]`. `initial`
    /// is read at the first step.
    fn step(
        &self,
        inputs: &Inputs,
        state: &mut State,
        context: &mut Context,
    ) -> Result<Outputs, NodeError> {
        if self.bidirectional {
            return Err(NodeError::NotSteppable);
        }
        let x: Tensor<2> = self.sequence(inputs)?.squeeze_dim(1);
        let before = match unpack(state)? {
            Some(before) => before,
            None => self.stack.initial_state(initial_state(inputs)?, &x),
        };
        let after = self.stack.step(x, before, &mut mode(context));
        let last = pack(after, state);
        Ok(Outputs::one("states", last.clone().unsqueeze_dim::<3>(1)).and("final", last))
    }
}

/// The layers' states, or `None` before the first step.
pub(super) fn unpack(state: &State) -> Result<Option<RecurrentState>, NodeError> {
    let layers = |name: &'static str| -> Result<Option<Vec<Tensor<2>>>, NodeError> {
        let Some(value) = state.prefix.get(name) else {
            return Ok(None);
        };
        let stacked: Tensor<3> = value.tensor().map_err(|source| NodeError::Input {
            port: name.to_owned(),
            source,
        })?;
        Ok(Some(
            stacked
                .iter_dim(1)
                .map(|layer| layer.squeeze_dim(1))
                .collect(),
        ))
    };
    let Some(hidden) = layers("hidden")? else {
        return Ok(None);
    };
    let mut memory = layers("memory")?.into_iter().flatten();
    let layers = hidden
        .into_iter()
        .map(|hidden| LayerState {
            hidden,
            memory: memory.next(),
        })
        .collect();
    Ok(Some(RecurrentState { layers }))
}

/// Stores the layers' states; gives the last layer's hidden one.
pub(super) fn pack(after: RecurrentState, state: &mut State) -> Tensor<2> {
    let mut hidden = Vec::with_capacity(after.layers.len());
    let mut memory = Vec::with_capacity(after.layers.len());
    for layer in after.layers {
        hidden.push(layer.hidden);
        memory.extend(layer.memory);
    }
    let last = hidden[hidden.len() - 1].clone();
    state
        .prefix
        .insert("hidden".to_owned(), Tensor::stack::<3>(hidden, 1).into());
    if !memory.is_empty() {
        state
            .prefix
            .insert("memory".to_owned(), Tensor::stack::<3>(memory, 1).into());
    }
    last
}

#[cfg(test)]
mod tests;
