//! The sections of a recipe, each read into the config of the crate that it belongs to.

mod arms;
mod data;
mod graph;
mod oracle;
mod stages;

pub use arms::Arm;
pub(crate) use arms::Arms;
pub(crate) use oracle::Oracle;

use crate::deserialize::ReadError;
use crate::diagnostic::Diagnostic;
use crate::kinds;
use crate::read::Reader;
use crate::tree::{Path, Step, Tree, Value, place};
use conjoin_data::DataSetConfig;
use conjoin_graph::{NodeExtension, NodeKind, PortRef};
use conjoin_tasks::TaskConfig;
use conjoin_train::checkpoint::is_taken;
use conjoin_train::{ObjectiveConfig, StageConfig};
use schemars::{JsonSchema, Schema};
use serde::Deserialize;
use serde::de::DeserializeOwned;

/// A recipe in its parts. What could not be read is `None`; its name is kept, so that references to
/// it are not called unknown.
#[derive(Debug, Default)]
pub(crate) struct Sections {
    pub name: String,
    pub seed: u64,
    pub task: Option<TaskConfig>,
    pub data: Vec<(String, Option<DataSetConfig>)>,
    pub nodes: Vec<NodeEntry>,
    pub objectives: Vec<(String, Option<ObjectiveConfig>)>,
    pub stages: Vec<Option<StageConfig>>,
    pub arms: Arms,
    pub oracle: Oracle,
}

/// A node as the recipe declares it.
#[derive(Debug)]
pub(crate) struct NodeEntry {
    pub name: String,
    pub kind: Option<NodeKind>,
    /// Input ports and what feeds them.
    pub wires: Vec<(String, PortRef)>,
    /// All wires could be read.
    pub wired: bool,
}

impl Sections {
    pub fn node(&self, name: &str) -> Option<&NodeEntry> {
        self.nodes.iter().find(|node| node.name == name)
    }

    pub fn objective(&self, name: &str) -> Option<&ObjectiveConfig> {
        self.objectives
            .iter()
            .find(|(known, _)| known == name)?
            .1
            .as_ref()
    }

    pub fn stage_names(&self) -> Vec<&str> {
        self.stages
            .iter()
            .flatten()
            .map(|s| s.name.as_str())
            .filter(|s| !s.is_empty())
            .collect()
    }
}

/// Top-level keys of a recipe.
pub(crate) const SECTIONS: [&str; 9] = [
    "name",
    "seed",
    "task",
    "data",
    "nodes",
    "objectives",
    "stages",
    "arms",
    "oracle",
];

/// What is read elsewhere.
#[derive(Debug, Default)]
struct Anything;

impl<'de> Deserialize<'de> for Anything {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        serde::de::IgnoredAny::deserialize(deserializer).map(|_| Self)
    }
}

impl JsonSchema for Anything {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Anything".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> Schema {
        Schema::default()
    }
}

fn read_port(reader: &mut Reader, place: &Path) -> Option<PortRef> {
    reader.read(place, &Schema::default(), &[], plain)
}

fn plain<T: DeserializeOwned>(tree: &Tree) -> Result<T, ReadError> {
    T::deserialize(tree)
}

/// Reads every section; mistakes are left in the reader.
pub(crate) fn read(reader: &mut Reader, extensions: &[NodeExtension]) -> Sections {
    top_level_keys(reader);
    let node_kinds = kinds::nodes(extensions);
    Sections {
        name: scalar(reader, "name", "the name of the system").unwrap_or_default(),
        seed: scalar(reader, "seed", "").unwrap_or_default(),
        task: section(reader, "task")
            .then(|| reader.read_kind(&place!["task"], &kinds::tasks()).1)
            .flatten(),
        data: tables(reader, "data", data::read),
        nodes: tables(reader, "nodes", |reader, path| {
            Some(graph::read_node(reader, path, &node_kinds))
        })
        .into_iter()
        .filter_map(|(name, node)| Some(NodeEntry { name, ..node? }))
        .collect(),
        objectives: tables(reader, "objectives", graph::read_objective),
        stages: stages::read(reader),
        arms: arms::read(reader),
        oracle: oracle::read(reader),
    }
}

fn top_level_keys(reader: &mut Reader) {
    let keys: Vec<String> = reader
        .tree
        .entries()
        .iter()
        .map(|e| e.key.clone())
        .collect();
    for key in keys {
        if !SECTIONS.contains(&key.as_str()) {
            reader.unknown_key(&place![&key], &SECTIONS);
        }
    }
}

/// A plain value of the top level; required when `about` says what it is for.
fn scalar<T: DeserializeOwned>(reader: &mut Reader, key: &str, about: &str) -> Option<T> {
    if reader.tree.get(key).is_none() {
        if !about.is_empty() {
            let span = reader.tree.span_at(&[]);
            let message = format!("missing key \"{key}\" in the recipe");
            reader.report(Diagnostic::new("missing-key", span, message).help(about));
        }
        return None;
    }
    reader.read(&place![key], &Schema::default(), &[], plain::<T>)
}

/// Whether a section is there; reports it if not.
fn section(reader: &mut Reader, name: &str) -> bool {
    let there = reader.tree.get(name).is_some();
    if !there {
        let span = reader.tree.span_at(&[]);
        let brackets = if name == "stages" {
            "[[stages]]"
        } else {
            &format!("[{name}]")
        };
        let message = format!("missing section {brackets} in the recipe");
        reader.report(Diagnostic::new("missing-section", span, message));
        reader.damage(place![name]);
    }
    there
}

/// Reads each table of a section with named tables.
fn tables<T>(
    reader: &mut Reader,
    name: &str,
    mut read: impl FnMut(&mut Reader, &Path) -> Option<T>,
) -> Vec<(String, Option<T>)> {
    if !section(reader, name) || !is_table(reader, &place![name]) {
        return Vec::new();
    }
    let keys = keys_at(reader, &place![name]);
    keys.into_iter()
        .map(|key| {
            let place = place![name, &key];
            check_name(reader, &place, &key);
            let value = if is_table(reader, &place) {
                read(reader, &place)
            } else {
                None
            };
            (key, value)
        })
        .collect()
}

fn keys_at(reader: &Reader, place: &Path) -> Vec<String> {
    let entries = reader.tree.at(place).map(Tree::entries).unwrap_or_default();
    entries.iter().map(|entry| entry.key.clone()).collect()
}

/// Names become parts of ports, paths and file names.
fn check_name(reader: &mut Reader, place: &Path, name: &str) {
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    let is_node = place.first() == Some(&"nodes".into());
    let message = if is_node && name == conjoin_graph::spec::DATA {
        "a node cannot be called \"data\": that is where columns come from".to_owned()
    } else if is_node && is_taken(name) {
        format!(
            "a node cannot be called {name:?}: checkpoints keep something else in \
             {name}.safetensors"
        )
    } else if name.is_empty() || !name.chars().all(plain) {
        format!("{name:?} is no name: expected letters, digits, \"_\" and \"-\"")
    } else {
        return;
    };
    let span = reader.tree.key_span_at(place);
    reader.report(Diagnostic::new("bad-name", span, message));
}

fn is_table(reader: &mut Reader, place: &Path) -> bool {
    expect(reader, place, "a table", |tree| {
        matches!(tree.value, Value::Table(_))
    })
}

/// Reports a value of the wrong sort.
fn expect(reader: &mut Reader, place: &Path, expected: &str, fits: impl Fn(&Tree) -> bool) -> bool {
    let Some(tree) = reader.tree.at(place) else {
        return false;
    };
    if fits(tree) {
        return true;
    }
    let message = format!(
        "{}: found {}, expected {expected}",
        reader.subject(place),
        tree.found()
    );
    let span = tree.span.clone();
    reader.report(Diagnostic::new("wrong-type", span, message));
    reader.damage(place.clone());
    false
}

fn below(place: &[Step], step: impl Into<Step>) -> Path {
    place.iter().cloned().chain([step.into()]).collect()
}
