//! Node kind `conv-encoder`: an image `[B, H, W, C]` to a feature map `[B, H', W', C']` and one
//! vector `[B, D]`.

use super::shared::{at_least_one, dropout_probability, init, known, mode, record};
use crate::node::{
    Context, Forward, Inputs, Node, NodeConfig, NodeError, Outputs, Scope, Stepping,
};
use crate::port::{Bound, InputPort, OutputPort, Want};
use burn::module::Module;
use burn::tensor::Tensor;
use conjoin_data::{Contract, Meaning};
use conjoin_kernels::pool::global_avg_pool;
use conjoin_nn::{ConvEncoder, ConvEncoderOptions, Reduce};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A stem of one 3x3 convolution, then stages of blocks, then a head. Every convolution is followed
/// by batch normalisation, which uses running statistics in evaluation and in a frozen node.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ConvEncoderConfig {
    /// Channels behind the stem.
    #[serde(default = "default_stem")]
    pub stem: usize,
    /// Channels of each stage; every stage but the first halves height and width.
    #[serde(default = "default_widths")]
    pub widths: Vec<usize>,
    /// Blocks in each stage.
    #[serde(default = "one")]
    pub blocks: usize,
    /// Blocks are ResNet's basic blocks of two 3x3 convolutions (He et al. 2016, version 1) rather
    /// than single 3x3 convolutions.
    #[serde(default = "super::shared::yes")]
    pub residual: bool,
    /// Halve height and width by max-pooling or by a convolution with stride 2.
    #[serde(default)]
    pub pool: Reduce,
    /// The first stage halves height and width too.
    #[serde(default = "super::shared::yes")]
    pub reduce_first: bool,
    /// Offer the maps on the way as outputs too: `stage0` behind the stem, `stage1` behind the first
    /// stage, up to the last but one.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub stages: bool,
    /// How the map becomes one vector.
    #[serde(default)]
    pub head: Head,
    /// Probability of dropping an element of the vector in training.
    #[serde(default)]
    pub dropout: f64,
}

/// How a map becomes one vector.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Head {
    /// The mean of each channel over all positions.
    #[default]
    Avg,
    /// All elements.
    Flatten,
}

fn default_stem() -> usize {
    16
}

fn default_widths() -> Vec<usize> {
    vec![32, 64]
}

fn one() -> usize {
    1
}

impl Default for ConvEncoderConfig {
    fn default() -> Self {
        Self {
            stem: default_stem(),
            widths: default_widths(),
            blocks: one(),
            residual: true,
            pool: Reduce::default(),
            reduce_first: true,
            stages: false,
            head: Head::default(),
            dropout: 0.0,
        }
    }
}

impl ConvEncoderConfig {
    /// The module's options for the image at hand.
    fn options(&self, inputs: &Bound) -> Result<ConvEncoderOptions, NodeError> {
        Ok(ConvEncoderOptions {
            image: [
                known(inputs, "H")?,
                known(inputs, "W")?,
                known(inputs, "C")?,
            ],
            stem: self.stem,
            reduce_first: self.reduce_first,
            widths: self.widths.clone(),
            blocks: self.blocks,
            residual: self.residual,
            reduce: self.pool,
        })
    }

    fn features(&self, [height, width, channels]: [usize; 3]) -> usize {
        match self.head {
            Head::Avg => channels,
            Head::Flatten => height * width * channels,
        }
    }
}

#[derive(Module, Debug)]
struct ConvEncoderNode {
    encoder: ConvEncoder,
    #[module(skip)]
    head: Head,
    /// Blocks of a stage, where maps on the way are offered; 0 where they are not.
    stage: usize,
    dropout: f64,
}

/// Outputs for maps on the way.
const STAGES: [&str; 8] = [
    "stage0", "stage1", "stage2", "stage3", "stage4", "stage5", "stage6", "stage7",
];

impl NodeConfig for ConvEncoderConfig {
    fn inputs(&self) -> Vec<InputPort> {
        vec![InputPort::new(
            "image",
            "pixels, channels last",
            &[Meaning::Image, Meaning::Features],
            &[
                Want::Any("B"),
                Want::Known("H"),
                Want::Known("W"),
                Want::Known("C"),
            ],
        )]
    }

    fn outputs(&self, inputs: &Bound) -> Result<Vec<OutputPort>, NodeError> {
        at_least_one("stem", self.stem)?;
        at_least_one("blocks", self.blocks)?;
        at_least_one("number of widths", self.widths.len())?;
        self.widths
            .iter()
            .try_for_each(|&width| at_least_one("widths", width))?;
        dropout_probability(self.dropout)?;
        let options = self.options(inputs)?;
        let [height, width, channels] = options.map();
        if height == 0 || width == 0 {
            let [height, width, _] = options.image;
            return Err(NodeError::Options(format!(
                "widths: expected few enough stages for an image of {height}x{width}, found {}, \
                 behind which nothing is left",
                self.widths.len()
            )));
        }
        if self.stages && self.widths.len() > STAGES.len() {
            return Err(NodeError::Options(format!(
                "stages: expected at most {} widths, found {}",
                STAGES.len(),
                self.widths.len()
            )));
        }
        let batch = inputs.dim("B");
        let map = |[height, width, channels]: [usize; 3]| {
            let dims = [batch.clone(), height.into(), width.into(), channels.into()];
            Contract::new(Meaning::Features, dims)
        };
        let features = [batch.clone(), self.features(options.map()).into()];
        let features = Contract::new(Meaning::Features, features);
        let mut ports = vec![
            OutputPort::new("features", "one vector an image", features),
            OutputPort::new(
                "map",
                "features at each position",
                map([height, width, channels]),
            ),
        ];
        if self.stages {
            let maps = STAGES.into_iter().zip(options.maps());
            let about = "features at each position, on the way";
            ports.extend(
                maps.take(self.widths.len())
                    .map(|(name, size)| OutputPort::new(name, about, map(size))),
            );
        }
        Ok(ports)
    }

    fn init(&self, inputs: &Bound, scope: &Scope) -> Result<Box<dyn Node>, NodeError> {
        let init = init(scope).child("encoder");
        Ok(Box::new(ConvEncoderNode {
            encoder: ConvEncoder::new(&init, &self.options(inputs)?),
            head: self.head,
            stage: if self.stages { self.blocks } else { 0 },
            dropout: self.dropout,
        }))
    }

    fn flops(&self, inputs: &Bound, _: &dyn Fn(&str) -> usize) -> f64 {
        self.options(inputs).map_or(0.0, |options| options.flops())
    }

    /// An image has no time to step along.
    fn stepping(&self) -> Stepping {
        Stepping::No
    }
}

impl Forward for ConvEncoderNode {
    fn forward(&self, inputs: &Inputs, context: &mut Context) -> Result<Outputs, NodeError> {
        let mut mode = mode(context);
        let image = inputs.tensor("image")?;
        let mut on_the_way = Outputs::default();
        let map = if self.stage == 0 {
            self.encoder.forward(image, &mut mode)
        } else {
            let mut maps = self.encoder.stages(image, self.stage, &mut mode);
            let last = maps
                .pop()
                .ok_or_else(|| NodeError::Data("no stage".to_owned()))?;
            for (name, map) in STAGES.into_iter().zip(maps) {
                on_the_way = on_the_way.and(name, map);
            }
            last
        };
        let features: Tensor<2> = match self.head {
            Head::Avg => global_avg_pool(map.clone()),
            Head::Flatten => map.clone().flatten(1, 3),
        };
        let features = mode.dropout(features, self.dropout);
        record(mode, context);
        Ok(on_the_way.and("features", features).and("map", map))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kinds::shared::testing::{bind, build, inputs, options, random, refusal};
    use conjoin_data::Dim;

    fn bound(config: &ConvEncoderConfig, height: usize, width: usize) -> Bound {
        let image = Contract::image(height, width, 1, (0.0, 1.0));
        bind(config, &[("image", image)])
    }

    fn shapes(text: &str) -> Vec<String> {
        let config: ConvEncoderConfig = options(text);
        let bound = bound(&config, 28, 28);
        let outputs = config.outputs(&bound).unwrap();
        outputs.iter().map(|o| o.contract.shape_text()).collect()
    }

    #[test]
    fn contracts_follow_the_options() {
        let defaults: ConvEncoderConfig = options("{}");
        assert_eq!(defaults, ConvEncoderConfig::default());
        let flat = r#"{"stem": 8, "widths": [8, 16, 24], "head": "flatten"}"#;
        assert_eq!(shapes(flat), ["[B, 384]", "[B, 4, 4, 24]"]);
        let pooled = r#"{"widths": [8, 16, 24], "pool": "max"}"#;
        assert_eq!(shapes(pooled), ["[B, 24]", "[B, 3, 3, 24]"]);
        let late = r#"{"widths": [8, 16], "reduce_first": false}"#;
        assert_eq!(shapes(late), ["[B, 16]", "[B, 14, 14, 16]"]);
        let stages = r#"{"stem": 4, "widths": [8, 16], "blocks": 2, "stages": true}"#;
        assert_eq!(
            shapes(stages),
            [
                "[B, 16]",
                "[B, 7, 7, 16]",
                "[B, 28, 28, 4]",
                "[B, 14, 14, 8]"
            ]
        );
    }

    #[test]
    fn values_keep_the_contract() {
        for options in [
            r#""head": "avg""#,
            r#""head": "flatten""#,
            r#""stages": true"#,
            r#""stages": true, "blocks": 3"#,
        ] {
            let text = format!(r#"{{"stem": 4, "widths": [4, 6], {options}}}"#);
            let config: ConvEncoderConfig = crate::kinds::shared::testing::options(&text);
            let bound = bound(&config, 9, 6);
            let given = inputs([("image", random([2, 9, 6, 1]).into())]);
            let out = build(&config, &bound)
                .forward(&given, &mut Context::evaluation())
                .unwrap();
            for port in config.outputs(&bound).unwrap() {
                let sizes = port.contract.dims[1..].iter().filter_map(Dim::size);
                let shape = out.0[port.name].shape();
                assert_eq!(shape[1..], sizes.collect::<Vec<_>>()[..]);
            }
        }
    }

    #[test]
    fn statistics_move_in_training_only() {
        let config: ConvEncoderConfig = options(r#"{"stem": 4, "widths": [4]}"#);
        let node = build(&config, &bound(&config, 8, 8));
        let given = inputs([("image", random([4, 8, 8, 1]).into())]);
        let recorded = |context: &mut Context| {
            node.forward(&given, context).unwrap();
            context.take_running()
        };
        assert!(recorded(&mut Context::evaluation()).is_empty());
        let running = recorded(&mut Context::training(1));
        let mut statistics = 0;
        node.visit(&mut |param| {
            let changed = running.get(&param.id.val());
            assert_eq!(changed.is_some(), param.statistic, "{}", param.path);
            if let Some(changed) = changed {
                statistics += 1;
                assert_ne!(changed.to_f32(), param.value().to_f32());
            }
        });
        // The stem, two convolutions of the block and the projection, mean and variance each.
        assert_eq!(statistics, 8);
    }

    #[test]
    fn flops_of_plain_and_residual_encoders() {
        let flops = |text: &str| {
            let config: ConvEncoderConfig = options(text);
            config.flops(&bound(&config, 28, 28), &|_| 1)
        };
        // Stem at 28x28 from 1 to 4 channels, then two blocks at 14x14: 4 to 6, 6 to 6.
        let (large, small) = (28.0 * 28.0, 14.0 * 14.0);
        let stem = large * 9.0 * 4.0;
        let plain = stem + small * 9.0 * (4.0 * 6.0 + 6.0 * 6.0);
        let common = r#""stem": 4, "widths": [6], "blocks": 2"#;
        assert_eq!(
            flops(&format!(r#"{{{common}, "residual": false}}"#)),
            2.0 * plain
        );
        // Each block has a second convolution, 6 to 6; the first a 1x1 projection, 4 to 6.
        let residual = plain + small * (2.0 * 9.0 * 36.0 + 4.0 * 6.0);
        assert_eq!(flops(&format!("{{{common}}}")), 2.0 * residual);
    }

    #[test]
    fn refuses_what_makes_no_sense() {
        let refused = |text: &str| {
            let config: ConvEncoderConfig = options(text);
            refusal(&config, &bound(&config, 4, 4))
        };
        assert_eq!(
            refused(r#"{"widths": [8, 8, 8], "pool": "max"}"#),
            "widths: expected few enough stages for an image of 4x4, found 3, behind which nothing \
             is left"
        );
        assert_eq!(
            refused(r#"{"widths": [8, 0]}"#),
            "widths: expected at least 1, found 0"
        );
        assert!(refused(r#"{"widths": []}"#).starts_with("number of widths:"));
        assert!(refused(r#"{"dropout": -0.1}"#).starts_with("dropout:"));
    }
}
