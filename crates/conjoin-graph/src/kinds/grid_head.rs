//! Node kind `grid-head`: a map `[B, X, Y, C]` and a state `[B, D]` to numbers for each cell `[B, X, Y, K]`.

use super::grid::map_port;
use super::shared::{at_least_one, contract, init, known, mode, optional, record};
use crate::node::{
    Context, Forward, Inputs, Node, NodeConfig, NodeError, Outputs, Scope, Stepping,
};
use crate::port::{Bound, InputPort, OutputPort, Want};
use burn::module::Module;
use conjoin_data::{Contract, Meaning};
use conjoin_kernels::activation::{Activation, activate};
use conjoin_nn::{GridHead, GridHeadOptions};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A 3x3 convolution with batch normalisation and ReLU, then an affine map of each cell (the heads of Zhou
/// et al. 2019, "Objects as Points"). Where the vehicle's own state is wired, each cell knows it: what cameras see of a
/// motion is relative to their own. `values` are plain numbers, to regress or as logits; `probability` is
/// their sigmoid.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct GridHeadConfig {
    /// Numbers for each cell.
    pub channels: usize,
    /// Channels between the two layers.
    #[serde(default = "default_hidden")]
    pub hidden: usize,
    /// The probability before training, between 0 and 1; 0.1 for the heat of a few boxes on many cells.
    #[serde(default = "default_prior")]
    pub prior: f64,
    /// What the plain numbers are in, such as `m`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub units: Option<String>,
}

fn default_hidden() -> usize {
    32
}

fn default_prior() -> f64 {
    0.5
}

impl GridHeadConfig {
    fn options(&self, inputs: &Bound) -> Result<GridHeadOptions, NodeError> {
        Ok(GridHeadOptions {
            input: known(inputs, "C")?,
            state: inputs.size("D").unwrap_or(0),
            hidden: self.hidden,
            channels: self.channels,
            prior: self.prior,
        })
    }
}

#[derive(Module, Debug)]
struct GridHeadNode {
    head: GridHead,
}

impl NodeConfig for GridHeadConfig {
    fn inputs(&self) -> Vec<InputPort> {
        let about = "features of each cell";
        vec![
            map_port("features", about, &[Meaning::Features], Want::Known("C")),
            InputPort::new(
                "state",
                "numbers of the vehicle that each cell gets to know, such as its speed",
                &[Meaning::Quantity],
                &[Want::Any("B"), Want::Known("D")],
            )
            .optional(),
        ]
    }

    fn outputs(&self, inputs: &Bound) -> Result<Vec<OutputPort>, NodeError> {
        at_least_one("channels", self.channels)?;
        at_least_one("hidden", self.hidden)?;
        if !(self.prior > 0.0 && self.prior < 1.0) {
            return Err(NodeError::Options(format!(
                "prior: expected a number between 0 and 1, found {}",
                self.prior
            )));
        }
        let dims = [
            inputs.dim("B"),
            inputs.dim("X"),
            inputs.dim("Y"),
            self.channels.into(),
        ];
        let mut values = Contract::new(Meaning::Quantity, dims);
        values
            .frame
            .clone_from(&contract(inputs, "features")?.frame);
        let probability = values.clone().with_range((0.0, 1.0));
        values.units.clone_from(&self.units);
        Ok(vec![
            OutputPort::new("values", "plain numbers of each cell", values),
            OutputPort::new("probability", "the sigmoid of each number", probability),
        ])
    }

    fn init(&self, inputs: &Bound, scope: &Scope) -> Result<Box<dyn Node>, NodeError> {
        let head = GridHead::new(&init(scope).child("head"), self.options(inputs)?);
        Ok(Box::new(GridHeadNode { head }))
    }

    fn flops(&self, inputs: &Bound, _: &dyn Fn(&str) -> usize) -> f64 {
        let cells = inputs.size("X").unwrap_or(0) * inputs.size("Y").unwrap_or(0);
        self.options(inputs)
            .map_or(0.0, |options| options.flops(cells as f64))
    }

    /// A map has no time to step along.
    fn stepping(&self) -> Stepping {
        Stepping::No
    }
}

impl Forward for GridHeadNode {
    fn forward(&self, inputs: &Inputs, context: &mut Context) -> Result<Outputs, NodeError> {
        let mut mode = mode(context);
        let (features, state) = (inputs.tensor("features")?, optional(inputs, "state")?);
        let values = self.head.forward(features, state, &mut mode);
        record(mode, context);
        let probability = activate(values.clone(), Activation::Sigmoid);
        Ok(Outputs::one("values", values).and("probability", probability))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kinds::shared::testing::{bind, build, inputs, options, random, refusal};

    fn map() -> Contract {
        let dims = ["B".into(), 4.into(), 5.into(), 3.into()];
        Contract::new(Meaning::Features, dims).with_frame("ground")
    }

    #[test]
    fn each_cell_has_its_numbers() {
        let config: GridHeadConfig = options(r#"{"channels": 2, "hidden": 6, "prior": 0.1}"#);
        let bound = bind(&config, &[("features", map())]);
        let ports = config.outputs(&bound).unwrap();
        for (port, name, range) in [
            (&ports[0], "values", None),
            (&ports[1], "probability", Some((0.0, 1.0))),
        ] {
            assert_eq!((port.name, port.contract.range), (name, range));
            assert_eq!(port.contract.shape_text(), "[B, 4, 5, 2]");
            assert_eq!(port.contract.frame.as_deref(), Some("ground"));
        }
        // The sigmoid of metres is no metres.
        let metres: GridHeadConfig = options(r#"{"channels": 1, "units": "m"}"#);
        let units = metres
            .outputs(&bind(&metres, &[("features", map())]))
            .unwrap();
        let units = [0, 1].map(|port: usize| units[port].contract.units.as_deref());
        assert_eq!(units, [Some("m"), None]);
        let flops = 2.0 * 20.0 * (27.0 * 6.0 + 6.0 * 2.0);
        assert_eq!(config.flops(&bound, &|_| 1), flops);
        let given = inputs([("features", random([2, 4, 5, 3]).into())]);
        let mut context = Context::training(1);
        let out = build(&config, &bound)
            .forward(&given, &mut context)
            .unwrap();
        let [values, probability] = ["values", "probability"].map(|port| out.0[port].to_f32());
        assert_eq!(values.len(), 2 * 4 * 5 * 2);
        for (x, p) in values.into_iter().zip(probability) {
            assert!((1.0 / (1.0 + (-x).exp()) - p).abs() < 1e-6);
        }
        assert_eq!(context.take_running().len(), 2);
    }

    #[test]
    fn a_state_changes_nothing_before_training() {
        let config: GridHeadConfig = options(r#"{"channels": 2, "hidden": 6}"#);
        let state = Contract::new(Meaning::Quantity, ["B".into(), 4.into()]);
        let bound = bind(&config, &[("features", map()), ("state", state)]);
        let flops = 2.0 * (20.0 * (27.0 * 6.0 + 6.0 * 2.0) + 4.0 * 6.0);
        assert_eq!(config.flops(&bound, &|_| 1), flops);
        let node = build(&config, &bound);
        let (features, state) = (random([2, 4, 5, 3]), random([2, 4]));
        let given = inputs([
            ("features", features.clone().into()),
            ("state", state.into()),
        ]);
        let with = node.forward(&given, &mut Context::evaluation()).unwrap();
        // The map of the state is zero before training.
        let bound = bind(&config, &[("features", map())]);
        let given = inputs([("features", features.into())]);
        let without = build(&config, &bound)
            .forward(&given, &mut Context::evaluation())
            .unwrap();
        assert_eq!(with.0["values"].to_f32(), without.0["values"].to_f32());
    }

    #[test]
    fn refuses_what_makes_no_sense() {
        for (text, start) in [
            (r#"{"channels": 0}"#, "channels: expected at least 1"),
            (r#"{"channels": 1, "hidden": 0}"#, "hidden: expected"),
            (
                r#"{"channels": 1, "prior": 1.0}"#,
                "prior: expected a number between 0 and 1, found 1",
            ),
        ] {
            let config: GridHeadConfig = options(text);
            let found = refusal(&config, &bind(&config, &[("features", map())]));
            assert!(found.starts_with(start), "{found}");
        }
    }
}
