//! Objectives: whether the loss fits what its two ports carry.

use super::wiring::{Ground, Wires, upstream};
use crate::diagnostic::Diagnostic;
use crate::read::Reader;
use crate::suggest;
use crate::tree::{Path, Tree, place};
use conjoin_data::{Contract, Dim, Dtype, Meaning};
use conjoin_graph::{PortRef, Wiring};
use conjoin_train::objective::BinaryCrossEntropyConfig;
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
fn mismatch(loss: &LossConfig, ports: Sides<'_>) -> Mismatch {
    let [(prediction_port, prediction), (target_port, target)] = ports;
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
        LossConfig::Mse(_) | LossConfig::L1(_) | LossConfig::Huber(_) => reals(kind, ports)
            .or_else(|| one_shape(kind, ports))
            .or_else(|| {
                (prediction.units.is_some() && prediction.units != target.units)
                    .then(|| other_units(ports))
            })
            .or_else(|| other_frame(ports)),
        LossConfig::BinaryCrossEntropy(BinaryCrossEntropyConfig { first, .. }) => reals(
            kind, ports,
        )
        .or_else(|| probabilities(kind, ports))
        .or_else(|| match first {
            None => one_shape(kind, ports),
            Some(first) => {
                let fits =
                    |predicted: usize, wanted: usize| predicted == *first && wanted >= *first;
                let wants = format!(
                    "a prediction of the first {first} numbers of the target's last dimension"
                );
                last_dimensions(kind, ports, fits, &wants)
            }
        })
        .or_else(|| other_frame(ports)),
        LossConfig::Focal(_) => reals(kind, ports)
            .or_else(|| probabilities(kind, ports))
            .or_else(|| one_shape(kind, ports))
            .or_else(|| other_frame(ports)),
        LossConfig::MaskedL1(_) => reals(kind, ports)
            .or_else(|| {
                let wants =
                    "a target with one number more than the prediction, the weight, in front";
                last_dimensions(
                    kind,
                    ports,
                    |predicted, wanted| predicted + 1 == wanted,
                    wants,
                )
            })
            .or_else(|| other_frame(ports)),
        LossConfig::MultiModal(_) => reals(kind, ports).or_else(|| {
            let fits = match (prediction.dims.as_slice(), target.dims.as_slice()) {
                ([batch, agents, _, Dim::Fixed(width)], [rows, count, Dim::Fixed(steps), last]) => {
                    batch == rows
                        && agents == count
                        && *width == 1 + 2 * steps
                        && *last == Dim::Fixed(4)
                }
                _ => false,
            };
            (!fits).then(|| {
                let wanted = "ways [B, N, M, 1 + 2 F] and futures [B, N, F, 4]";
                ("target", misshapen(kind, wanted, ports))
            })
        }),
        LossConfig::Plan(_) => reals(kind, ports).or_else(|| {
            let fits = prediction.dims == target.dims
                && prediction.dims.len() == 3
                && prediction.dims.last() == Some(&Dim::Fixed(4));
            (!fits).then(|| {
                let wanted = "two plans [B, S, 4]";
                ("target", misshapen(kind, wanted, ports))
            })
        }),
    }
}

/// Prediction and target, each with the name of its port.
type Sides<'a> = [(&'a PortRef, &'a Contract); 2];
/// The side at fault and what is wrong.
type Mismatch = Option<(&'static str, String)>;

fn reals(kind: &str, [prediction, target]: Sides<'_>) -> Mismatch {
    [("prediction", prediction), ("target", target)]
        .into_iter()
        .find(|(_, (_, contract))| contract.dtype != Dtype::F32)
        .map(|(side, (port, contract))| {
            let message = format!("{kind} wants real numbers, but {port} carries {contract}");
            (side, message)
        })
}

/// Logits have no range; what lies between 0 and 1 has gone through a sigmoid already.
fn probabilities(kind: &str, [(port, prediction), _]: Sides<'_>) -> Mismatch {
    let (low, high) = prediction.range.filter(|range| *range == (0.0, 1.0))?;
    let message = format!(
        "{kind} wants logits, which have no range, but {port} carries {prediction} from {low} to {high}"
    );
    Some(("prediction", message))
}

fn one_shape(
    kind: &str,
    [(prediction_port, prediction), (target_port, target)]: Sides<'_>,
) -> Mismatch {
    (prediction.dims != target.dims).then(|| {
        let message = format!(
            "{kind} wants two values of one shape, but {prediction_port} has shape {} and \
             {target_port} has shape {}",
            prediction.shape_text(),
            target.shape_text()
        );
        ("target", message)
    })
}

/// Two shapes that are the same but for the last dimensions, which `fits` compares.
fn last_dimensions(
    kind: &str,
    [(prediction_port, prediction), (target_port, target)]: Sides<'_>,
    fits: impl Fn(usize, usize) -> bool,
    wants: &str,
) -> Mismatch {
    let sizes = match (prediction.dims.split_last(), target.dims.split_last()) {
        (Some((predicted, before)), Some((wanted, others))) if before == others => {
            predicted.size().zip(wanted.size())
        }
        _ => None,
    };
    if sizes.is_some_and(|(predicted, wanted)| fits(predicted, wanted)) {
        return None;
    }
    let message = format!(
        "{kind} wants {wants}, but {prediction_port} has shape {} and {target_port} has shape {}",
        prediction.shape_text(),
        target.shape_text()
    );
    Some(("target", message))
}

/// What is said of shapes that a loss cannot take together.
fn misshapen(
    kind: &str,
    wanted: &str,
    [(prediction_port, prediction), (target_port, target)]: Sides<'_>,
) -> String {
    format!(
        "{kind} wants {wanted}, but {prediction_port} has shape {} and {target_port} has shape {}",
        prediction.shape_text(),
        target.shape_text()
    )
}

fn other_units(
    [(prediction_port, prediction), (target_port, target)]: Sides<'_>,
) -> (&'static str, String) {
    let units = |c: &Contract| c.units.clone().unwrap_or_else(|| "no units".to_owned());
    let message = format!(
        "{prediction_port} is in {}, but {target_port} is in {}",
        units(prediction),
        units(target)
    );
    ("target", message)
}

/// A side that names no frame fits every one.
fn other_frame([(prediction_port, prediction), (target_port, target)]: Sides<'_>) -> Mismatch {
    let (predicted, wanted) = prediction.frame.as_ref().zip(target.frame.as_ref())?;
    (predicted != wanted).then(|| {
        let message = format!(
            "{prediction_port} is in frame \"{predicted}\", but {target_port} is in frame \"{wanted}\""
        );
        ("target", message)
    })
}
