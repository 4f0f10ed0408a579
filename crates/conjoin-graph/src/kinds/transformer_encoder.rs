//! Node kind `transformer-encoder`: a sequence `[B, T, D]` to states `[B, T, D]`.

use super::shared::{contract, extent, init, known, mode, with_last};
use super::transformer::{check, epsilon, fits, hidden, length, relu, sequence};
use crate::node::{
    Context, Forward, Inputs, Node, NodeConfig, NodeError, Outputs, Scope, State, Stepping,
};
use crate::port::{Bound, InputPort, OutputPort};
use crate::value::Value;
use conjoin_data::Meaning;
use conjoin_nn::{Activation, NormOrder, PositionKind, TransformerEncoder, TransformerOptions};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Layers of self-attention and feed-forward maps over a sequence.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TransformerEncoderConfig {
    /// Layers, each reading the states of the one below.
    pub layers: usize,
    /// Heads of attention, among which the input's features are split.
    pub heads: usize,
    /// Features inside the feed-forward sub-layer (default: four times those of the input).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hidden: Option<usize>,
    /// Function inside the feed-forward sub-layer.
    #[serde(default = "relu")]
    pub activation: Activation,
    /// Normalise what a sub-layer reads ("pre") or its sum with what it gives ("post").
    #[serde(default)]
    pub norm: NormOrder,
    /// Normalise the last layer's states (default: with norm = "pre").
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub final_norm: Option<bool>,
    /// Normalise the input with its positions before the first layer, as BERT and BART do.
    #[serde(default)]
    pub embedding_norm: bool,
    /// What every normalisation adds to the variance.
    #[serde(default = "epsilon")]
    pub norm_epsilon: f64,
    /// How positions are told apart.
    #[serde(default)]
    pub positions: PositionKind,
    /// Learned positions only: how many there are; a longer sequence is an error.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_length: Option<usize>,
    /// Probability of dropping, in training, an element of the input with its positions, of a
    /// sub-layer's output, inside the feed-forward sub-layer, and a weight of attention.
    #[serde(default)]
    pub dropout: f64,
}

impl TransformerEncoderConfig {
    /// The module's options for the input at hand, or what does not fit.
    fn options(&self, inputs: &Bound) -> Result<TransformerOptions, NodeError> {
        let size = known(inputs, "D")?;
        let options = TransformerOptions {
            size,
            layers: self.layers,
            heads: self.heads,
            hidden: hidden(self.hidden, size),
            activation: self.activation,
            order: self.norm,
            final_norm: self.final_norm.unwrap_or(self.norm == NormOrder::Pre),
            embedding_norm: self.embedding_norm,
            norm_epsilon: self.norm_epsilon,
            dropout: self.dropout,
            positions: self.positions,
            max_length: self.max_length.unwrap_or(0),
        };
        check(&options, self.max_length)?;
        Ok(options)
    }
}

impl NodeConfig for TransformerEncoderConfig {
    fn inputs(&self) -> Vec<InputPort> {
        vec![sequence("T")]
    }

    fn outputs(&self, inputs: &Bound) -> Result<Vec<OutputPort>, NodeError> {
        let options = self.options(inputs)?;
        let contract = with_last(
            contract(inputs, "sequence")?,
            Meaning::Features,
            options.size,
        );
        let about = "last layer's state at each position";
        Ok(vec![OutputPort::new("states", about, contract)])
    }

    fn init(&self, inputs: &Bound, scope: &Scope) -> Result<Box<dyn Node>, NodeError> {
        let options = self.options(inputs)?;
        Ok(Box::new(TransformerEncoder::new(&init(scope), &options)))
    }

    fn flops(&self, inputs: &Bound, size: &dyn Fn(&str) -> usize) -> f64 {
        let time = extent(&inputs.dim("T"), size);
        self.options(inputs)
            .map_or(0.0, |options| options.flops(time, time * time, None))
    }

    fn stepping(&self) -> Stepping {
        Stepping::No
    }
}

/// The node is the module itself, so that its parameters are named as PyTorch's are.
impl Forward for TransformerEncoder {
    fn forward(&self, inputs: &Inputs, context: &mut Context) -> Result<Outputs, NodeError> {
        let sequence = inputs.get("sequence")?;
        fits(length(sequence), self.limit())?;
        let states = TransformerEncoder::forward(
            self,
            inputs.tensor("sequence")?,
            &sequence.row_lengths(),
            &mut mode(context),
        );
        Ok(Outputs::one(
            "states",
            Value::with_lengths(states, sequence.lengths.clone()),
        ))
    }

    fn step(&self, _: &Inputs, _: &mut State, _: &mut Context) -> Result<Outputs, NodeError> {
        Err(NodeError::NotSteppable)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kinds::shared::testing::{bind, build, inputs, options, random, refusal};
    use burn::tensor::Tensor;
    use conjoin_data::Contract;

    fn features(size: usize) -> Contract {
        let dims = ["B".into(), "T".into(), size.into()];
        Contract::new(Meaning::Features, dims).with_ragged(true)
    }

    fn bound(config: &TransformerEncoderConfig, size: usize) -> Bound {
        bind(config, &[("sequence", features(size))])
    }

    #[test]
    fn what_lies_behind_the_length_counts_for_nothing() {
        for positions in ["none", "sinusoidal", "rotary"] {
            let text = format!(r#"{{"layers": 2, "heads": 2, "positions": "{positions}"}}"#);
            let config: TransformerEncoderConfig = options(&text);
            let bound = bound(&config, 8);
            let outputs = config.outputs(&bound).unwrap();
            assert_eq!(outputs[0].contract.shape_text(), "[B, T, 8]");
            assert!(outputs[0].contract.ragged);

            let node = build(&config, &bound);
            let run = |value: Value| {
                let inputs = inputs([("sequence", value)]);
                let mut context = Context::evaluation();
                node.forward(&inputs, &mut context).unwrap().0["states"].clone()
            };
            let x = random::<3>([1, 3, 8]);
            let alone = run(x.clone().into()).to_f32();
            let padded = Tensor::cat(vec![x, random([1, 2, 8])], 1);
            let padded = run(Value::with_lengths(padded, Some([3].into())));
            assert_eq!(padded.lengths.as_deref(), Some(&[3][..]));
            let padded = padded.to_f32();
            for (a, b) in alone.iter().zip(&padded) {
                assert!((a - b).abs() < 1e-5, "{a} and {b}");
            }
            assert_eq!(padded[24..], [0.0; 16]);
        }
    }

    #[test]
    fn positions_tell_the_order() {
        for (positions, knows) in [
            ("none", false),
            ("sinusoidal", true),
            ("learned", true),
            ("rotary", true),
        ] {
            let limit = if positions == "learned" {
                r#", "max_length": 3"#
            } else {
                ""
            };
            let text = format!(r#"{{"layers": 1, "heads": 2, "positions": "{positions}"{limit}}}"#);
            let config: TransformerEncoderConfig = options(&text);
            let node = build(&config, &bound(&config, 8));
            let x = random::<3>([1, 3, 8]);
            let run = |x: Tensor<3>| {
                let inputs = inputs([("sequence", x.into())]);
                let mut context = Context::evaluation();
                let states = node.forward(&inputs, &mut context).unwrap().0["states"].clone();
                states.tensor::<Tensor<3>>().unwrap()
            };
            let (there, back) = (run(x.clone()), run(x.flip([1])).flip([1]));
            let difference = (there - back).abs().max().into_scalar::<f32>();
            assert_eq!(difference > 1e-3, knows, "{positions}: {difference}");
        }
    }

    #[test]
    fn dropout_acts_in_training_and_follows_the_seed() {
        let config: TransformerEncoderConfig =
            options(r#"{"layers": 2, "heads": 2, "dropout": 0.3}"#);
        let node = build(&config, &bound(&config, 8));
        let x: Value = random([2, 3, 8]).into();
        let run = |context: &mut Context| {
            let inputs = inputs([("sequence", x.clone())]);
            node.forward(&inputs, context).unwrap().0["states"].to_f32()
        };
        let one = run(&mut Context::training(1));
        assert_eq!(one, run(&mut Context::training(1)));
        assert_ne!(one, run(&mut Context::training(2)));
        assert_ne!(one, run(&mut Context::evaluation()));
        assert_eq!(
            run(&mut Context::evaluation()),
            run(&mut Context::evaluation())
        );
    }

    #[test]
    fn a_sequence_may_be_too_long_for_learned_positions() {
        let config: TransformerEncoderConfig =
            options(r#"{"layers": 1, "heads": 2, "positions": "learned", "max_length": 4}"#);
        let node = build(&config, &bound(&config, 8));
        let inputs = inputs([("sequence", random::<3>([2, 5, 8]).into())]);
        let mut context = Context::evaluation();
        let error = node.forward(&inputs, &mut context).unwrap_err();
        assert_eq!(
            error.to_string(),
            "input \"sequence\": expected at most max_length = 4 positions, found 5"
        );
        let step = node.step(&inputs, &mut State::default(), &mut context);
        assert_eq!(step.unwrap_err(), NodeError::NotSteppable);
        assert_eq!(config.stepping(), Stepping::No);
    }

    #[test]
    fn parameters_are_named_as_in_pytorch_and_follow_the_seed() {
        let names = |text: &str| {
            let config: TransformerEncoderConfig = options(text);
            let mut found = Vec::new();
            build(&config, &bound(&config, 8)).visit(&mut |param| {
                found.push((
                    param.path.to_owned(),
                    param.shape.clone(),
                    param.value().to_f32(),
                ));
            });
            found
        };
        let params = names(r#"{"layers": 2, "heads": 2, "hidden": 12}"#);
        let expected = [
            ("self_attn.in_proj_weight", vec![24, 8]),
            ("self_attn.in_proj_bias", vec![24]),
            ("self_attn.out_proj.weight", vec![8, 8]),
            ("self_attn.out_proj.bias", vec![8]),
            ("linear1.weight", vec![12, 8]),
            ("linear1.bias", vec![12]),
            ("linear2.weight", vec![8, 12]),
            ("linear2.bias", vec![8]),
            ("norm1.weight", vec![8]),
            ("norm1.bias", vec![8]),
            ("norm2.weight", vec![8]),
            ("norm2.bias", vec![8]),
        ];
        for (layer, params) in params[..24].chunks(12).enumerate() {
            for ((name, shape, _), (end, size)) in params.iter().zip(&expected) {
                assert_eq!(*name, format!("layers.{layer}.{end}"));
                assert_eq!(shape, size);
            }
        }
        let rest: Vec<&str> = params[24..]
            .iter()
            .map(|(name, ..)| name.as_str())
            .collect();
        assert_eq!(rest, ["norm.weight", "norm.bias"]);
        // Xavier's bound for 8 inputs and 24 outputs; layers do not begin alike.
        let bound = (6.0_f32 / 32.0).sqrt();
        let largest = params[0].2.iter().fold(0.0_f32, |m, v| m.max(v.abs()));
        assert!(largest < bound && largest > 0.9 * bound, "{largest}");
        assert_ne!(params[0].2, params[12].2);
        assert_eq!(params, names(r#"{"layers": 2, "heads": 2, "hidden": 12}"#));

        let learned = r#"{"layers": 1, "heads": 2, "norm": "post", "positions": "learned",
                          "max_length": 5}"#;
        let params = names(learned);
        assert_eq!(params[0].0, "positions.weight");
        assert_eq!(params[0].1, [5, 8]);
        assert!(params.iter().all(|(name, ..)| !name.starts_with("norm.")));
    }

    #[test]
    fn flops_of_two_layers() {
        let config: TransformerEncoderConfig =
            options(r#"{"layers": 2, "heads": 2, "hidden": 12}"#);
        // 5 positions: four projections and two maps each; 25 pairs: scores and sums of values.
        let layer = 5 * (4 * 8 * 8 + 2 * 8 * 12) + 25 * (8 + 8);
        assert_eq!(
            config.flops(&bound(&config, 8), &|_| 5),
            2.0 * 2.0 * layer as f64
        );
    }

    #[test]
    fn refuses_options_that_make_no_sense() {
        let refused = |rest: &str| {
            let text = format!(r#"{{"layers": 1, {rest}}}"#);
            let config: TransformerEncoderConfig = options(&text);
            refusal(&config, &bound(&config, 6))
        };
        assert_eq!(
            refused(r#""heads": 4"#),
            "heads: expected a divisor of the 6 features of input \"sequence\", found 4"
        );
        assert_eq!(
            refused(r#""heads": 2, "positions": "rotary""#),
            "positions: \"rotary\" expects an even number of features a head, found 3 (6 features, \
             2 heads)"
        );
        assert_eq!(
            refused(r#""heads": 2, "activation": "none""#),
            "activation: expected a function that is not linear, such as \"relu\" or \"gelu\", \
             found \"none\""
        );
        assert_eq!(
            refused(r#""heads": 2, "positions": "learned""#),
            "max_length: expected with positions = \"learned\", found none"
        );
        assert_eq!(
            refused(r#""heads": 2, "max_length": 7"#),
            "max_length: expected only with positions = \"learned\""
        );
        for wrong in [
            r#""heads": 0"#,
            r#""heads": 1, "hidden": 0"#,
            r#""heads": 1, "positions": "learned", "max_length": 0"#,
            r#""heads": 1, "dropout": 1.0"#,
        ] {
            assert!(refused(wrong).contains("expected at least"), "{wrong}");
        }
    }
}
