//! References by name: nodes, data sets, objectives, stages, arms. An unknown name is reported once
//! and replaced by the one that was meant, or dropped, so that the other checks can go on.

mod stage;

use crate::diagnostic::Diagnostic;
use crate::read::Reader;
use crate::sections::Sections;
use crate::suggest;
use crate::tree::{Path, Step, Tree, Value, place};
use conjoin_graph::spec::DATA;
use conjoin_graph::{NodeConfig, PortRef};
use conjoin_tasks::TaskConfig;
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

/// A set of declared names.
#[derive(Clone)]
struct Known {
    what: &'static str,
    plural: &'static str,
    names: Rc<[String]>,
    /// The section is there to hold names, so that one which is not among them is nowhere.
    whole: bool,
}

impl Known {
    fn new(
        reader: &Reader,
        section: &str,
        what: &'static str,
        plural: &'static str,
        names: impl IntoIterator<Item = String>,
    ) -> Self {
        let tree = reader.tree.get(section);
        Self {
            what,
            plural,
            names: names.into_iter().collect(),
            whole: tree.is_some_and(|t| matches!(t.value, Value::Table(_) | Value::Array(_))),
        }
    }
}

/// Checks every reference, and mends or drops those to nothing.
pub(super) fn check(parts: &mut Sections, reader: &mut Reader) {
    duplicate_stages(parts, reader);
    let nodes = || parts.nodes.iter().map(|node| node.name.clone());
    let data = parts.data.iter().map(|(name, _)| name.clone());
    let objectives = parts.objectives.iter().map(|(name, _)| name.clone());
    let stages = parts.stage_names().into_iter().map(str::to_owned);
    let columns = (!nodes().any(|name| name == DATA)).then(|| DATA.to_owned());
    let inputs = parts.nodes.iter().filter_map(|node| {
        let ports = node.kind.as_ref()?.inputs();
        Some((
            node.name.clone(),
            ports.iter().map(|port| port.name).collect(),
        ))
    });
    let mut linker = Linker {
        nodes: Known::new(reader, "nodes", "node", "nodes", nodes()),
        sources: Known::new(reader, "nodes", "node", "nodes", nodes().chain(columns)),
        data_sets: Known::new(reader, "data", "data set", "data sets", data),
        objectives: Known::new(reader, "objectives", "objective", "objectives", objectives),
        stages: Known::new(reader, "stages", "stage", "stages", stages),
        inputs: inputs.collect(),
        reader,
    };
    linker.link_nodes(parts);
    linker.link_data(parts);
    linker.link_objectives(parts);
    linker.link_task(parts);
    linker.link_oracle(parts);
    for (index, stage) in parts.stages.iter_mut().enumerate() {
        if let Some(stage) = stage {
            linker.link_stage(&place!["stages", index], stage);
        }
    }
    linker.link_arms(parts);
}

fn duplicate_stages(parts: &Sections, reader: &mut Reader) {
    let mut first: BTreeMap<&str, usize> = BTreeMap::new();
    for (index, stage) in parts.stages.iter().enumerate() {
        let Some(stage) = stage.as_ref().filter(|stage| !stage.name.is_empty()) else {
            continue;
        };
        match first.get(stage.name.as_str()) {
            None => {
                first.insert(&stage.name, index);
            }
            Some(&earlier) => {
                let span = reader.tree.span_at(&place!["stages", index, "name"]);
                let before = reader.tree.span_at(&place!["stages", earlier, "name"]);
                let message = format!("two stages are called \"{}\"", stage.name);
                reader.report(
                    Diagnostic::new("duplicate-name", span, message).also(before, "the first"),
                );
            }
        }
    }
}

struct Linker<'a> {
    reader: &'a mut Reader,
    nodes: Known,
    /// Nodes and `data`.
    sources: Known,
    data_sets: Known,
    objectives: Known,
    stages: Known,
    /// Input ports of the nodes whose options could be read.
    inputs: BTreeMap<String, Vec<&'static str>>,
}

fn below(place: &[Step], step: impl Into<Step>) -> Path {
    place.iter().cloned().chain([step.into()]).collect()
}

impl Linker<'_> {
    /// The name itself if it is known, the one that was meant if that is clear, else nothing.
    fn resolve(&mut self, place: &Path, name: &str, known: &Known) -> Option<String> {
        if name.is_empty() || known.names.iter().any(|candidate| candidate == name) {
            return Some(name.to_owned());
        }
        if !known.whole {
            return None;
        }
        let value = self.reader.tree.at(place).and_then(Tree::as_str);
        let span = match value.filter(|text| text.contains(name)) {
            Some(_) => self.reader.tree.span_at(place),
            None => self.reader.tree.key_span_at(place),
        };
        let message = format!(
            "{}: there is no {} \"{name}\"",
            self.reader.subject(place),
            known.what
        );
        let help = suggest::help(name, known.plural, known.names.iter());
        self.reader
            .report(Diagnostic::new("unknown-name", span, message).help(help));
        let meant = suggest::meant(name, known.names.iter().map(String::as_str));
        meant.map(str::to_owned)
    }

    fn node(&mut self, place: &Path, name: &str) -> Option<String> {
        let known = self.nodes.clone();
        self.resolve(place, name, &known)
    }

    fn data_set(&mut self, place: &Path, name: &str) -> Option<String> {
        let known = self.data_sets.clone();
        self.resolve(place, name, &known)
    }

    fn objective(&mut self, place: &Path, name: &str) -> Option<String> {
        let known = self.objectives.clone();
        self.resolve(place, name, &known)
    }

    fn stage_name(&mut self, place: &Path, name: &str) -> Option<String> {
        let known = self.stages.clone();
        self.resolve(place, name, &known)
    }

    /// A port of a node or a column; only the node's name is looked at.
    fn port(&mut self, place: &Path, port: &PortRef) -> Option<PortRef> {
        let known = self.sources.clone();
        let node = self.resolve(place, &port.node, &known)?;
        Some(PortRef::new(node, &port.port))
    }

    /// The names of a list that are known.
    fn list(
        &mut self,
        place: &Path,
        names: &[String],
        resolve: impl Fn(&mut Self, &Path, &str) -> Option<String>,
    ) -> Vec<String> {
        let mut known = Vec::new();
        for (index, name) in names.iter().enumerate() {
            match resolve(self, &below(place, index), name) {
                Some(name) => known.push(name),
                None => self.reader.damage(place.clone()),
            }
        }
        known
    }

    /// The keys of a table that are known.
    fn keys<T: Clone>(
        &mut self,
        place: &Path,
        table: &BTreeMap<String, T>,
        resolve: impl Fn(&mut Self, &Path, &str) -> Option<String>,
    ) -> BTreeMap<String, T> {
        let mut known = BTreeMap::new();
        for (key, value) in table {
            let one = below(place, key);
            match resolve(self, &one, key) {
                Some(name) => {
                    if name != *key {
                        rename(self.reader, &one, &name);
                    }
                    known.insert(name, value.clone());
                }
                None => self.reader.damage(place.clone()),
            }
        }
        known
    }

    fn link_nodes(&mut self, parts: &mut Sections) {
        for node in &mut parts.nodes {
            let place = place!["nodes", &node.name, "in"];
            let wires = std::mem::take(&mut node.wires);
            for (port, from) in wires {
                match self.port(&below(&place, &port), &from) {
                    Some(from) => node.wires.push((port, from)),
                    None => node.wired = false,
                }
            }
        }
    }

    fn link_data(&mut self, parts: &mut Sections) {
        for (name, config) in &mut parts.data {
            let Some(config) = config else { continue };
            let place = place!["data", &*name, "exclude"];
            config.exclude = self.list(&place, &config.exclude, Self::data_set);
            for (index, other) in config.exclude.iter().enumerate() {
                if other == name {
                    let span = self.reader.tree.span_at(&below(&place, index));
                    let message = format!("data set \"{name}\" cannot exclude itself");
                    self.reader
                        .report(Diagnostic::new("self-reference", span, message));
                }
            }
        }
    }

    fn link_objectives(&mut self, parts: &mut Sections) {
        for (name, config) in &mut parts.objectives {
            let Some(objective) = config else { continue };
            let place = place!["objectives", &*name];
            let prediction = self.port(&below(&place, "prediction"), &objective.prediction);
            let target = self.port(&below(&place, "target"), &objective.target);
            if let Some(updates) = &mut objective.updates {
                *updates = self.list(&below(&place, "updates"), updates, Self::node);
            }
            match (prediction, target) {
                (Some(prediction), Some(target)) => {
                    objective.prediction = prediction;
                    objective.target = target;
                }
                _ => *config = None,
            }
        }
    }

    fn link_task(&mut self, parts: &mut Sections) {
        let Some(task) = &mut parts.task else { return };
        let mut mended = BTreeMap::new();
        let mut whole = true;
        for (name, port) in task.ports() {
            match self.port(&place!["task", name], &port) {
                Some(port) => {
                    mended.insert(name.to_owned(), port);
                }
                None => whole = false,
            }
        }
        *task = task.with_ports(&mended);
        let known = self.data_set(&place!["task", "data"], task.data());
        match (task, known) {
            (TaskConfig::Classification(config), Some(data)) => config.data = data,
            (TaskConfig::Transduction(config), Some(data)) => config.data = data,
            (TaskConfig::Driving(config), Some(data)) => config.data = data,
            (_, None) => whole = false,
        }
        if !whole {
            parts.task = None;
        }
    }

    fn link_oracle(&mut self, parts: &mut Sections) {
        for (to, column) in std::mem::take(&mut parts.oracle) {
            let place = place!["oracle", &to.to_string()];
            let meant = self.input(&place, &to.to_string());
            let from = column.map(|column| self.port(&place, &column));
            let Some(to) = meant.and_then(|text| text.parse::<PortRef>().ok()) else {
                continue;
            };
            // The one that was meant may have an entry of its own.
            if parts.oracle.iter().any(|(known, _)| *known == to) {
                continue;
            }
            rename(self.reader, &place, &to.to_string());
            match from {
                Some(None) => {}
                Some(Some(column)) => parts.oracle.push((to, Some(column))),
                None => parts.oracle.push((to, None)),
            }
        }
    }

    fn link_arms(&mut self, parts: &mut Sections) {
        let arms = parts.arms.arms.iter().map(|(name, _)| name.clone());
        let known = Known::new(self.reader, "arms", "arm", "arms", arms);
        if let Some(default) = &mut parts.arms.default {
            let found = self.resolve(&place!["arms", "default"], default, &known);
            *default = found.unwrap_or_default();
        }
        for (name, arm) in &mut parts.arms.arms {
            let Some(arm) = arm else { continue };
            let place = place!["arms", &*name];
            let list = self
                .reader
                .tree
                .at(&place)
                .is_some_and(|tree| tree.entries().is_empty());
            let stages = if list {
                place.clone()
            } else {
                below(&place, "stages")
            };
            arm.stages = self.list(&stages, &arm.stages, Self::stage_name);
            arm.epochs = self.keys(&below(&place, "epochs"), &arm.epochs, Self::stage_name);
            self.check_arm(&place, &stages, name, arm);
        }
    }

    fn check_arm(&mut self, place: &Path, stages: &Path, name: &str, arm: &crate::sections::Arm) {
        let mut seen = BTreeSet::new();
        for (index, stage) in arm.stages.iter().enumerate() {
            if !seen.insert(stage) {
                let span = self.reader.tree.span_at(&below(stages, index));
                let message = format!("arm \"{name}\" runs stage \"{stage}\" twice");
                self.reader
                    .report(Diagnostic::new("duplicate-name", span, message));
            }
        }
        if arm.stages.is_empty() && !self.reader.is_damaged(stages) {
            let span = self.reader.tree.span_at(stages);
            let message = format!("arm \"{name}\" has no stages");
            self.reader.report(Diagnostic::new("empty", span, message));
        }
        for stage in arm.epochs.keys().filter(|stage| !seen.contains(stage)) {
            let span = self
                .reader
                .tree
                .key_span_at(&path_in(place, &["epochs", stage]));
            let message = format!("stage \"{stage}\" is not part of arm \"{name}\"");
            self.reader.report(Diagnostic::new("unused", span, message));
        }
    }
}

fn path_in(place: &[Step], keys: &[&str]) -> Path {
    place
        .iter()
        .cloned()
        .chain(keys.iter().map(|key| Step::from(*key)))
        .collect()
}

/// Gives a key of the tree the name that was meant, so that later checks find its place.
fn rename(reader: &mut Reader, place: &Path, name: &str) {
    if let Some((Step::Key(key), parent)) = place.split_last()
        && let Some(entries) = reader.tree.at_mut(parent).and_then(Tree::entries_mut)
        && let Some(entry) = entries.iter_mut().find(|entry| entry.key == *key)
    {
        name.clone_into(&mut entry.key);
    }
}
