//! Gradients between the backward pass and the update: by node and path, outside autodiff.

use crate::parameters::{flat, parameter_name};
use burn::tensor::{Gradients, Tensor};
use conjoin_graph::graph::Graph;
use conjoin_graph::value::{Payload, Value};
use conjoin_kernels::optim::squared_norm;
use std::collections::{BTreeMap, BTreeSet};

/// Gradients of parameters, `[n]` each, by `<node>/<path>`. Parameters that took no part have none.
#[derive(Debug, Default)]
pub struct GradientStore {
    flat: BTreeMap<String, Tensor<1>>,
}

impl GradientStore {
    /// Adds the gradients of some nodes' parameters to those that are there.
    pub fn collect(&mut self, graph: &Graph, nodes: &BTreeSet<String>, mut gradients: Gradients) {
        for name in nodes {
            let Some(node) = graph.node(name) else {
                continue;
            };
            node.visit(&mut |param| {
                if param.statistic {
                    return;
                }
                if let Some(gradient) = take(&param.value().payload, &mut gradients) {
                    self.add(parameter_name(name, param.path), flat(gradient));
                }
            });
        }
    }

    /// Adds to the gradient of one parameter.
    pub fn add(&mut self, key: String, gradient: Tensor<1>) {
        let sum = match self.flat.remove(&key) {
            Some(before) => before + gradient,
            None => gradient,
        };
        self.flat.insert(key, sum);
    }

    /// Takes a parameter's gradient out.
    pub fn take(&mut self, key: &str) -> Option<Tensor<1>> {
        self.flat.remove(key)
    }

    pub fn get(&self, key: &str) -> Option<&Tensor<1>> {
        self.flat.get(key)
    }

    /// Norm of all gradients together. Independent of threads: names decide the order.
    pub fn norm(&self) -> f64 {
        self.flat.values().map(squared_norm).sum::<f64>().sqrt()
    }
}

/// A parameter's gradient, outside autodiff.
fn take(parameter: &Payload, gradients: &mut Gradients) -> Option<Value> {
    match parameter {
        Payload::F1(t) => t.grad_remove(gradients).map(Value::from),
        Payload::F2(t) => t.grad_remove(gradients).map(Value::from),
        Payload::F3(t) => t.grad_remove(gradients).map(Value::from),
        Payload::F4(t) => t.grad_remove(gradients).map(Value::from),
        Payload::F5(t) => t.grad_remove(gradients).map(Value::from),
        Payload::I1(_) | Payload::I2(_) | Payload::I3(_) => None,
    }
}
