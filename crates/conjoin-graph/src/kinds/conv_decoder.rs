//! Node kind `conv-decoder`: a map `[B, H, W, C]` to a larger one `[B, 2^n H, 2^n W, C']`, with skips.

use super::shared::{at_least_one, init, known, mode, record};
use crate::node::{
    Context, Forward, Inputs, Node, NodeConfig, NodeError, Outputs, Scope, Stepping,
};
use crate::port::{Bound, InputPort, OutputPort, Want};
use burn::module::Module;
use burn::tensor::Tensor;
use conjoin_data::{Contract, Meaning};
use conjoin_nn::{ConvDecoder, ConvDecoderOptions};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Levels that each double height and width, take up a skip from the encoder where one is wired, and
/// apply 3x3 convolutions with batch normalisation: the right half of U-Net (Ronneberger et al. 2015).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ConvDecoderConfig {
    /// Channels of each level, the smallest map first.
    pub widths: Vec<usize>,
    /// 3x3 convolutions of a level.
    #[serde(default = "two")]
    pub blocks: usize,
}

fn two() -> usize {
    2
}

/// Each level's input for a skip, and the names of its height, width and channels.
const SKIPS: [(&str, [&str; 3]); 6] = [
    ("skip1", ["H1", "W1", "C1"]),
    ("skip2", ["H2", "W2", "C2"]),
    ("skip3", ["H3", "W3", "C3"]),
    ("skip4", ["H4", "W4", "C4"]),
    ("skip5", ["H5", "W5", "C5"]),
    ("skip6", ["H6", "W6", "C6"]),
];

impl ConvDecoderConfig {
    fn skips(&self) -> &'static [(&'static str, [&'static str; 3])] {
        &SKIPS[..self.widths.len().min(SKIPS.len())]
    }

    fn options(&self, inputs: &Bound) -> Result<ConvDecoderOptions, NodeError> {
        Ok(ConvDecoderOptions {
            map: [
                known(inputs, "H")?,
                known(inputs, "W")?,
                known(inputs, "C")?,
            ],
            widths: self.widths.clone(),
            skips: self
                .skips()
                .iter()
                .map(|(_, [_, _, channels])| inputs.size(channels).unwrap_or(0))
                .collect(),
            blocks: self.blocks,
        })
    }

    fn check(&self) -> Result<(), NodeError> {
        at_least_one("number of widths", self.widths.len())?;
        at_least_one("blocks", self.blocks)?;
        self.widths
            .iter()
            .try_for_each(|&width| at_least_one("widths", width))?;
        if self.widths.len() > SKIPS.len() {
            return Err(NodeError::Options(format!(
                "widths: expected at most {} levels, found {}",
                SKIPS.len(),
                self.widths.len()
            )));
        }
        Ok(())
    }
}

#[derive(Module, Debug)]
struct ConvDecoderNode {
    decoder: ConvDecoder,
    levels: usize,
}

impl NodeConfig for ConvDecoderConfig {
    fn inputs(&self) -> Vec<InputPort> {
        let maps = [Meaning::Features, Meaning::Image];
        let dims = |dims: [&'static str; 3]| {
            let [height, width, channels] = dims.map(Want::Known);
            [Want::Any("B"), height, width, channels]
        };
        let about = "the smallest map";
        let map = InputPort::new("map", about, &maps, &dims(["H", "W", "C"]));
        let skips = self.skips().iter().map(|&(port, sizes)| {
            let about = "a map of the level's height and width, such as the encoder's";
            InputPort::new(port, about, &maps, &dims(sizes)).optional()
        });
        std::iter::once(map).chain(skips).collect()
    }

    fn outputs(&self, inputs: &Bound) -> Result<Vec<OutputPort>, NodeError> {
        self.check()?;
        let options = self.options(inputs)?;
        for (level, (port, sizes)) in self.skips().iter().enumerate() {
            let [height, width] = options.size(level);
            let found = (inputs.size(sizes[0]), inputs.size(sizes[1]));
            let (Some(found_height), Some(found_width)) = found else {
                continue;
            };
            if [found_height, found_width] != [height, width] {
                return Err(NodeError::Options(format!(
                    "input {port:?}: expected a map of {height}x{width}, found one of \
                     {found_height}x{found_width}"
                )));
            }
        }
        let last = self.widths.len() - 1;
        let [height, width] = options.size(last);
        let dims = [
            inputs.dim("B"),
            height.into(),
            width.into(),
            self.widths[last].into(),
        ];
        let contract = Contract::new(Meaning::Features, dims);
        Ok(vec![OutputPort::new(
            "map",
            "features at each position",
            contract,
        )])
    }

    fn init(&self, inputs: &Bound, scope: &Scope) -> Result<Box<dyn Node>, NodeError> {
        let init = init(scope).child("decoder");
        Ok(Box::new(ConvDecoderNode {
            decoder: ConvDecoder::new(&init, &self.options(inputs)?),
            levels: self.widths.len(),
        }))
    }

    fn flops(&self, inputs: &Bound, _: &dyn Fn(&str) -> usize) -> f64 {
        self.options(inputs).map_or(0.0, |options| options.flops())
    }

    /// A map has no time to step along.
    fn stepping(&self) -> Stepping {
        Stepping::No
    }
}

impl Forward for ConvDecoderNode {
    fn forward(&self, inputs: &Inputs, context: &mut Context) -> Result<Outputs, NodeError> {
        let skips: Vec<Option<Tensor<4>>> = SKIPS[..self.levels]
            .iter()
            .map(|(port, _)| match inputs.find(port) {
                Some(_) => inputs.tensor(port).map(Some),
                None => Ok(None),
            })
            .collect::<Result<_, _>>()?;
        let mut mode = mode(context);
        let map = self
            .decoder
            .forward(inputs.tensor("map")?, skips, &mut mode);
        record(mode, context);
        Ok(Outputs::one("map", map))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kinds::shared::testing::{bind, build, inputs, options, random, refusal};

    fn map(height: usize, width: usize, channels: usize) -> Contract {
        let sizes = [height, width, channels].map(Into::into);
        let dims = std::iter::once("B".into()).chain(sizes);
        Contract::new(Meaning::Features, dims)
    }

    #[test]
    fn levels_double_and_take_up_what_is_wired() {
        let config: ConvDecoderConfig = options(r#"{"widths": [6, 5], "blocks": 1}"#);
        let contracts = [("map", map(2, 3, 8)), ("skip2", map(8, 12, 4))];
        let bound = bind(&config, &contracts);
        let contract = &config.outputs(&bound).unwrap()[0].contract;
        assert_eq!(contract.shape_text(), "[B, 8, 12, 5]");
        let first = 4.0 * 6.0 * (8.0 * 6.0 + 9.0 * 36.0);
        let second = 8.0 * 12.0 * (6.0 * 5.0 + 9.0 * 5.0 * 9.0);
        assert_eq!(config.flops(&bound, &|_| 1), 2.0 * (first + second));
        let given = inputs([
            ("map", random([2, 2, 3, 8]).into()),
            ("skip2", random([2, 8, 12, 4]).into()),
        ]);
        let out = build(&config, &bound)
            .forward(&given, &mut Context::training(1))
            .unwrap();
        assert_eq!(out.0["map"].shape(), [2, 8, 12, 5]);
    }

    #[test]
    fn refuses_what_does_not_fit() {
        let config: ConvDecoderConfig = options(r#"{"widths": [6]}"#);
        let bound = bind(&config, &[("map", map(2, 3, 8)), ("skip1", map(4, 5, 4))]);
        assert_eq!(
            refusal(&config, &bound),
            "input \"skip1\": expected a map of 4x6, found one of 4x5"
        );
        let refused = |text: &str| {
            let config: ConvDecoderConfig = options(text);
            refusal(&config, &bind(&config, &[("map", map(2, 3, 8))]))
        };
        assert!(refused(r#"{"widths": []}"#).starts_with("number of widths:"));
        assert!(refused(r#"{"widths": [4], "blocks": 0}"#).starts_with("blocks:"));
        assert_eq!(
            refused(r#"{"widths": [1, 1, 1, 1, 1, 1, 1]}"#),
            "widths: expected at most 6 levels, found 7"
        );
    }
}
