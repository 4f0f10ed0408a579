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
    #[serde(default = "yes")]
    pub residual: bool,
    /// Halve height and width by max-pooling or by a convolution with stride 2.
    #[serde(default)]
    pub pool: Reduce,
    /// The first stage halves height and width too.
    #[serde(default = "yes")]
    pub reduce_first: bool,
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

fn yes() -> bool {
    true
}

impl Default for ConvEncoderConfig {
    fn default() -> Self {
        Self {
            stem: default_stem(),
            widths: default_widths(),
            blocks: one(),
            residual: yes(),
            pool: Reduce::default(),
            reduce_first: yes(),
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
    dropout: f64,
}

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
        let batch = inputs.dim("B");
        let map = [batch.clone(), height.into(), width.into(), channels.into()];
        let features = [batch, self.features(options.map()).into()];
        Ok(vec![
            OutputPort::new(
                "features",
                "one vector an image",
                Contract::new(Meaning::Features, features),
            ),
            OutputPort::new(
                "map",
                "features at each position",
                Contract::new(Meaning::Features, map),
            ),
        ])
    }

    fn init(&self, inputs: &Bound, scope: &Scope) -> Result<Box<dyn Node>, NodeError> {
        let init = init(scope).child("encoder");
        Ok(Box::new(ConvEncoderNode {
            encoder: ConvEncoder::new(&init, &self.options(inputs)?),
            head: self.head,
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
        let map = self.encoder.forward(inputs.tensor("image")?, &mut mode);
        let features: Tensor<2> = match self.head {
            Head::Avg => global_avg_pool(map.clone()),
            Head::Flatten => map.clone().flatten(1, 3),
        };
        let features = mode.dropout(features, self.dropout);
        record(mode, context);
        Ok(Outputs::one("features", features).and("map", map))
    }
}
