//! Node kind `embedding`: tokens `[B, T]` to features `[B, T, size]`.

use super::shared::{at_least_one, dropout_probability, init, mode, vocabulary};
use crate::node::{Context, Forward, Inputs, Node, NodeConfig, NodeError, Outputs, Scope};
use crate::port::{Bound, InputPort, OutputPort, Want};
use crate::value::Value;
use burn::module::Module;
use conjoin_data::{Contract, Meaning};
use conjoin_nn::Embedding;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A trained vector for each symbol; the padding symbol's is zero.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct EmbeddingConfig {
    /// Features of a vector.
    pub size: usize,
    /// Probability of dropping a feature in training.
    #[serde(default)]
    pub dropout: f64,
}

#[derive(Module, Debug)]
struct EmbeddingNode {
    table: Embedding,
    dropout: f64,
}

impl NodeConfig for EmbeddingConfig {
    fn inputs(&self) -> Vec<InputPort> {
        vec![InputPort::new(
            "tokens",
            "symbols to look up",
            &[Meaning::Tokens],
            &[Want::Any("B"), Want::Any("T")],
        )]
    }

    fn outputs(&self, inputs: &Bound) -> Result<Vec<OutputPort>, NodeError> {
        at_least_one("size", self.size)?;
        dropout_probability(self.dropout)?;
        vocabulary(inputs, "tokens")?;
        let ragged = inputs.contract("tokens").is_some_and(|c| c.ragged);
        let dims = [inputs.dim("B"), inputs.dim("T"), self.size.into()];
        let contract = Contract::new(Meaning::Features, dims).with_ragged(ragged);
        let about = "one vector a symbol";
        Ok(vec![OutputPort::new("features", about, contract)])
    }

    fn init(&self, inputs: &Bound, scope: &Scope) -> Result<Box<dyn Node>, NodeError> {
        let vocabulary = vocabulary(inputs, "tokens")?;
        let init = init(scope).child("table");
        Ok(Box::new(EmbeddingNode {
            table: Embedding::new(&init, vocabulary.len(), self.size, vocabulary.pad),
            dropout: self.dropout,
        }))
    }

    /// A look-up multiplies nothing.
    fn flops(&self, _: &Bound, _: &dyn Fn(&str) -> usize) -> f64 {
        0.0
    }
}

impl Forward for EmbeddingNode {
    fn forward(&self, inputs: &Inputs, context: &mut Context) -> Result<Outputs, NodeError> {
        let tokens = inputs.tensor("tokens")?;
        let lengths = inputs.get("tokens")?.lengths.clone();
        let features = self.table.forward(tokens);
        let features = mode(context).dropout(features, self.dropout);
        Ok(Outputs::one(
            "features",
            Value::with_lengths(features, lengths),
        ))
    }
}
