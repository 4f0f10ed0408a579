//! The graph before weights exist: named nodes and wires, checked against the columns of a data
//! set. All problems are found in one go; a node behind a broken one is not reported again.

use crate::kinds::NodeKind;
use crate::node::{NodeConfig, NodeError};
use crate::port::{Bound, OutputPort, PortError};
use conjoin_data::Contract;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::str::FromStr;

/// The pseudo-node whose ports are the columns of the data set at hand.
pub const DATA: &str = "data";

/// `node.port`; the node may be [`DATA`].
#[derive(
    Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(try_from = "String", into = "String")]
#[schemars(with = "String")]
pub struct PortRef {
    pub node: String,
    pub port: String,
}

impl PortRef {
    pub fn new(node: impl Into<String>, port: impl Into<String>) -> Self {
        Self {
            node: node.into(),
            port: port.into(),
        }
    }

    /// Whether it names a column rather than a node's port.
    pub fn is_data(&self) -> bool {
        self.node == DATA
    }
}

impl fmt::Display for PortRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.node, self.port)
    }
}

impl FromStr for PortRef {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.split_once('.') {
            Some((node, port)) if !node.is_empty() && !port.is_empty() && !port.contains('.') => {
                Ok(Self::new(node, port))
            }
            _ => Err(format!(
                "expected \"node.port\" or \"data.column\", found {text:?}"
            )),
        }
    }
}

impl TryFrom<String> for PortRef {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<PortRef> for String {
    fn from(port: PortRef) -> Self {
        port.to_string()
    }
}

/// What feeds an input port.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Wire {
    pub from: PortRef,
    /// No gradient flows back through this wire.
    #[serde(default)]
    pub detach: bool,
    /// A second source; the pass says which share of elements comes from it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub blend: Option<Blend>,
}

impl Wire {
    pub fn new(from: PortRef) -> Self {
        Self {
            from,
            detach: false,
            blend: None,
        }
    }

    /// The second source, unless it lies downstream.
    pub fn second(&self) -> Option<&Blend> {
        self.blend.as_ref().filter(|blend| !blend.feedback)
    }

    /// Where values come from that are computed before they are read: ground truth first, if there are two.
    pub(crate) fn sources(&self) -> impl Iterator<Item = &PortRef> {
        std::iter::once(&self.from).chain(self.second().map(|blend| &blend.with))
    }
}

/// The second source of a wire that moves from ground truth to prediction.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Blend {
    pub with: PortRef,
    /// The second source lies downstream of the input, so that it is computed by an extra pass
    /// without gradient: predictions become tokens and move one position to the right
    /// (Mihaylova and Martins 2019, "Scheduled Sampling for Transformers").
    pub feedback: bool,
}

/// A node as the recipe declares it.
#[derive(Debug, Clone)]
pub struct NodeSpec {
    pub name: String,
    pub config: NodeKind,
}

/// Input port -> what feeds it.
pub type Wiring = BTreeMap<PortRef, Wire>;

/// Something wrong with the wiring. `at` names the input port, or the node with an empty port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    pub at: PortRef,
    pub kind: ProblemKind,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ProblemKind {
    /// The source names a node that does not exist.
    UnknownNode { from: PortRef, known: Vec<String> },
    /// The source names an output that its node does not have.
    UnknownOutput { from: PortRef, known: Vec<String> },
    /// The source names a column that the data set does not have.
    UnknownColumn { from: PortRef, known: Vec<String> },
    /// The wired input does not exist.
    UnknownInput { known: Vec<String> },
    /// A required input is not wired.
    MissingInput { about: &'static str },
    /// The contract does not fit the port.
    Port(PortError),
    /// The node refuses its options or the combination of its inputs.
    Node(NodeError),
    /// The node depends on itself; the path begins and ends with it.
    Cycle { path: Vec<String> },
    /// The two sources of a blended wire do not carry the same thing.
    Blend { truth: String, prediction: String },
}

/// What a data set and a wiring make of a graph.
#[derive(Debug, Clone, Default)]
pub struct Resolution {
    /// Used nodes, producers before consumers: positions in the node list.
    pub order: Vec<usize>,
    pub bound: BTreeMap<String, Bound>,
    pub outputs: BTreeMap<String, Vec<OutputPort>>,
    pub problems: Vec<Problem>,
}

impl Resolution {
    /// The contract at an output port or data column.
    pub fn contract<'a>(
        &'a self,
        port: &PortRef,
        columns: &'a BTreeMap<String, Contract>,
    ) -> Option<&'a Contract> {
        if port.is_data() {
            return columns.get(&port.port);
        }
        self.outputs
            .get(&port.node)?
            .iter()
            .find(|output| output.name == port.port)
            .map(|output| &output.contract)
    }
}

/// Resolves the part of a graph that the wanted ports need; all of it when `wanted` is `None`.
pub fn resolve(
    nodes: &[NodeSpec],
    wiring: &Wiring,
    columns: &BTreeMap<String, Contract>,
    wanted: Option<&[PortRef]>,
) -> Resolution {
    let index: BTreeMap<&str, usize> = nodes
        .iter()
        .enumerate()
        .map(|(i, node)| (node.name.as_str(), i))
        .collect();
    let mut resolver = Resolver {
        nodes,
        wiring,
        columns,
        index,
        state: vec![Visit::New; nodes.len()],
        stack: Vec::new(),
        broken: BTreeSet::new(),
        out: Resolution::default(),
    };
    match wanted {
        None => (0..nodes.len()).for_each(|node| resolver.visit(node)),
        Some(ports) => {
            for port in ports.iter().filter(|port| !port.is_data()) {
                if let Some(&node) = resolver.index.get(port.node.as_str()) {
                    resolver.visit(node);
                }
            }
        }
    }
    resolver.out
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Visit {
    New,
    Open,
    Done,
}

struct Resolver<'a> {
    nodes: &'a [NodeSpec],
    wiring: &'a Wiring,
    columns: &'a BTreeMap<String, Contract>,
    index: BTreeMap<&'a str, usize>,
    state: Vec<Visit>,
    stack: Vec<usize>,
    /// Nodes without known outputs, because they or something before them has a problem.
    broken: BTreeSet<usize>,
    out: Resolution,
}

impl Resolver<'_> {
    fn problem(&mut self, node: usize, port: &str, kind: ProblemKind) {
        self.broken.insert(node);
        self.out.problems.push(Problem {
            at: PortRef::new(&self.nodes[node].name, port),
            kind,
        });
    }

    fn visit(&mut self, node: usize) {
        match self.state[node] {
            Visit::Done => return,
            Visit::Open => return self.report_cycle(node),
            Visit::New => {}
        }
        self.state[node] = Visit::Open;
        self.stack.push(node);
        self.bind_inputs(node);
        self.stack.pop();
        self.state[node] = Visit::Done;
        if !self.broken.contains(&node) {
            self.out.order.push(node);
        }
    }

    fn report_cycle(&mut self, node: usize) {
        let start = self.stack.iter().position(|&n| n == node).unwrap_or(0);
        let mut path: Vec<String> = self.stack[start..]
            .iter()
            .map(|&n| self.nodes[n].name.clone())
            .collect();
        path.push(self.nodes[node].name.clone());
        self.problem(node, "", ProblemKind::Cycle { path });
    }

    fn bind_inputs(&mut self, node: usize) {
        let spec = &self.nodes[node];
        let ports = spec.config.inputs();
        let wired: Vec<(String, Wire)> = self
            .wiring
            .iter()
            .filter(|(to, _)| to.node == spec.name)
            .map(|(to, wire)| (to.port.clone(), wire.clone()))
            .collect();
        for (port, _) in &wired {
            if !ports.iter().any(|known| known.name == port) {
                let known = ports.iter().map(|p| p.name.to_owned()).collect();
                self.problem(node, port, ProblemKind::UnknownInput { known });
            }
        }
        let mut bound = Bound::default();
        for port in &ports {
            let Some((_, wire)) = wired.iter().find(|(name, _)| name == port.name) else {
                if !port.optional {
                    let about = port.about;
                    self.problem(node, port.name, ProblemKind::MissingInput { about });
                }
                continue;
            };
            let Some(contract) = self.source(node, port.name, &wire.from) else {
                continue;
            };
            if let Err(error) = bound.bind(port, &contract, &wire.from.to_string()) {
                self.problem(node, port.name, ProblemKind::Port(*error));
            }
            self.check_blend(node, port.name, wire, &contract);
        }
        if self.broken.contains(&node) {
            return;
        }
        match spec.config.outputs(&bound) {
            Ok(outputs) => {
                self.out.outputs.insert(spec.name.clone(), outputs);
                self.out.bound.insert(spec.name.clone(), bound);
            }
            Err(error) => self.problem(node, "", ProblemKind::Node(error)),
        }
    }

    /// The contract behind a source; visits its node first. `None` after reporting why not.
    fn source(&mut self, node: usize, port: &str, from: &PortRef) -> Option<Contract> {
        if from.is_data() {
            let found = self.columns.get(&from.port).cloned();
            if found.is_none() {
                let known = self.columns.keys().cloned().collect();
                let from = from.clone();
                self.problem(node, port, ProblemKind::UnknownColumn { from, known });
            }
            return found;
        }
        let Some(&producer) = self.index.get(from.node.as_str()) else {
            let known = self.nodes.iter().map(|n| n.name.clone()).collect();
            let from = from.clone();
            self.problem(node, port, ProblemKind::UnknownNode { from, known });
            return None;
        };
        self.visit(producer);
        if self.broken.contains(&producer) || self.state[producer] == Visit::Open {
            self.broken.insert(node);
            return None;
        }
        let outputs = self.out.outputs.get(&from.node)?;
        let found = outputs.iter().find(|output| output.name == from.port);
        if let Some(output) = found {
            return Some(output.contract.clone());
        }
        let known = outputs.iter().map(|o| o.name.to_owned()).collect();
        let from = from.clone();
        self.problem(node, port, ProblemKind::UnknownOutput { from, known });
        None
    }

    /// An acyclic second source must carry what the first one does. A feedback source lies
    /// downstream and is checked by [`check_feedback`] once everything is resolved.
    fn check_blend(&mut self, node: usize, port: &str, wire: &Wire, truth: &Contract) {
        let Some(blend) = wire.second() else {
            return;
        };
        let Some(prediction) = self.source(node, port, &blend.with) else {
            return;
        };
        if !same_values(truth, &prediction) {
            let kind = ProblemKind::Blend {
                truth: truth.in_full(),
                prediction: prediction.in_full(),
            };
            self.problem(node, port, kind);
        }
    }
}

/// Whether two contracts carry interchangeable values.
pub fn same_values(a: &Contract, b: &Contract) -> bool {
    a.meaning == b.meaning
        && a.dims == b.dims
        && a.dtype == b.dtype
        && a.units == b.units
        && a.frame == b.frame
        && a.vocabulary.as_ref().map(|v| &v.hash) == b.vocabulary.as_ref().map(|v| &v.hash)
}

/// Checks feedback wires: tokens may be replaced by what logits over the same vocabulary predict.
pub fn check_feedback(
    wiring: &Wiring,
    columns: &BTreeMap<String, Contract>,
    resolution: &Resolution,
) -> Vec<Problem> {
    let mut problems = Vec::new();
    for (to, wire) in wiring {
        let Some(blend) = wire.blend.as_ref().filter(|blend| blend.feedback) else {
            continue;
        };
        let truth = resolution.contract(&wire.from, columns);
        let prediction = resolution.contract(&blend.with, columns);
        let (Some(truth), Some(prediction)) = (truth, prediction) else {
            continue;
        };
        use conjoin_data::Meaning::{Logits, Tokens};
        let hash = |c: &Contract| c.vocabulary.as_ref().map(|v| v.hash.clone());
        let fits = truth.meaning == Tokens
            && prediction.meaning == Logits
            && hash(truth).is_some()
            && hash(truth) == hash(prediction);
        if !fits {
            problems.push(Problem {
                at: to.clone(),
                kind: ProblemKind::Blend {
                    truth: truth.to_string(),
                    prediction: prediction.to_string(),
                },
            });
        }
    }
    problems
}
