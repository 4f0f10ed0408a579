//! `[[stages]]`.

use super::{below, check_name, expect, is_table, keys_at, plain, read_port, section};
use crate::diagnostic::Diagnostic;
use crate::kinds;
use crate::read::Reader;
use crate::tree::{Path, Tree, Value, place};
use conjoin_graph::PortRef;
use conjoin_train::StageConfig;
use conjoin_train::stage::InputSchedule;
use schemars::schema_for;

pub(super) fn read(reader: &mut Reader) -> Vec<Option<StageConfig>> {
    if !section(reader, "stages") {
        return Vec::new();
    }
    let list = |tree: &Tree| matches!(tree.value, Value::Array(_));
    if !expect(
        reader,
        &place!["stages"],
        "a list of tables, each under [[stages]]",
        list,
    ) {
        return Vec::new();
    }
    let count = reader
        .tree
        .get("stages")
        .map_or(0, |stages| stages.items().len());
    (0..count)
        .map(|index| read_stage(reader, &place!["stages", index]))
        .collect()
}

fn read_stage(reader: &mut Reader, place: &Path) -> Option<StageConfig> {
    if !is_table(reader, place) {
        return None;
    }
    read_optimisers(reader, place);
    read_lr(reader, place);
    read_inputs(reader, place);
    let empty_list = Value::Array(Vec::new());
    let empty_table = Value::Table(Vec::new());
    let fillers = [
        ("name", Value::String(String::new())),
        ("data", Value::String(String::new())),
        ("train", empty_list),
        ("objectives", empty_table),
        ("lr", Value::Float(1.0)),
    ];
    let stage = reader.read(
        place,
        &schema_for!(StageConfig),
        &fillers,
        plain::<StageConfig>,
    )?;
    if !stage.name.is_empty() {
        check_name(reader, &below(place, "name"), &stage.name);
    }
    Some(stage)
}

/// `optimiser` and `optimisers` may be bare kinds; what cannot be read is cut out.
fn read_optimisers(reader: &mut Reader, place: &Path) {
    let set = kinds::optimisers();
    let many = below(place, "optimisers");
    let each = keys_at(reader, &many)
        .into_iter()
        .map(|node| below(&many, &node));
    let all: Vec<Path> = each.chain([below(place, "optimiser")]).collect();
    for one in all {
        if reader.tree.at(&one).is_some() && reader.read_kind(&one, &set).1.is_none() {
            reader.tree.cut(&one);
            reader.damage(one);
        }
    }
}

fn read_lr(reader: &mut Reader, place: &Path) {
    let lr = below(place, "lr");
    let number = |tree: &Tree| matches!(tree.value, Value::Integer(_) | Value::Float(_));
    let nodes = keys_at(reader, &lr);
    let table = |tree: &Tree| matches!(tree.value, Value::Table(_));
    let either = "a number, or a table with a number a node";
    if reader.tree.at(&lr).is_some()
        && !expect(reader, &lr, either, |tree| number(tree) || table(tree))
    {
        reader.tree.cut(&lr);
    }
    for node in nodes {
        let one = below(&lr, &node);
        if !expect(reader, &one, "a number", number) {
            reader.tree.cut(&one);
        }
    }
}

fn read_inputs(reader: &mut Reader, place: &Path) {
    let inputs = below(place, "inputs");
    for port in keys_at(reader, &inputs) {
        let one = below(&inputs, &port);
        if port.parse::<PortRef>().is_err() {
            let span = reader.tree.key_span_at(&one);
            let subject = reader.subject(&one);
            let message = format!("{subject}: found {port:?}, expected an input as \"node.port\"");
            let help = "written in quotes, because of its dot";
            reader.report(Diagnostic::new("wrong-value", span, message).help(help));
            reader.tree.cut(&one);
            reader.damage(one);
            continue;
        }
        let Some(tree) = reader.tree.at(&one) else {
            continue;
        };
        let read = match &tree.value {
            Value::Boolean(false) => Some(()),
            Value::String(_) => read_port(reader, &one).map(|_| ()),
            Value::Table(_) => reader
                .read(
                    &one,
                    &schema_for!(InputSchedule),
                    &[],
                    plain::<InputSchedule>,
                )
                .map(|_| ()),
            _ => {
                let expected = "false, another source such as \"node.port\", or a table with \
                                \"from\", \"to\" and \"share\"";
                expect(reader, &one, expected, |_| false).then_some(())
            }
        };
        if read.is_none() {
            reader.tree.cut(&one);
            reader.damage(one);
        }
    }
}
