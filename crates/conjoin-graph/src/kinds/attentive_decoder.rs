//! Node kind `attentive-decoder`: a sequence `[B, U, D]` and a memory `[B, T, M]` to states
//! `[B, U, hidden]`, attended features `[B, U, size]` and weights `[B, U, T]`.

use super::attention::Looked;
use super::recurrent::{InitialLayers, pack, unpack};
use super::shared::{
    at_least_one, contract, dropout_probability, extent, init, initial_port, initial_state, known,
    mode, with_last,
};
use crate::node::{
    Context, Forward, Inputs, Node, NodeConfig, NodeError, Outputs, Scope, State, Stepping,
};
use crate::port::{Bound, InputPort, OutputPort, Want};
use crate::value::Value;
use burn::module::Module;
use burn::tensor::Tensor;
use conjoin_data::{Contract, Meaning};
use conjoin_nn::{
    AttentiveCell, AttentiveDecoder, AttentiveMemory, AttentiveOptions, AttentiveOutput, Score,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Recurrent layers whose first attends over a memory before each step, with its state of the step
/// before, and reads what it found next to the sequence (Bahdanau et al. 2015).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AttentiveDecoderConfig {
    /// The recurrence, with gates; the plain one is `recurrent`'s alone.
    #[serde(default)]
    pub cell: AttentiveCell,
    /// Features of the state.
    pub hidden: usize,
    /// Layers, each reading the states of the one below; the first attends.
    #[serde(default = "one")]
    pub layers: usize,
    /// Probability of dropping an element of the states between two layers in training.
    #[serde(default)]
    pub dropout: f64,
    /// How well a state and a memory position match.
    #[serde(default = "additive")]
    pub score: Score,
    /// Additive score only: features of the space in which states and memory are compared
    /// (default: those of a state).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub common: Option<usize>,
    /// Merge what a step has read with the last layer's state, `tanh(W [c; s])`; otherwise what it has
    /// read comes out itself.
    #[serde(default = "super::shared::yes")]
    pub merge: bool,
    /// Features of the merged output (default: those of a state).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size: Option<usize>,
    /// Which layers begin with the state at input `initial`; the others begin with zeros.
    #[serde(default)]
    pub initial: InitialLayers,
}

fn one() -> usize {
    1
}

fn additive() -> Score {
    Score::Additive
}

impl AttentiveDecoderConfig {
    /// The module's options for the inputs at hand, or what does not fit.
    fn options(&self, inputs: &Bound) -> Result<AttentiveOptions, NodeError> {
        at_least_one("hidden", self.hidden)?;
        at_least_one("layers", self.layers)?;
        dropout_probability(self.dropout)?;
        if self.layers == 1 && self.dropout > 0.0 {
            return Err(NodeError::Options(
                "dropout: acts between layers, expected layers of at least 2, found 1".to_owned(),
            ));
        }
        let looked = Looked {
            score: self.score,
            common: self.common,
            merge: self.merge,
            size: self.size,
        };
        Ok(AttentiveOptions {
            cell: self.cell,
            input: known(inputs, "D")?,
            layers: self.layers,
            dropout: self.dropout,
            initial_everywhere: self.initial == InitialLayers::All,
            attention: looked.options(self.hidden, known(inputs, "M")?)?,
        })
    }
}

#[derive(Module, Debug)]
struct AttentiveNode {
    decoder: AttentiveDecoder,
}

impl NodeConfig for AttentiveDecoderConfig {
    fn inputs(&self) -> Vec<InputPort> {
        let sequence = InputPort::new(
            "sequence",
            "features along time",
            &[Meaning::Features, Meaning::Quantity],
            &[Want::Any("B"), Want::Any("U"), Want::Known("D")],
        );
        let memory = InputPort::new(
            "memory",
            "what is looked at, such as an encoder's states",
            &[Meaning::Features],
            &[Want::Any("B"), Want::Any("T"), Want::Known("M")],
        );
        vec![sequence, memory, initial_port(self.hidden)]
    }

    fn outputs(&self, inputs: &Bound) -> Result<Vec<OutputPort>, NodeError> {
        let options = self.options(inputs)?.attention;
        let sequence = contract(inputs, "sequence")?;
        let features = |size| with_last(sequence, Meaning::Features, size);
        let dims = [inputs.dim("B"), inputs.dim("U"), inputs.dim("T")];
        let weights = Contract::new(Meaning::Weights, dims).with_ragged(sequence.ragged);
        let size = options.merge.unwrap_or(options.memory);
        Ok(vec![
            OutputPort::new(
                "states",
                "last layer's state at each position",
                features(self.hidden),
            ),
            OutputPort::new("attended", "what each position has read", features(size)),
            OutputPort::new("weights", "share of each memory position", weights),
        ])
    }

    fn init(&self, inputs: &Bound, scope: &Scope) -> Result<Box<dyn Node>, NodeError> {
        let init = init(scope).child("decoder");
        Ok(Box::new(AttentiveNode {
            decoder: AttentiveDecoder::new(&init, &self.options(inputs)?),
        }))
    }

    fn flops(&self, inputs: &Bound, size: &dyn Fn(&str) -> usize) -> f64 {
        let steps = extent(&inputs.dim("U"), size);
        let time = extent(&inputs.dim("T"), size);
        self.options(inputs)
            .map_or(0.0, |options| options.flops(steps, time))
    }

    fn stepping(&self) -> Stepping {
        Stepping::Stateful
    }
}

/// The three ports, with the lengths of the sequence.
fn outputs(found: AttentiveOutput, inputs: &Inputs) -> Result<Outputs, NodeError> {
    let lengths = inputs.get("sequence")?.lengths.clone();
    let value = |tensor: Tensor<3>| Value::with_lengths(tensor, lengths.clone());
    Ok(Outputs::one("states", value(found.states))
        .and("attended", value(found.attended))
        .and("weights", value(found.weights)))
}

impl Forward for AttentiveNode {
    fn forward(&self, inputs: &Inputs, context: &mut Context) -> Result<Outputs, NodeError> {
        let memory = AttentiveMemory {
            values: inputs.tensor("memory")?,
            keys: None,
            lengths: &inputs.get("memory")?.row_lengths(),
        };
        let lengths = inputs.get("sequence")?.row_lengths();
        let (x, initial) = (inputs.tensor("sequence")?, initial_state(inputs)?);
        let mode = &mut mode(context);
        let found = self.decoder.forward(x, initial, memory, &lengths, mode);
        outputs(found, inputs)
    }

    /// The state holds `hidden` and, for an LSTM, `memory`, both `[B, layers, hidden]`, and with the
    /// additive score the projected memory, `keys` `[B, T, common]`. `initial` is read at the first step.
    fn step(
        &self,
        inputs: &Inputs,
        state: &mut State,
        context: &mut Context,
    ) -> Result<Outputs, NodeError> {
        let x: Tensor<2> = inputs.tensor::<Tensor<3>>("sequence")?.squeeze_dim(1);
        let values: Tensor<3> = inputs.tensor("memory")?;
        let before = match unpack(state)? {
            Some(before) => before,
            None => self.decoder.initial_state(initial_state(inputs)?, &x),
        };
        let keys = match state.source.get("keys") {
            Some(keys) => Some(keys.tensor().map_err(|source| NodeError::Input {
                port: "memory".to_owned(),
                source,
            })?),
            None => self.decoder.keys(&values),
        };
        if let Some(keys) = &keys {
            state.source.insert("keys".to_owned(), keys.clone().into());
        }
        let memory = AttentiveMemory {
            values,
            keys,
            lengths: &inputs.get("memory")?.row_lengths(),
        };
        let (found, after) = self.decoder.step(x, before, memory, &mut mode(context));
        pack(after, state);
        outputs(found, inputs)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kinds::shared::testing::{
        assert_close, bind, build, inputs, options, position, random, refusal,
    };

    fn bound(config: &AttentiveDecoderConfig, memory: usize) -> Bound {
        let ragged = |time: &str, size: usize| {
            let dims = ["B".into(), time.into(), size.into()];
            Contract::new(Meaning::Features, dims).with_ragged(true)
        };
        let initial = Contract::new(Meaning::Features, ["B".into(), config.hidden.into()]);
        let contracts = [
            ("sequence", ragged("U", 3)),
            ("memory", ragged("T", memory)),
            ("initial", initial),
        ];
        bind(config, &contracts)
    }

    #[test]
    fn steps_equal_one_pass() {
        for (cell, score, layers) in [
            ("lstm", "additive", 1),
            ("gru", "additive", 2),
            ("lstm", "general", 2),
            ("gru", "scaled-dot", 1),
        ] {
            let text = format!(
                r#"{{"cell": "{cell}", "score": "{score}", "layers": {layers}, "hidden": 4,
                    "initial": "all", "size": 6}}"#
            );
            let config: AttentiveDecoderConfig = options(&text);
            let node = build(&config, &bound(&config, 4));
            let sequence: Value = random([2, 3, 3]).into();
            let memory = Value::with_lengths(random([2, 5, 4]), Some([5, 2].into()));
            let begun: Value = random([2, 4]).into();
            let given = |sequence: Value| {
                let (memory, initial) = (memory.clone(), begun.clone());
                inputs([
                    ("sequence", sequence),
                    ("memory", memory),
                    ("initial", initial),
                ])
            };
            let mut context = Context::evaluation();
            let whole = node
                .forward(&given(sequence.clone()), &mut context)
                .unwrap();
            let mut state = State::default();
            for t in 0..3 {
                let step = node
                    .step(&given(position(&sequence, t)), &mut state, &mut context)
                    .unwrap();
                for port in ["states", "attended", "weights"] {
                    assert_close(&step.0[port], &position(&whole.0[port], t));
                }
            }
            assert_eq!(state.source.contains_key("keys"), score == "additive");
            assert_eq!(state.prefix.contains_key("memory"), cell == "lstm");
        }
    }

    #[test]
    fn contracts_follow_from_the_options() {
        let config: AttentiveDecoderConfig = options(r#"{"hidden": 4, "merge": false}"#);
        let outputs = config.outputs(&bound(&config, 5)).unwrap();
        let shapes: Vec<_> = outputs
            .iter()
            .map(|port| port.contract.shape_text())
            .collect();
        assert_eq!(shapes, ["[B, U, 4]", "[B, U, 5]", "[B, U, T]"]);
        assert_eq!(outputs[2].contract.meaning, Meaning::Weights);
    }

    #[test]
    fn flops_are_those_of_both_layers_and_of_attention() {
        let config: AttentiveDecoderConfig =
            options(r#"{"cell": "gru", "hidden": 4, "layers": 2, "merge": false}"#);
        let size = |name: &str| if name == "U" { 2 } else { 7 };
        // Each of 2 steps: 3 gates of 4 read 3 + 5 + 4 numbers, above them 4 + 4.
        let cells = 2.0 * 2.0 * (12.0 * 12.0 + 12.0 * 8.0);
        // States and memory to 4 features, products with v, and contexts.
        let attention = 2.0 * (2.0 * 16.0 + 7.0 * 20.0 + 14.0 * 4.0 + 14.0 * 5.0);
        assert_eq!(config.flops(&bound(&config, 5), &size), cells + attention);
    }

    #[test]
    fn refuses_options_that_do_not_fit() {
        let refused = |text: &str| {
            let config: AttentiveDecoderConfig = options(text);
            refusal(&config, &bound(&config, 5))
        };
        assert_eq!(
            refused(r#"{"hidden": 4, "score": "dot"}"#),
            "score: \"dot\" and \"scaled-dot\" expect queries and memory of one size, found 4 and 5; \
             \"general\" and \"additive\" take any"
        );
        assert_eq!(
            refused(r#"{"hidden": 4, "dropout": 0.1}"#),
            "dropout: acts between layers, expected layers of at least 2, found 1"
        );
        assert_eq!(
            refused(r#"{"hidden": 4, "score": "general", "common": 3}"#),
            "common: expected only with score = \"additive\""
        );
        assert!(refused(r#"{"hidden": 4, "layers": 0}"#).starts_with("layers:"));
        let unknown =
            serde_json::from_str::<AttentiveDecoderConfig>(r#"{"hidden": 4, "cell": "rnn"}"#);
        let message = unknown.unwrap_err().to_string();
        assert!(message.contains("expected `lstm` or `gru`"), "{message}");
    }
}
