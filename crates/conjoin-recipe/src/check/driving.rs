//! A driving task's columns: whatever its plan is made of must be there while episodes are driven too, and not
//! in the recording alone.

use super::wiring::Wires;
use crate::diagnostic::Diagnostic;
use crate::read::Reader;
use crate::tree::place;
use conjoin_graph::Resolution;
use conjoin_tasks::{TaskConfig, TaskError};

/// Checks the task's route. `task` is the joined graph as far as the task needs it.
pub(super) fn check(wires: &Wires<'_>, reader: &mut Reader, task: &Resolution) {
    let Some(TaskConfig::Driving(config)) = &wires.parts.task else {
        return;
    };
    let mut data = wires.parts.data.iter();
    let Some((_, Some(data))) = data.find(|(name, _)| *name == config.data) else {
        return;
    };
    let (columns, whole) = wires.columns(&config.data);
    if !whole || !task.problems.is_empty() {
        return;
    }
    let found = config.check_columns(data, &wires.specs, &wires.joined, &columns);
    // Whatever else is wrong is told where it is found.
    let Err(error) = found else { return };
    let TaskError::NotDriven { reader: at, .. } = &error else {
        return;
    };
    let place = match at.node.as_str() {
        "task" => place!["task", &at.port],
        node => place!["nodes", node, "in", &at.port],
    };
    let span = reader.tree.span_at(&place);
    reader.report(Diagnostic::new("task", span, error.to_string()));
}
