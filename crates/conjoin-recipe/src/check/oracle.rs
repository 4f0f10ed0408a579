//! `[oracle]`: each input lies on the task's route and is fed by a node, and the column carries what
//! the wire does.

use super::wiring::{Wires, upstream};
use crate::diagnostic::Diagnostic;
use crate::read::Reader;
use crate::suggest;
use crate::tree::place;
use conjoin_graph::spec::same_values;
use conjoin_graph::{PortRef, Resolution};

/// Checks every entry. `task` is the joined graph as far as the task needs it.
pub(super) fn check(wires: &Wires<'_>, reader: &mut Reader, task: &Resolution) {
    for (to, column) in &wires.parts.oracle {
        let checked = Entry {
            wires,
            task,
            to,
            column: column.as_ref(),
        };
        checked.check(reader);
    }
}

struct Entry<'a> {
    wires: &'a Wires<'a>,
    task: &'a Resolution,
    to: &'a PortRef,
    /// None where the recipe says that there is no truth.
    column: Option<&'a PortRef>,
}

impl Entry<'_> {
    fn check(&self, reader: &mut Reader) {
        let (Some(task), to) = (&self.wires.parts.task, self.to) else {
            return;
        };
        let whole = |node: &str| self.wires.parts.node(node).is_some_and(|node| node.wired);
        if !whole(&to.node) {
            return;
        }
        let Some(wire) = self.wires.joined.get(to) else {
            let message = format!("input \"{}\" of node \"{}\" is not wired", to.port, to.node);
            return self.at_key(reader, "oracle", message);
        };
        let outputs = task.outputs();
        let read = upstream(&self.wires.joined, &outputs, |_, _| true).contains(&to.node);
        // Where weights are used with other wires, there may be nothing left to ask for.
        if self.wires.trained && (!read || wire.from.is_data()) {
            return;
        }
        if !read {
            let message = format!("the task does not depend on node \"{}\"", to.node);
            return self.at_key(reader, "unused", message);
        }
        let Some(column) = self.column else {
            return;
        };
        if !column.is_data() {
            let message = format!(
                "the truth is a column of the data, but {column} is a node's output (an entry such \
                 as \"data.boxes\")"
            );
            return self.at_value(reader, "oracle", message, None);
        }
        if wire.from.is_data() {
            let message = format!("it is fed by {}, which is data already", wire.from);
            return self.at_key(reader, "oracle", message);
        }
        let (columns, all) = self.wires.columns(task.data());
        let Some(found) = columns.get(&column.port) else {
            if all {
                let message = format!(
                    "data set \"{}\", which the task scores, has no column \"{}\"",
                    task.data(),
                    column.port
                );
                let help = suggest::help(&column.port, "columns", columns.keys());
                self.at_value(reader, "missing-column", message, Some(help));
            }
            return;
        };
        let Some(carried) = self.task.contract(&wire.from, &columns) else {
            return;
        };
        if !same_values(found, carried) {
            let message = format!(
                "{column} carries {found}, and {} carries {carried}: not the same thing",
                wire.from
            );
            self.at_value(reader, "contract", message, None);
        }
    }

    fn subject(&self, reader: &Reader) -> String {
        reader.subject(&place!["oracle", &self.to.to_string()])
    }

    fn at_key(&self, reader: &mut Reader, code: &'static str, message: String) {
        let span = reader
            .tree
            .key_span_at(&place!["oracle", &self.to.to_string()]);
        let message = format!("{}: {message}", self.subject(reader));
        reader.report(Diagnostic::new(code, span, message));
    }

    fn at_value(
        &self,
        reader: &mut Reader,
        code: &'static str,
        message: String,
        help: Option<String>,
    ) {
        let span = reader.tree.span_at(&place!["oracle", &self.to.to_string()]);
        let message = format!("{}: {message}", self.subject(reader));
        reader.report(Diagnostic::new(code, span, message).maybe_help(help));
    }
}
