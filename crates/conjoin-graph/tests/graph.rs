//! The graph as a whole: resolving, running, stepping, freezing, saving.

use burn::tensor::{DType, Device, Int, Tensor, TensorData};
use conjoin_graph::blend::feed_back;
use conjoin_graph::graph::{Keep, Trace};
use conjoin_graph::spec::{self, resolve};
use conjoin_graph::weights::{self, ImportConfig, WeightsError};
use conjoin_graph::{
    Blend, BuiltinNode, Contract, Graph, NodeKind, NodeSpec, Pass, PortRef, ProblemKind,
    Resolution, Route, Value, Vocabulary, Wire, Wiring,
};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

fn vocabulary(name: &str, size: usize) -> std::sync::Arc<Vocabulary> {
    let specials = ["<pad>", "<bos>", "<eos>"].map(str::to_owned);
    let rest = (0..size).map(|i| format!("{name}{i}"));
    Vocabulary::new(name, specials.into_iter().chain(rest))
}

fn columns() -> BTreeMap<String, Contract> {
    let (letters, phonemes) = (vocabulary("letters", 9), vocabulary("phonemes", 7));
    [
        ("letters".to_owned(), Contract::tokens("T", letters)),
        ("said".to_owned(), Contract::tokens("U", phonemes.clone())),
        ("next".to_owned(), Contract::tokens("U", phonemes)),
    ]
    .into()
}

fn node(name: &str, options: &str) -> NodeSpec {
    let config: BuiltinNode = serde_json::from_str(options).unwrap();
    NodeSpec {
        name: name.to_owned(),
        config: NodeKind::Builtin(config),
    }
}

fn port(text: &str) -> PortRef {
    text.parse().unwrap()
}

fn wiring(wires: &[(&str, &str)]) -> Wiring {
    wires
        .iter()
        .map(|(to, from)| (port(to), Wire::new(port(from))))
        .collect()
}

fn system() -> (Vec<NodeSpec>, Wiring) {
    let nodes = vec![
        node("letters", r#"{"kind":"embedding","size":6}"#),
        node(
            "encoder",
            r#"{"kind":"recurrent","hidden":5,"bidirectional":true}"#,
        ),
        node("said", r#"{"kind":"embedding","size":4}"#),
        node("decoder", r#"{"kind":"recurrent","hidden":8}"#),
        node("attention", r#"{"kind":"attention","score":"additive"}"#),
        node("output", r#"{"kind":"classifier"}"#),
    ];
    let wires = wiring(&[
        ("letters.tokens", "data.letters"),
        ("encoder.sequence", "letters.features"),
        ("said.tokens", "data.said"),
        ("decoder.sequence", "said.features"),
        ("attention.queries", "decoder.states"),
        ("attention.memory", "encoder.states"),
        ("output.features", "attention.attended"),
        ("output.classes", "data.next"),
    ]);
    (nodes, wires)
}

fn build(nodes: &[NodeSpec], wires: &Wiring, device: &Device) -> (Graph, Route) {
    let wanted = [port("output.logits"), port("attention.weights")];
    let resolution = resolve(nodes, wires, &columns(), Some(&wanted));
    assert_eq!(resolution.problems, []);
    let graph = Graph::build(nodes, [&resolution], device, 3).unwrap();
    (graph, Route::new(nodes, wires, &resolution))
}

fn tokens(rows: &[&[i64]], device: &Device) -> Value {
    let width = rows.iter().map(|row| row.len()).max().unwrap();
    let padded: Vec<i64> = rows
        .iter()
        .flat_map(|row| row.iter().copied().chain(std::iter::repeat(0)).take(width))
        .collect();
    let data = TensorData::new(padded, [rows.len(), width]);
    let lengths: Vec<usize> = rows.iter().map(|row| row.len()).collect();
    Value::with_lengths(
        Tensor::<2, Int>::from_data(data, (device, DType::I64)),
        Some(lengths.into()),
    )
}

fn batch(device: &Device) -> BTreeMap<String, Value> {
    [
        (
            "letters".to_owned(),
            tokens(&[&[3, 4, 5, 2], &[6, 2]], device),
        ),
        ("said".to_owned(), tokens(&[&[1, 4, 5], &[1, 3]], device)),
    ]
    .into()
}

#[test]
fn every_problem_is_found_in_one_go_and_none_is_a_consequence() {
    let (nodes, mut wires) = system();
    wires.insert(port("letters.tokens"), Wire::new(port("data.leters")));
    wires.insert(port("decoder.sequence"), Wire::new(port("sad.features")));
    wires.insert(port("encoder.colour"), Wire::new(port("data.letters")));
    wires.remove(&port("output.classes"));
    let resolution = resolve(&nodes, &wires, &columns(), None);
    let found: BTreeMap<String, &ProblemKind> = resolution
        .problems
        .iter()
        .map(|problem| (problem.at.to_string(), &problem.kind))
        .collect();
    assert!(matches!(
        found["letters.tokens"],
        ProblemKind::UnknownColumn { .. }
    ));
    assert!(matches!(
        found["decoder.sequence"],
        ProblemKind::UnknownNode { .. }
    ));
    assert!(matches!(
        found["encoder.colour"],
        ProblemKind::UnknownInput { .. }
    ));
    assert!(matches!(
        found["output.classes"],
        ProblemKind::MissingInput { .. }
    ));
    assert_eq!(found.len(), 4, "{found:?}");
}

#[test]
fn wrong_meanings_and_cycles_are_named() {
    let (nodes, mut wires) = system();
    wires.insert(port("decoder.sequence"), Wire::new(port("data.said")));
    let resolution = resolve(&nodes, &wires, &columns(), None);
    assert!(matches!(resolution.problems[0].kind, ProblemKind::Port(_)));
    wires.insert(
        port("decoder.sequence"),
        Wire::new(port("attention.attended")),
    );
    let resolution = resolve(&nodes, &wires, &columns(), None);
    let [problem] = &resolution.problems[..] else {
        panic!("{:?}", resolution.problems);
    };
    let ProblemKind::Cycle { path } = &problem.kind else {
        panic!("{problem:?}");
    };
    assert_eq!(path.first(), path.last());
    assert!(path.contains(&"decoder".to_owned()) && path.contains(&"attention".to_owned()));
}

#[test]
fn one_step_at_a_time_equals_the_whole_sequence() {
    let device = Device::flex();
    let (nodes, wires) = system();
    let (graph, route) = build(&nodes, &wires, &device);
    let columns = batch(&device);
    let trace = graph.forward(&route, &columns, &Pass::default()).unwrap();
    let whole = trace.get(&port("output.logits")).unwrap();
    let (steps, vocabulary) = (whole.shape()[1], whole.shape()[2]);
    let whole = whole.to_f32();

    let (before, after) = route.split_at_column("said");
    assert_eq!(before.nodes().collect::<Vec<_>>(), ["letters", "encoder"]);
    let encoded = graph.forward(&before, &columns, &Pass::default()).unwrap();
    let known: BTreeMap<PortRef, Value> = after
        .outside_ports()
        .into_iter()
        .map(|port| (port.clone(), encoded.get(&port).unwrap().clone()))
        .collect();
    let mut states = BTreeMap::new();
    for (step, said) in [[1, 1], [4, 3], [5, 0]].into_iter().enumerate() {
        let fed = [(
            "said".to_owned(),
            tokens(&[&said[..1], &said[1..]], &device),
        )]
        .into();
        let trace = graph.step(&after, &fed, &known, &mut states).unwrap();
        let logits = trace.get(&port("output.logits")).unwrap().to_f32();
        for row in 0..2 {
            if row == 1 && step == 2 {
                continue; // beyond the length of the second row
            }
            for v in 0..vocabulary {
                let expected = whole[(row * steps + step) * vocabulary + v];
                let found = logits[row * vocabulary + v];
                assert!(
                    (expected - found).abs() < 1e-5,
                    "{row} {step} {v}: {expected} {found}"
                );
            }
        }
    }
}

#[test]
fn weights_depend_on_names_and_seed_not_on_order() {
    let device = Device::flex();
    let (mut nodes, wires) = system();
    let (first, _) = build(&nodes, &wires, &device);
    nodes.reverse();
    let (second, _) = build(&nodes, &wires, &device);
    for name in ["letters", "encoder", "attention", "output"] {
        let (a, b) = (first.node(name).unwrap(), second.node(name).unwrap());
        assert_eq!(weights::tensors(a), weights::tensors(b), "{name}");
    }
    let encoder = weights::tensors(first.node("encoder").unwrap());
    let decoder = weights::tensors(first.node("decoder").unwrap());
    assert_ne!(encoder[0].2, decoder[0].2);
}

fn gradient_norm(graph: &Graph, name: &str, gradients: &burn::tensor::Gradients) -> Option<f32> {
    let mut sum = None;
    graph.node(name).unwrap().visit(&mut |param| {
        let gradient = match param.value().payload {
            conjoin_graph::Payload::F1(t) => t.grad(gradients).map(|g| g.powi_scalar(2).sum()),
            conjoin_graph::Payload::F2(t) => t.grad(gradients).map(|g| g.powi_scalar(2).sum()),
            _ => None,
        };
        if let Some(gradient) = gradient {
            *sum.get_or_insert(0.0) += gradient.into_scalar::<f32>();
        }
    });
    sum
}

#[test]
fn frozen_nodes_and_detached_wires_get_no_gradient() {
    let device = Device::flex().autodiff();
    let (nodes, mut wires) = system();
    wires.get_mut(&port("attention.memory")).unwrap().detach = true;
    let (mut graph, route) = build(&nodes, &wires, &device);
    let trained: BTreeSet<String> = ["letters", "encoder", "said", "decoder", "attention"]
        .map(str::to_owned)
        .into();
    graph.train_only(&trained);
    let pass = Pass {
        training: Some(1),
        keep: Keep::Only([port("output.logits")].into()),
        ..Pass::default()
    };
    let trace = graph.forward(&route, &batch(&device), &pass).unwrap();
    assert_eq!(trace.values().count(), 1);
    let logits: Tensor<3> = trace.get(&port("output.logits")).unwrap().tensor().unwrap();
    let gradients = logits.powi_scalar(2).sum().backward();
    assert_eq!(
        gradient_norm(&graph, "encoder", &gradients),
        None,
        "detached"
    );
    assert_eq!(gradient_norm(&graph, "output", &gradients), None, "frozen");
    assert!(gradient_norm(&graph, "decoder", &gradients).unwrap() > 0.0);
    assert!(!graph.is_trainable("output") && graph.is_trainable("decoder"));
}

#[test]
fn a_pass_computes_what_something_reads_or_trains() {
    let device = Device::flex().autodiff();
    let (mut nodes, mut wires) = system();
    nodes.insert(3, node("heard", r#"{"kind":"embedding","size":4}"#));
    wires.insert(port("heard.tokens"), Wire::new(port("data.said")));
    wires.get_mut(&port("decoder.sequence")).unwrap().blend = Some(Blend {
        with: port("heard.features"),
        feedback: false,
    });
    let (mut graph, route) = build(&nodes, &wires, &device);
    let ran = |graph: &Graph, pass: &Pass| {
        let trace = graph.forward(&route, &batch(&device), pass).unwrap();
        let nodes: Vec<_> = trace.seconds.iter().map(|(node, _)| node.clone()).collect();
        (nodes.join(" "), trace)
    };
    let mut pass = Pass::default();
    let (all, trace) = ran(&graph, &pass);
    let memory = trace.get(&port("encoder.states")).unwrap().clone();
    assert_eq!(all, "said heard decoder letters encoder attention output");
    let logits = |trace: &Trace| trace.get(&port("output.logits")).unwrap().to_f32();
    for (share, nodes) in [(0.5, all.clone()), (0.0, all.replace("heard ", ""))] {
        pass.shares = [(port("decoder.sequence"), share)].into();
        pass.keep = Keep::All;
        let whole = ran(&graph, &pass).1;
        pass.keep = Keep::Only([port("output.logits")].into());
        let (found, part) = ran(&graph, &pass);
        assert_eq!((found, logits(&part)), (nodes, logits(&whole)));
    }
    // Neither what is given nor what nothing reads, unless training gathers its statistics.
    pass.overrides.insert(port("attention.memory"), memory);
    assert_eq!(ran(&graph, &pass).0, "said decoder attention output");
    graph.train_only(&["heard".to_owned()].into());
    pass.training = Some(1);
    assert_eq!(ran(&graph, &pass).0, "said heard decoder attention output");
}

#[test]
fn fed_back_tokens_move_right_and_spare_begin_and_padding() {
    let device = Device::flex();
    let truth = tokens(&[&[1, 4, 5], &[1, 3]], &device);
    // The most probable symbols are 6, 7, 8 in the first row and 7, 8, 9 in the second.
    let mut logits = vec![0.0; 2 * 3 * 10];
    for (at, symbol) in [6, 7, 8, 7, 8, 9].into_iter().enumerate() {
        logits[at * 10 + symbol] = 1.0;
    }
    let logits = Tensor::<3>::from_data(TensorData::new(logits, [2, 3, 10]), &device).into();
    let mixed = |share| feed_back(&truth, &logits, &[], share, 5).unwrap().to_i64();
    assert_eq!(mixed(0.0), [1, 4, 5, 1, 3, 0]);
    assert_eq!(mixed(1.0), [1, 6, 7, 1, 7, 0]);
}

#[test]
fn fed_back_tokens_are_none_that_decoding_never_says() {
    let device = Device::flex();
    let words = ["<pad>", "<bos>", "<eos>", "<unk>", "a", "b"];
    let unsaid = Vocabulary::new("words", words).unsaid();
    assert_eq!(unsaid, [0, 1, 3]);
    let truth = tokens(&[&[1, 4, 5, 4, 5]], &device);
    // The most probable are `<pad>`, `<bos>`, `<unk>` and `<eos>`, which a decoder says; the second ones
    // are `a`, `b`, `a`, `b`.
    let mut logits = vec![0.0; 5 * 6];
    for (at, (first, second)) in [(0, 4), (1, 5), (3, 4), (2, 5)].into_iter().enumerate() {
        logits[at * 6 + first] = 2.0;
        logits[at * 6 + second] = 1.0;
    }
    let logits = Tensor::<3>::from_data(TensorData::new(logits, [1, 5, 6]), &device).into();
    let fed = |unsaid: &[i64]| feed_back(&truth, &logits, unsaid, 1.0, 5).unwrap().to_i64();
    assert_eq!(fed(&[]), [1, 0, 1, 3, 2]);
    assert_eq!(fed(&unsaid), [1, 4, 5, 4, 2]);
}

#[test]
fn imports_account_for_every_key() {
    let device = Device::flex();
    let (nodes, wires) = system();
    let (graph, _) = build(&nodes, &wires, &device);
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("decoder.safetensors");
    let decoder = || graph.node("decoder").unwrap();
    let mut tensors = weights::tensors(decoder());
    tensors[0].2.fill(0.5);
    let write = |tensors: &[(String, Vec<usize>, Vec<f32>)]| {
        let prefixed: Vec<_> = tensors
            .iter()
            .map(|(name, shape, values)| (format!("model.{name}"), shape.clone(), values.clone()))
            .collect();
        std::fs::write(&file, weights::encode(&prefixed, None).unwrap()).unwrap();
    };
    let config = ImportConfig {
        prefix: "model.".to_owned(),
        ..ImportConfig::default()
    };
    write(&tensors);
    let (node, report) = weights::import(decoder().boxed_clone(), &config, &file).unwrap();
    assert_eq!(report.used.len(), tensors.len());
    assert_eq!(weights::tensors(node.as_ref()), tensors);

    let mut changed = tensors.clone();
    changed[0].0 = "colour".to_owned();
    write(&changed);
    let error = weights::import(decoder().boxed_clone(), &config, &file).unwrap_err();
    let WeightsError::Keys {
        missing, unused, ..
    } = &error
    else {
        panic!("{error}");
    };
    assert_eq!(
        (missing.len(), unused.as_slice()),
        (1, &["colour".to_owned()][..])
    );

    let mut resized = tensors.clone();
    resized[0].1 = vec![resized[0].2.len()];
    write(&resized);
    let error = weights::import(decoder().boxed_clone(), &config, &file).unwrap_err();
    assert!(matches!(error, WeightsError::Shape { .. }), "{error}");

    std::fs::write(&file, b"not weights").unwrap();
    let error = weights::import(decoder().boxed_clone(), &config, &file).unwrap_err();
    assert!(error.to_string().contains("decoder.safetensors"), "{error}");
    let missing = Path::new("no/such/file");
    let error = weights::import(decoder().boxed_clone(), &config, missing).unwrap_err();
    assert!(matches!(error, WeightsError::Read { .. }), "{error}");
}

#[test]
fn a_node_has_the_weights_of_its_fullest_use() {
    let device = Device::flex();
    let nodes = [
        node("letters", r#"{"kind":"embedding","size":6}"#),
        node("said", r#"{"kind":"embedding","size":4}"#),
        node(
            "decoder",
            r#"{"kind":"transformer-decoder","layers":1,"heads":2}"#,
        ),
    ];
    let mut wires = wiring(&[
        ("letters.tokens", "data.letters"),
        ("said.tokens", "data.said"),
        ("decoder.sequence", "said.features"),
    ]);
    let wanted = [port("decoder.states")];
    let alone = resolve(&nodes, &wires, &columns(), Some(&wanted));
    let route = Route::new(&nodes, &wires, &alone);
    wires.insert(port("decoder.memory"), Wire::new(port("letters.features")));
    let joined = resolve(&nodes, &wires, &columns(), Some(&wanted));
    let parameters = |resolutions: &[&Resolution]| {
        let graph = Graph::build(&nodes, resolutions.iter().copied(), &device, 3).unwrap();
        let decoder = weights::tensors(graph.node("decoder").unwrap());
        (graph, decoder)
    };
    let (_, few) = parameters(&[&alone]);
    let (graph, all) = parameters(&[&alone, &joined]);
    assert_eq!(all, parameters(&[&joined, &alone]).1);
    assert!(all.len() > few.len());
    // The use without memory runs on the same node.
    let trace = graph
        .forward(&route, &batch(&device), &Pass::default())
        .unwrap();
    let states = trace.get(&port("decoder.states")).unwrap();
    assert_eq!(states.shape(), [2, 3, 4]);
}

#[test]
fn feedback_needs_logits_over_the_same_vocabulary() {
    let (nodes, mut wires) = system();
    let feed = |with: &str| Blend {
        with: port(with),
        feedback: true,
    };
    let check = |wires: &Wiring| {
        let resolution = resolve(&nodes, wires, &columns(), None);
        spec::check_feedback(wires, &columns(), &resolution).len()
    };
    wires.get_mut(&port("said.tokens")).unwrap().blend = Some(feed("output.logits"));
    assert_eq!(check(&wires), 0);
    wires.get_mut(&port("said.tokens")).unwrap().blend = Some(feed("decoder.states"));
    assert_eq!(check(&wires), 1);
}
