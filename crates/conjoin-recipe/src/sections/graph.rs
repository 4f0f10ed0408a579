//! `[nodes.NAME]` with their wires, and `[objectives.NAME]`.

use super::{Anything, NodeEntry, below, expect, keys_at, plain, read_port};
use crate::kinds::{self, KindSet};
use crate::read::Reader;
use crate::tree::{Path, Tree, Value};
use conjoin_graph::{NodeKind, PortRef};
use conjoin_train::{LossConfig, ObjectiveConfig};
use schemars::{JsonSchema, Schema, schema_for};
use serde::Deserialize;

/// A table of `[objectives]`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct ObjectiveTable {
    /// The loss: its kind, or a table with `kind` and options.
    #[serde(rename = "loss")]
    _loss: Anything,
    /// The port that is scored, such as "output.logits".
    prediction: Port,
    /// The column or port that it is compared with, such as "data.label".
    target: Port,
    /// Factor of this objective in every stage that uses it.
    #[serde(default = "one")]
    weight: f64,
    /// The only nodes that this objective changes; all trained nodes when absent.
    #[serde(default)]
    updates: Option<Vec<String>>,
}

fn one() -> f64 {
    1.0
}

/// A [`PortRef`] with a schema.
#[derive(Debug, Deserialize)]
#[serde(transparent)]
struct Port(PortRef);

impl JsonSchema for Port {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Port".into()
    }

    fn json_schema(generator: &mut schemars::SchemaGenerator) -> Schema {
        String::json_schema(generator)
    }
}

pub(super) fn read_node(
    reader: &mut Reader,
    place: &Path,
    set: &KindSet<'_, NodeKind>,
) -> NodeEntry {
    let (wires, wired) = read_wires(reader, place);
    let inputs = reader.tree.at_mut(place).and_then(|node| node.remove("in"));
    let (_, kind) = reader.read_kind(place, set);
    // Later checks point at wires.
    if let (Some(inputs), Some(entries)) = (
        inputs,
        reader.tree.at_mut(place).and_then(Tree::entries_mut),
    ) {
        entries.push(inputs);
    }
    let trustworthy = !reader.is_damaged(place);
    NodeEntry {
        name: String::new(),
        kind: kind.filter(|_| trustworthy),
        wires,
        wired,
    }
}

/// The wires of a node, and whether all of them could be read.
fn read_wires(reader: &mut Reader, node: &Path) -> (Vec<(String, PortRef)>, bool) {
    let place = below(node, "in");
    if reader.tree.at(&place).is_none() {
        return (Vec::new(), true);
    }
    let expected = "a table such as { port = \"node.port\" }";
    if !expect(reader, &place, expected, |tree| {
        matches!(tree.value, Value::Table(_))
    }) {
        return (Vec::new(), false);
    }
    let mut wired = true;
    let mut wires = Vec::new();
    for port in keys_at(reader, &place) {
        match read_port(reader, &below(&place, &port)) {
            Some(from) => wires.push((port, from)),
            None => wired = false,
        }
    }
    (wires, wired)
}

pub(super) fn read_objective(reader: &mut Reader, place: &Path) -> Option<ObjectiveConfig> {
    let table = reader.read(
        place,
        &schema_for!(ObjectiveTable),
        &[],
        plain::<ObjectiveTable>,
    );
    let loss: Option<LossConfig> = reader.read_kind(&below(place, "loss"), &kinds::losses()).1;
    let table = table?;
    Some(ObjectiveConfig {
        loss: loss?,
        prediction: table.prediction.0,
        target: table.target.0,
        weight: table.weight,
        updates: table.updates,
    })
}
