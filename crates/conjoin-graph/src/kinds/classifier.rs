//! Node kind `classifier`: features `[B, .., D]` to logits `[B, .., V]` over a column's vocabulary.

use super::shared::{
    contract, dropout_probability, init, known, map_last, mode, positions, same_symbols,
    vocabulary, with_last,
};
use crate::node::{Context, Forward, Inputs, Node, NodeConfig, NodeError, Outputs, Scope};
use crate::port::{Bound, InputPort, OutputPort, Want};
use burn::module::Module;
use conjoin_data::Meaning;
use conjoin_nn::linear::TiedLinear;
use conjoin_nn::{Activation, Linear};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Dropout, then an affine map to one logit a class. With its input `weight` wired to an embedding's
/// output `weight` the map uses that table (tied embeddings, Press and Wolf 2017), which the embedding
/// owns: it is trained or frozen, saved and imported with the embedding. Give such an embedding
/// `scale = true`, so that logits do not begin large.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ClassifierConfig {
    /// Probability of dropping an input feature in training.
    #[serde(default)]
    pub dropout: f64,
    /// Add a trained offset to each logit.
    #[serde(default = "super::shared::yes")]
    pub bias: bool,
}

#[derive(Module, Debug)]
struct ClassifierNode {
    map: Option<Linear>,
    /// Where the weights are another node's.
    tied: Option<TiedLinear>,
    dropout: f64,
}

impl NodeConfig for ClassifierConfig {
    fn inputs(&self) -> Vec<InputPort> {
        vec![
            InputPort::new(
                "features",
                "what is classified",
                &[Meaning::Features, Meaning::Quantity, Meaning::Weights],
                &[Want::Any("B"), Want::Rest, Want::Known("D")],
            ),
            InputPort::new(
                "classes",
                "a column whose vocabulary names the classes",
                &[Meaning::Tokens, Meaning::Label],
                &[Want::Rest],
            )
            .contract_only(),
            InputPort::parameters("an embedding's table, instead of weights of its own"),
        ]
    }

    fn outputs(&self, inputs: &Bound) -> Result<Vec<OutputPort>, NodeError> {
        dropout_probability(self.dropout)?;
        let classes = vocabulary(inputs, "classes")?;
        same_symbols(inputs, classes)?;
        let features = contract(inputs, "features")?;
        let contract =
            with_last(features, Meaning::Logits, classes.len()).with_vocabulary(classes.clone());
        let about = "unnormalised log-probability of each class";
        Ok(vec![OutputPort::new("logits", about, contract)])
    }

    fn init(&self, inputs: &Bound, scope: &Scope) -> Result<Box<dyn Node>, NodeError> {
        let init = init(scope);
        let (input, classes) = (known(inputs, "D")?, vocabulary(inputs, "classes")?.len());
        let (map, tied) = (init.child("map"), init.child("tied"));
        let is_tied = inputs.contract("weight").is_some();
        Ok(Box::new(ClassifierNode {
            map: (!is_tied).then(|| Linear::new(&map, input, classes, self.bias, Activation::None)),
            tied: is_tied.then(|| TiedLinear::new(&tied, classes, self.bias)),
            dropout: self.dropout,
        }))
    }

    fn flops(&self, inputs: &Bound, size: &dyn Fn(&str) -> usize) -> f64 {
        let rows = inputs
            .contract("features")
            .map_or(0.0, |contract| positions(contract, size));
        let classes = vocabulary(inputs, "classes").map_or(0, |classes| classes.len());
        rows * Linear::flops(inputs.size("D").unwrap_or(0), classes)
    }
}

impl Forward for ClassifierNode {
    fn forward(&self, inputs: &Inputs, context: &mut Context) -> Result<Outputs, NodeError> {
        let mut mode = mode(context);
        let weight = match &self.tied {
            Some(_) => Some(inputs.tensor("weight")?),
            None => None,
        };
        let logits = map_last(inputs.get("features")?, "features", |x| {
            let x = mode.dropout(x, self.dropout);
            match (&self.map, &self.tied, weight) {
                (Some(map), ..) => map.forward(x),
                (None, Some(tied), Some(weight)) => tied.forward(x, weight),
                _ => x,
            }
        })?;
        Ok(Outputs::one("logits", logits))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kinds::shared::testing::{bind, build, inputs, options, random, refusal};
    use crate::value::Value;
    use conjoin_data::{Contract, Vocabulary};

    #[test]
    fn one_logit_a_class_of_the_vocabulary() {
        let classes = Vocabulary::new("clothes", ["shirt", "shoe", "bag"]);
        let config: ClassifierConfig = options("{}");
        let features = Contract::new(Meaning::Features, ["B".into(), "T".into(), 5.into()]);
        let bound = bind(
            &config,
            &[
                ("features", features.with_ragged(true)),
                ("classes", Contract::label(classes.clone())),
            ],
        );
        let contract = &config.outputs(&bound).unwrap()[0].contract;
        assert_eq!(contract.shape_text(), "[B, T, 3]");
        assert_eq!(contract.meaning, Meaning::Logits);
        assert_eq!(contract.vocabulary, Some(classes));
        assert!(contract.ragged);
        assert_eq!(config.flops(&bound, &|_| 7), 2.0 * 7.0 * 15.0);

        let lengths = Some([4, 1].into());
        let value = Value::with_lengths(random([2, 4, 5]), lengths.clone());
        let out = build(&config, &bound)
            .forward(&inputs([("features", value)]), &mut Context::evaluation())
            .unwrap();
        assert_eq!(out.0["logits"].shape(), [2, 4, 3]);
        assert_eq!(out.0["logits"].lengths, lengths);
    }

    #[test]
    fn tied_logits_are_products_with_the_table() {
        let classes = Vocabulary::new("clothes", ["shirt", "shoe", "bag"]);
        let config: ClassifierConfig = options("{}");
        let features = Contract::new(Meaning::Features, ["B".into(), 2.into()]);
        let table = |size: usize, symbols| {
            Contract::new(Meaning::Parameters, [3.into(), size.into()]).with_vocabulary(symbols)
        };
        let label = Contract::label(classes.clone());
        let contracts = [
            ("features", features.clone()),
            ("classes", label.clone()),
            ("weight", table(2, classes)),
        ];
        let bound = bind(&config, &contracts);
        let node = build(&config, &bound);
        let mut paths = Vec::new();
        node.visit(&mut |param| paths.push(param.path.to_owned()));
        assert_eq!(paths, ["tied.bias"]);
        let device = burn::tensor::Device::flex();
        let x = burn::tensor::Tensor::<2>::from_data([[1.0, 2.0]], &device);
        let w =
            burn::tensor::Tensor::<2>::from_data([[1.0, 0.0], [0.0, 1.0], [3.0, -1.0]], &device);
        let given = inputs([("features", x.into()), ("weight", Value::parameter(w))]);
        let out = node.forward(&given, &mut Context::evaluation()).unwrap();
        assert_eq!(out.0["logits"].to_f32(), [1.0, 2.0, 1.0]);

        let other = Vocabulary::new("hats", ["cap", "bowler", "beret"]);
        let contracts = [
            ("features", features),
            ("classes", label),
            ("weight", table(2, other)),
        ];
        assert_eq!(
            refusal(&config, &bind(&config, &contracts)),
            "input \"weight\": expected a row for each symbol of clothes(3), found the rows of \
             hats(3)"
        );
    }

    #[test]
    fn refuses_classes_without_a_vocabulary() {
        let config: ClassifierConfig = options("{}");
        let features = Contract::new(Meaning::Features, ["B".into(), 5.into()]);
        let nameless = Contract::new(Meaning::Label, ["B".into()]);
        let bound = bind(&config, &[("features", features), ("classes", nameless)]);
        assert_eq!(
            refusal(&config, &bound),
            "input \"classes\": expected a contract with a vocabulary, found label [B]"
        );
    }
}
