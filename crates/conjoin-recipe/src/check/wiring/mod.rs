//! Wires of the joined graph and of each stage, and the problems that the graph crate finds in
//! them, told at the place in the recipe where each can be mended.

mod problems;

use super::data::DataColumns;
use crate::read::Reader;
use crate::sections::Sections;
use crate::suggest;
use crate::tree::Path;
use conjoin_data::Columns;
use conjoin_graph::spec::{self, Blend};
use conjoin_graph::{
    NodeConfig, NodeSpec, PortRef, Problem, ProblemKind, Resolution, Wire, Wiring,
};
use conjoin_train::StageConfig;
use conjoin_train::stage::InputConfig;
use std::collections::{BTreeMap, BTreeSet};

/// Where a wiring comes from, for the places of messages.
#[derive(Debug, Clone, Copy)]
pub(super) enum Origin<'a> {
    /// The wires of `[nodes]`, on the columns of all data sets together.
    Joined,
    /// The wires of `[nodes]`, on the columns of the task's data set.
    Task { data: &'a str },
    /// A stage's own wires, on the columns of a data set that stands at `place`.
    Stage {
        index: usize,
        config: &'a StageConfig,
        data: &'a str,
        key: &'a [&'a str],
    },
}

/// What ports are looked up in: the columns of a data set, and a graph resolved on them.
pub(super) struct Ground<'a> {
    pub columns: Columns,
    /// All columns that there are.
    pub whole: bool,
    /// Where the recipe names the data set.
    pub place: Path,
    pub resolution: &'a Resolution,
}

/// The graph as declared, and what has been said about it already.
pub(super) struct Wires<'a> {
    pub parts: &'a Sections,
    pub columns: &'a BTreeMap<String, DataColumns>,
    /// Nodes whose options could be read.
    pub specs: Vec<NodeSpec>,
    pub joined: Wiring,
    /// The weights are there already, and no stage is to be run.
    pub trained: bool,
    said: BTreeSet<(String, &'static str)>,
}

impl<'a> Wires<'a> {
    pub fn new(
        parts: &'a Sections,
        columns: &'a BTreeMap<String, DataColumns>,
        trained: bool,
    ) -> Self {
        let specs = parts.nodes.iter().filter_map(|node| {
            let config = node.kind.clone().filter(|_| node.wired)?;
            Some(NodeSpec {
                name: node.name.clone(),
                config,
            })
        });
        let wires = parts.nodes.iter().flat_map(|node| {
            node.wires
                .iter()
                .map(|(port, from)| (PortRef::new(&node.name, port), Wire::new(from.clone())))
        });
        Self {
            parts,
            columns,
            specs: specs.collect(),
            joined: wires.collect(),
            trained,
            said: BTreeSet::new(),
        }
    }

    /// Columns of a data set, and whether they are all there is.
    pub fn columns(&self, data: &str) -> (Columns, bool) {
        match self.columns.get(data) {
            Some(found) => (found.columns.clone(), found.whole),
            None => (Columns::new(), false),
        }
    }

    /// The columns of all data sets; those of the task's own win.
    fn all_columns(&self) -> Columns {
        let mut all = Columns::new();
        let task = self.parts.task.as_ref();
        let first = task.and_then(|task| self.columns.get(task.data()));
        for data in first.into_iter().chain(self.columns.values()) {
            for (name, contract) in &data.columns {
                all.entry(name.clone()).or_insert_with(|| contract.clone());
            }
        }
        all
    }

    /// Whether any data set has a column, or could have had it.
    pub fn any_has(&self, column: &str) -> bool {
        self.columns
            .values()
            .any(|data| !data.whole || data.columns.contains_key(column))
    }

    /// Names of all columns of all data sets.
    pub fn column_names(&self) -> BTreeSet<&str> {
        self.columns
            .values()
            .flat_map(|data| data.columns.keys().map(String::as_str))
            .collect()
    }

    /// The joined graph: names of ports and columns are mended where clear, so that what lies behind
    /// them is checked too.
    pub fn check_joined(&mut self, reader: &mut Reader) {
        let columns = self.all_columns();
        for _ in 0..=self.joined.len() {
            let found = spec::resolve(&self.specs, &self.joined, &columns, None);
            // An input under a wrong name is not also a missing one.
            let misnamed: BTreeSet<&str> = found
                .problems
                .iter()
                .filter(|problem| matches!(problem.kind, ProblemKind::UnknownInput { .. }))
                .map(|problem| problem.at.node.as_str())
                .collect();
            let mut mended = false;
            for problem in &found.problems {
                let later = match problem.kind {
                    ProblemKind::Port(_) | ProblemKind::Node(_) => true,
                    ProblemKind::MissingInput { .. } => misnamed.contains(problem.at.node.as_str()),
                    _ => false,
                };
                if !later {
                    self.tell(reader, problem, Origin::Joined);
                }
                mended |= self.mend(problem);
            }
            if !mended {
                break;
            }
        }
    }

    /// Nodes that no stage and no task runs still have to fit what they are wired to.
    pub fn check_unused(&mut self, reader: &mut Reader, used: &BTreeSet<String>) {
        let columns = self.all_columns();
        let found = spec::resolve(&self.specs, &self.joined, &columns, None);
        for problem in found.problems.iter().filter(|p| !used.contains(&p.at.node)) {
            self.tell(reader, problem, Origin::Joined);
        }
    }

    /// Replaces a port or column by the one that was meant.
    fn mend(&mut self, problem: &Problem) -> bool {
        let at = &problem.at;
        match &problem.kind {
            ProblemKind::UnknownOutput { from, known }
            | ProblemKind::UnknownColumn { from, known } => {
                let Some(port) = suggest::meant(&from.port, known) else {
                    return false;
                };
                let mended = PortRef::new(&from.node, port);
                match self.joined.get_mut(at) {
                    Some(wire) if wire.from == *from => {
                        wire.from = mended;
                        true
                    }
                    _ => false,
                }
            }
            ProblemKind::UnknownInput { known } => {
                let free: Vec<&String> = known
                    .iter()
                    .filter(|port| !self.joined.contains_key(&PortRef::new(&at.node, *port)))
                    .collect();
                let meant = suggest::meant(&at.port, free.iter().map(|port| port.as_str()));
                let wire = self.joined.remove(at);
                if let (Some(port), Some(wire)) = (meant, wire) {
                    self.joined.insert(PortRef::new(&at.node, port), wire);
                }
                true
            }
            _ => false,
        }
    }

    /// The wires of a stage: the joined ones with its `inputs` and `stop_gradient`.
    pub fn of_stage(&self, stage: &StageConfig) -> Wiring {
        let mut wiring = self.joined.clone();
        let inputs: Vec<(PortRef, &InputConfig)> = stage
            .inputs
            .iter()
            .filter_map(|(port, config)| Some((port.parse().ok()?, config)))
            .collect();
        for (port, config) in &inputs {
            match config {
                InputConfig::Open(_) => {
                    wiring.remove(port);
                }
                InputConfig::Source(from) => {
                    wiring.insert(port.clone(), Wire::new(from.clone()));
                }
                InputConfig::Schedule(schedule) => {
                    wiring.insert(port.clone(), Wire::new(schedule.from.clone()));
                }
            }
        }
        // Which way a second source lies follows from all first sources.
        for (port, config) in &inputs {
            if let InputConfig::Schedule(schedule) = config {
                let upstream = upstream(&wiring, [&schedule.to], |_, _| true);
                let blend = Blend {
                    with: schedule.to.clone(),
                    feedback: upstream.contains(&port.node),
                };
                if let Some(wire) = wiring.get_mut(port) {
                    wire.blend = Some(blend);
                }
            }
        }
        for port in stage
            .stop_gradient
            .iter()
            .filter_map(|port| port.parse().ok())
        {
            if let Some(wire) = wiring.get_mut(&port) {
                wire.detach = true;
            }
        }
        wiring
    }

    /// Resolves a wiring and tells what is wrong with it.
    pub fn resolve(
        &mut self,
        reader: &mut Reader,
        wiring: &Wiring,
        columns: &Columns,
        wanted: &[PortRef],
        origin: Origin<'_>,
    ) -> Resolution {
        let resolution = spec::resolve(&self.specs, wiring, columns, Some(wanted));
        let feedback = spec::check_feedback(wiring, columns, &resolution);
        for problem in resolution.problems.iter().chain(&feedback) {
            self.tell(reader, problem, origin);
        }
        let mut resolution = resolution;
        resolution.problems.extend(feedback);
        resolution
    }
}

/// Nodes that ports depend on, along the wires that `follow` lets through.
pub(super) fn upstream<'p>(
    wiring: &Wiring,
    wanted: impl IntoIterator<Item = &'p PortRef>,
    follow: impl Fn(&PortRef, &Wire) -> bool,
) -> BTreeSet<String> {
    let mut open: Vec<String> = wanted
        .into_iter()
        .filter(|p| !p.is_data())
        .map(|p| p.node.clone())
        .collect();
    let mut found = BTreeSet::new();
    while let Some(node) = open.pop() {
        if !found.insert(node.clone()) {
            continue;
        }
        for (to, wire) in wiring.iter().filter(|(to, _)| to.node == node) {
            if !follow(to, wire) {
                continue;
            }
            let second = wire.blend.as_ref().filter(|b| !b.feedback).map(|b| &b.with);
            let sources = std::iter::once(&wire.from).chain(second);
            open.extend(sources.filter(|p| !p.is_data()).map(|p| p.node.clone()));
        }
    }
    found
}

/// Input ports of a node that receive values, not contracts alone.
pub(super) fn carries_values(specs: &[NodeSpec], to: &PortRef) -> bool {
    let Some(spec) = specs.iter().find(|spec| spec.name == to.node) else {
        return true;
    };
    let ports = spec.config.inputs();
    ports
        .iter()
        .find(|port| port.name == to.port)
        .is_none_or(|port| !port.contract_only)
}
