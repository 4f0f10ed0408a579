//! The small translation model of `golden/beam.py`: its graph, its weights, and batches for it.

use burn::tensor::{DType, Device, Int, Tensor, TensorData};
use conjoin_graph::spec::resolve;
use conjoin_graph::weights::{ImportConfig, import};
use conjoin_graph::{
    BuiltinNode, Contract, Graph, NodeKind, NodeSpec, PortRef, Route, Value, Vocabulary, Wire,
    Wiring,
};
use conjoin_tasks::decode::DecoderSetup;
use std::collections::BTreeMap;
use std::path::Path;

pub const BOS: i64 = 1;
pub const EOS: i64 = 2;

pub struct Marian {
    pub graph: Graph,
    pub route: Route,
    pub setup: DecoderSetup,
    pub device: Device,
}

const STACK: &str = r#""layers": 2, "heads": 2, "hidden": 24, "activation": "silu", "norm": "post",
    "positions": "sinusoidal-halves""#;

impl Marian {
    /// With the weights of the golden file.
    pub fn read(symbols: usize, longest: usize) -> Self {
        let specials = ["<pad>", "<bos>", "<eos>", "<unk>"].map(str::to_owned);
        let words = (specials.len()..symbols).map(|i| format!("w{i}"));
        let vocabulary = Vocabulary::new("words", specials.into_iter().chain(words));
        let banned = vocabulary.unsaid();
        let columns: BTreeMap<String, Contract> = [
            (
                "source".to_owned(),
                Contract::tokens("T", vocabulary.clone()),
            ),
            ("said".to_owned(), Contract::tokens("U", vocabulary.clone())),
        ]
        .into();
        let table = r#"{"kind": "embedding", "size": 16, "scale": true}"#.to_owned();
        let nodes = [
            ("source", table.clone()),
            (
                "encoder",
                format!(r#"{{"kind": "transformer-encoder", {STACK}}}"#),
            ),
            ("target", table),
            (
                "decoder",
                format!(r#"{{"kind": "transformer-decoder", "weights": true, {STACK}}}"#),
            ),
            ("output", r#"{"kind": "classifier"}"#.to_owned()),
        ]
        .map(|(name, text)| {
            let config: BuiltinNode = serde_json::from_str(&text).unwrap();
            NodeSpec {
                name: name.to_owned(),
                config: NodeKind::Builtin(config),
            }
        });
        let port = |text: &str| -> PortRef { text.parse().unwrap() };
        let wires: Wiring = [
            ("source.tokens", "data.source"),
            ("encoder.sequence", "source.features"),
            ("target.tokens", "data.said"),
            ("target.weight", "source.weight"),
            ("decoder.sequence", "target.features"),
            ("decoder.memory", "encoder.states"),
            ("output.features", "decoder.states"),
            ("output.classes", "data.said"),
            ("output.weight", "target.weight"),
        ]
        .into_iter()
        .map(|(to, from)| (port(to), Wire::new(port(from))))
        .collect();
        let wanted = [port("output.logits"), port("decoder.weights")];
        let resolution = resolve(&nodes, &wires, &columns, Some(&wanted));
        assert_eq!(resolution.problems, []);
        let device = Device::flex();
        let mut graph = Graph::build(&nodes, [&resolution], &device, 1).unwrap();
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/marian.safetensors");
        for name in ["source", "encoder", "decoder", "output"] {
            let config = ImportConfig {
                path: path.clone(),
                prefix: format!("{name}."),
                ..ImportConfig::default()
            };
            let node = graph.node(name).unwrap().boxed_clone();
            let (node, _) = import(node, &config, &path).unwrap();
            graph.replace(name, node);
        }
        Self {
            graph: graph.evaluation_copy(),
            route: Route::new(&nodes, &wires, &resolution),
            setup: DecoderSetup {
                tokens: "said".to_owned(),
                logits: port("output.logits"),
                alignment: Some(port("decoder.weights")),
                bos: BOS,
                eos: EOS,
                banned,
                max_length: longest,
            },
            device,
        }
    }

    /// Rows of tokens as a padded column.
    pub fn column(&self, rows: &[Vec<i64>]) -> Value {
        let width = rows.iter().map(Vec::len).max().unwrap();
        let padded: Vec<i64> = rows
            .iter()
            .flat_map(|row| row.iter().copied().chain(std::iter::repeat(0)).take(width))
            .collect();
        let data = TensorData::new(padded, [rows.len(), width]);
        let tokens = Tensor::<2, Int>::from_data(data, (&self.device, DType::I64));
        let lengths: Vec<usize> = rows.iter().map(Vec::len).collect();
        Value::with_lengths(tokens, Some(lengths.into()))
    }

    pub fn batch(&self, inputs: &[Vec<i64>]) -> BTreeMap<String, Value> {
        [("source".to_owned(), self.column(inputs))].into()
    }

    /// A batch whose target column has what was said so far.
    pub fn with_targets(
        &self,
        batch: &BTreeMap<String, Value>,
        said: &[Vec<i64>],
    ) -> BTreeMap<String, Value> {
        let begun = said.iter().map(|row| [&[BOS], row.as_slice()].concat());
        let mut columns = batch.clone();
        columns.insert("said".to_owned(), self.column(&begun.collect::<Vec<_>>()));
        columns
    }

    /// Log-probability of each row of tokens with its end, by the logits `[B, U, V]` of a whole pass.
    #[allow(dead_code)] // one of the tests reads it
    pub fn log_probabilities(&self, logits: &Value, said: &[Vec<i64>]) -> Vec<f64> {
        let [_, time, symbols] = logits.shape()[..] else {
            panic!("expected rank 3")
        };
        let mut logits = logits.to_f32();
        for row in logits.chunks_mut(symbols) {
            for &symbol in &self.setup.banned {
                row[symbol as usize] = f32::NEG_INFINITY;
            }
            let sum: f64 = row.iter().map(|&x| f64::from(x).exp()).sum();
            for x in row {
                *x -= sum.ln() as f32;
            }
        }
        let of = |(row, tokens): (usize, &Vec<i64>)| {
            let ended = tokens.iter().chain([&EOS]).enumerate();
            let score = |(t, &token): (usize, &i64)| {
                f64::from(logits[(row * time + t) * symbols + token as usize])
            };
            ended.map(score).sum()
        };
        said.iter().enumerate().map(of).collect()
    }
}
