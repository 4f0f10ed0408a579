//! Node kind `box-decoder`: heat `[B, X, Y, 1]` and values `[B, X, Y, 11]` to road users `[B, N, 12]`.

use super::grid::{check_extent, default_extent, map_port};
use super::shared::{at_least_one, known};
use crate::node::{
    Context, Forward, Inputs, Node, NodeConfig, NodeError, Outputs, Scope, Stepping,
};
use crate::port::{Bound, InputPort, OutputPort, Want, WantFrame};
use burn::module::Module;
use burn::tensor::Tensor;
use conjoin_data::{Contract, Meaning, grid_frame};
use conjoin_nn::boxes::{BOX, VALUES};
use conjoin_nn::{BoxOptions, Grid, decode_boxes};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The highest peaks of a heat map become road users, with what the values say in their cells (Zhou et al.
/// 2019, "Objects as Points", section 4). The values of a cell are dx and dy from its centre, cos and sin of
/// the heading, log of length and width, velocity x and y, and a number for each of vehicle, pedestrian and
/// static. A road user is its score, x, y, cos, sin, length, width, velocity x and y, and the probability of
/// each class; where there are fewer than `agents`, the rest is zeros. The gradient flows to scores and
/// values of the chosen cells, not to the choice.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct BoxDecoderConfig {
    /// Most road users.
    #[serde(default = "default_agents")]
    pub agents: usize,
    /// Metres of the ego frame that the cells cover: x from, x to, y from, y to.
    #[serde(default = "default_extent")]
    pub extent: [f64; 4],
    /// Peaks with a lower score are none.
    #[serde(default = "default_threshold")]
    pub threshold: f64,
    /// The classes' numbers are divided by this before their softmax. Numbers that were trained towards 0
    /// and 1 give the class that has the 1 a probability of 0.99 at 0.2.
    #[serde(default = "default_temperature")]
    pub temperature: f64,
}

fn default_agents() -> usize {
    12
}

fn default_threshold() -> f64 {
    0.1
}

fn default_temperature() -> f64 {
    0.2
}

#[derive(Module, Debug)]
struct BoxDecoderNode {
    #[module(skip)]
    options: BoxOptions,
}

impl NodeConfig for BoxDecoderConfig {
    fn inputs(&self) -> Vec<InputPort> {
        let on_grid = |name, about, last| {
            let frame = WantFrame::Exactly(grid_frame(self.extent));
            map_port(name, about, &[Meaning::Quantity], Want::Exactly(last)).in_frame(frame)
        };
        vec![
            on_grid("heat", "the probability of a centre in each cell", 1),
            on_grid("boxes", "the numbers of a box in each cell", VALUES),
        ]
    }

    fn outputs(&self, inputs: &Bound) -> Result<Vec<OutputPort>, NodeError> {
        at_least_one("agents", self.agents)?;
        check_extent(self.extent)?;
        let refused = |key: &str, expected: &str, found: f64| {
            Err(NodeError::Options(format!(
                "{key}: expected {expected}, found {found}"
            )))
        };
        if !(0.0..1.0).contains(&self.threshold) {
            return refused("threshold", "at least 0 and less than 1", self.threshold);
        }
        if !(self.temperature > 0.0 && self.temperature.is_finite()) {
            return refused("temperature", "a number above 0", self.temperature);
        }
        let heat = inputs.contract("heat");
        if let Some(heat) = heat.filter(|heat| heat.range != Some((0.0, 1.0))) {
            return Err(NodeError::Options(format!(
                "input \"heat\": expected probabilities from 0 to 1, such as a grid-head's \
                 \"probability\", found {heat} of another range"
            )));
        }
        let dims = [inputs.dim("B"), self.agents.into(), BOX.into()];
        let contract = Contract::new(Meaning::Quantity, dims).with_frame("ego");
        let about = "road users, the highest score first";
        Ok(vec![OutputPort::new("agents", about, contract)])
    }

    fn init(&self, inputs: &Bound, _: &Scope) -> Result<Box<dyn Node>, NodeError> {
        let options = BoxOptions {
            grid: Grid {
                cells: [known(inputs, "X")?, known(inputs, "Y")?],
                extent: self.extent,
            },
            boxes: self.agents,
            threshold: self.threshold as f32,
            temperature: self.temperature,
        };
        Ok(Box::new(BoxDecoderNode { options }))
    }

    /// Nine comparisons a cell.
    fn flops(&self, inputs: &Bound, _: &dyn Fn(&str) -> usize) -> f64 {
        9.0 * (inputs.size("X").unwrap_or(0) * inputs.size("Y").unwrap_or(0)) as f64
    }

    /// A map has no time to step along.
    fn stepping(&self) -> Stepping {
        Stepping::No
    }
}

impl Forward for BoxDecoderNode {
    fn forward(&self, inputs: &Inputs, _: &mut Context) -> Result<Outputs, NodeError> {
        let (heat, boxes): (Tensor<4>, Tensor<4>) =
            (inputs.tensor("heat")?, inputs.tensor("boxes")?);
        Ok(Outputs::one(
            "agents",
            decode_boxes(heat, boxes, &self.options),
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kinds::shared::testing::{bind, build, inputs, options, refusal};
    use burn::tensor::Device;

    fn map(last: usize, range: Option<(f32, f32)>) -> Contract {
        let dims = ["B".into(), 3.into(), 2.into(), last.into()];
        Contract {
            range,
            ..Contract::new(Meaning::Quantity, dims).with_frame("ego [0, 6] x [-2, 2] m")
        }
    }

    fn contracts() -> [(&'static str, Contract); 2] {
        [
            ("heat", map(1, Some((0.0, 1.0)))),
            ("boxes", map(VALUES, None)),
        ]
    }

    #[test]
    fn a_peak_becomes_a_road_user() {
        let config: BoxDecoderConfig =
            options(r#"{"agents": 2, "extent": [0, 6, -2, 2], "temperature": 1}"#);
        let bound = bind(&config, &contracts());
        let contract = &config.outputs(&bound).unwrap()[0].contract;
        assert_eq!(contract.shape_text(), "[B, 2, 12]");
        let heat = [[0.05, 0.05], [0.2, 0.8], [0.05, 0.3]];
        let heat = Tensor::<2>::from_floats(heat, &Device::flex()).reshape([1, 3, 2, 1]);
        let values = [
            0.25,
            -0.5,
            0.0,
            2.0,
            1.0,
            0.0,
            3.0,
            -1.0,
            0.0,
            2.0_f32.ln(),
            0.0,
        ];
        let values = Tensor::<1>::from_floats(values, &Device::flex())
            .reshape([1, 1, 1, VALUES])
            .repeat(&[1, 3, 2, 1]);
        let given = inputs([("heat", heat.into()), ("boxes", values.into())]);
        let out = build(&config, &bound)
            .forward(&given, &mut Context::evaluation())
            .unwrap();
        let found = out.0["agents"].to_f32();
        // The cell from 2 to 4 m ahead and up to 2 m to the left.
        let wanted = [
            0.8,
            3.25,
            0.5,
            0.0,
            1.0,
            1.0_f32.exp(),
            1.0,
            3.0,
            -1.0,
            0.25,
            0.5,
            0.25,
        ];
        for (found, wanted) in found.iter().zip(wanted.into_iter().chain([0.0; 12])) {
            assert!((found - wanted).abs() < 1e-5, "{found} {wanted}");
        }
        assert_eq!(found.len(), 24);
    }

    #[test]
    fn refuses_what_makes_no_sense() {
        let refused = |text: &str| {
            let config: BoxDecoderConfig =
                options(&format!(r#"{{"extent": [0, 6, -2, 2]{text}}}"#));
            refusal(&config, &bind(&config, &contracts()))
        };
        assert!(refused(r#", "agents": 0"#).starts_with("agents:"));
        assert!(refused(r#", "threshold": 1"#).starts_with("threshold:"));
        assert_eq!(
            refused(r#", "temperature": 0"#),
            "temperature: expected a number above 0, found 0"
        );
        let config: BoxDecoderConfig = options(r#"{"extent": [0, 6, -2, 2]}"#);
        let plain = [("heat", map(1, None)), ("boxes", map(VALUES, None))];
        assert!(refusal(&config, &bind(&config, &plain)).starts_with("input \"heat\":"));
        let elsewhere: BoxDecoderConfig = options("{}");
        let ports = elsewhere.inputs();
        let error = Bound::default().bind(&ports[0], &map(1, None), "heat.probability");
        assert_eq!(
            error.unwrap_err().to_string(),
            "wants frame \"ego [-8, 40] x [-24, 24] m\", but heat.probability is in frame \
             \"ego [0, 6] x [-2, 2] m\""
        );
    }
}
