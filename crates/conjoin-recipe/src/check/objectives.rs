//! Objectives: whether the loss fits what its two ports carry.

use super::wiring::{Ground, Wires, upstream};
use crate::diagnostic::Diagnostic;
use crate::read::Reader;
use crate::suggest;
use crate::tree::{Path, Tree, place};
use conjoin_data::{Contract, Dtype, Meaning};
use conjoin_graph::{PortRef, Wiring};
use conjoin_train::{LossConfig, StageConfig};
use std::collections::BTreeSet;

/// Checks every objective of a stage on one data set; whether all of them fit.
pub(super) fn check(
    wires: &Wires<'_>,
    reader: &mut Reader,
    stage: &StageConfig,
    wiring: &Wiring,
    ground: &Ground<'_>,
) -> bool {
    let broken: BTreeSet<&str> = ground
        .resolution
        .problems
        .iter()
        .map(|problem| problem.at.node.as_str())
        .collect();
    let mut fits = true;
    for name in stage.objectives.keys() {
        let Some(objective) = wires.parts.objective(name) else {
            fits = false;
            continue;
        };
        let mut contract = |side: &str, port: &PortRef| {
            let found = ground.resolution.contract(port, &ground.columns).cloned();
            if found.is_none() {
                let place = place!["objectives", name, side];
                let about = format!("the {side} of objective \"{name}\"");
                missing_port(wires, reader, &place, port, ground, &about);
            }
            found
        };
        let prediction = contract("prediction", &objective.prediction);
        let target = contract("target", &objective.target);
        let (Some(prediction), Some(target)) = (prediction, target) else {
            fits = false;
            continue;
        };
        // Behind a wrong wire contracts are not what they will be.
        let behind = upstream(
            wiring,
            [&objective.prediction, &objective.target],
            |_, _| true,
        );
        if behind.iter().any(|node| broken.contains(node.as_str())) {
            fits = false;
            continue;
        }
        let ports = [
            (&objective.prediction, &prediction),
            (&objective.target, &target),
        ];
        if let Some((side, message)) = mismatch(&objective.loss, ports) {
            let span = reader.tree.span_at(&place!["objectives", name, side]);
            let message = format!("objective \"{name}\": {message}");
            reader.report(Diagnostic::new("contract", span, message));
            fits = false;
        }
    }
    fits
}

/// Reports why a port, named at `place`, has no contract, unless that follows from something
/// reported before. `about` says who wants it.
pub(super) fn missing_port(
    wires: &Wires<'_>,
    reader: &mut Reader,
    place: &Path,
    port: &PortRef,
    ground: &Ground<'_>,
    about: &str,
) {
    let span = reader.tree.span_at(place);
    let subject = reader.subject(place);
    if !port.is_data() {
        if let Some(outputs) = ground.resolution.outputs.get(&port.node) {
            let message = format!(
                "{subject}: node \"{}\" has no output \"{}\"",
                port.node, port.port
            );
            let known = outputs.iter().map(|output| output.name);
            let help = suggest::help(&port.port, "outputs", known);
            reader.report(Diagnostic::new("unknown-output", span, message).help(help));
        }
    } else if !wires.any_has(&port.port) {
        let message = format!("{subject}: no data set has a column \"{}\"", port.port);
        let help = suggest::help(&port.port, "columns", wires.column_names());
        reader.report(Diagnostic::new("unknown-column", span, message).help(help));
    } else if ground.whole {
        let set = reader
            .tree
            .at(&ground.place)
            .and_then(Tree::as_str)
            .unwrap_or_default();
        let span = reader.tree.span_at(&ground.place);
        let message = format!(
            "data set \"{set}\" has no column \"{}\", {about}",
            port.port
        );
        let help = format!("its columns: {}", suggest::list(ground.columns.keys()));
        reader.report(Diagnostic::new("missing-column", span, message).help(help));
    }
}

/// What is wrong between a loss and its ports, and at which of them.
fn mismatch(
    loss: &LossConfig,
    [(prediction_port, prediction), (target_port, target)]: [(&PortRef, &Contract); 2],
) -> Option<(&'static str, String)> {
    let kind = loss.kind();
    match loss {
        LossConfig::CrossEntropy(_) => {
            if prediction.meaning != Meaning::Logits {
                let message =
                    format!("{kind} wants logits, but {prediction_port} carries {prediction}");
                return Some(("prediction", message));
            }
            if !matches!(target.meaning, Meaning::Tokens | Meaning::Label) {
                let message = format!(
                    "{kind} wants tokens or a label as its target, but {target_port} carries \
                     {target}"
                );
                return Some(("target", message));
            }
            let hash = |c: &Contract| c.vocabulary.as_ref().map(|v| v.hash.clone());
            if hash(prediction) != hash(target) {
                let message = format!(
                    "{prediction_port} carries {prediction}, but {target_port} carries {target}: \
                     not the same vocabulary"
                );
                return Some(("target", message));
            }
            let positions = prediction.dims.split_last().map(|(_, rest)| rest);
            (positions != Some(&target.dims)).then(|| {
                let message = format!(
                    "{prediction_port} has shape {}, but {target_port} has shape {}, expected one \
                     target for each position",
                    prediction.shape_text(),
                    target.shape_text()
                );
                ("target", message)
            })
        }
        LossConfig::Mse(_) | LossConfig::L1(_) | LossConfig::Huber(_) => {
            let sides = [
                ("prediction", prediction_port, prediction),
                ("target", target_port, target),
            ];
            for (side, port, contract) in sides {
                if contract.dtype != Dtype::F32 {
                    let message =
                        format!("{kind} wants real numbers, but {port} carries {contract}");
                    return Some((side, message));
                }
            }
            if prediction.dims != target.dims {
                let message = format!(
                    "{kind} wants two values of one shape, but {prediction_port} has shape {} and \
                     {target_port} has shape {}",
                    prediction.shape_text(),
                    target.shape_text()
                );
                return Some(("target", message));
            }
            (prediction.units.is_some() && prediction.units != target.units).then(|| {
                let units = |c: &Contract| c.units.clone().unwrap_or_else(|| "no units".to_owned());
                let message = format!(
                    "{prediction_port} is in {}, but {target_port} is in {}",
                    units(prediction),
                    units(target)
                );
                ("target", message)
            })
        }
    }
}
