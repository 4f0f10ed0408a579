//! How much faster beam search by steps is than one that runs whole prefixes through the decoder again at
//! every position. Both run the encoder once and compute the logits of the last position alone. A transformer
//! of the size of `recipes/translate-transformer.toml` with random weights, 100 inputs of 5 to 57 symbols (31 on
//! average, as in LibreOffice's help), beam 5, 32 symbols out.
//!
//!     cargo run --release --example decode_speed
//!
//! Seen on two cores of an AMD Zen 3, beside other work: 6.5 against 52.4 s, 8.1 times.

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
const OUT: usize = 32;
const SYMBOLS: usize = 4000;

type Columns = BTreeMap<String, Value>;
type Failure = Box<dyn std::error::Error>;

/// What both searches run.
struct System {
    graph: Graph,
    /// From the columns to the logits.
    route: Route,
    /// What does not depend on what has been said, and the decoder's states.
    encoder: Route,
    decoder: Route,
    /// From the columns `states` and `table` to the logits.
    output: Route,
    setup: DecoderSetup,
    device: Device,
}

fn system(device: Device) -> Result<System, Failure> {
    let specials = ["<pad>", "<bos>", "<eos>"].map(str::to_owned);
    let words = (specials.len()..SYMBOLS).map(|i| format!("w{i}"));
    let vocabulary = Vocabulary::new("words", specials.into_iter().chain(words));
    let column = |time: &str| Contract::tokens(time, vocabulary.clone());
    let columns = [
        ("source".to_owned(), column("T")),
        ("said".to_owned(), column("U")),
    ];
    let stack = r#""layers": 3, "heads": 4, "hidden": 1024"#;
    let nodes = [
        (
            "source",
            r#"{"kind": "embedding", "size": 256, "scale": true}"#.to_owned(),
        ),
        (
            "encoder",
            format!(r#"{{"kind": "transformer-encoder", {stack}}}"#),
        ),
        (
            "target",
            r#"{"kind": "embedding", "size": 256, "scale": true}"#.to_owned(),
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
    let columns: BTreeMap<String, Contract> = columns.into();
    let resolved =
        |wanted: &PortRef| resolve(&nodes, &wires, &columns, Some(std::slice::from_ref(wanted)));
    let (states, logits) = (port("decoder.states")?, port("output.logits")?);
    let resolution = resolved(&logits);
    let graph = Graph::build(&nodes, [&resolution], &device, 1)?;
    let (encoder, decoder) = Route::new(&nodes, &wires, &resolved(&states)).split_at_column("said");

    // The last node by itself, fed with columns.
    let contract = |port: &PortRef| resolution.contract(port, &columns).cloned();
    let found = contract(&states).zip(contract(&port("source.weight")?));
    let (features, table) = found.ok_or("no contract")?;
    let alone: BTreeMap<String, Contract> = [
        ("states".to_owned(), features),
        ("table".to_owned(), table),
        ("said".to_owned(), column("U")),
    ]
    .into();
    let last = &nodes[nodes.len() - 1..];
    let feeds: Wiring = [
        ("output.features", "data.states"),
        ("output.classes", "data.said"),
        ("output.weight", "data.table"),
    ]
    .into_iter()
    .map(|(to, from)| Ok((port(to)?, Wire::new(port(from)?))))
    .collect::<Result<_, String>>()?;
    let wanted = Some(std::slice::from_ref(&logits));
    let output = Route::new(last, &feeds, &resolve(last, &feeds, &alone, wanted));
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
    Ok(System {
        route: Route::new(&nodes, &wires, &resolution),
        graph: graph.evaluation_copy(),
        encoder,
        decoder,
        output,
        setup,
        device,
    })
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

/// The best continuations of each row's prefixes: whole prefixes through the decoder at every position.
fn recompute(system: &System, sources: &[Vec<i64>]) -> Result<Vec<Vec<i64>>, Failure> {
    let (graph, setup, device) = (&system.graph, &system.setup, &system.device);
    let port = |text: &str| text.parse::<PortRef>();
    let columns: Columns = [("source".to_owned(), column(sources, device))].into();
    let encoded = graph.forward(&system.encoder, &columns, &Pass::default())?;
    let memory = encoded.get(&port("encoder.states")?)?;
    let table = encoded.get(&port("source.weight")?)?;
    let mut beams: Vec<Vec<(f64, Vec<i64>)>> = vec![vec![(0.0, vec![setup.bos])]; sources.len()];
    for position in 0..OUT {
        let mut prefixes = Vec::new();
        let mut read = Vec::new();
        for (row, beam) in beams.iter().enumerate() {
            prefixes.extend(beam.iter().map(|(_, prefix)| prefix.clone()));
            read.extend(beam.iter().map(|_| row));
        }
        let pass = Pass {
            overrides: [
                (port("decoder.memory")?, memory.clone().select_rows(&read)),
                (port("target.weight")?, table.clone()),
            ]
            .into(),
            ..Pass::default()
        };
        let columns: Columns = [("said".to_owned(), column(&prefixes, device))].into();
        let trace = graph.forward(&system.decoder, &columns, &pass)?;
        let states: Tensor<3> = trace.get(&port("decoder.states")?)?.tensor()?;
        let last = states.narrow(1, position, 1);
        let lengths = vec![1; prefixes.len()];
        let columns: Columns = [
            (
                "states".to_owned(),
                Value::with_lengths(last, Some(lengths.into())),
            ),
            ("table".to_owned(), table.clone()),
        ]
        .into();
        let trace = graph.forward(&system.output, &columns, &Pass::default())?;
        let logits = trace.get(&setup.logits)?.to_f32();
        let mut first = 0;
        for beam in &mut beams {
            let mut all: Vec<(f64, Vec<i64>)> = Vec::new();
            for (index, (score, prefix)) in beam.iter().enumerate() {
                let at = (first + index) * SYMBOLS;
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
    let system = system(Device::flex())?;
    let (graph, route) = (&system.graph, &system.route);
    let (setup, device) = (&system.setup, &system.device);
    let sources: Vec<Vec<i64>> = (0..ROWS)
        .map(|row| {
            let length = 5 + row * 19 % 53;
            (0..length)
                .map(|t| 3 + ((row * 31 + t * 17) % (SYMBOLS - 3)) as i64)
                .collect()
        })
        .collect();
    let columns: Columns = [("source".to_owned(), column(&sources, device))].into();
    let config = BeamConfig {
        width: BEAM,
        length_penalty: 0.0,
        search: SearchConfig::default(),
    };
    let steps = || beam_search(graph, route, &columns, ROWS, setup, &config, device);
    // Both once before anything is timed: weights begin lazily.
    steps()?;
    recompute(&system, &sources)?;
    let mut pairs = Vec::new();
    let mut equal = 0;
    for _ in 0..3 {
        let begun = Instant::now();
        let found = steps()?;
        let by_steps = begun.elapsed().as_secs_f64();
        let begun = Instant::now();
        let again = recompute(&system, &sources)?;
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
