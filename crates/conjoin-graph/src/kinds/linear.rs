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
    #[serde(default = "super::shared::yes")]
    pub bias: bool,
    /// Probability of dropping an element of the output in training.
    #[serde(default)]
    pub dropout: f64,
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kinds::shared::testing::{bind, build, inputs, options, random, refusal};
    use crate::value::Value;
    use conjoin_data::Contract;

    fn features(dims: &[&str], last: usize) -> Contract {
        let dims = dims.iter().map(|dim| (*dim).into()).chain([last.into()]);
        Contract::new(Meaning::Features, dims)
    }

    #[test]
    fn maps_the_last_dimension_of_any_rank() {
        let config: LinearConfig = options(r#"{"size": 3, "activation": "relu"}"#);
        let bound = bind(&config, &[("features", features(&["B"], 5))]);
        let node = build(&config, &bound);
        let x = random([4, 5]);
        let run = |value: Value| {
            let inputs = inputs([("features", value)]);
            let mut out = node.forward(&inputs, &mut Context::evaluation()).unwrap();
            out.0.remove("features").unwrap()
        };
        let flat = run(x.clone().into());
        assert_eq!(flat.shape(), [4, 3]);
        assert!(flat.to_f32().iter().all(|v| *v >= 0.0));
        let lengths = Some([1, 2].into());
        let deep = run(Value::with_lengths(
            x.clone().reshape([2, 2, 5]),
            lengths.clone(),
        ));
        assert_eq!(deep.shape(), [2, 2, 3]);
        assert_eq!(deep.lengths, lengths);
        assert_eq!(deep.to_f32(), flat.to_f32());
        let map = run(x.reshape([1, 2, 2, 5]).into());
        assert_eq!(map.shape(), [1, 2, 2, 3]);
        assert_eq!(map.to_f32(), flat.to_f32());
    }

    #[test]
    fn contract_and_flops_count_every_position() {
        let config: LinearConfig = options(r#"{"size": 3}"#);
        let contract = features(&["B", "T"], 5).with_ragged(true);
        let bound = bind(&config, &[("features", contract)]);
        let output = &config.outputs(&bound).unwrap()[0].contract;
        assert_eq!(output.shape_text(), "[B, T, 3]");
        assert!(output.ragged);
        // 7 positions of 5 x 3 multiply-adds.
        assert_eq!(config.flops(&bound, &|_| 7), 2.0 * 7.0 * 15.0);
        let bound = bind(&config, &[("features", features(&["B"], 5))]);
        assert_eq!(config.flops(&bound, &|_| 7), 30.0);
    }

    #[test]
    fn refuses_an_output_without_features() {
        let config: LinearConfig = options(r#"{"size": 0}"#);
        let bound = bind(&config, &[("features", features(&["B"], 5))]);
        assert!(refusal(&config, &bound).starts_with("size:"));
    }
}
