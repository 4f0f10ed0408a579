//! Node kind `conv-encoder`: an image `[B, .., H, W, C]` to a feature map `[B, .., H', W', C']` and one
//! vector `[B, .., D]`. Several images of a sample, such as the views of cameras `[B, V, H, W, C]`, share
//! the weights.

use super::shared::{
    at_least_one, contract, dropout_probability, extent, init, known, mode, record,
};
use crate::node::{
    Context, Forward, Inputs, Node, NodeConfig, NodeError, Outputs, Scope, Stepping,
};
use crate::port::{Bound, InputPort, OutputPort, Want};
use crate::value::Value;
use burn::module::Module;
use burn::tensor::Tensor;
use conjoin_data::{Contract, Dim, Meaning};
use conjoin_kernels::pool::global_avg_pool;
use conjoin_nn::{ConvEncoder, ConvEncoderOptions, Reduce, Window};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A stem of one convolution, then stages of blocks, then a head. Every convolution is followed
/// by batch normalisation, which uses running statistics in evaluation and in a frozen node.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ConvEncoderConfig {
    /// Channels behind the stem.
    #[serde(default = "default_stem")]
    pub stem: usize,
    /// Height and width of the stem's kernel, an odd number: 7 in ResNet for large images.
    #[serde(default = "three")]
    pub stem_kernel: usize,
    /// Stride of the stem: 2 halves height and width before all stages.
    #[serde(default = "one")]
    pub stem_stride: usize,
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
    /// No stage halves height and width: for maps whose cells have a meaning, such as a bird's-eye view.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub keep_size: bool,
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

fn three() -> usize {
    3
}

impl Default for ConvEncoderConfig {
    fn default() -> Self {
        Self {
            stem: default_stem(),
            stem_kernel: three(),
            stem_stride: one(),
            widths: default_widths(),
            blocks: one(),
            residual: true,
            pool: Reduce::default(),
            reduce_first: true,
            keep_size: false,
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
            stem_window: Window {
                kernel: self.stem_kernel,
                stride: self.stem_stride,
            },
            reduce_first: self.reduce_first,
            keep_size: self.keep_size,
            widths: self.widths.clone(),
            blocks: self.blocks,
            residual: self.residual,
            reduce: self.pool,
        })
    }

    /// The dimensions before those of an image: `B`, and that of the images of a sample where there are
    /// several.
    fn leading(inputs: &Bound) -> Result<Vec<Dim>, NodeError> {
        let image = contract(inputs, "image")?;
        let leading = &image.dims[..image.dims.len() - 3];
        if leading.len() > 2 {
            return Err(NodeError::Options(format!(
                "input \"image\": expected [B, H, W, C] or [B, V, H, W, C], found {}",
                image.shape_text()
            )));
        }
        Ok(leading.to_vec())
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
                Want::Rest,
                Want::Known("H"),
                Want::Known("W"),
                Want::Known("C"),
            ],
        )]
    }

    fn outputs(&self, inputs: &Bound) -> Result<Vec<OutputPort>, NodeError> {
        at_least_one("stem", self.stem)?;
        at_least_one("stem_stride", self.stem_stride)?;
        if self.stem_kernel.is_multiple_of(2) {
            let found = self.stem_kernel;
            return Err(NodeError::Options(format!(
                "stem_kernel: expected an odd number, found {found}"
            )));
        }
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
        let leading = Self::leading(inputs)?;
        let with = |sizes: &[usize]| {
            let sizes = sizes.iter().map(|&size| size.into());
            Contract::new(Meaning::Features, leading.iter().cloned().chain(sizes))
        };
        // A map of the same size lies where the image does.
        let frame = contract(inputs, "image")?.frame.clone();
        let map = |size: [usize; 3]| Contract {
            frame: frame.clone().filter(|_| size[..2] == options.image[..2]),
            ..with(&size)
        };
        let features = with(&[self.features(options.map())]);
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

    fn flops(&self, inputs: &Bound, size: &dyn Fn(&str) -> usize) -> f64 {
        let leading = Self::leading(inputs).unwrap_or_default();
        let images: f64 = leading
            .iter()
            .skip(1)
            .map(|dim| extent(dim, size))
            .product();
        images * self.options(inputs).map_or(0.0, |options| options.flops())
    }

    /// An image has no time to step along.
    fn stepping(&self) -> Stepping {
        Stepping::No
    }
}

impl Forward for ConvEncoderNode {
    fn forward(&self, inputs: &Inputs, context: &mut Context) -> Result<Outputs, NodeError> {
        let mut mode = mode(context);
        let image = inputs.get("image")?;
        let shape = image.shape();
        let (leading, sizes) = shape.split_at(shape.len().saturating_sub(3));
        let &[height, width, channels] = sizes else {
            return Err(NodeError::Data(format!("no images: {shape:?}")));
        };
        let images = leading.iter().product();
        let image: Tensor<4> = image
            .payload
            .clone()
            .restore([images, height, width, channels]);
        // Several images of a sample are folded into the batch, and unfolded behind.
        let unfold = |map: Tensor<4>| -> Value {
            let ([_, height, width, channels], &[batch, views]) = (map.dims(), leading) else {
                return map.into();
            };
            map.reshape([batch, views, height, width, channels]).into()
        };
        let mut on_the_way = Outputs::default();
        let map = if self.stage == 0 {
            self.encoder.forward(image, &mut mode)
        } else {
            let mut maps = self.encoder.stages(image, self.stage, &mut mode);
            let last = maps
                .pop()
                .ok_or_else(|| NodeError::Data("no stage".to_owned()))?;
            for (name, map) in STAGES.into_iter().zip(maps) {
                on_the_way = on_the_way.and(name, unfold(map));
            }
            last
        };
        let features: Tensor<2> = match self.head {
            Head::Avg => global_avg_pool(map.clone()),
            Head::Flatten => map.clone().flatten(1, 3),
        };
        let features = mode.dropout(features, self.dropout);
        record(mode, context);
        let features: Value = match *leading {
            [batch, views] => {
                let [_, size] = features.dims();
                features.reshape([batch, views, size]).into()
            }
            _ => features.into(),
        };
        Ok(on_the_way.and("features", features).and("map", unfold(map)))
    }
}

#[cfg(test)]
mod tests;
