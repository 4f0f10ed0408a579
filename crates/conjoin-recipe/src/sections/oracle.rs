//! `[oracle]`: columns that hold what an input should get, by `node.port`.

use super::{below, expect, is_table, keys_at, read_port};
use crate::diagnostic::Diagnostic;
use crate::read::Reader;
use crate::tree::{Value, place};
use conjoin_graph::PortRef;

/// Inputs with the column of their truth; none where the recipe says `false`: there is no truth.
pub(crate) type Oracle = Vec<(PortRef, Option<PortRef>)>;

pub(super) fn read(reader: &mut Reader) -> Oracle {
    let place = place!["oracle"];
    if reader.tree.at(&place).is_none() || !is_table(reader, &place) {
        return Oracle::new();
    }
    let mut oracle = Oracle::new();
    for key in keys_at(reader, &place) {
        let one = below(&place, &key);
        let Ok(to) = key.parse::<PortRef>() else {
            let span = reader.tree.key_span_at(&one);
            let message = format!("[oracle]: found {key:?}, expected an input as \"node.port\"");
            let help = "written in quotes, because of its dot";
            reader.report(Diagnostic::new("wrong-value", span, message).help(help));
            continue;
        };
        match reader.tree.at(&one).map(|tree| &tree.value) {
            Some(Value::Boolean(false)) => oracle.push((to, None)),
            Some(Value::String(_)) => {
                if let Some(from) = read_port(reader, &one) {
                    oracle.push((to, Some(from)));
                }
            }
            _ => {
                let expected = "a column such as \"data.boxes\", or false where there is no truth";
                expect(reader, &one, expected, |_| false);
            }
        }
    }
    oracle
}
