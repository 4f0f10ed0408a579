//! The built graph: nodes with weights, run along a route, leaving a trace.

use crate::blend::blend_rows;
use crate::node::{Context, Inputs, Node, NodeConfig, NodeError, Scope, State, mix};
use crate::route::{Route, nodes_of};
use crate::spec::{NodeSpec, PortRef, Resolution, Wire};
use crate::value::Value;
use burn::tensor::Device;
use conjoin_kernels::Precision;
use conjoin_kernels::threads::inside;
use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

/// A failure while running or building a graph.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum GraphError {
    #[error("node {node:?}: {source}")]
    Node { node: String, source: NodeError },
    #[error("the batch has no column {0:?}")]
    MissingColumn(String),
    #[error("port {0} was not computed on this route")]
    MissingPort(String),
    #[error("wire {at}: {message}")]
    Blend { at: String, message: String },
}

/// One node of a built graph.
#[derive(Debug)]
struct Member {
    name: String,
    node: Box<dyn Node>,
    trainable: bool,
}

/// Named nodes with weights.
#[derive(Debug, Default)]
pub struct Graph {
    members: Vec<Member>,
}

/// How one pass runs.
#[derive(Debug, Clone, Default)]
pub struct Pass {
    /// `Some(seed)` turns on dropout and batch statistics in trainable nodes.
    pub training: Option<u64>,
    /// Share of elements that blended inputs take from their second source.
    pub shares: BTreeMap<PortRef, f64>,
    /// Values that replace what would arrive at an input.
    pub overrides: BTreeMap<PortRef, Value>,
    /// Ports whose values stay in the trace.
    pub keep: Keep,
    /// Of the products in the nodes, in this pass and in its backward pass.
    pub precision: Precision,
}

impl Pass {
    /// Share of an input that comes from its second source.
    fn share(&self, to: &PortRef) -> f64 {
        self.shares.get(to).copied().unwrap_or(0.0)
    }

    /// How many sources of a wire are read.
    fn read(&self, to: &PortRef, wire: &Wire) -> usize {
        match wire.second() {
            _ if self.overrides.contains_key(to) => 0,
            Some(_) if self.share(to) > 0.0 => 2,
            _ => 1,
        }
    }
}

/// Which values a trace keeps after the pass.
#[derive(Debug, Clone, Default)]
pub enum Keep {
    /// Every port.
    #[default]
    All,
    /// These ports; others are dropped after their last reader, and what nothing here depends on is not
    /// computed, unless it is in training and may keep statistics.
    Only(BTreeSet<PortRef>),
}

/// What a pass leaves behind.
#[derive(Debug, Clone, Default)]
pub struct Trace {
    values: BTreeMap<PortRef, Value>,
    /// Forward time of each node.
    pub seconds: Vec<(String, Duration)>,
    running: BTreeMap<String, BTreeMap<u64, Value>>,
}

impl Trace {
    pub fn get(&self, port: &PortRef) -> Result<&Value, GraphError> {
        self.values
            .get(port)
            .ok_or_else(|| GraphError::MissingPort(port.to_string()))
    }

    /// All kept values.
    pub fn values(&self) -> impl Iterator<Item = (&PortRef, &Value)> {
        self.values.iter()
    }

    /// Lets go of all kept values, and with them of what a backward pass recorded.
    pub fn clear(&mut self) {
        self.values.clear();
    }

    /// Adds a value, such as a column of the batch, for those who read the trace.
    pub fn insert(&mut self, port: PortRef, value: Value) {
        self.values.insert(port, value);
    }
}

/// What a step knows from outside its route, and what earlier steps left in each node.
type Stepped<'a> = (
    &'a BTreeMap<PortRef, Value>,
    &'a mut BTreeMap<String, State>,
);

impl Graph {
    /// Builds the nodes of one or more resolutions of the same node list. A node used by several
    /// is built for the first of those that wire most of its inputs, because weights may depend on
    /// an optional one; the caller has checked that the others agree.
    pub fn build<'a>(
        nodes: &[NodeSpec],
        resolutions: impl IntoIterator<Item = &'a Resolution> + Clone,
        device: &Device,
        seed: u64,
    ) -> Result<Self, GraphError> {
        let mut members = Vec::new();
        for spec in nodes {
            let bound = resolutions
                .clone()
                .into_iter()
                .filter_map(|resolution| resolution.bound.get(&spec.name))
                .reduce(|most, bound| {
                    if bound.wired() > most.wired() {
                        bound
                    } else {
                        most
                    }
                });
            let Some(bound) = bound else { continue };
            let scope = Scope {
                device: device.clone(),
                seed: node_seed(seed, &spec.name),
            };
            let node = spec
                .config
                .init(bound, &scope)
                .map_err(|source| GraphError::Node {
                    node: spec.name.clone(),
                    source,
                })?;
            members.push(Member {
                name: spec.name.clone(),
                node,
                trainable: true,
            });
        }
        Ok(Self { members })
    }

    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.members.iter().map(|member| member.name.as_str())
    }

    pub fn node(&self, name: &str) -> Option<&dyn Node> {
        self.members
            .iter()
            .find(|member| member.name == name)
            .map(|member| member.node.as_ref())
    }

    /// Replaces a node, for example by one with imported weights.
    pub fn replace(&mut self, name: &str, node: Box<dyn Node>) {
        if let Some(member) = self.members.iter_mut().find(|m| m.name == name) {
            member.node = node;
        }
    }

    /// Adds a node; one of the same name is replaced.
    pub fn insert(&mut self, name: &str, node: Box<dyn Node>) {
        self.members.retain(|member| member.name != name);
        self.members.push(Member {
            name: name.to_owned(),
            node,
            trainable: false,
        });
    }

    /// Passes a node by value through a function that may change its parameters in place.
    pub fn update(&mut self, mut change: impl FnMut(&str, Box<dyn Node>) -> Box<dyn Node>) {
        self.members = std::mem::take(&mut self.members)
            .into_iter()
            .map(|member| Member {
                node: change(&member.name, member.node),
                name: member.name,
                trainable: member.trainable,
            })
            .collect();
    }

    /// Trains exactly the named nodes; all others are frozen, statistics included.
    pub fn train_only(&mut self, names: &BTreeSet<String>) {
        for member in &mut self.members {
            member.trainable = names.contains(&member.name);
        }
        self.update(|name, node| node.set_trainable(names.contains(name)));
    }

    /// Whether a node is trained at the moment.
    pub fn is_trainable(&self, name: &str) -> bool {
        self.members
            .iter()
            .any(|member| member.name == name && member.trainable)
    }

    /// A copy without autodiff that shares the weights' memory.
    #[must_use]
    pub fn evaluation_copy(&self) -> Self {
        Self {
            members: self
                .members
                .iter()
                .map(|member| Member {
                    name: member.name.clone(),
                    node: member.node.evaluation_copy(),
                    trainable: false,
                })
                .collect(),
        }
    }

    /// Runs a route on the columns of a batch.
    pub fn forward(
        &self,
        route: &Route,
        columns: &BTreeMap<String, Value>,
        pass: &Pass,
    ) -> Result<Trace, GraphError> {
        inside(|| {
            pass.precision
                .scope(|| self.run(route, columns, pass, None))
        })
    }

    /// Runs a route for one more position; `states` carries what earlier positions left behind.
    pub fn step(
        &self,
        route: &Route,
        columns: &BTreeMap<String, Value>,
        known: &BTreeMap<PortRef, Value>,
        states: &mut BTreeMap<String, State>,
    ) -> Result<Trace, GraphError> {
        let pass = Pass {
            keep: Keep::All,
            ..Pass::default()
        };
        inside(|| self.run(route, columns, &pass, Some((known, states))))
    }

    fn run(
        &self,
        route: &Route,
        columns: &BTreeMap<String, Value>,
        pass: &Pass,
        mut stepping: Option<Stepped<'_>>,
    ) -> Result<Trace, GraphError> {
        let last_use = route.last_use();
        let needed = self.needed(route, pass);
        let mut trace = Trace::default();
        for (index, step) in route.steps.iter().enumerate() {
            if needed
                .as_ref()
                .is_some_and(|nodes| !nodes.contains(&step.node))
            {
                continue;
            }
            let member = self.member(&step.node)?;
            let mut inputs = Inputs::default();
            for (to, wire) in &step.feeds {
                let known = stepping.as_ref().map(|(known, _)| *known);
                let value = feed(to, wire, columns, &trace, known, pass)?;
                inputs.insert(&to.port, value);
            }
            let mut context = match pass.training.filter(|_| member.trainable) {
                Some(seed) => Context::training(node_seed(seed, &member.name)),
                None => Context::evaluation(),
            };
            let begun = Instant::now();
            let outputs = match &mut stepping {
                None => member.node.forward(&inputs, &mut context),
                Some((_, states)) => {
                    let state = states.entry(step.node.clone()).or_default();
                    member.node.step(&inputs, state, &mut context)
                }
            }
            .map_err(|source| GraphError::Node {
                node: step.node.clone(),
                source,
            })?;
            drop(inputs);
            trace.seconds.push((step.node.clone(), begun.elapsed()));
            for (port, value) in outputs.0 {
                trace.values.insert(PortRef::new(&step.node, port), value);
            }
            let running = context.take_running();
            if !running.is_empty() {
                trace.running.insert(step.node.clone(), running);
            }
            if let Keep::Only(kept) = &pass.keep {
                trace.values.retain(|port, _| {
                    kept.contains(port) || last_use.get(port).is_some_and(|&last| last > index)
                });
            }
        }
        Ok(trace)
    }

    /// The nodes that a pass has to compute; none: all.
    fn needed(&self, route: &Route, pass: &Pass) -> Option<BTreeSet<String>> {
        let Keep::Only(kept) = &pass.keep else {
            return None;
        };
        let mut nodes = nodes_of(kept);
        if pass.training.is_some() {
            let trained = route.nodes().filter(|name| self.is_trainable(name));
            nodes.extend(trained.map(str::to_owned));
        }
        Some(route.behind(nodes, |to, wire| pass.read(to, wire)))
    }

    fn member(&self, name: &str) -> Result<&Member, GraphError> {
        self.members
            .iter()
            .find(|member| member.name == name)
            .ok_or_else(|| GraphError::MissingPort(name.to_owned()))
    }

    /// Stores the running statistics that a training pass left in its trace.
    pub fn absorb(&mut self, trace: &mut Trace) {
        let mut running = std::mem::take(&mut trace.running);
        if running.is_empty() {
            return;
        }
        self.update(|name, node| match running.remove(name) {
            None => node,
            Some(mut values) => {
                node.map(&mut |slot| values.remove(&slot.id.val()).unwrap_or(slot.value))
            }
        });
    }
}

/// What arrives at an input: an override, a column, or a port of this or an earlier pass.
fn feed(
    to: &PortRef,
    wire: &Wire,
    columns: &BTreeMap<String, Value>,
    trace: &Trace,
    known: Option<&BTreeMap<PortRef, Value>>,
    pass: &Pass,
) -> Result<Value, GraphError> {
    if let Some(value) = pass.overrides.get(to) {
        return Ok(value.clone());
    }
    let fetch = |from: &PortRef| -> Result<Value, GraphError> {
        if from.is_data() {
            return columns
                .get(&from.port)
                .cloned()
                .ok_or_else(|| GraphError::MissingColumn(from.port.clone()));
        }
        match known.and_then(|known| known.get(from)) {
            Some(value) => Ok(value.clone()),
            None => trace.get(from).cloned(),
        }
    };
    let mut value = fetch(&wire.from)?;
    if let Some(blend) = wire.second() {
        let share = pass.share(to);
        if share > 0.0 {
            let prediction = fetch(&blend.with)?;
            // One draw for all wires: what belongs together (agents and their futures) is true together
            // or predicted together.
            let seed = mix(pass.training.unwrap_or(0), fold("scheduled wires"));
            value = blend_rows(to, value, prediction, share, seed)?;
        }
    }
    Ok(if wire.detach { value.detach() } else { value })
}

/// FNV-1a over a name, so that a stream depends on the name and not on an order.
fn fold(name: &str) -> u64 {
    name.bytes().fold(0xCBF2_9CE4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01B3)
    })
}

/// The seed of a node: from the run's seed and the node's name only.
fn node_seed(seed: u64, name: &str) -> u64 {
    mix(seed, fold(name))
}
