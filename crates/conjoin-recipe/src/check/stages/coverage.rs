//! Which nodes a stage trains and freezes, and whether gradients reach the trained ones.

use super::StageCheck;
use crate::check::wiring::{carries_values, upstream};
use crate::diagnostic::Diagnostic;
use crate::suggest;
use crate::tree::{Path, place};
use std::collections::{BTreeMap, BTreeSet};

impl StageCheck<'_, '_> {
    /// Every node on the route is trained or frozen, once, and no other node is.
    pub(super) fn coverage(&mut self) {
        let stage = self.stage;
        let name = self.name();
        let mut first: BTreeMap<&str, Path> = BTreeMap::new();
        for (key, nodes) in [("train", &stage.train), ("freeze", &stage.freeze)] {
            for (index, node) in nodes.iter().enumerate() {
                let place = self.element(key, index);
                if let Some(before) = first.get(node.as_str()) {
                    let before = self.reader.tree.span_at(before);
                    let message = format!("{name} lists node \"{node}\" twice, expected once");
                    let span = self.reader.tree.span_at(&place);
                    let diagnostic = Diagnostic::new("duplicate-name", span, message);
                    self.reader
                        .report(diagnostic.also(before, "listed here already"));
                    continue;
                }
                first.insert(node, place.clone());
                if self.whole && !self.route.contains(node) {
                    let verb = if key == "train" { "trained" } else { "frozen" };
                    let message = format!(
                        "node \"{node}\" is {verb} in {name}, but none of its objectives depends \
                         on it"
                    );
                    self.report("unused", &place, message, None);
                }
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
            .filter(|node| !first.contains_key(node.as_str()))
            .collect();
        if self.whole && lists_whole && !missing.is_empty() {
            let (nodes, take) = match missing.as_slice() {
                [one] => (format!("node \"{one}\""), "takes"),
                many => {
                    let quoted = many.iter().map(|node| format!("\"{node}\""));
                    (format!("nodes {}", suggest::list(quoted)), "take")
                }
            };
            let message =
                format!("{nodes} {take} part in {name} and must be in \"train\" or \"freeze\"");
            self.report("not-covered", &self.at(&["train"]), message, None);
        }
    }

    /// Every trained node is reached by the gradient of an objective that may change it.
    pub(super) fn gradients(&mut self) {
        if !self.whole {
            return;
        }
        let stage = self.stage;
        let mut changed = BTreeSet::new();
        let mut reached = BTreeSet::new();
        for name in stage.objectives.keys() {
            let Some(objective) = self.wires.parts.objective(name) else {
                return;
            };
            let specs = &self.wires.specs;
            let ports = [&objective.prediction, &objective.target];
            let nodes = upstream(&self.wiring, ports, |to, wire| {
                !wire.detach && carries_values(specs, to)
            });
            for (index, node) in objective.updates.iter().flatten().enumerate() {
                if !stage.train.contains(node) {
                    let mut place = place!["objectives", name, "updates"];
                    place.push(index.into());
                    let message = format!(
                        "objective \"{name}\" updates node \"{node}\", which {} does not train",
                        self.reader.subject(&place!["stages", self.index])
                    );
                    let span = self.reader.tree.span_at(&place);
                    self.reader
                        .report(Diagnostic::new("not-trained", span, message));
                }
            }
            let updates = |node: &&String| {
                objective
                    .updates
                    .as_ref()
                    .is_none_or(|updates| updates.contains(node))
            };
            changed.extend(nodes.iter().filter(updates).cloned());
            reached.extend(nodes);
        }
        for (index, node) in stage.train.iter().enumerate() {
            if !self.route.contains(node) || changed.contains(node) {
                continue;
            }
            let place = self.element("train", index);
            let name = self.name();
            let message = if reached.contains(node) {
                format!("node \"{node}\" is trained in {name}, but no objective updates it")
            } else {
                format!(
                    "node \"{node}\" is trained in {name}, but \"stop_gradient\" keeps every \
                     gradient from it"
                )
            };
            self.report("no-gradient", &place, message, None);
        }
    }
}
