//! Node kind `patch-embedding`: an image `[B, H, W, C]` to a sequence of patches `[B, N, size]`.

use super::shared::{at_least_one, dropout_probability, init, known, mode};
use crate::node::{
    Context, Forward, Inputs, Node, NodeConfig, NodeError, Outputs, Scope, Stepping,
};
use crate::port::{Bound, InputPort, OutputPort, Want};
use burn::module::Module;
use conjoin_data::{Contract, Meaning};
use conjoin_nn::{PatchEmbedding, PatchOptions};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Square patches of an image as a sequence, row by row: the front of a vision transformer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PatchEmbeddingConfig {
    /// Height and width of a patch in pixels; they divide those of the image.
    pub patch: usize,
    /// Features of a patch's vector.
    pub size: usize,
    /// Put a trained vector before the first patch, for a classifier to read.
    #[serde(default)]
    pub class_token: bool,
    /// Probability of dropping a feature in training.
    #[serde(default)]
    pub dropout: f64,
}

impl PatchEmbeddingConfig {
    fn options(&self, inputs: &Bound) -> Result<PatchOptions, NodeError> {
        Ok(PatchOptions {
            channels: known(inputs, "C")?,
            patch: self.patch,
            size: self.size,
            class_token: self.class_token,
        })
    }
}

#[derive(Module, Debug)]
struct PatchEmbeddingNode {
    patches: PatchEmbedding,
    dropout: f64,
}

impl NodeConfig for PatchEmbeddingConfig {
    fn inputs(&self) -> Vec<InputPort> {
        let dims = ["H", "W", "C"].map(Want::Known);
        let dims: Vec<Want> = std::iter::once(Want::Any("B")).chain(dims).collect();
        vec![InputPort::new(
            "image",
            "pixels or a map of features, channels last",
            &[Meaning::Image, Meaning::Features],
            &dims,
        )]
    }

    fn outputs(&self, inputs: &Bound) -> Result<Vec<OutputPort>, NodeError> {
        at_least_one("patch", self.patch)?;
        at_least_one("size", self.size)?;
        dropout_probability(self.dropout)?;
        let (height, width) = (known(inputs, "H")?, known(inputs, "W")?);
        let positions = self.options(inputs)?.positions(height, width);
        if positions == 0 {
            return Err(NodeError::Options(format!(
                "patch: expected a divisor of the image's height and width, {height} and {width}, \
                 found {}",
                self.patch
            )));
        }
        let dims = [inputs.dim("B"), positions.into(), self.size.into()];
        let contract = Contract::new(Meaning::Features, dims);
        Ok(vec![OutputPort::new(
            "features",
            "one vector a patch",
            contract,
        )])
    }

    fn init(&self, inputs: &Bound, scope: &Scope) -> Result<Box<dyn Node>, NodeError> {
        let init = init(scope).child("patches");
        Ok(Box::new(PatchEmbeddingNode {
            patches: PatchEmbedding::new(&init, &self.options(inputs)?),
            dropout: self.dropout,
        }))
    }

    fn flops(&self, inputs: &Bound, _: &dyn Fn(&str) -> usize) -> f64 {
        let size = |dim: &'static str| inputs.size(dim).unwrap_or(0);
        self.options(inputs)
            .map_or(0.0, |options| options.flops(size("H"), size("W")))
    }

    /// An image has no time to step along.
    fn stepping(&self) -> Stepping {
        Stepping::No
    }
}

impl Forward for PatchEmbeddingNode {
    fn forward(&self, inputs: &Inputs, context: &mut Context) -> Result<Outputs, NodeError> {
        let features = self.patches.forward(inputs.tensor("image")?);
        let features = mode(context).dropout(features, self.dropout);
        Ok(Outputs::one("features", features))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kinds::shared::testing::{bind, build, inputs, options, random, refusal};

    fn bound(config: &PatchEmbeddingConfig) -> Bound {
        bind(config, &[("image", Contract::image(6, 4, 3, (0.0, 1.0)))])
    }

    #[test]
    fn one_position_a_patch_and_one_for_the_class() {
        for (text, shape) in [
            (r#"{"patch": 2, "size": 5}"#, "[B, 6, 5]"),
            (
                r#"{"patch": 2, "size": 5, "class_token": true}"#,
                "[B, 7, 5]",
            ),
        ] {
            let config: PatchEmbeddingConfig = options(text);
            let bound = bound(&config);
            assert_eq!(
                config.outputs(&bound).unwrap()[0].contract.shape_text(),
                shape
            );
            assert_eq!(config.flops(&bound, &|_| 1), 2.0 * 24.0 * 15.0);
            let given = inputs([("image", random([2, 6, 4, 3]).into())]);
            let out = build(&config, &bound)
                .forward(&given, &mut Context::evaluation())
                .unwrap();
            let positions = if config.class_token { 7 } else { 6 };
            assert_eq!(out.0["features"].shape(), [2, positions, 5]);
        }
    }

    #[test]
    fn refuses_patches_that_do_not_fill_the_image() {
        let refused = |text: &str| {
            let config: PatchEmbeddingConfig = options(text);
            refusal(&config, &bound(&config))
        };
        assert_eq!(
            refused(r#"{"patch": 4, "size": 5}"#),
            "patch: expected a divisor of the image's height and width, 6 and 4, found 4"
        );
        assert!(refused(r#"{"patch": 0, "size": 5}"#).starts_with("patch:"));
        assert!(refused(r#"{"patch": 2, "size": 0}"#).starts_with("size:"));
    }
}
