//! Problems of wires in the user's words, each told once and where it can be mended.

use super::{Origin, Wires};
use crate::diagnostic::{Diagnostic, Span};
use crate::read::Reader;
use crate::sections::NodeEntry;
use crate::suggest;
use crate::tree::{Path, place};
use conjoin_graph::{PortRef, Problem, ProblemKind};
use std::collections::BTreeSet;

impl Wires<'_> {
    /// Reports a problem once, unless it follows from one that was reported.
    pub(super) fn tell(&mut self, reader: &mut Reader, problem: &Problem, origin: Origin<'_>) {
        let at = &problem.at;
        let Some(node) = self.parts.node(&at.node) else {
            return;
        };
        let own = own_input(origin, at);
        let (code, subject) = (code(&problem.kind), subject(node, &at.port));
        let diagnostic = |span: Span, message: String| Diagnostic::new(code, span, message);
        let (span, place) = Self::place(reader, at, own.as_ref());
        let report = match &problem.kind {
            ProblemKind::UnknownNode { from, .. } if self.parts.node(&from.node).is_some() => {
                return;
            }
            ProblemKind::Port(_) | ProblemKind::Node(_) if self.on_broken_data(at, origin) => {
                return;
            }
            ProblemKind::UnknownNode { from, known } => {
                let message = format!("{subject}: there is no node \"{}\"", from.node);
                diagnostic(span, message).help(suggest::help(&from.node, "nodes", known))
            }
            ProblemKind::UnknownOutput { from, known } => {
                let message = format!("node \"{}\" has no output \"{}\"", from.node, from.port);
                diagnostic(span, message).help(suggest::help(&from.port, "outputs", known))
            }
            ProblemKind::UnknownColumn { from, .. } => {
                match self.unknown_column(reader, from, &subject, span, origin) {
                    Some(report) => report,
                    None => return,
                }
            }
            ProblemKind::UnknownInput { known } => {
                let span = reader.tree.key_span_at(&place);
                let message = format!("node \"{}\" has no input \"{}\"", at.node, at.port);
                diagnostic(span, message).help(suggest::help(&at.port, "inputs", known))
            }
            ProblemKind::MissingInput { about } => {
                let span = match &own {
                    Some(place) => reader.tree.span_at(place),
                    None => reader.tree.span_at(&place!["nodes", &at.node]),
                };
                let words = if own.is_some() {
                    "cannot be left open"
                } else {
                    "is not wired"
                };
                let about = about.trim_end_matches('.');
                diagnostic(span, format!("{subject} {words}")).help(format!("{}: {about}", at.port))
            }
            ProblemKind::Port(error) => diagnostic(span, format!("{subject} {error}")),
            ProblemKind::Node(error) => {
                let (place, words) = refused_option(reader, &at.node, &error.to_string());
                let span = reader.tree.span_at(&place);
                diagnostic(span, format!("{}: {words}", reader.subject(&place)))
            }
            ProblemKind::Cycle { path } => {
                let span = reader.tree.span_at(&place!["nodes", &at.node, "in"]);
                let around = path.join(" -> ");
                let message = format!("node \"{}\" depends on itself: {around}", at.node);
                diagnostic(span, message).help(
                    "a prediction that is fed back is an input schedule of a stage: \
                     inputs = { \"node.port\" = { from = …, to = … } }",
                )
            }
            ProblemKind::Blend { truth, prediction } => diagnostic(
                span,
                format!(
                    "{subject} moves from {truth} to {prediction}, which is not the same thing"
                ),
            )
            .help(
                "both sides carry the same, or tokens move to logits over their vocabulary that \
                 lie downstream",
            ),
        };
        let key = match &problem.kind {
            ProblemKind::Cycle { path } => sorted(path),
            ProblemKind::UnknownColumn { from, .. } if !self.any_has(&from.port) => at.to_string(),
            ProblemKind::UnknownColumn { .. } => format!("{at} {:?}", report.span),
            _ if own.is_some() => format!("{at} {:?}", report.span),
            _ => at.to_string(),
        };
        if self.said.insert((key, code)) {
            reader.report(report);
        }
    }

    /// Whether a node reads columns of a data set that is wrong itself.
    fn on_broken_data(&self, at: &PortRef, origin: Origin<'_>) -> bool {
        let whole = match origin {
            Origin::Joined => self.columns.values().all(|data| data.whole),
            Origin::Task { data } | Origin::Stage { data, .. } => self.columns(data).1,
        };
        let reads = |to: &PortRef| to.node == at.node && (at.port.is_empty() || to.port == at.port);
        !whole
            && self
                .joined
                .iter()
                .any(|(to, wire)| reads(to) && wire.from.is_data())
    }

    /// A column that no data set has is a mistake of the wire; one that this data set lacks, of the
    /// choice of data.
    fn unknown_column(
        &self,
        reader: &Reader,
        from: &PortRef,
        subject: &str,
        span: Span,
        origin: Origin<'_>,
    ) -> Option<Diagnostic> {
        if !self.any_has(&from.port) {
            let message = format!("{subject}: no data set has a column \"{}\"", from.port);
            let help = suggest::help(&from.port, "columns", self.column_names());
            return Some(Diagnostic::new("unknown-column", span, message).help(help));
        }
        let (data, place) = match origin {
            Origin::Joined => return None,
            Origin::Task { data } => (data, place!["task", "data"]),
            Origin::Stage {
                index, data, key, ..
            } => {
                let mut place = place!["stages", index];
                place.extend(key.iter().map(|key| (*key).into()));
                (data, place)
            }
        };
        let (columns, whole) = self.columns(data);
        if !whole {
            return None;
        }
        let message = format!(
            "data set \"{data}\" has no column \"{}\", which feeds {subject}",
            from.port
        );
        let help = format!("its columns: {}", suggest::list(columns.keys()));
        let span = reader.tree.span_at(&place);
        Some(Diagnostic::new("missing-column", span, message).help(help))
    }

    /// Where the wire of an input is written down.
    fn place(reader: &Reader, at: &PortRef, own: Option<&Path>) -> (Span, Path) {
        let place = match own {
            Some(place) => place.clone(),
            None => place!["nodes", &at.node, "in", &at.port],
        };
        (reader.tree.span_at(&place), place)
    }
}

/// The place of a stage's own entry for an input, if it has one.
fn own_input(origin: Origin<'_>, at: &PortRef) -> Option<Path> {
    let Origin::Stage { index, config, .. } = origin else {
        return None;
    };
    let port = at.to_string();
    config
        .inputs
        .contains_key(&port)
        .then(|| place!["stages", index, "inputs", &port])
}

/// A node begins what it says about an option with its key: `dropout: expected …, found …`; that of a
/// table within is `cameras.front.width`.
fn refused_option(reader: &Reader, node: &str, words: &str) -> (Path, String) {
    let whole = place!["nodes", node];
    if let Some((key, rest)) = words.split_once(": ") {
        let mut place = whole.clone();
        place.extend(key.split('.').map(Into::into));
        if reader.tree.at(&place).is_some() {
            return (place, rest.to_owned());
        }
    }
    (whole, words.to_owned())
}

fn subject(node: &NodeEntry, port: &str) -> String {
    if port.is_empty() {
        format!("node \"{}\"", node.name)
    } else {
        format!("input \"{port}\" of node \"{}\"", node.name)
    }
}

fn code(kind: &ProblemKind) -> &'static str {
    match kind {
        ProblemKind::UnknownNode { .. } => "unknown-name",
        ProblemKind::UnknownOutput { .. } => "unknown-output",
        ProblemKind::UnknownColumn { .. } => "unknown-column",
        ProblemKind::UnknownInput { .. } => "unknown-input",
        ProblemKind::MissingInput { .. } => "missing-input",
        ProblemKind::Port(_) | ProblemKind::Blend { .. } => "contract",
        ProblemKind::Node(_) => "node-options",
        ProblemKind::Cycle { .. } => "cycle",
    }
}

fn sorted(path: &[String]) -> String {
    let nodes: BTreeSet<&str> = path.iter().map(String::as_str).collect();
    nodes.into_iter().collect::<Vec<_>>().join(" ")
}
