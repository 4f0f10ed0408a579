//! Which nodes a stage trains and freezes, and whether gradients reach the trained ones.

use super::StageCheck;
use crate::check::wiring::{carries_values, upstream};
use crate::diagnostic::Diagnostic;
use crate::suggest;
use crate::tree::{Path, place};
use conjoin_data::Meaning;
use conjoin_graph::{NodeConfig, PortRef};
use std::collections::{BTreeMap, BTreeSet};

impl<'b> StageCheck<'_, 'b> {
    /// Every node on the route is trained or frozen, once, and no other node is.
    pub(super) fn coverage(&mut self) {
        let stage = self.stage;
        let name = self.name();
        let listed = self.listed();
        for (key, verb) in [("train", "trained"), ("freeze", "frozen")] {
            let unused: Vec<(&str, &Path)> = listed
                .iter()
                .filter(|(node, place)| place.contains(&key.into()) && !self.route.contains(**node))
                .map(|(node, place)| (*node, place))
                .collect();
            if let (true, Some((_, place))) = (self.whole && self.sound, unused.first()) {
                let nodes = nodes_are(unused.iter().map(|(node, _)| *node));
                let them = if unused.len() == 1 { "it" } else { "them" };
                let message = format!(
                    "{nodes} {verb} in {name}, but none of the stage's objectives depends on {them}"
                );
                self.report("unused", place, message, None);
            }
        }
        if stage.train.is_empty() && !self.is_damaged(&["train"]) {
            let message = format!("{name} trains no node");
            self.report("empty", &self.at(&["train"]), message, None);
        }
        if stage.objectives.is_empty() && !self.is_damaged(&["objectives"]) {
            let message = format!("{name} has no objectives");
            self.report("empty", &self.at(&["objectives"]), message, None);
        }
        let lists_whole = !self.is_damaged(&["train"]) && !self.is_damaged(&["freeze"]);
        let missing: Vec<&String> = self
            .route
            .iter()
            .filter(|node| !listed.contains_key(node.as_str()))
            .collect();
        if self.whole && lists_whole && !missing.is_empty() {
            let take = if missing.len() == 1 { "takes" } else { "take" };
            let nodes = nodes(missing);
            let message =
                format!("{nodes} {take} part in {name} and must be in \"train\" or \"freeze\"");
            self.report("not-covered", &self.at(&["train"]), message, None);
        }
    }

    /// The nodes of both lists with their places; one that is there twice is reported.
    fn listed(&mut self) -> BTreeMap<&'b str, Path> {
        let stage = self.stage;
        let mut first: BTreeMap<&'b str, Path> = BTreeMap::new();
        for (key, nodes) in [("train", &stage.train), ("freeze", &stage.freeze)] {
            for (index, node) in nodes.iter().enumerate() {
                let place = self.element(key, index);
                let Some(before) = first.get(node.as_str()) else {
                    first.insert(node, place);
                    continue;
                };
                let before = self.reader.tree.span_at(before);
                let message = format!("{} lists node \"{node}\" twice, expected once", self.name());
                let span = self.reader.tree.span_at(&place);
                let diagnostic = Diagnostic::new("duplicate-name", span, message);
                self.reader
                    .report(diagnostic.also(before, "listed here already"));
            }
        }
        first
    }

    /// Every trained node is reached by the gradient of an objective that may change it.
    pub(super) fn gradients(&mut self) {
        if !self.whole || !self.sound {
            return;
        }
        let stage = self.stage;
        let mut changed = BTreeSet::new();
        let mut reached = BTreeSet::new();
        for name in stage.objectives.keys() {
            let Some(objective) = self.wires.parts.objective(name) else {
                return;
            };
            self.updates(name, objective.updates.as_deref().unwrap_or_default());
            let specs = &self.wires.specs;
            let ports = [&objective.prediction, &objective.target];
            let nodes = upstream(&self.wiring, ports, |to, wire| {
                !wire.detach && carries_values(specs, to)
            });
            let updated = |node: &&String| match &objective.updates {
                Some(updates) => updates.contains(node),
                None => true,
            };
            changed.extend(nodes.iter().filter(updated).cloned());
            reached.extend(nodes);
        }
        let still: Vec<(usize, &String)> = stage
            .train
            .iter()
            .enumerate()
            .filter(|(_, node)| self.route.contains(*node) && !changed.contains(*node))
            .collect();
        let (aside, cut): (Vec<_>, Vec<_>) = still
            .into_iter()
            .partition(|(_, node)| reached.contains(*node));
        for (found, why) in [
            (aside, "but no objective updates"),
            (cut, "but \"stop_gradient\" keeps every gradient from"),
        ] {
            if let Some((index, _)) = found.first() {
                let place = self.element("train", *index);
                let them = if found.len() == 1 { "it" } else { "them" };
                let nodes = nodes_are(found.iter().map(|(_, node)| node.as_str()));
                let message = format!("{nodes} trained in {}, {why} {them}", self.name());
                self.report("no-gradient", &place, message, None);
            }
        }
    }

    /// A trained node that uses the weights of a frozen one keeps most of what it is as it was.
    pub(super) fn borrowed_weights(&mut self) {
        if !self.whole || !self.sound {
            return;
        }
        let stage = self.stage;
        for (index, node) in stage.train.iter().enumerate() {
            let Some(spec) = self.wires.specs.iter().find(|spec| spec.name == *node) else {
                continue;
            };
            let ports = spec
                .config
                .inputs()
                .into_iter()
                .filter(|p| p.meanings.contains(&Meaning::Parameters));
            let wires = ports.filter_map(|port| self.wiring.get(&PortRef::new(node, port.name)));
            let owners: BTreeSet<String> = wires.map(|wire| wire.from.node.clone()).collect();
            for owner in owners.iter().filter(|owner| stage.freeze.contains(*owner)) {
                let message = format!(
                    "node \"{node}\" is trained in {}, but uses the weights of \"{owner}\", which is \
                     frozen there: they stay as they are",
                    self.name()
                );
                let span = self.reader.tree.span_at(&self.element("train", index));
                let diagnostic = Diagnostic::new("borrowed-weights", span, message);
                self.reader.report(diagnostic.warning());
            }
        }
    }

    /// `updates` names nodes that the stage trains.
    fn updates(&mut self, objective: &str, updates: &[String]) {
        for (index, node) in updates.iter().enumerate() {
            if !self.stage.train.contains(node) {
                let place = place!["objectives", objective, "updates", index];
                let message = format!(
                    "objective \"{objective}\" updates node \"{node}\", which {} does not train",
                    self.name()
                );
                self.report("not-trained", &place, message, None);
            }
        }
    }
}

/// `node "a"`, or `nodes "a", "b"`.
fn nodes<S: AsRef<str>>(names: impl IntoIterator<Item = S>) -> String {
    let quoted: Vec<String> = names
        .into_iter()
        .map(|name| format!("\"{}\"", name.as_ref()))
        .collect();
    let what = if quoted.len() == 1 { "node" } else { "nodes" };
    format!("{what} {}", suggest::list(quoted))
}

/// [`nodes`] with its verb.
fn nodes_are<'n>(names: impl ExactSizeIterator<Item = &'n str>) -> String {
    let verb = if names.len() == 1 { "is" } else { "are" };
    format!("{} {verb}", nodes(names))
}
