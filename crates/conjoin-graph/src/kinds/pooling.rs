//! Node kind `pooling`: a sequence `[B, T, D]` to one vector a row `[B, D]`.

use super::shared::{contract, extent, known};
use crate::node::{
    Context, Forward, Inputs, Node, NodeConfig, NodeError, Outputs, Scope, Stepping,
};
use crate::port::{Bound, InputPort, OutputPort, Want};
use burn::module::Module;
use burn::tensor::Tensor;
use conjoin_data::{Contract, Meaning};
use conjoin_nn::sequence::{Pooling, pool};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// One vector of a sequence's valid positions.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PoolingConfig {
    /// Which vector.
    #[serde(default)]
    pub take: Pooling,
}

#[derive(Module, Debug)]
struct PoolingNode {
    #[module(skip)]
    take: Pooling,
}

impl NodeConfig for PoolingConfig {
    fn inputs(&self) -> Vec<InputPort> {
        vec![InputPort::new(
            "sequence",
            "features along time",
            &[Meaning::Features, Meaning::Quantity],
            &[Want::Any("B"), Want::Any("T"), Want::Known("D")],
        )]
    }

    fn outputs(&self, inputs: &Bound) -> Result<Vec<OutputPort>, NodeError> {
        let dims = [inputs.dim("B"), known(inputs, "D")?.into()];
        let contract = Contract::new(Meaning::Features, dims);
        Ok(vec![OutputPort::new(
            "features",
            "one vector a row",
            contract,
        )])
    }

    fn init(&self, _: &Bound, _: &Scope) -> Result<Box<dyn Node>, NodeError> {
        Ok(Box::new(PoolingNode { take: self.take }))
    }

    /// Sums and comparisons, one an element; picking a position costs nothing.
    fn flops(&self, inputs: &Bound, size: &dyn Fn(&str) -> usize) -> f64 {
        if matches!(self.take, Pooling::First | Pooling::Last) {
            return 0.0;
        }
        contract(inputs, "sequence").map_or(0.0, |contract| {
            contract.dims[1..]
                .iter()
                .map(|dim| extent(dim, size))
                .product()
        })
    }

    /// Every position of the sequence counts.
    fn stepping(&self) -> Stepping {
        Stepping::No
    }
}

impl Forward for PoolingNode {
    fn forward(&self, inputs: &Inputs, _: &mut Context) -> Result<Outputs, NodeError> {
        let sequence: Tensor<3> = inputs.tensor("sequence")?;
        let [rows, time, _] = sequence.dims();
        let lengths = inputs.get("sequence")?.lengths.clone();
        let lengths = lengths.map_or_else(|| vec![time; rows], |lengths| lengths.to_vec());
        Ok(Outputs::one(
            "features",
            pool(sequence, &lengths, self.take),
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kinds::shared::testing::{bind, build, inputs, options};
    use crate::value::Value;
    use burn::tensor::Device;

    fn pooled(take: &str) -> Vec<f32> {
        let config: PoolingConfig = options(&format!(r#"{{"take": "{take}"}}"#));
        let dims = ["B".into(), "T".into(), 2.into()];
        let contract = Contract::new(Meaning::Features, dims).with_ragged(true);
        let bound = bind(&config, &[("sequence", contract)]);
        assert_eq!(
            config.outputs(&bound).unwrap()[0].contract.shape_text(),
            "[B, 2]"
        );
        let x = [
            [[1.0, -2.0], [3.0, 5.0], [5.0, 0.0]],
            [[4.0, -1.0], [2.0, -3.0], [99.0, 99.0]],
        ];
        let x = Tensor::<3>::from_data(x, &Device::flex());
        let value = Value::with_lengths(x, Some([3, 2].into()));
        let out = build(&config, &bound)
            .forward(&inputs([("sequence", value)]), &mut Context::evaluation())
            .unwrap();
        out.0["features"].to_f32()
    }

    #[test]
    fn only_valid_positions_count() {
        assert_eq!(pooled("mean"), [3.0, 1.0, 3.0, -2.0]);
        assert_eq!(pooled("max"), [5.0, 5.0, 4.0, -1.0]);
        assert_eq!(pooled("first"), [1.0, -2.0, 4.0, -1.0]);
        assert_eq!(pooled("last"), [5.0, 0.0, 2.0, -3.0]);
    }
}
