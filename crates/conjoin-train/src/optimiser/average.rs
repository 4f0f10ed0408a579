//! Exponential moving average of the weights of the trained nodes.

use crate::TrainError;
use crate::checkpoint::{Arrays, Numbers};
use crate::parameters::{flat, parameter_name};
use burn::tensor::{Device, Tensor, TensorData};
use conjoin_graph::graph::Graph;
use conjoin_graph::value::Value;
use conjoin_kernels::optim::average;
use std::collections::{BTreeMap, BTreeSet};

/// `average = decay · average + (1 - decay) · weight` after every step; the first step copies, as
/// `torch.optim.swa_utils.AveragedModel` does. Running statistics are not averaged.
#[derive(Debug)]
pub struct Average {
    decay: f64,
    nodes: BTreeSet<String>,
    weights: BTreeMap<String, Tensor<1>>,
}

impl Average {
    pub fn new(decay: f64, nodes: &BTreeSet<String>) -> Self {
        Self {
            decay,
            nodes: nodes.clone(),
            weights: BTreeMap::new(),
        }
    }

    /// Takes the weights after an optimiser step into the average.
    pub fn update(&mut self, graph: &Graph) {
        let Self {
            decay,
            nodes,
            weights,
        } = self;
        for name in nodes.iter() {
            let Some(node) = graph.node(name) else {
                continue;
            };
            node.visit(&mut |param| {
                if param.statistic {
                    return;
                }
                let weight = flat(param.value());
                let key = parameter_name(name, param.path);
                let next = match weights.remove(&key) {
                    Some(before) => average(before, weight, *decay),
                    // A copy of its own: the weight itself changes in place.
                    None => weight * 1.0,
                };
                weights.insert(key, next);
            });
        }
    }

    /// Puts the averaged weights in the place of the nodes' own.
    pub fn write_to(&self, graph: &mut Graph) {
        graph.update(|name, node| {
            if !self.nodes.contains(name) {
                return node;
            }
            node.map(
                &mut |slot| match self.weights.get(&parameter_name(name, slot.path)) {
                    None => slot.value,
                    Some(weight) => like(weight.clone(), &slot.value),
                },
            )
        });
    }

    /// The averages, for a checkpoint.
    pub fn save(&self) -> Arrays {
        let host = |(key, tensor): (&String, &Tensor<1>)| {
            let values = tensor.to_data().iter::<f32>().collect();
            (key.clone(), Numbers::F32(values))
        };
        self.weights.iter().map(host).collect()
    }

    /// Averages as a checkpoint holds them.
    ///
    /// # Errors
    /// An array is not one of floats; `describe` makes the error.
    pub fn load(
        &mut self,
        arrays: Arrays,
        device: &Device,
        describe: impl Fn(String) -> TrainError,
    ) -> Result<(), TrainError> {
        for (key, numbers) in arrays {
            let Numbers::F32(values) = numbers else {
                return Err(describe(format!("{key} does not hold floats")));
            };
            let count = values.len();
            let tensor = Tensor::from_data(TensorData::new(values, [count]), device);
            self.weights.insert(key, tensor);
        }
        Ok(())
    }
}

/// A flat tensor as the value of a parameter: on its device, in its shape.
fn like(flat: Tensor<1>, value: &Value) -> Value {
    let flat = if value.payload.device().is_autodiff() {
        flat.autodiff()
    } else {
        flat
    };
    // The node restores the shape.
    flat.into()
}
