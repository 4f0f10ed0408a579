//! Node kind `transformer-decoder`: a sequence `[B, U, D]` and, if wired, a memory `[B, T, M]` to
//! states `[B, U, D]` and, if asked for, weights `[B, U, T]`.

use super::shared::{contract, extent, init, known, mode, with_last};
use super::transformer::{check, epsilon, fits, hidden, length, relu, sequence};
use crate::node::{
    Context, Forward, Inputs, Node, NodeConfig, NodeError, Outputs, Scope, State, Stepping,
};
use crate::port::{Bound, InputPort, OutputPort, Want};
use crate::value::Value;
use burn::tensor::Tensor;
use conjoin_data::{Contract, Meaning};
use conjoin_nn::cache::Cache;
use conjoin_nn::transformer_decoder::position;
use conjoin_nn::{
    Activation, Decoded, DecoderLayerState, KeysValues, Memory, NormOrder, PositionKind,
    TransformerDecoder, TransformerOptions,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Layers of causal self-attention, attention over a memory, and feed-forward maps. Without a memory
/// wired, a language model.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TransformerDecoderConfig {
    /// Layers, each reading the states of the one below.
    pub layers: usize,
    /// Heads of attention, among which the input's features are split.
    pub heads: usize,
    /// Features inside the feed-forward sub-layer (default: four times those of the input).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hidden: Option<usize>,
    /// Function inside the feed-forward sub-layer.
    #[serde(default = "relu")]
    pub activation: Activation,
    /// Normalise what a sub-layer reads ("pre") or its sum with what it gives ("post").
    #[serde(default)]
    pub norm: NormOrder,
    /// Normalise the last layer's states (default: with norm = "pre").
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub final_norm: Option<bool>,
    /// Normalise the input with its positions before the first layer, as BERT and BART do.
    #[serde(default)]
    pub embedding_norm: bool,
    /// What every normalisation adds to the variance.
    #[serde(default = "epsilon")]
    pub norm_epsilon: f64,
    /// How positions are told apart.
    #[serde(default)]
    pub positions: PositionKind,
    /// Learned positions only: how many there are; a longer sequence is an error.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_length: Option<usize>,
    /// Probability of dropping, in training, an element of the input with its positions, of a
    /// sub-layer's output, inside the feed-forward sub-layer, and a weight of attention.
    #[serde(default)]
    pub dropout: f64,
    /// Give the weights of the last layer's attention over the memory, on average over its heads, as
    /// output "weights".
    #[serde(default)]
    pub weights: bool,
}

impl TransformerDecoderConfig {
    /// The module's options for the inputs at hand, or what does not fit.
    fn options(&self, inputs: &Bound) -> Result<TransformerOptions, NodeError> {
        let size = known(inputs, "D")?;
        let options = TransformerOptions {
            size,
            layers: self.layers,
            heads: self.heads,
            hidden: hidden(self.hidden, size),
            activation: self.activation,
            order: self.norm,
            final_norm: self.final_norm.unwrap_or(self.norm == NormOrder::Pre),
            embedding_norm: self.embedding_norm,
            norm_epsilon: self.norm_epsilon,
            dropout: self.dropout,
            positions: self.positions,
            max_length: self.max_length.unwrap_or(0),
        };
        check(&options, self.max_length)?;
        Ok(options)
    }
}

impl NodeConfig for TransformerDecoderConfig {
    fn inputs(&self) -> Vec<InputPort> {
        let memory = InputPort::new(
            "memory",
            "what every position may look at, such as an encoder's states; nothing if not wired",
            &[Meaning::Features],
            &[Want::Any("B"), Want::Any("T"), Want::Known("M")],
        );
        vec![sequence("U"), memory.optional()]
    }

    fn outputs(&self, inputs: &Bound) -> Result<Vec<OutputPort>, NodeError> {
        let options = self.options(inputs)?;
        let sequence = contract(inputs, "sequence")?;
        let states = with_last(sequence, Meaning::Features, options.size);
        let about = "last layer's state at each position";
        let mut outputs = vec![OutputPort::new("states", about, states)];
        if self.weights && inputs.contract("memory").is_some() {
            let dims = [inputs.dim("B"), inputs.dim("U"), inputs.dim("T")];
            let weights = Contract::new(Meaning::Weights, dims).with_ragged(sequence.ragged);
            let about = "share of each memory position in the last layer's attention";
            outputs.push(OutputPort::new("weights", about, weights));
        }
        Ok(outputs)
    }

    fn init(&self, inputs: &Bound, scope: &Scope) -> Result<Box<dyn Node>, NodeError> {
        let options = self.options(inputs)?;
        let memory = inputs.size("M");
        Ok(Box::new(TransformerDecoder::new(
            &init(scope),
            &options,
            memory,
            self.weights,
        )))
    }

    /// A position sees itself and those before it.
    fn flops(&self, inputs: &Bound, size: &dyn Fn(&str) -> usize) -> f64 {
        let time = extent(&inputs.dim("U"), size);
        let memory = inputs
            .size("M")
            .map(|features| (extent(&inputs.dim("T"), size), features));
        self.options(inputs).map_or(0.0, |options| {
            options.flops(time, time * (time + 1.0) / 2.0, memory)
        })
    }

    fn stepping(&self) -> Stepping {
        Stepping::Stateful
    }
}

/// A memory and the valid positions of each row.
type States = (Tensor<3>, Arc<[usize]>);

/// The memory, where it is wired.
fn memory(inputs: &Inputs) -> Result<Option<States>, NodeError> {
    match inputs.find("memory") {
        None => Ok(None),
        Some(value) => Ok(Some((inputs.tensor("memory")?, value.row_lengths()))),
    }
}

fn seen<'a>(states: &'a Tensor<3>, lengths: &'a [usize]) -> Memory<'a> {
    Memory {
        states,
        lengths,
        mask: None,
    }
}

fn outputs(decoded: Decoded, lengths: Option<Arc<[usize]>>) -> Outputs {
    let states = Value::with_lengths(decoded.states, lengths.clone());
    let outputs = Outputs::one("states", states);
    match decoded.weights {
        Some(weights) => outputs.and("weights", Value::with_lengths(weights, lengths)),
        None => outputs,
    }
}

/// The node is the module itself, so that its parameters are named as PyTorch's are.
impl Forward for TransformerDecoder {
    fn forward(&self, inputs: &Inputs, context: &mut Context) -> Result<Outputs, NodeError> {
        let sequence = inputs.get("sequence")?;
        fits(length(sequence), self.limit())?;
        let memory = memory(inputs)?;
        let decoded = TransformerDecoder::forward(
            self,
            inputs.tensor("sequence")?,
            &sequence.row_lengths(),
            memory
                .as_ref()
                .map(|(states, lengths)| seen(states, lengths)),
            &mut mode(context),
        );
        Ok(outputs(decoded, sequence.lengths.clone()))
    }

    /// The state holds, a layer, keys and values `[B, C, D]` of the positions so far, with room for
    /// more, and those of the memory, `[B, T, D]`, from the first step on.
    fn step(
        &self,
        inputs: &Inputs,
        state: &mut State,
        context: &mut Context,
    ) -> Result<Outputs, NodeError> {
        let sequence = inputs.get("sequence")?;
        let memory = memory(inputs)?;
        let mut layers = unpack(state)?;
        fits(position(&layers) + length(sequence), self.limit())?;
        let decoded = TransformerDecoder::step(
            self,
            inputs.tensor("sequence")?,
            &mut layers,
            memory
                .as_ref()
                .map(|(states, lengths)| seen(states, lengths)),
            &mut mode(context),
        );
        pack(layers, state);
        Ok(outputs(decoded, sequence.lengths.clone()))
    }
}

/// Takes the layers' caches out of a state, so that nobody else holds them and they can grow in
/// place; nothing before the first step.
fn unpack(state: &mut State) -> Result<Vec<DecoderLayerState>, NodeError> {
    let mut layers = Vec::new();
    while let Some((own, length)) = take(&mut state.prefix, layers.len(), "own")? {
        let memory = take(&mut state.source, layers.len(), "memory")?;
        layers.push(DecoderLayerState {
            own: Cache {
                content: own,
                length,
            },
            memory: memory.map(|(memory, _)| memory),
        });
    }
    Ok(layers)
}

/// Keys and values of one layer, and how many positions are filled.
fn take(
    values: &mut BTreeMap<String, Value>,
    layer: usize,
    whose: &str,
) -> Result<Option<(KeysValues, usize)>, NodeError> {
    let mut filled = 0;
    let mut take = |what: &str| -> Result<Option<Tensor<3>>, NodeError> {
        let name = name(layer, whose, what);
        let Some(value) = values.remove(&name) else {
            return Ok(None);
        };
        filled = value
            .lengths
            .as_ref()
            .and_then(|lengths| lengths.first().copied())
            .unwrap_or(0);
        let tensor = Tensor::try_from(value.payload);
        tensor
            .map(Some)
            .map_err(|source| NodeError::Input { port: name, source })
    };
    let (keys, values) = (take("keys")?, take("values")?);
    let both = keys.zip(values);
    Ok(both.map(|(keys, values)| (KeysValues { keys, values }, filled)))
}

/// Puts the caches back: those of the sequence by prefix, those of the memory by source.
fn pack(layers: Vec<DecoderLayerState>, state: &mut State) {
    for (index, layer) in layers.into_iter().enumerate() {
        let Cache { content, length } = layer.own;
        put(&mut state.prefix, index, "own", content, Some(length));
        if let Some(memory) = layer.memory {
            put(&mut state.source, index, "memory", memory, None);
        }
    }
}

fn put(
    values: &mut BTreeMap<String, Value>,
    layer: usize,
    whose: &str,
    content: KeysValues,
    filled: Option<usize>,
) {
    for (what, tensor) in [("keys", content.keys), ("values", content.values)] {
        let [rows, ..] = tensor.dims();
        let lengths = filled.map(|filled| vec![filled; rows].into());
        let value = Value::with_lengths(tensor, lengths);
        values.insert(name(layer, whose, what), value);
    }
}

fn name(layer: usize, whose: &str, what: &str) -> String {
    format!("layers.{layer}.{whose}.{what}")
}

#[cfg(test)]
mod tests;
