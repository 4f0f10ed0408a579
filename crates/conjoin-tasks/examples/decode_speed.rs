//! How much faster beam search by steps is than one that runs whole prefixes again at every position:
//! a transformer of random weights, 100 inputs of 5 to 25 symbols, beam 5, 24 symbols out.
//!
//!     cargo run --release --example decode_speed

use burn::tensor::{DType, Device, Int, Tensor, TensorData};
use conjoin_graph::spec::resolve;
use conjoin_graph::{
    BuiltinNode, Contract, Graph, NodeKind, NodeSpec, Pass, PortRef, Route, Value, Vocabulary,
    Wire, Wiring,
};
use conjoin_tasks::decode::{BeamConfig, DecoderSetup, SearchConfig, beam_search};
use std::collections::BTreeMap;
use std::time::Instant;

const ROWS: usize = 100;
const BEAM: usize = 5;
const OUT: usize = 24;
const SYMBOLS: usize = 2000;

type Columns = BTreeMap<String, Value>;
type Failure = Box<dyn std::error::Error>;

fn system(device: &Device) -> Result<(Graph, Route, DecoderSetup), Failure> {
    let specials = ["<pad>", "<bos>", "<eos>"].map(str::to_owned);
    let words = (specials.len()..SYMBOLS).map(|i| format!("w{i}"));
    let vocabulary = Vocabulary::new("words", specials.into_iter().chain(words));
    let column = |time: &str| Contract::tokens(time, vocabulary.clone());
    let columns = [
        ("source".to_owned(), column("T")),
        ("said".to_owned(), column("U")),
    ];
    let stack = r#""layers": 3, "heads": 4, "hidden": 512"#;
    let nodes = [
        (
            "source",
            r#"{"kind": "embedding", "size": 128, "scale": true}"#.to_owned(),
        ),
        (
            "encoder",
            format!(r#"{{"kind": "transformer-encoder", {stack}}}"#),
        ),
        (
            "target",
            r#"{"kind": "embedding", "size": 128, "scale": true}"#.to_owned(),
        ),
        (
            "decoder",
            format!(r#"{{"kind": "transformer-decoder", {stack}}}"#),
        ),
        ("output", r#"{"kind": "classifier"}"#.to_owned()),
    ]
    .into_iter()
    .map(|(name, text)| {
        let config: BuiltinNode = serde_json::from_str(&text)?;
        Ok(NodeSpec {
            name: name.to_owned(),
            config: NodeKind::Builtin(config),
        })
    })
    .collect::<Result<Vec<_>, serde_json::Error>>()?;
    let port = |text: &str| text.parse::<PortRef>();
    let wires: Wiring = [
        ("source.tokens", "data.source"),
        ("encoder.sequence", "source.features"),
        ("target.tokens", "data.said"),
        ("target.weight", "source.weight"),
        ("decoder.sequence", "target.features"),
        ("decoder.memory", "encoder.states"),
        ("output.features", "decoder.states"),
        ("output.classes", "data.said"),
        ("output.weight", "source.weight"),
    ]
    .into_iter()
    .map(|(to, from)| Ok((port(to)?, Wire::new(port(from)?))))
    .collect::<Result<_, String>>()?;
    let logits = port("output.logits")?;
    let resolution = resolve(
        &nodes,
        &wires,
        &columns.into(),
        Some(std::slice::from_ref(&logits)),
    );
    let graph = Graph::build(&nodes, [&resolution], device, 1)?;
    let setup = DecoderSetup {
        tokens: "said".to_owned(),
        logits,
        alignment: None,
        bos: 1,
        eos: 2,
        // Without an end, every output has the same length.
        banned: vec![0, 1, 2],
        max_length: OUT,
    };
    let route = Route::new(&nodes, &wires, &resolution);
    Ok((graph.evaluation_copy(), route, setup))
}

fn column(rows: &[Vec<i64>], device: &Device) -> Value {
    let width = rows.iter().map(Vec::len).max().unwrap_or(0);
    let ended = |row: &Vec<i64>| [row.clone(), vec![0; width - row.len()]].concat();
    let padded: Vec<i64> = rows.iter().flat_map(ended).collect();
    let data = TensorData::new(padded, [rows.len(), width]);
    let tokens = Tensor::<2, Int>::from_data(data, (device, DType::I64));
    let lengths: Vec<usize> = rows.iter().map(Vec::len).collect();
    Value::with_lengths(tokens, Some(lengths.into()))
}

/// The best continuations of each row's prefixes by whole passes over all of them.
fn recompute(
    graph: &Graph,
    route: &Route,
    sources: &[Vec<i64>],
    setup: &DecoderSetup,
    device: &Device,
) -> Result<Vec<Vec<i64>>, Failure> {
    let mut beams: Vec<Vec<(f64, Vec<i64>)>> = vec![vec![(0.0, vec![setup.bos])]; sources.len()];
    for position in 0..OUT {
        let mut prefixes = Vec::new();
        let mut read = Vec::new();
        for (beam, source) in beams.iter().zip(sources) {
            prefixes.extend(beam.iter().map(|(_, prefix)| prefix.clone()));
            read.extend(beam.iter().map(|_| source.clone()));
        }
        let columns: Columns = [
            ("source".to_owned(), column(&read, device)),
            ("said".to_owned(), column(&prefixes, device)),
        ]
        .into();
        let trace = graph.forward(route, &columns, &Pass::default())?;
        let logits = trace.get(&setup.logits)?.to_f32();
        let mut first = 0;
        for beam in &mut beams {
            let mut all: Vec<(f64, Vec<i64>)> = Vec::new();
            for (index, (score, prefix)) in beam.iter().enumerate() {
                let at = ((first + index) * (position + 1) + position) * SYMBOLS;
                let row = &logits[at + 3..at + SYMBOLS];
                let sum: f64 = row.iter().map(|&x| f64::from(x).exp()).sum();
                for (token, &x) in row.iter().enumerate() {
                    let total = score + f64::from(x) - sum.ln();
                    if all.len() < BEAM || total > all[BEAM - 1].0 {
                        let next = [prefix.as_slice(), &[token as i64 + 3]].concat();
                        let place = all.partition_point(|(other, _)| *other >= total);
                        all.insert(place, (total, next));
                        all.truncate(BEAM);
                    }
                }
            }
            first += beam.len();
            *beam = all;
        }
    }
    let best = beams.into_iter().map(|beam| beam[0].1[1..].to_vec());
    Ok(best.collect())
}

fn main() -> Result<(), Failure> {
    let device = Device::flex();
    let (graph, route, setup) = system(&device)?;
    let sources: Vec<Vec<i64>> = (0..ROWS)
        .map(|row| {
            let length = 5 + row * 7 % 21;
            (0..length)
                .map(|t| 3 + ((row * 31 + t * 17) % (SYMBOLS - 3)) as i64)
                .collect()
        })
        .collect();
    let columns: Columns = [("source".to_owned(), column(&sources, &device))].into();
    let config = BeamConfig {
        width: BEAM,
        length_penalty: 0.0,
        search: SearchConfig::default(),
    };
    let steps = || beam_search(&graph, &route, &columns, ROWS, &setup, &config, &device);
    // Both once before anything is timed: weights begin lazily.
    steps()?;
    let mut pairs = Vec::new();
    let mut equal = 0;
    for _ in 0..3 {
        let begun = Instant::now();
        let found = steps()?;
        let by_steps = begun.elapsed().as_secs_f64();
        let begun = Instant::now();
        let again = recompute(&graph, &route, &sources, &setup, &device)?;
        let by_passes = begun.elapsed().as_secs_f64();
        equal = found
            .iter()
            .zip(&again)
            .filter(|(a, b)| a[0].tokens == **b)
            .count();
        println!(
            "by steps {by_steps:.2} s, by whole passes {by_passes:.2} s: {:.1} times",
            by_passes / by_steps
        );
        pairs.push(by_passes / by_steps);
    }
    pairs.sort_by(f64::total_cmp);
    println!(
        "median {:.1} times; {equal} of {ROWS} best outputs are the same",
        pairs[1]
    );
    Ok(())
}
