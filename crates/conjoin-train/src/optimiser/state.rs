//! The optimisers of a stage: one rule and learning rate a node, one state a parameter.

use super::gradients::GradientStore;
use super::{AdamConfig, AdamWConfig, OptimiserConfig, RmsPropConfig, SgdConfig};
use crate::TrainError;
use crate::checkpoint::{Arrays, Numbers};
use crate::parameters::parameter_name;
use crate::plan::StagePlan;
use conjoin_graph::graph::Graph;
use conjoin_graph::node::ParamSlot;
use conjoin_graph::value::{Payload, Value};
use conjoin_kernels::optim::{Rule, State, update};
use std::collections::BTreeMap;

/// Rule and peak learning rate of a node.
#[derive(Debug, Clone, Copy)]
struct NodeRule {
    rule: Rule,
    lr: f64,
}

/// Updates the trained nodes of a stage.
#[derive(Debug)]
pub struct Optimiser {
    nodes: BTreeMap<String, NodeRule>,
    /// By `<node>/<path>`; a parameter that never had a gradient has none.
    states: BTreeMap<String, State>,
}

impl Optimiser {
    /// # Errors
    /// A trained node has no learning rate.
    pub fn new(stage: &StagePlan) -> Result<Self, TrainError> {
        let config = &stage.config;
        let rule = |name: &String| {
            let lr = config.lr.of(name).ok_or_else(|| TrainError::Stage {
                stage: config.name.clone(),
                problem: format!("node {name:?} is trained and has no learning rate (`lr`)"),
            })?;
            let optimiser = config.optimisers.get(name).unwrap_or(&config.optimiser);
            let rule = optimiser.rule();
            Ok((name.clone(), NodeRule { rule, lr }))
        };
        Ok(Self {
            nodes: stage
                .trained
                .iter()
                .map(rule)
                .collect::<Result<_, TrainError>>()?,
            states: BTreeMap::new(),
        })
    }

    /// Learning rate of each node with the schedule's factor.
    pub fn rates(&self, factor: f64) -> BTreeMap<String, f64> {
        let rate = |(name, node): (&String, &NodeRule)| (name.clone(), node.lr * factor);
        self.nodes.iter().map(rate).collect()
    }

    /// One step of every parameter that has a gradient. `factor` multiplies the peak learning
    /// rates, `clip` the gradients.
    pub fn step(
        &mut self,
        graph: &mut Graph,
        gradients: &mut GradientStore,
        factor: f64,
        clip: f64,
    ) {
        let Self { nodes, states } = self;
        graph.update(|name, node| match nodes.get(name) {
            None => node,
            Some(NodeRule { rule, lr }) => node.map(&mut |slot| {
                let key = parameter_name(name, slot.path);
                match gradients.take(&key) {
                    Some(gradient) if slot.requires_grad => {
                        let step = Step {
                            rule,
                            lr: lr * factor,
                            clip,
                        };
                        step.apply(slot, key, gradient.into(), states)
                    }
                    _ => slot.value,
                }
            }),
        });
    }

    /// All states, for a checkpoint: `<node>/<path>/step` and the rule's own names.
    pub fn save(&self) -> Arrays {
        let mut arrays = Arrays::new();
        for (key, state) in &self.states {
            let step = Numbers::I64(vec![state.step() as i64]);
            arrays.insert(format!("{key}/step"), step);
            for (name, tensor) in state.named() {
                let values = tensor.to_data().iter::<f32>().collect();
                arrays.insert(format!("{key}/{name}"), Numbers::F32(values));
            }
        }
        arrays
    }

    /// States as a checkpoint holds them.
    ///
    /// # Errors
    /// They do not belong to these rules and parameters; `describe` makes the error.
    pub fn load(
        &mut self,
        graph: &Graph,
        mut arrays: Arrays,
        describe: impl Fn(String) -> TrainError,
    ) -> Result<(), TrainError> {
        let mut wrong = None;
        for (name, NodeRule { rule, .. }) in &self.nodes {
            let Some(node) = graph.node(name) else {
                continue;
            };
            node.visit(&mut |param| {
                let key = parameter_name(name, param.path);
                let Some(Numbers::I64(step)) = arrays.remove(&format!("{key}/step")) else {
                    return;
                };
                let read = |slot: &str| match arrays.remove(&format!("{key}/{slot}")) {
                    Some(Numbers::F32(values)) => Some(values),
                    _ => None,
                };
                let step = step.first().copied().unwrap_or(0) as u64;
                let parameter = crate::parameters::flat(param.value());
                match State::restore(rule, &parameter, step, read) {
                    Ok(state) => drop(self.states.insert(key, state)),
                    Err(error) => wrong = Some(format!("{key}: {error}")),
                }
            });
        }
        match wrong.or_else(|| {
            arrays
                .into_keys()
                .next()
                .map(|key| format!("{key} is unknown"))
        }) {
            Some(problem) => Err(describe(problem)),
            None => Ok(()),
        }
    }
}

/// One update of one parameter.
struct Step<'a> {
    rule: &'a Rule,
    lr: f64,
    clip: f64,
}

impl Step<'_> {
    fn apply(
        &self,
        slot: ParamSlot<'_>,
        key: String,
        gradient: Payload,
        states: &mut BTreeMap<String, State>,
    ) -> Value {
        macro_rules! update {
            ($tensor:expr) => {{
                let gradient = gradient.restore($tensor.dims());
                let state = states
                    .entry(key)
                    .or_insert_with(|| State::new(self.rule, &$tensor));
                update(self.rule, $tensor, gradient, state, self.lr, self.clip).into()
            }};
        }
        match slot.value.payload {
            Payload::F1(t) => update!(t),
            Payload::F2(t) => update!(t),
            Payload::F3(t) => update!(t),
            Payload::F4(t) => update!(t),
            Payload::F5(t) => update!(t),
            integers => integers.into(),
        }
    }
}

impl OptimiserConfig {
    /// The rule with its constants.
    pub fn rule(&self) -> Rule {
        match *self {
            Self::Sgd(SgdConfig {
                momentum,
                dampening,
                nesterov,
                weight_decay,
            }) => Rule::Sgd {
                momentum,
                dampening,
                nesterov,
                weight_decay,
            },
            Self::Adam(AdamConfig {
                beta1,
                beta2,
                eps,
                weight_decay,
            }) => Rule::Adam {
                betas: [beta1, beta2],
                eps,
                weight_decay,
            },
            Self::Adamw(AdamWConfig {
                beta1,
                beta2,
                eps,
                weight_decay,
            }) => Rule::AdamW {
                betas: [beta1, beta2],
                eps,
                weight_decay,
            },
            Self::Rmsprop(RmsPropConfig {
                alpha,
                eps,
                momentum,
                centered,
                weight_decay,
            }) => Rule::RmsProp {
                alpha,
                eps,
                momentum,
                centered,
                weight_decay,
            },
        }
    }
}
