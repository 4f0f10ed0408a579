//! The differentiable module with ports.
//!
//! A [`NodeConfig`] says what a node wants and promises and builds it; the built module implements
//! [`Forward`]. Everything else (parameters by path, freezing, copies for evaluation) follows from
//! `burn::module::Module`, through [`Node`].

use crate::port::{Bound, InputPort, OutputPort};
use crate::value::{Payload, Value, ValueError};
use burn::module::{Module, ModuleMapper, ModuleVisitor, Param, ParamId};
use burn::tensor::{Device, Tensor};
use std::collections::BTreeMap;
use std::fmt::Debug;

/// A failure inside a node: its own words, without the node's name (the graph adds it).
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NodeError {
    #[error("input {0:?} is not wired")]
    MissingInput(String),
    #[error("input {port:?}: {source}")]
    Input { port: String, source: ValueError },
    #[error("{0}")]
    Options(String),
    #[error("{0}")]
    Data(String),
    #[error("this node cannot run one step at a time")]
    NotSteppable,
}

/// What a recipe says about a node.
pub trait NodeConfig: Debug {
    /// Inputs; may depend on the options.
    fn inputs(&self) -> Vec<InputPort>;

    /// Outputs for the contracts that arrived. Options that make no sense (or not with these
    /// inputs) are reported here.
    fn outputs(&self, inputs: &Bound) -> Result<Vec<OutputPort>, NodeError>;

    /// Builds the module. Parameters are lazy: nothing is allocated until first use.
    fn init(&self, inputs: &Bound, scope: &Scope) -> Result<Box<dyn Node>, NodeError>;

    /// Multiply-adds of one forward pass for one sample, times two; `size` gives the size of a
    /// symbolic dimension.
    fn flops(&self, inputs: &Bound, size: &dyn Fn(&str) -> usize) -> f64;

    /// How the node runs when a sequence is produced one position at a time.
    fn stepping(&self) -> Stepping {
        Stepping::Pointwise
    }
}

/// How a node behaves along the time dimension that a decoder extends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stepping {
    /// Each position depends on that position alone: `forward` on one position is a step.
    Pointwise,
    /// Needs what earlier positions left behind.
    Stateful,
    /// Needs later positions too.
    No,
}

/// Where and from which seed parameters are made. The seed of a parameter depends on the run's
/// seed, the node's name and the parameter's name only, never on the order of construction.
#[derive(Debug, Clone)]
pub struct Scope {
    pub device: Device,
    pub seed: u64,
}

/// What a module needs to know about the pass it takes part in.
#[derive(Debug, Clone, Default)]
pub struct Context {
    /// Dropout and batch statistics are on. Off for evaluation and for frozen nodes.
    pub training: bool,
    seed: u64,
    draws: u64,
    running: BTreeMap<u64, Value>,
}

impl Context {
    /// A pass without randomness or statistics.
    pub fn evaluation() -> Self {
        Self::default()
    }

    /// A training pass; all randomness in it follows from `seed`.
    pub fn training(seed: u64) -> Self {
        Self {
            training: true,
            seed,
            ..Self::default()
        }
    }

    /// A fresh seed for one random operation.
    pub fn next_seed(&mut self) -> u64 {
        self.draws += 1;
        mix(self.seed, self.draws)
    }

    /// Records the next value of a running statistic; the graph stores it after the pass.
    pub fn record<const D: usize>(&mut self, param: &Param<Tensor<D>>, value: Tensor<D>) {
        self.running
            .insert(param.id.val(), Payload::erase(value).into());
    }

    pub(crate) fn take_running(&mut self) -> BTreeMap<u64, Value> {
        std::mem::take(&mut self.running)
    }
}

/// SplitMix64 over a seed and a counter: independent streams without shared state.
pub fn mix(seed: u64, counter: u64) -> u64 {
    let mut z = seed ^ counter.wrapping_mul(0x9E37_79B9_7F4A_7C15);
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

/// The values at a node's inputs.
#[derive(Debug, Clone, Default)]
pub struct Inputs(BTreeMap<String, Value>);

impl Inputs {
    pub fn insert(&mut self, port: impl Into<String>, value: Value) {
        self.0.insert(port.into(), value);
    }

    pub fn get(&self, port: &str) -> Result<&Value, NodeError> {
        self.0
            .get(port)
            .ok_or_else(|| NodeError::MissingInput(port.to_owned()))
    }

    /// An optional input.
    pub fn find(&self, port: &str) -> Option<&Value> {
        self.0.get(port)
    }

    /// The tensor at an input, of the rank and kind that the caller names.
    pub fn tensor<T>(&self, port: &str) -> Result<T, NodeError>
    where
        T: TryFrom<Payload, Error = ValueError>,
    {
        self.get(port)?.tensor().map_err(|source| NodeError::Input {
            port: port.to_owned(),
            source,
        })
    }
}

/// The values at a node's outputs.
#[derive(Debug, Clone, Default)]
pub struct Outputs(pub BTreeMap<&'static str, Value>);

impl Outputs {
    pub fn one(port: &'static str, value: impl Into<Value>) -> Self {
        Self::default().and(port, value)
    }

    #[must_use]
    pub fn and(mut self, port: &'static str, value: impl Into<Value>) -> Self {
        self.0.insert(port, value.into());
        self
    }
}

/// What a node that is run step by step keeps. The first dimension of each value is the batch, so
/// that a search can pick rows.
#[derive(Debug, Clone, Default)]
pub struct State {
    /// What earlier positions left behind: differs between the prefixes of one source.
    pub prefix: BTreeMap<String, Value>,
    /// What follows from inputs that do not move with the position, such as projections of a memory:
    /// the same for all prefixes of one source.
    pub source: BTreeMap<String, Value>,
}

impl State {
    /// Keeps these rows of everything, in this order; a row may be kept several times.
    pub fn select_rows(&mut self, rows: &[usize]) {
        self.select_prefixes(rows);
        self.select_sources(rows);
    }

    /// Keeps these rows of what differs between prefixes.
    pub fn select_prefixes(&mut self, rows: &[usize]) {
        select(&mut self.prefix, rows);
    }

    /// Keeps these rows of what is the same for all prefixes of a source: wanted only where a row
    /// goes on from another source than the row in its place did.
    pub fn select_sources(&mut self, rows: &[usize]) {
        select(&mut self.source, rows);
    }
}

fn select(values: &mut BTreeMap<String, Value>, rows: &[usize]) {
    for value in values.values_mut() {
        *value = value.clone().select_rows(rows);
    }
}

/// The computation of a built module.
pub trait Forward {
    fn forward(&self, inputs: &Inputs, context: &mut Context) -> Result<Outputs, NodeError>;

    /// Runs one more position; per-time inputs have time dimension 1. Pointwise nodes need no
    /// state, so the default is `forward`.
    fn step(
        &self,
        inputs: &Inputs,
        _state: &mut State,
        context: &mut Context,
    ) -> Result<Outputs, NodeError> {
        self.forward(inputs, context)
    }
}

/// A parameter met while walking a module.
#[derive(Debug)]
pub struct ParamView<'a> {
    /// Dotted path inside the node, such as `forward.weight_ih`.
    pub path: &'a str,
    pub id: ParamId,
    pub shape: Vec<usize>,
    /// A running statistic rather than a weight.
    pub statistic: bool,
    value: LazyValue<'a>,
}

impl ParamView<'_> {
    /// The value; initialises the parameter if nothing did so before.
    pub fn value(&self) -> Value {
        (self.value.0)()
    }
}

struct LazyValue<'a>(&'a dyn Fn() -> Value);

impl Debug for LazyValue<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("LazyValue")
    }
}

/// What a parameter walk that changes values hands over and takes back.
#[derive(Debug)]
pub struct ParamSlot<'a> {
    pub path: &'a str,
    pub id: ParamId,
    /// `false` for running statistics and frozen parameters.
    pub requires_grad: bool,
    /// Uniquely owned where nobody else holds the tensor, so that updates can be in place.
    pub value: Value,
}

/// A built node. Implemented for every `Module + Forward`; there is no need to implement it by
/// hand.
///
/// A parameter whose field name begins with `running_` is a running statistic: saved and loaded
/// like a weight, never trained.
pub trait Node: Forward + Send + Sync + Debug {
    /// Walks all parameters and running statistics in a fixed order.
    fn visit(&self, visitor: &mut dyn FnMut(ParamView<'_>));

    /// Replaces parameter values; the new value must have the shape of the old one. Takes the node
    /// so that tensors are uniquely owned and can be changed in place.
    fn map(self: Box<Self>, mapper: &mut dyn FnMut(ParamSlot<'_>) -> Value) -> Box<dyn Node>;

    /// Turns gradients of all parameters (not of running statistics) on or off.
    fn set_trainable(self: Box<Self>, trainable: bool) -> Box<dyn Node>;

    /// A copy without autodiff that shares the weights' memory.
    fn evaluation_copy(&self) -> Box<dyn Node>;

    /// A copy that shares the weights' memory until one of the two changes.
    fn boxed_clone(&self) -> Box<dyn Node>;
}

impl<M: Module + Forward + Sync + 'static> Node for M {
    fn visit(&self, visitor: &mut dyn FnMut(ParamView<'_>)) {
        let mut walk = Walk {
            path: Path::default(),
            visitor,
        };
        Module::visit(self, &mut walk);
    }

    fn map(self: Box<Self>, mapper: &mut dyn FnMut(ParamSlot<'_>) -> Value) -> Box<dyn Node> {
        let mut rewrite = Rewrite {
            path: Path::default(),
            mapper,
        };
        Box::new(Module::map(*self, &mut rewrite))
    }

    fn set_trainable(self: Box<Self>, trainable: bool) -> Box<dyn Node> {
        let mut switch = Switch {
            path: Path::default(),
            trainable,
        };
        Box::new(Module::map(*self, &mut switch))
    }

    fn evaluation_copy(&self) -> Box<dyn Node> {
        Box::new(self.valid())
    }

    fn boxed_clone(&self) -> Box<dyn Node> {
        Box::new(self.clone())
    }
}

/// Dotted path of the parameter that a walk is at.
#[derive(Default)]
struct Path(Vec<String>);

impl Path {
    fn text(&self) -> String {
        self.0.join(".")
    }

    fn is_running(&self) -> bool {
        self.0
            .last()
            .is_some_and(|name| name.starts_with("running_"))
    }
}

struct Walk<'a> {
    path: Path,
    visitor: &'a mut dyn FnMut(ParamView<'_>),
}

struct Rewrite<'a> {
    path: Path,
    mapper: &'a mut dyn FnMut(ParamSlot<'_>) -> Value,
}

struct Switch {
    path: Path,
    trainable: bool,
}

impl ModuleVisitor for Walk<'_> {
    fn enter_module(&mut self, name: &str, _: &str) {
        self.path.0.push(name.to_owned());
    }

    fn exit_module(&mut self, _: &str, _: &str) {
        self.path.0.pop();
    }

    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        let value = || Value::from(Payload::erase(param.val()));
        (self.visitor)(ParamView {
            path: &self.path.text(),
            id: param.id,
            shape: param.lazy_shape().to_vec(),
            statistic: self.path.is_running(),
            value: LazyValue(&value),
        });
    }
}

impl ModuleMapper for Rewrite<'_> {
    fn enter_module(&mut self, name: &str, _: &str) {
        self.path.0.push(name.to_owned());
    }

    fn exit_module(&mut self, _: &str, _: &str) {
        self.path.0.pop();
    }

    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let (id, tensor, extra) = param.consume();
        let requires_grad = tensor.is_require_grad();
        let shape = tensor.dims();
        let value = (self.mapper)(ParamSlot {
            path: &self.path.text(),
            id,
            requires_grad,
            value: Value::from(Payload::erase(tensor)),
        });
        let tensor = value.payload.restore(shape).set_require_grad(requires_grad);
        Param::from_mapped_value(id, tensor, extra)
    }
}

impl ModuleMapper for Switch {
    fn enter_module(&mut self, name: &str, _: &str) {
        self.path.0.push(name.to_owned());
    }

    fn exit_module(&mut self, _: &str, _: &str) {
        self.path.0.pop();
    }

    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let trainable = self.trainable && !self.path.is_running();
        param.set_require_grad(trainable)
    }
}
