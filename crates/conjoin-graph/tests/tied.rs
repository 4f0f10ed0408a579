//! One table for several nodes: the gradient of the owner is the sum of what all of them send, and only
//! the owner has weights.

use burn::tensor::{DType, Device, Int, Tensor};
use conjoin_graph::spec::resolve;
use conjoin_graph::weights::{assign, tensors};
use conjoin_graph::{
    BuiltinNode, Contract, Graph, NodeKind, NodeSpec, Pass, Payload, PortRef, Route, Value,
    Vocabulary, Wire, Wiring,
};
use std::collections::BTreeMap;

fn port(text: &str) -> PortRef {
    text.parse().unwrap()
}

/// Tokens through two embeddings and two classifiers; with `tied`, all four have the first's table.
fn system(tied: bool) -> (Graph, Route) {
    let node = |name: &str, options: &str| {
        let config: BuiltinNode = serde_json::from_str(options).unwrap();
        NodeSpec {
            name: name.to_owned(),
            config: NodeKind::Builtin(config),
        }
    };
    let nodes = [
        node("first", r#"{"kind":"embedding","size":3,"scale":true}"#),
        node("second", r#"{"kind":"embedding","size":3}"#),
        node("one", r#"{"kind":"classifier"}"#),
        node("two", r#"{"kind":"classifier","bias":false}"#),
    ];
    let mut wires = vec![
        ("first.tokens", "data.tokens"),
        ("second.tokens", "data.tokens"),
        ("one.features", "first.features"),
        ("one.classes", "data.tokens"),
        ("two.features", "second.features"),
        ("two.classes", "data.tokens"),
    ];
    if tied {
        wires.push(("second.weight", "first.weight"));
        wires.push(("one.weight", "first.weight"));
        // By way of the node that borrows the table itself.
        wires.push(("two.weight", "second.weight"));
    }
    let wires: Wiring = wires
        .into_iter()
        .map(|(to, from)| (port(to), Wire::new(port(from))))
        .collect();
    let vocabulary = Vocabulary::new("words", ["<pad>", "a", "b", "c"]);
    let columns = [("tokens".to_owned(), Contract::tokens("T", vocabulary))].into();
    let resolution = resolve(&nodes, &wires, &columns, None);
    assert_eq!(resolution.problems, []);
    let device = Device::flex().autodiff();
    let graph = Graph::build(&nodes, [&resolution], &device, 1).unwrap();
    (graph, Route::new(&nodes, &wires, &resolution))
}

const TABLE: [f32; 12] = [
    0.1, -0.2, 0.3, 0.5, 0.4, -0.6, -0.3, 0.2, 0.9, 0.7, -0.8, 0.05,
];

/// Gradients of a loss over all logits, by node.
fn gradients(graph: &Graph, route: &Route) -> BTreeMap<String, Vec<f32>> {
    let device = Device::flex().autodiff();
    let tokens = Tensor::<2, Int>::from_data([[1i64, 2, 3], [3, 1, 0]], (&device, DType::I64));
    let tokens = Value::with_lengths(tokens, Some([3, 2].into()));
    let columns = [("tokens".to_owned(), tokens)].into();
    let trace = graph.forward(route, &columns, &Pass::default()).unwrap();
    let loss = |name: &str| -> Tensor<1> {
        let logits: Tensor<3> = trace
            .get(&PortRef::new(name, "logits"))
            .unwrap()
            .tensor()
            .unwrap();
        (logits.powi_scalar(3) * 0.5).sum()
    };
    let gradients = (loss("one") + loss("two") * 2.0).backward();
    let mut found = BTreeMap::new();
    for name in ["first", "second", "one", "two"] {
        graph.node(name).unwrap().visit(&mut |param| {
            if let Payload::F2(table) = param.value().payload
                && let Some(gradient) = table.grad(&gradients)
            {
                let values = gradient.into_data().try_to_vec::<f32>().unwrap();
                found.insert(name.to_owned(), values);
            }
        });
    }
    found
}

fn with_table(graph: &mut Graph) {
    graph.update(|_, node| {
        let mut values = BTreeMap::new();
        node.visit(&mut |param| {
            if param.shape == [4, 3] {
                values.insert(param.path.to_owned(), (vec![4, 3], TABLE.to_vec()));
            }
        });
        assign(node, values)
    });
}

#[test]
fn the_owners_gradient_is_the_sum_of_all_uses() {
    let (mut apart, route) = system(false);
    with_table(&mut apart);
    let each = gradients(&apart, &route);
    assert_eq!(each.len(), 4);
    let (mut tied, route) = system(true);
    with_table(&mut tied);
    let one = gradients(&tied, &route);
    assert_eq!(one.keys().collect::<Vec<_>>(), ["first"]);
    for i in 0..12 {
        let expected: f32 = each.values().map(|gradient| gradient[i]).sum();
        let found = one["first"][i];
        assert!((found - expected).abs() < 1e-4, "{i}: {found} {expected}");
    }
}

#[test]
fn only_the_owner_has_the_table_and_freezes_it() {
    let (mut graph, route) = system(true);
    let paths = |name: &str| -> Vec<String> {
        let all = tensors(graph.node(name).unwrap()).into_iter();
        all.map(|(path, ..)| path).collect()
    };
    assert_eq!(paths("first"), ["table.weight"]);
    assert_eq!(paths("one"), ["tied.bias"]);
    assert!(paths("second").is_empty() && paths("two").is_empty());
    graph.train_only(&["second", "one", "two"].map(str::to_owned).into());
    assert!(gradients(&graph, &route).is_empty());
}
