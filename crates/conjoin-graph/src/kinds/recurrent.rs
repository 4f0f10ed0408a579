//! Node kind `recurrent`: a sequence `[B, T, D]` to states `[B, T, hidden * directions]` and the
//! final state `[B, hidden * directions]`.

use super::shared::{at_least_one, contract, dropout_probability, extent, init, known, mode};
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

/// LSTM or GRU layers over a sequence.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RecurrentConfig {
    /// The recurrence.
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
        if self.cell == Cell::Lstm && self.reset_after.is_some() {
            return refuse("reset_after: expected only with cell = \"gru\", found with \"lstm\"");
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
}

impl NodeConfig for RecurrentConfig {
    fn inputs(&self) -> Vec<InputPort> {
        let sequence = InputPort::new(
            "sequence",
            "features along time",
            &[Meaning::Features, Meaning::Quantity],
            &[Want::Any("B"), Want::Any("T"), Want::Known("D")],
        );
        let initial = InputPort::new(
            "initial",
            "state of the first layer before the first position; zeros if not wired",
            &[Meaning::Features],
            &[Want::Any("B"), Want::Exactly(self.hidden)],
        );
        vec![sequence, initial.optional()]
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
        let options = RecurrentOptions {
            cell: self.cell,
            input: known(inputs, "D")?,
            hidden: self.hidden,
            layers: self.layers,
            bidirectional: self.bidirectional,
            dropout: self.dropout,
            reset_after: self.reset_after.unwrap_or(true),
        };
        Ok(Box::new(RecurrentNode {
            stack: Recurrent::new(&init(scope).child("stack"), &options),
            bidirectional: self.bidirectional,
        }))
    }

    /// Every gate multiplies the input and the state, in each layer, direction and position.
    fn flops(&self, inputs: &Bound, size: &dyn Fn(&str) -> usize) -> f64 {
        let directions = self.directions();
        let rows = self.cell.gates() * self.hidden;
        let columns = inputs.size("D").unwrap_or(0)
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
    fn initial(inputs: &Inputs) -> Result<Option<Tensor<2>>, NodeError> {
        match inputs.find("initial") {
            None => Ok(None),
            Some(_) => inputs.tensor("initial").map(Some),
        }
    }
}

impl Forward for RecurrentNode {
    fn forward(&self, inputs: &Inputs, context: &mut Context) -> Result<Outputs, NodeError> {
        let sequence = inputs.get("sequence")?;
        let output = self.stack.forward(
            inputs.tensor("sequence")?,
            Self::initial(inputs)?,
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
        let x: Tensor<3> = inputs.tensor("sequence")?;
        let x: Tensor<2> = x.squeeze_dim(1);
        let before = match unpack(state)? {
            Some(before) => before,
            None => self.stack.initial_state(Self::initial(inputs)?, &x),
        };
        let after = self.stack.step(x, before, &mut mode(context));
        let last = pack(after, state);
        Ok(Outputs::one("states", last.clone().unsqueeze_dim::<3>(1)).and("final", last))
    }
}

/// The layers' states, or `None` before the first step.
fn unpack(state: &State) -> Result<Option<RecurrentState>, NodeError> {
    let layers = |name: &'static str| -> Result<Option<Vec<Tensor<2>>>, NodeError> {
        let Some(value) = state.0.get(name) else {
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
fn pack(after: RecurrentState, state: &mut State) -> Tensor<2> {
    let mut hidden = Vec::with_capacity(after.layers.len());
    let mut memory = Vec::with_capacity(after.layers.len());
    for layer in after.layers {
        hidden.push(layer.hidden);
        memory.extend(layer.memory);
    }
    let last = hidden[hidden.len() - 1].clone();
    state
        .0
        .insert("hidden".to_owned(), Tensor::stack::<3>(hidden, 1).into());
    if !memory.is_empty() {
        state
            .0
            .insert("memory".to_owned(), Tensor::stack::<3>(memory, 1).into());
    }
    last
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kinds::shared::testing::{
        assert_close, bind, build, inputs, options, position, random, refusal,
    };

    fn sequence() -> Contract {
        let dims = ["B".into(), "T".into(), 3.into()];
        Contract::new(Meaning::Features, dims).with_ragged(true)
    }

    fn initial() -> Contract {
        Contract::new(Meaning::Features, ["B".into(), 5.into()])
    }

    #[test]
    fn contracts_and_lengths_of_both_directions() {
        let config: RecurrentConfig =
            options(r#"{"hidden": 5, "bidirectional": true, "cell": "gru"}"#);
        assert_eq!(config.stepping(), Stepping::No);
        let bound = bind(&config, &[("sequence", sequence())]);
        let outputs = config.outputs(&bound).unwrap();
        assert_eq!(outputs[0].contract.shape_text(), "[B, T, 10]");
        assert!(outputs[0].contract.ragged);
        assert_eq!(outputs[1].contract.shape_text(), "[B, 10]");

        let node = build(&config, &bound);
        let lengths = Some([4, 2].into());
        let value = Value::with_lengths(random([2, 4, 3]), lengths.clone());
        let inputs = inputs([("sequence", value)]);
        let out = node.forward(&inputs, &mut Context::evaluation()).unwrap();
        assert_eq!(out.0["states"].shape(), [2, 4, 10]);
        assert_eq!(out.0["states"].lengths, lengths);
        assert_eq!(out.0["final"].shape(), [2, 10]);
        let step = node.step(&inputs, &mut State::default(), &mut Context::evaluation());
        assert_eq!(step.unwrap_err(), NodeError::NotSteppable);
    }

    #[test]
    fn steps_equal_one_pass() {
        for cell in ["lstm", "gru"] {
            for wired in [false, true] {
                let text = format!(r#"{{"hidden": 5, "layers": 2, "cell": "{cell}"}}"#);
                let config: RecurrentConfig = options(&text);
                assert_eq!(config.stepping(), Stepping::Stateful);
                let mut contracts = vec![("sequence", sequence())];
                contracts.extend(wired.then(|| ("initial", initial())));
                let node = build(&config, &bind(&config, &contracts));
                let x: Value = random([2, 4, 3]).into();
                let before: Value = random([2, 5]).into();
                let given = |x: Value| {
                    let mut given = inputs([("sequence", x)]);
                    if wired {
                        given.insert("initial", before.clone());
                    }
                    given
                };
                let mut context = Context::evaluation();
                let whole = node.forward(&given(x.clone()), &mut context).unwrap();
                let mut state = State::default();
                for t in 0..4 {
                    let step = node
                        .step(&given(position(&x, t)), &mut state, &mut context)
                        .unwrap();
                    assert_close(&step.0["states"], &position(&whole.0["states"], t));
                }
                assert_eq!(state.0.len(), if cell == "lstm" { 2 } else { 1 });
            }
        }
    }

    #[test]
    fn a_step_goes_on_with_the_rows_that_were_picked() {
        let config: RecurrentConfig = options(r#"{"hidden": 5}"#);
        let node = build(&config, &bind(&config, &[("sequence", sequence())]));
        let mut context = Context::evaluation();
        let mut run = |x: Tensor<3>, state: &mut State| {
            let inputs = inputs([("sequence", x.into())]);
            node.step(&inputs, state, &mut context).unwrap().0["states"].clone()
        };
        let first = random([2, 1, 3]);
        let next: Tensor<3> = random([1, 1, 3]);
        let mut state = State::default();
        run(first.clone(), &mut state);
        state.select_rows(&[1, 0, 1]);
        let picked = run(next.clone().repeat_dim(0, 3), &mut state);
        let mut state = State::default();
        run(first.narrow(0, 1, 1), &mut state);
        let alone = run(next, &mut state);
        assert_close(&picked.clone().select_rows(&[0]), &alone);
        assert_close(&picked.select_rows(&[2]), &alone);
    }

    #[test]
    fn flops_of_two_layers_and_directions() {
        let config: RecurrentConfig =
            options(r#"{"hidden": 5, "layers": 2, "bidirectional": true}"#);
        let bound = bind(&config, &[("sequence", sequence())]);
        // A direction has 20 rows of weights: for 3 inputs and 5 states in the first layer, for 10
        // inputs and 5 states in the second.
        let position = 2 * (20 * (3 + 5)) + 2 * (20 * (10 + 5));
        assert_eq!(config.flops(&bound, &|_| 7), 2.0 * 7.0 * position as f64);
    }

    #[test]
    fn refuses_options_that_contradict_each_other() {
        let refused = |text: &str, contracts: &[(&str, Contract)]| {
            let config: RecurrentConfig = options(text);
            refusal(&config, &bind(&config, contracts))
        };
        let alone = [("sequence", sequence())];
        assert_eq!(
            refused(r#"{"hidden": 5, "reset_after": true}"#, &alone),
            "reset_after: expected only with cell = \"gru\", found with \"lstm\""
        );
        assert_eq!(
            refused(r#"{"hidden": 5, "dropout": 0.1}"#, &alone),
            "dropout: acts between layers, expected layers of at least 2, found 1"
        );
        assert_eq!(
            refused(
                r#"{"hidden": 5, "bidirectional": true}"#,
                &[("sequence", sequence()), ("initial", initial())]
            ),
            "input \"initial\": expected only with bidirectional = false"
        );
        assert!(refused(r#"{"hidden": 5, "layers": 0}"#, &alone).starts_with("layers:"));
    }

    #[test]
    fn parameters_have_pytorch_names_and_follow_the_seed() {
        let config: RecurrentConfig = options(r#"{"hidden": 5, "bidirectional": true}"#);
        let bound = bind(&config, &[("sequence", sequence())]);
        let read = || {
            let mut found = Vec::new();
            build(&config, &bound).visit(&mut |param| {
                found.push((param.path.to_owned(), param.value().to_f32()));
            });
            found
        };
        let params = read();
        assert_eq!(params[0].0, "stack.layers.0.forward.weight_ih");
        assert_eq!(params[7].0, "stack.layers.0.backward.bias_hh");
        assert_eq!(params, read());
    }
}
