//! Node kind `linear`: features `[B, .., D]` to features `[B, .., size]`.

use super::shared::{
    at_least_one, contract, dropout_probability, init, known, map_last, mode, positions, with_last,
};
use crate::node::{Context, Forward, Inputs, Node, NodeConfig, NodeError, Outputs, Scope};
use crate::port::{Bound, InputPort, OutputPort, Want};
use burn::module::Module;
use conjoin_data::Meaning;
use conjoin_nn::{Activation, Linear};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Affine map of the last dimension, then an activation, then dropout.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LinearConfig {
    /// Features of the output.
    pub size: usize,
    /// Function applied to each element of the output.
    #[serde(default)]
    pub activation: Activation,
    /// Add a trained vector before the activation.
    #[serde(default = "yes")]
    pub bias: bool,
    /// Probability of dropping an element of the output in training.
    #[serde(default)]
    pub dropout: f64,
}

fn yes() -> bool {
    true
}

#[derive(Module, Debug)]
struct LinearNode {
    map: Linear,
    dropout: f64,
}

impl NodeConfig for LinearConfig {
    fn inputs(&self) -> Vec<InputPort> {
        vec![InputPort::new(
            "features",
            "what is mapped",
            &[Meaning::Features, Meaning::Quantity, Meaning::Weights],
            &[Want::Any("B"), Want::Rest, Want::Known("D")],
        )]
    }

    fn outputs(&self, inputs: &Bound) -> Result<Vec<OutputPort>, NodeError> {
        at_least_one("size", self.size)?;
        dropout_probability(self.dropout)?;
        let contract = with_last(contract(inputs, "features")?, Meaning::Features, self.size);
        Ok(vec![OutputPort::new(
            "features",
            "the mapped features",
            contract,
        )])
    }

    fn init(&self, inputs: &Bound, scope: &Scope) -> Result<Box<dyn Node>, NodeError> {
        let init = init(scope).child("map");
        let input = known(inputs, "D")?;
        Ok(Box::new(LinearNode {
            map: Linear::new(&init, input, self.size, self.bias, self.activation),
            dropout: self.dropout,
        }))
    }

    fn flops(&self, inputs: &Bound, size: &dyn Fn(&str) -> usize) -> f64 {
        let rows = inputs
            .contract("features")
            .map_or(0.0, |contract| positions(contract, size));
        rows * Linear::flops(inputs.size("D").unwrap_or(0), self.size)
    }
}

impl Forward for LinearNode {
    fn forward(&self, inputs: &Inputs, context: &mut Context) -> Result<Outputs, NodeError> {
        let mut mode = mode(context);
        let features = map_last(inputs.get("features")?, "features", |x| {
            mode.dropout(self.map.forward(x), self.dropout)
        })?;
        Ok(Outputs::one("features", features))
    }
}
