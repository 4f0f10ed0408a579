//! Node kind `light-head`: features `[B, .., D]` to the light that counts: logits `[B, K]` and
//! `[B, K + 1]`, the probabilities of its states and the distance to its stop line.

use super::shared::{at_least_one, contract, init, vocabulary};
use crate::node::{
    Context, Forward, Inputs, Node, NodeConfig, NodeError, Outputs, Scope, Stepping,
};
use crate::port::{Bound, InputPort, OutputPort, Want};
use burn::module::Module;
use burn::tensor::Tensor;
use burn::tensor::activation::{softmax, softplus};
use conjoin_data::{Contract, Dim, Meaning};
use conjoin_nn::{Activation, Linear};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A layer with ReLU over all features of a sample (those of several views behind each other), then a
/// logit a state and the distance, which is a softplus and so never negative.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LightHeadConfig {
    /// Channels between the two layers.
    #[serde(default = "default_hidden")]
    pub hidden: usize,
    /// Metres to which a softplus of 1 corresponds: about the distances that occur, so that they are
    /// learnt as fast as the states.
    #[serde(default = "default_scale")]
    pub scale: f64,
    /// The last so many views alone, `[B, V, .., D]`: those of now, where earlier ones come first [default: all].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub views: Option<usize>,
}

fn default_hidden() -> usize {
    32
}

fn default_scale() -> f64 {
    10.0
}

impl LightHeadConfig {
    /// Numbers that are read of a sample.
    fn features(&self, inputs: &Bound) -> Result<usize, NodeError> {
        let contract = contract(inputs, "features")?;
        let sizes: Option<Vec<usize>> = contract.dims[1..].iter().map(Dim::size).collect();
        let mut sizes = sizes.ok_or_else(|| {
            NodeError::Options(format!(
                "input \"features\": expected sizes known before data arrives, found {}",
                contract.shape_text()
            ))
        })?;
        if let Some(views) = self.views {
            let there = if sizes.len() > 1 { sizes[0] } else { 1 };
            if !(1..=there).contains(&views) {
                return Err(NodeError::Options(format!(
                    "views: expected from 1 to the {there} of input \"features\", found {views}"
                )));
            }
            if sizes.len() > 1 {
                sizes[0] = views;
            }
        }
        Ok(sizes.into_iter().product())
    }
}

#[derive(Module, Debug)]
struct LightHeadNode {
    hidden: Linear,
    map: Linear,
    scale: f64,
    /// Numbers of a sample that are read.
    features: usize,
}

impl NodeConfig for LightHeadConfig {
    fn inputs(&self) -> Vec<InputPort> {
        vec![
            InputPort::new(
                "features",
                "what the cameras see",
                &[Meaning::Features],
                &[Want::Any("B"), Want::Rest, Want::Known("D")],
            ),
            InputPort::new(
                "classes",
                "a column whose vocabulary names the states",
                &[Meaning::Label],
                &[Want::Rest],
            )
            .contract_only(),
        ]
    }

    fn outputs(&self, inputs: &Bound) -> Result<Vec<OutputPort>, NodeError> {
        at_least_one("hidden", self.hidden)?;
        if !(self.scale > 0.0 && self.scale.is_finite()) {
            return Err(NodeError::Options(format!(
                "scale: expected metres above 0, found {}",
                self.scale
            )));
        }
        self.features(inputs)?;
        let states = vocabulary(inputs, "classes")?;
        let with = |meaning, size: usize| Contract::new(meaning, [inputs.dim("B"), size.into()]);
        let logits = with(Meaning::Logits, states.len()).with_vocabulary(states.clone());
        let light = with(Meaning::Quantity, states.len() + 1);
        Ok(vec![
            OutputPort::new(
                "logits",
                "unnormalised log-probability of each state",
                logits,
            ),
            OutputPort::new(
                "light",
                "the probability of each state, then metres to the stop line",
                light,
            ),
        ])
    }

    fn init(&self, inputs: &Bound, scope: &Scope) -> Result<Box<dyn Node>, NodeError> {
        let init = init(scope);
        let (input, states) = (self.features(inputs)?, vocabulary(inputs, "classes")?.len());
        let layer = |name, input, output, activation| {
            Linear::new(&init.child(name), input, output, true, activation)
        };
        Ok(Box::new(LightHeadNode {
            hidden: layer("hidden", input, self.hidden, Activation::Relu),
            map: layer("map", self.hidden, states + 1, Activation::None),
            scale: self.scale,
            features: input,
        }))
    }

    fn flops(&self, inputs: &Bound, _: &dyn Fn(&str) -> usize) -> f64 {
        let states = vocabulary(inputs, "classes").map_or(0, |states| states.len());
        Linear::flops(self.features(inputs).unwrap_or(0), self.hidden)
            + Linear::flops(self.hidden, states + 1)
    }

    /// Views have no time to step along.
    fn stepping(&self) -> Stepping {
        Stepping::No
    }
}

impl Forward for LightHeadNode {
    fn forward(&self, inputs: &Inputs, _: &mut Context) -> Result<Outputs, NodeError> {
        let features = inputs.get("features")?;
        let rows = features.rows();
        let size = features.shape().iter().skip(1).product();
        let features: Tensor<2> = features.payload.clone().restore([rows, size]);
        let features = match size - self.features {
            0 => features,
            earlier => features.narrow(1, earlier, self.features),
        };
        let found = self.map.forward(self.hidden.forward(features));
        let states = found.dims()[1] - 1;
        let logits = found.clone().narrow(1, 0, states);
        let distance = softplus(found.narrow(1, states, 1), 1.0) * self.scale;
        let light = Tensor::cat(vec![softmax(logits.clone(), 1), distance], 1);
        Ok(Outputs::one("logits", logits).and("light", light))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kinds::shared::testing::{bind, build, inputs, options, random, refusal};
    use conjoin_data::Vocabulary;

    fn contracts(features: Vec<Dim>) -> [(&'static str, Contract); 2] {
        let states = Vocabulary::new("light", ["none", "green", "yellow", "red"]);
        [
            ("features", Contract::new(Meaning::Features, features)),
            ("classes", Contract::label(states)),
        ]
    }

    #[test]
    fn states_and_a_distance() {
        let config: LightHeadConfig = options(r#"{"hidden": 6, "scale": 20.0}"#);
        let bound = bind(&config, &contracts(vec!["B".into(), 3.into(), 5.into()]));
        let ports = config.outputs(&bound).unwrap();
        let shapes: Vec<String> = ports.iter().map(|p| p.contract.shape_text()).collect();
        assert_eq!(shapes, ["[B, 4]", "[B, 5]"]);
        assert!(ports[0].contract.vocabulary.is_some());
        assert_eq!(config.flops(&bound, &|_| 1), 2.0 * (15.0 * 6.0 + 6.0 * 5.0));
        let given = inputs([("features", random([2, 3, 5]).into())]);
        let out = build(&config, &bound)
            .forward(&given, &mut Context::evaluation())
            .unwrap();
        let (logits, light) = (out.0["logits"].to_f32(), out.0["light"].to_f32());
        for (logits, light) in logits.chunks(4).zip(light.chunks(5)) {
            let sum: f32 = logits.iter().map(|x| x.exp()).sum();
            for (logit, probability) in logits.iter().zip(light) {
                assert!((logit.exp() / sum - probability).abs() < 1e-6);
            }
            // A softplus of numbers near 0, times 20 m.
            assert!(light[4] > 0.0 && light[4] < 200.0, "{}", light[4]);
        }
    }

    #[test]
    fn earlier_views_are_not_looked_at() {
        let config: LightHeadConfig = options(r#"{"hidden": 6, "views": 2}"#);
        let bound = bind(&config, &contracts(vec!["B".into(), 4.into(), 5.into()]));
        assert_eq!(config.flops(&bound, &|_| 1), 2.0 * (10.0 * 6.0 + 6.0 * 5.0));
        let node = build(&config, &bound);
        let light = |features: Tensor<3>| {
            let given = inputs([("features", features.into())]);
            let out = node.forward(&given, &mut Context::evaluation()).unwrap();
            out.0["light"].to_f32()
        };
        let (earlier, now) = (random([3, 2, 5]), random([3, 2, 5]));
        let all = Tensor::cat(vec![earlier.clone(), now.clone()], 1);
        let found = light(all);
        assert_eq!(found, light(Tensor::cat(vec![now.clone(), now.clone()], 1)));
        assert_ne!(found, light(Tensor::cat(vec![now, earlier], 1)));
    }

    #[test]
    fn refuses_what_makes_no_sense() {
        let refused = |text: &str, features: Vec<Dim>| {
            let config: LightHeadConfig = options(text);
            refusal(&config, &bind(&config, &contracts(features)))
        };
        let fixed = || vec!["B".into(), 5.into()];
        assert!(refused(r#"{"hidden": 0}"#, fixed()).starts_with("hidden:"));
        assert_eq!(
            refused(r#"{"scale": -1}"#, fixed()),
            "scale: expected metres above 0, found -1"
        );
        assert_eq!(
            refused(r#"{"views": 4}"#, vec!["B".into(), 3.into(), 5.into()]),
            "views: expected from 1 to the 3 of input \"features\", found 4"
        );
        assert_eq!(
            refused("{}", vec!["B".into(), "T".into(), 5.into()]),
            "input \"features\": expected sizes known before data arrives, found [B, T, 5]"
        );
    }
}
