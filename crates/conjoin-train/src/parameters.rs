//! Parameters across nodes, by `<node>/<path>`, as flat arrays outside the gradient graph.

use crate::checkpoint::{Arrays, Numbers};
use burn::tensor::Tensor;
use conjoin_graph::graph::Graph;
use conjoin_graph::node::Node;
use conjoin_graph::value::Value;
use conjoin_graph::weights;
use std::collections::{BTreeMap, BTreeSet};

/// The key of a parameter in files and maps.
pub(crate) fn parameter_name(node: &str, path: &str) -> String {
    format!("{node}/{path}")
}

/// All elements in row-major order, `[n]`, without autodiff.
pub(crate) fn flat(value: Value) -> Tensor<1> {
    let elements = value.shape().iter().product();
    value.payload.inner().restore([elements])
}

/// Passes every node by value through a function.
pub(crate) fn replace_nodes(
    mut graph: Graph,
    change: impl FnMut(&str, Box<dyn Node>) -> Box<dyn Node>,
) -> Graph {
    graph.update(change);
    graph
}

/// Host copies of all parameters and running statistics of some nodes.
pub(crate) fn snapshot(graph: &Graph, nodes: &BTreeSet<String>) -> Arrays {
    let mut arrays = Arrays::new();
    for name in nodes {
        if let Some(node) = graph.node(name) {
            node.visit(&mut |param| {
                let values = Numbers::F32(param.value().to_f32());
                arrays.insert(parameter_name(name, param.path), values);
            });
        }
    }
    arrays
}

/// The inverse of [`snapshot`] on the same graph.
pub(crate) fn restore(graph: &mut Graph, arrays: &Arrays) {
    graph.update(|name, node| {
        let mut values = BTreeMap::new();
        node.visit(&mut |param| {
            if let Some(Numbers::F32(v)) = arrays.get(&parameter_name(name, param.path)) {
                values.insert(param.path.to_owned(), (param.shape.clone(), v.clone()));
            }
        });
        weights::assign(node, values)
    });
}

/// Running statistics of some nodes, by name; shares their memory.
pub(crate) fn statistics(graph: &Graph, nodes: &BTreeSet<String>) -> BTreeMap<String, Value> {
    let mut values = BTreeMap::new();
    for name in nodes {
        if let Some(node) = graph.node(name) {
            node.visit(&mut |param| {
                if param.statistic {
                    values.insert(parameter_name(name, param.path), param.value());
                }
            });
        }
    }
    values
}

/// Puts running statistics back.
pub(crate) fn restore_statistics(graph: &mut Graph, mut values: BTreeMap<String, Value>) {
    graph.update(|name, node| {
        node.map(&mut |slot| {
            let key = parameter_name(name, slot.path);
            values.remove(&key).unwrap_or(slot.value)
        })
    });
}
