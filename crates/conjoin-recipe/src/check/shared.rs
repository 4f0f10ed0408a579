//! A node that several stages run has one set of weights, so all of them must want the same ones.

use super::wiring::Wires;
use crate::diagnostic::Diagnostic;
use crate::read::Reader;
use crate::tree::{Path, place};
use conjoin_graph::port::Want;
use conjoin_graph::{Bound, NodeConfig, NodeSpec, Resolution};

/// A resolution with what it belongs to, such as `stage "joint"`, and its place.
pub(super) struct Use<'a> {
    pub label: String,
    pub place: Path,
    pub resolution: &'a Resolution,
}

/// Reports each node whose known sizes or vocabularies differ between two uses.
pub(super) fn check(wires: &Wires<'_>, reader: &mut Reader, uses: &[Use<'_>]) {
    for spec in &wires.specs {
        let bound: Vec<(&Use<'_>, &Bound)> = uses
            .iter()
            .filter(|one| {
                one.resolution
                    .problems
                    .iter()
                    .all(|problem| problem.at.node != spec.name)
            })
            .filter_map(|one| Some((one, one.resolution.bound.get(&spec.name)?)))
            .collect();
        let Some((first, rest)) = bound.split_first() else {
            continue;
        };
        let different = rest
            .iter()
            .find_map(|other| Some((other.0, difference(spec, first, other)?)));
        if let Some((other, message)) = different {
            let span = reader.tree.span_at(&place!["nodes", &spec.name]);
            let also = reader.tree.span_at(&other.place);
            let message = format!("node \"{}\" cannot be shared: {message}", spec.name);
            let diagnostic = Diagnostic::new("shared-node", span, message);
            reader.report(diagnostic.also(also, "here it differs"));
        }
    }
}

fn difference(
    spec: &NodeSpec,
    (one, a): &(&Use<'_>, &Bound),
    (other, b): &(&Use<'_>, &Bound),
) -> Option<String> {
    for port in spec.config.inputs() {
        let wired = |bound: &Bound| bound.contract(port.name).is_some();
        if port.decides_weights && wired(a) != wired(b) {
            let said = |bound: &Bound| if wired(bound) { "wired" } else { "open" };
            return Some(format!(
                "input \"{}\" is {} in {} and {} in {}",
                port.name,
                said(a),
                one.label,
                said(b),
                other.label
            ));
        }
        for want in &port.dims {
            let Want::Known(dim) = want else { continue };
            if let (Some(x), Some(y)) = (a.size(dim), b.size(dim))
                && x != y
            {
                return Some(format!(
                    "dimension {dim} of input \"{}\" is {x} in {} and {y} in {}",
                    port.name, one.label, other.label
                ));
            }
        }
        let vocabulary = |bound: &Bound| bound.contract(port.name)?.vocabulary.clone();
        if let (Some(x), Some(y)) = (vocabulary(a), vocabulary(b))
            && x.hash != y.hash
        {
            return Some(format!(
                "input \"{}\" is over {}({}) in {} and over {}({}) in {}",
                port.name,
                x.name,
                x.len(),
                one.label,
                y.name,
                y.len(),
                other.label
            ));
        }
    }
    None
}
