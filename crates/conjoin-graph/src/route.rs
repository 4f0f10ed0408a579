//! The part of a graph that a stage or a task runs: which nodes, in which order, fed by what.

use crate::node::NodeConfig;
use crate::spec::{Blend, NodeSpec, PortRef, Resolution, Wire, Wiring};
use std::collections::{BTreeMap, BTreeSet};

/// The nodes that a stage or a task runs, in order, and what feeds each of their inputs.
#[derive(Debug, Clone, Default)]
pub struct Route {
    pub(crate) steps: Vec<RouteStep>,
}

#[derive(Debug, Clone)]
pub(crate) struct RouteStep {
    pub node: String,
    pub feeds: Vec<(PortRef, Wire)>,
}

impl Route {
    /// The route of a resolution without problems.
    pub fn new(nodes: &[NodeSpec], wiring: &Wiring, resolution: &Resolution) -> Self {
        let steps = resolution
            .order
            .iter()
            .map(|&index| {
                let spec = &nodes[index];
                let value_ports: BTreeSet<&str> = spec
                    .config
                    .inputs()
                    .iter()
                    .filter(|port| !port.contract_only)
                    .map(|port| port.name)
                    .collect();
                let feeds = wiring
                    .iter()
                    .filter(|(to, _)| {
                        to.node == spec.name && value_ports.contains(to.port.as_str())
                    })
                    .map(|(to, wire)| (to.clone(), wire.clone()))
                    .collect();
                RouteStep {
                    node: spec.name.clone(),
                    feeds,
                }
            })
            .collect();
        Self { steps }
    }

    /// Names of the nodes, producers first.
    pub fn nodes(&self) -> impl Iterator<Item = &str> {
        self.steps.iter().map(|step| step.node.as_str())
    }

    /// What feeds the inputs of one node.
    pub fn sources_of(&self, node: &str) -> impl Iterator<Item = &PortRef> {
        let steps = self.steps.iter().filter(move |step| step.node == node);
        steps.flat_map(|step| step.feeds.iter().map(|(_, wire)| &wire.from))
    }

    /// Inputs that receive values, consumers in the order of the route, with what feeds them.
    pub fn wires(&self) -> impl Iterator<Item = (&PortRef, &Wire)> {
        self.steps
            .iter()
            .flat_map(|step| step.feeds.iter().map(|(to, wire)| (to, wire)))
    }

    /// Nodes that ports depend on, along the wires that `follow` lets through.
    pub fn upstream<'p>(
        &self,
        wanted: impl IntoIterator<Item = &'p PortRef>,
        follow: impl Fn(&PortRef, &Wire) -> bool,
    ) -> BTreeSet<String> {
        self.behind(
            nodes_of(wanted),
            |to, wire| {
                if follow(to, wire) { 2 } else { 0 }
            },
        )
    }

    /// `found`, and the nodes that these depend on, where so many sources of a wire are read.
    pub(crate) fn behind(
        &self,
        mut found: BTreeSet<String>,
        read: impl Fn(&PortRef, &Wire) -> usize,
    ) -> BTreeSet<String> {
        // Producers stand before consumers, so that one walk backwards meets every wire in time.
        for step in self.steps.iter().rev() {
            if !found.contains(&step.node) {
                continue;
            }
            for (to, wire) in &step.feeds {
                debug_assert_eq!(to.node, step.node);
                found.extend(nodes_of(wire.sources().take(read(to, wire))));
            }
        }
        found
    }

    /// Columns that the route reads.
    pub fn columns(&self) -> BTreeSet<&str> {
        self.sources()
            .filter(|port| port.is_data())
            .map(|port| port.port.as_str())
            .collect()
    }

    /// Ports that the route reads and does not compute itself, columns excluded.
    pub fn outside_ports(&self) -> BTreeSet<PortRef> {
        let own: BTreeSet<&str> = self.nodes().collect();
        self.sources()
            .filter(|port| !port.is_data() && !own.contains(port.node.as_str()))
            .cloned()
            .collect()
    }

    /// Inputs whose second source lies downstream, with that source.
    pub fn feedback(&self) -> impl Iterator<Item = (&PortRef, &Wire, &Blend)> {
        self.steps
            .iter()
            .flat_map(|step| &step.feeds)
            .filter_map(|(to, wire)| {
                let blend = wire.blend.as_ref().filter(|blend| blend.feedback)?;
                Some((to, wire, blend))
            })
    }

    /// Splits at a column: nodes that do not depend on it, and nodes that do. A decoder runs the
    /// first part once and the second part once a position.
    pub fn split_at_column(&self, column: &str) -> (Route, Route) {
        let mut dependent: BTreeSet<&str> = BTreeSet::new();
        let (mut before, mut after) = (Route::default(), Route::default());
        for step in &self.steps {
            let depends = step.feeds.iter().any(|(_, wire)| {
                (wire.from.is_data() && wire.from.port == column)
                    || dependent.contains(wire.from.node.as_str())
            });
            if depends {
                dependent.insert(&step.node);
                after.steps.push(step.clone());
            } else {
                before.steps.push(step.clone());
            }
        }
        (before, after)
    }

    fn sources(&self) -> impl Iterator<Item = &PortRef> {
        self.wires().flat_map(|(_, wire)| wire.sources())
    }

    /// After which step each port is no longer read.
    pub(crate) fn last_use(&self) -> BTreeMap<PortRef, usize> {
        let mut last = BTreeMap::new();
        for (index, step) in self.steps.iter().enumerate() {
            for source in step.feeds.iter().flat_map(|(_, wire)| wire.sources()) {
                last.insert(source.clone(), index);
            }
        }
        last
    }
}

/// The nodes that ports belong to, without columns.
pub(crate) fn nodes_of<'p>(ports: impl IntoIterator<Item = &'p PortRef>) -> BTreeSet<String> {
    let ports = ports.into_iter().filter(|port| !port.is_data());
    ports.map(|port| port.node.clone()).collect()
}
