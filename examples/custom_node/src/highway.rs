//! Node kind `highway`: features `[B, T, D]` to features of the same shape.
//!
//! `y = t * h(x) + (1 - t) * x` with `h(x) = relu(W x + b)` and the gate `t = sigmoid(V x + c)`
//! (Srivastava, Greff and Schmidhuber 2015, equation 3): where the gate is shut, the input passes
//! unchanged. Kim et al. 2016 put such a layer behind the vectors of letters.

use burn::module::Module;
use burn::tensor::Tensor;
use conjoin::graph::{
    Bound, Context, Forward, InputPort, Inputs, Meaning, Node, NodeConfig, NodeError, OutputPort,
    Outputs, Scope, Value, Want,
};
use conjoin_nn::{Activation, Init, Linear};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What a recipe says about a highway layer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct HighwayConfig {
    /// Added to the gate before its sigmoid; a negative number lets the input pass at first.
    #[serde(default = "default_bias")]
    pub gate_bias: f64,
}

fn default_bias() -> f64 {
    -1.0
}

#[derive(Module, Debug)]
struct Highway {
    map: Linear,
    gate: Linear,
    gate_bias: f64,
}

impl NodeConfig for HighwayConfig {
    fn inputs(&self) -> Vec<InputPort> {
        vec![InputPort::new(
            "features",
            "what is mapped or passed on",
            &[Meaning::Features],
            &[Want::Any("B"), Want::Any("T"), Want::Known("D")],
        )]
    }

    fn outputs(&self, inputs: &Bound) -> Result<Vec<OutputPort>, NodeError> {
        if !self.gate_bias.is_finite() {
            let found = self.gate_bias;
            let message = format!("gate_bias: expected a finite number, found {found}");
            return Err(NodeError::Options(message));
        }
        let contract = inputs
            .contract("features")
            .ok_or_else(|| NodeError::MissingInput("features".to_owned()))?;
        let about = "the features behind the layer";
        Ok(vec![OutputPort::new("features", about, contract.clone())])
    }

    fn init(&self, inputs: &Bound, scope: &Scope) -> Result<Box<dyn Node>, NodeError> {
        let size = size(inputs)?;
        let init = Init::new(&scope.device, scope.seed);
        let linear =
            |name, activation| Linear::new(&init.child(name), size, size, true, activation);
        Ok(Box::new(Highway {
            map: linear("map", Activation::Relu),
            gate: linear("gate", Activation::None),
            gate_bias: self.gate_bias,
        }))
    }

    /// Two square matrices at each position.
    fn flops(&self, inputs: &Bound, size_of: &dyn Fn(&str) -> usize) -> f64 {
        let positions = match inputs.dim("T") {
            conjoin::graph::Dim::Fixed(size) => size,
            conjoin::graph::Dim::Symbol(name) => size_of(&name),
        };
        let size = inputs.size("D").unwrap_or(0);
        2.0 * positions as f64 * Linear::flops(size, size)
    }
}

fn size(inputs: &Bound) -> Result<usize, NodeError> {
    inputs
        .size("D")
        .ok_or_else(|| NodeError::MissingInput("features".to_owned()))
}

impl Forward for Highway {
    fn forward(&self, inputs: &Inputs, _: &mut Context) -> Result<Outputs, NodeError> {
        let x: Tensor<3> = inputs.tensor("features")?;
        let lengths = inputs.get("features")?.lengths.clone();
        let open = burn::tensor::activation::sigmoid(self.gate.forward(x.clone()) + self.gate_bias);
        let mapped = self.map.forward(x.clone());
        let y = x.clone() + open * (mapped - x);
        Ok(Outputs::one("features", Value::with_lengths(y, lengths)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::{Device, Tolerance};
    use conjoin::graph::{Contract, NodeExtension};
    use serde_json::json;

    /// The layer's output for one position of two features, and its weights by path.
    fn run(gate_bias: f64, x: [f32; 2]) -> (Vec<f32>, impl Fn(&str) -> Vec<f32>) {
        let extension = NodeExtension::new::<HighwayConfig>("highway", "A highway layer.");
        let kind = extension.read(json!({ "gate_bias": gate_bias })).unwrap();
        let dims = ["B".into(), "T".into(), 2.into()];
        let contract = Contract::new(Meaning::Features, dims);
        let mut bound = Bound::default();
        bound
            .bind(&kind.inputs()[0], &contract, "data.features")
            .unwrap();
        assert_eq!(kind.outputs(&bound).unwrap()[0].contract, contract);

        let device = Device::flex();
        let scope = Scope {
            device: device.clone(),
            seed: 7,
        };
        let node = kind.init(&bound, &scope).unwrap();
        let mut inputs = Inputs::default();
        inputs.insert("features", Tensor::<3>::from_floats([[x]], &device).into());
        let outputs = node.forward(&inputs, &mut Context::evaluation()).unwrap();
        let y = outputs.0["features"].to_f32();
        let weights = move |path: &str| {
            let mut found = None;
            node.visit(&mut |param| {
                if param.path == path {
                    found = Some(param.value().to_f32());
                }
            });
            found.unwrap()
        };
        (y, weights)
    }

    #[test]
    fn output_is_that_of_the_equation() {
        let x = [0.5, -2.0];
        let (y, weights) = run(0.3, x);
        let product = |path: &str, row: usize| {
            let weight = weights(path);
            weight[2 * row] * x[0] + weight[2 * row + 1] * x[1]
        };
        let expected: Vec<f32> = (0..2)
            .map(|row| {
                let mapped = product("map.weight", row).max(0.0);
                let open = 1.0 / (1.0 + (-product("gate.weight", row) - 0.3).exp());
                open * mapped + (1.0 - open) * x[row]
            })
            .collect();
        let data = |values: Vec<f32>| burn::tensor::TensorData::new(values, [2]);
        data(y).assert_approx_eq::<f32>(&data(expected), Tolerance::absolute(1e-5));
    }

    #[test]
    fn a_shut_gate_lets_the_input_pass() {
        assert_eq!(run(-100.0, [0.5, -2.0]).0, [0.5, -2.0]);
    }
}
