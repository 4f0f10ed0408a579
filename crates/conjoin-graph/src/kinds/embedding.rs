//! Node kind `embedding`: tokens `[B, T]` to features `[B, T, size]`; its table `[V, size]` is an output
//! too, for nodes that use the same one.

use super::shared::{at_least_one, dropout_probability, init, mode, same_symbols, vocabulary};
use crate::node::{Context, Forward, Inputs, Node, NodeConfig, NodeError, Outputs, Scope};
use crate::port::{Bound, InputPort, OutputPort, Want};
use crate::value::Value;
use burn::module::Module;
use conjoin_data::{Contract, Meaning};
use conjoin_nn::Embedding;
use conjoin_nn::embedding::look_up;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A trained vector for each symbol; the padding symbol's is zero. With its input `weight` wired to
/// another embedding's output `weight` it uses that one's table (and its own `scale` and `dropout`);
/// the table belongs to the other, which is trained or frozen, saved and imported with it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct EmbeddingConfig {
    /// Features of a vector.
    pub size: usize,
    /// Multiply vectors by the square root of `size` and begin with smaller ones (Vaswani et al.
    /// 2017): the same at first, but they then move that much faster.
    #[serde(default)]
    pub scale: bool,
    /// Probability of dropping a feature in training.
    #[serde(default)]
    pub dropout: f64,
}

#[derive(Module, Debug)]
struct EmbeddingNode {
    /// None where another node's is used.
    table: Option<Embedding>,
    padding: Option<i64>,
    scale: f64,
    dropout: f64,
}

impl NodeConfig for EmbeddingConfig {
    fn inputs(&self) -> Vec<InputPort> {
        let tokens = InputPort::new(
            "tokens",
            "symbols to look up",
            &[Meaning::Tokens],
            &[Want::Any("B"), Want::Any("T")],
        );
        let about = "another embedding's table, to look up in instead of an own one";
        vec![tokens, InputPort::parameters(about)]
    }

    fn outputs(&self, inputs: &Bound) -> Result<Vec<OutputPort>, NodeError> {
        at_least_one("size", self.size)?;
        dropout_probability(self.dropout)?;
        let symbols = vocabulary(inputs, "tokens")?;
        same_symbols(inputs, symbols)?;
        if let Some(size) = inputs.size("D").filter(|&size| size != self.size) {
            return Err(NodeError::Options(format!(
                "size: expected the {size} features of input \"weight\", found {}",
                self.size
            )));
        }
        let ragged = inputs.contract("tokens").is_some_and(|c| c.ragged);
        let dims = [inputs.dim("B"), inputs.dim("T"), self.size.into()];
        let contract = Contract::new(Meaning::Features, dims).with_ragged(ragged);
        let table = Contract::new(
            Meaning::Parameters,
            [symbols.len().into(), self.size.into()],
        )
        .with_vocabulary(symbols.clone());
        Ok(vec![
            OutputPort::new("features", "one vector a symbol", contract),
            OutputPort::new("weight", "the vectors of all symbols", table),
        ])
    }

    fn init(&self, inputs: &Bound, scope: &Scope) -> Result<Box<dyn Node>, NodeError> {
        let vocabulary = vocabulary(inputs, "tokens")?;
        let init = init(scope).child("table");
        let make = if self.scale {
            Embedding::scaled
        } else {
            Embedding::new
        };
        let own = inputs.contract("weight").is_none();
        Ok(Box::new(EmbeddingNode {
            table: own.then(|| make(&init, vocabulary.len(), self.size, vocabulary.pad)),
            padding: vocabulary.pad,
            scale: if self.scale {
                (self.size as f64).sqrt()
            } else {
                1.0
            },
            dropout: self.dropout,
        }))
    }

    /// A look-up multiplies nothing.
    fn flops(&self, _: &Bound, _: &dyn Fn(&str) -> usize) -> f64 {
        0.0
    }
}

impl Forward for EmbeddingNode {
    fn forward(&self, inputs: &Inputs, context: &mut Context) -> Result<Outputs, NodeError> {
        let tokens = inputs.tensor("tokens")?;
        let lengths = inputs.get("tokens")?.lengths.clone();
        let table = match &self.table {
            Some(own) => own.weight(),
            None => inputs.tensor("weight")?,
        };
        let features = look_up(table.clone(), tokens, self.padding, self.scale);
        let features = mode(context).dropout(features, self.dropout);
        let features = Value::with_lengths(features, lengths);
        Ok(Outputs::one("features", features).and("weight", Value::parameter(table)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kinds::shared::testing::{bind, build, inputs, options, refusal, tokens};
    use conjoin_data::Vocabulary;

    fn letters() -> Contract {
        Contract::tokens("T", Vocabulary::new("letters", ["<pad>", "a", "b"]))
    }

    #[test]
    fn looks_up_and_passes_lengths_on() {
        let config: EmbeddingConfig = options(r#"{"size": 4}"#);
        let bound = bind(&config, &[("tokens", letters())]);
        let outputs = config.outputs(&bound).unwrap();
        assert_eq!(outputs[0].contract.shape_text(), "[B, T, 4]");
        assert!(outputs[0].contract.ragged);

        let lengths = Some([3, 1].into());
        let value = Value::with_lengths(tokens([2, 3], &[1, 2, 1, 2, 0, 0]), lengths.clone());
        let out = build(&config, &bound)
            .forward(&inputs([("tokens", value)]), &mut Context::evaluation())
            .unwrap();
        let features = &out.0["features"];
        assert_eq!(features.shape(), [2, 3, 4]);
        assert_eq!(features.lengths, lengths);
        assert_eq!(features.to_f32()[16..], [0.0; 8]);
    }

    #[test]
    fn scaled_vectors_are_the_same_at_first() {
        let read = |text: &str| {
            let config: EmbeddingConfig = options(text);
            let node = build(&config, &bind(&config, &[("tokens", letters())]));
            let mut weight = Vec::new();
            node.visit(&mut |param| weight = param.value().to_f32());
            let inputs = inputs([("tokens", tokens([1, 2], &[1, 2]).into())]);
            let out = node.forward(&inputs, &mut Context::evaluation()).unwrap();
            (weight, out.0["features"].to_f32())
        };
        let (plain, expected) = read(r#"{"size": 16}"#);
        let (small, found) = read(r#"{"size": 16, "scale": true}"#);
        for (plain, small) in plain.iter().zip(small) {
            assert!((plain / 4.0 - small).abs() < 1e-6);
        }
        for (expected, found) in expected.iter().zip(found) {
            assert!((expected - found).abs() < 1e-6);
        }
    }

    #[test]
    fn drops_features_in_training() {
        let config: EmbeddingConfig = options(r#"{"size": 64, "dropout": 0.5}"#);
        let bound = bind(&config, &[("tokens", letters())]);
        let node = build(&config, &bound);
        let zeros = |context: &mut Context| {
            let inputs = inputs([("tokens", tokens([1, 1], &[1]).into())]);
            let out = node.forward(&inputs, context).unwrap();
            let features = out.0["features"].to_f32();
            features.iter().filter(|v| **v == 0.0).count()
        };
        assert_eq!(zeros(&mut Context::evaluation()), 0);
        assert!((16..48).contains(&zeros(&mut Context::training(1))));
    }

    #[test]
    fn looks_up_in_the_table_of_another() {
        let config: EmbeddingConfig = options(r#"{"size": 4, "scale": true}"#);
        let owner = build(&config, &bind(&config, &[("tokens", letters())]));
        let symbols = || Value::from(tokens([1, 3], &[2, 1, 0]));
        let given = inputs([("tokens", symbols())]);
        let expected = owner.forward(&given, &mut Context::evaluation()).unwrap();
        let table = config.outputs(&bind(&config, &[("tokens", letters())]));
        let table = table.unwrap()[1].contract.clone();
        assert_eq!(table.shape_text(), "[3, 4]");

        let bound = bind(&config, &[("tokens", letters()), ("weight", table.clone())]);
        let other = build(&config, &bound);
        other.visit(&mut |param| panic!("{} is its own", param.path));
        let weight = expected.0["weight"].clone();
        assert!(weight.is_parameter);
        let given = inputs([("tokens", symbols()), ("weight", weight)]);
        let found = other.forward(&given, &mut Context::evaluation()).unwrap();
        for port in ["features", "weight"] {
            assert_eq!(found.0[port].to_f32(), expected.0[port].to_f32());
        }

        let small: EmbeddingConfig = options(r#"{"size": 3}"#);
        assert_eq!(
            refusal(&small, &bound),
            "size: expected the 4 features of input \"weight\", found 3"
        );
        let digits = Contract::tokens("T", Vocabulary::new("digits", ["<pad>", "0", "1"]));
        let bound = bind(&config, &[("tokens", digits), ("weight", table)]);
        assert_eq!(
            refusal(&config, &bound),
            "input \"weight\": expected a row for each symbol of digits(3), found the rows of \
             letters(3)"
        );
    }

    #[test]
    fn refuses_what_makes_no_sense() {
        let config: EmbeddingConfig = options(r#"{"size": 0}"#);
        let bound = bind(&config, &[("tokens", letters())]);
        assert_eq!(
            refusal(&config, &bound),
            "size: expected at least 1, found 0"
        );
        let config: EmbeddingConfig = options(r#"{"size": 4, "dropout": 1.0}"#);
        assert_eq!(
            refusal(&config, &bound),
            "dropout: expected at least 0 and less than 1, found 1"
        );
        let config: EmbeddingConfig = options(r#"{"size": 4}"#);
        let nameless = Contract::new(Meaning::Tokens, ["B".into(), "T".into()]);
        let bound = bind(&config, &[("tokens", nameless)]);
        assert_eq!(
            refusal(&config, &bound),
            "input \"tokens\": expected a contract with a vocabulary, found tokens [B, T]"
        );
        let unknown = serde_json::from_str::<EmbeddingConfig>(r#"{"size": 4, "sise": 4}"#);
        assert!(unknown.unwrap_err().to_string().contains("sise"));
    }
}
