//! Gates: each measures an objective of an earlier stage, before and after its own.

use super::Arms;
use super::stages::StageGraph;
use super::wiring::{Origin, Wires};
use crate::diagnostic::Diagnostic;
use crate::read::Reader;
use crate::suggest;
use crate::tree::place;
use conjoin_train::stage::GateConfig;

/// Checks the gates of every stage.
pub(super) fn check(
    wires: &mut Wires<'_>,
    reader: &mut Reader,
    arms: &Arms,
    graphs: &[Option<StageGraph>],
) {
    let parts = wires.parts;
    for (index, stage) in parts.stages.iter().enumerate() {
        let Some(stage) = stage else { continue };
        for (position, gate) in stage.gate.iter().enumerate() {
            if gate.stage.is_empty() {
                continue;
            }
            order(reader, arms, &stage.name, index, position, gate);
            let earlier = parts
                .stages
                .iter()
                .zip(graphs)
                .position(|(s, _)| s.as_ref().is_some_and(|s| s.name == gate.stage));
            let Some(earlier) = earlier else { continue };
            let (Some(config), Some(graph)) = (&parts.stages[earlier], &graphs[earlier]) else {
                continue;
            };
            if !config.objectives.contains_key(&gate.objective)
                && !reader.is_damaged(&place!["stages", earlier, "objectives"])
            {
                let place = place!["stages", index, "gate", position, "objective"];
                let span = reader.tree.span_at(&place);
                let message = format!(
                    "{}: stage \"{}\" does not have objective \"{}\"",
                    reader.subject(&place),
                    gate.stage,
                    gate.objective
                );
                let help =
                    suggest::help(&gate.objective, "its objectives", config.objectives.keys());
                reader.report(Diagnostic::new("unknown-name", span, message).help(help));
            }
            if let Some(data) = gate.data.as_ref().filter(|data| **data != config.data) {
                let (columns, _) = wires.columns(data);
                let position = position.to_string();
                let key: &[&str] = &["gate", &position, "data"];
                let origin = Origin::Stage {
                    index,
                    config: stage,
                    data,
                    key,
                };
                wires.resolve(reader, &graph.wiring, &columns, &graph.wanted, origin);
            }
        }
    }
}

/// The stage of a gate must have run before, in every arm.
fn order(
    reader: &mut Reader,
    arms: &Arms,
    stage: &str,
    index: usize,
    position: usize,
    gate: &GateConfig,
) {
    for (arm, stages) in arms {
        let Some(own) = stages.iter().position(|name| name == stage) else {
            continue;
        };
        if stages[..own].contains(&gate.stage) {
            continue;
        }
        let place = place!["stages", index, "gate", position, "stage"];
        let span = reader.tree.span_at(&place);
        let message = if gate.stage == stage {
            format!("{}: a stage cannot be its own gate", reader.subject(&place))
        } else {
            let arm = if arm.is_empty() {
                String::new()
            } else {
                format!(" in arm \"{arm}\"")
            };
            format!(
                "{}: stage \"{}\" does not run before stage \"{stage}\"{arm}",
                reader.subject(&place),
                gate.stage
            )
        };
        reader.report(Diagnostic::new("order", span, message));
        return;
    }
}
