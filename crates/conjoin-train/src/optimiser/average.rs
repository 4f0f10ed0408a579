//! Averages of the weights of the trained nodes: an exponential moving average, or the mean of the
//! weights at several steps. Running statistics are not averaged.

use crate::TrainError;
use crate::checkpoint::{AVERAGED, Arrays, EMA, Numbers};
use crate::parameters::{flat, parameter_name};
use crate::stage::StageConfig;
use burn::tensor::{Device, Tensor, TensorData};
use conjoin_graph::graph::Graph;
use conjoin_graph::value::Value;
use conjoin_kernels::optim::average;
use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// Weights by `<node>/<path>`, `[n]` each.
type Weights = BTreeMap<String, Tensor<1>>;

/// An average of the weights of some nodes.
#[derive(Debug)]
pub struct Average {
    rule: Rule,
    nodes: BTreeSet<String>,
}

#[derive(Debug)]
enum Rule {
    /// `average = decay · average + (1 - decay) · weight` after every step; the first step copies, as
    /// `torch.optim.swa_utils.AveragedModel` does.
    Exponential { decay: f64, average: Weights },
    /// The mean of the weights at every so many steps, the latest ones only.
    Latest {
        last: usize,
        every: u64,
        weights: VecDeque<Weights>,
    },
}

impl Average {
    /// The average that a stage asks for.
    pub fn of(config: &StageConfig, nodes: &BTreeSet<String>) -> Option<Self> {
        let exponential = config.ema.map(|decay| Rule::Exponential {
            decay,
            average: Weights::new(),
        });
        let latest = config.average.map(|config| Rule::Latest {
            last: config.last.max(1),
            every: config.every.max(1),
            weights: VecDeque::new(),
        });
        Some(Self {
            rule: exponential.or(latest)?,
            nodes: nodes.clone(),
        })
    }

    /// Takes the weights after `step` of `steps` optimiser steps into the average.
    pub fn update(&mut self, graph: &Graph, step: u64, steps: u64) {
        match &mut self.rule {
            Rule::Exponential {
                decay,
                average: kept,
            } => {
                visit(graph, &self.nodes, |key, weight| {
                    let next = match kept.remove(&key) {
                        Some(before) => average(before, weight, *decay),
                        // A copy of its own: the weight itself changes in place.
                        None => weight * 1.0,
                    };
                    kept.insert(key, next);
                });
            }
            Rule::Latest {
                last,
                every,
                weights,
            } => {
                if !step.is_multiple_of(*every) && step != steps {
                    return;
                }
                let mut now = Weights::new();
                visit(graph, &self.nodes, |key, weight| {
                    now.insert(key, weight * 1.0);
                });
                weights.push_back(now);
                while weights.len() > *last {
                    weights.pop_front();
                }
            }
        }
    }

    /// The average of one parameter; none before anything was taken in.
    fn mean(&self, key: &str) -> Option<Tensor<1>> {
        match &self.rule {
            Rule::Exponential { average, .. } => average.get(key).cloned(),
            Rule::Latest { weights, .. } => {
                let all: Vec<_> = weights.iter().filter_map(|w| w.get(key)).collect();
                let count = all.len() as f64;
                let sum = all
                    .into_iter()
                    .cloned()
                    .reduce(|sum, weight| sum + weight)?;
                Some(sum / count)
            }
        }
    }

    /// Puts the averaged weights in the place of the nodes' own.
    pub fn write_to(&self, graph: &mut Graph) {
        graph.update(|name, node| {
            if !self.nodes.contains(name) {
                return node;
            }
            node.map(
                &mut |slot| match self.mean(&parameter_name(name, slot.path)) {
                    None => slot.value,
                    Some(weight) => like(weight, &slot.value),
                },
            )
        });
    }

    /// Files for a checkpoint: the average itself, and what it is made of where it is more.
    pub fn save(&self) -> Vec<(&'static str, Arrays)> {
        match &self.rule {
            Rule::Exponential { average, .. } => vec![(EMA, hosted(average))],
            Rule::Latest { weights, .. } => {
                let Some(latest) = weights.back() else {
                    return Vec::new();
                };
                let mean = latest
                    .keys()
                    .filter_map(|k| Some((k.clone(), self.mean(k)?)));
                let parts = weights.iter().enumerate().flat_map(|(index, weights)| {
                    let parts = hosted(weights).into_iter();
                    // With zeros in front, so that the order of names is that of age.
                    parts.map(move |(key, numbers)| (format!("{index:06}/{key}"), numbers))
                });
                vec![(EMA, hosted(&mean.collect())), (AVERAGED, parts.collect())]
            }
        }
    }

    /// Name of the file that [`Average::load`] wants.
    pub fn file(&self) -> &'static str {
        match self.rule {
            Rule::Exponential { .. } => EMA,
            Rule::Latest { .. } => AVERAGED,
        }
    }

    /// Averages, or what they are made of, as a checkpoint holds them.
    ///
    /// # Errors
    /// An array is not one of floats, or has a name that [`Average::save`] does not give; `describe`
    /// makes the error.
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
            match &mut self.rule {
                Rule::Exponential { average, .. } => {
                    average.insert(key, tensor);
                }
                Rule::Latest { weights, .. } => {
                    let place = key.split_once('/');
                    let place = place.and_then(|(index, key)| Some((index.parse().ok()?, key)));
                    let Some((index, name)) =
                        place.filter(|(i, _): &(usize, _)| *i <= weights.len())
                    else {
                        return Err(describe(format!("{key} is unknown")));
                    };
                    if index == weights.len() {
                        weights.push_back(Weights::new());
                    }
                    weights[index].insert(name.to_owned(), tensor);
                }
            }
        }
        Ok(())
    }
}

/// Weights of some nodes, statistics left out.
fn visit(graph: &Graph, nodes: &BTreeSet<String>, mut act: impl FnMut(String, Tensor<1>)) {
    for name in nodes {
        let Some(node) = graph.node(name) else {
            continue;
        };
        node.visit(&mut |param| {
            if !param.statistic {
                act(parameter_name(name, param.path), flat(param.value()));
            }
        });
    }
}

fn hosted(weights: &Weights) -> Arrays {
    let host = |(key, tensor): (&String, &Tensor<1>)| {
        let values = tensor.to_data().iter::<f32>().collect();
        (key.clone(), Numbers::F32(values))
    };
    weights.iter().map(host).collect()
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
