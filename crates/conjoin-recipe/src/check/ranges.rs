//! Numbers that must lie in a range: one table of rules over the text, so that the place is known.

use crate::diagnostic::Diagnostic;
use crate::read::Reader;
use crate::tree::{Path, Step, Tree, Value};

/// What a number may be.
#[derive(Debug, Clone, Copy)]
enum Range {
    Positive,
    NotNegative,
    AtLeastOne,
    /// [0, 1]
    Share,
    /// [0, 1)
    BelowOne,
    /// (0, 1)
    Inside,
    /// (0, 1]
    Factor,
}

impl Range {
    /// Not-a-number and infinity lie in no range.
    fn holds(self, x: f64) -> bool {
        x.is_finite()
            && match self {
                Self::Positive => x > 0.0,
                Self::NotNegative => x >= 0.0,
                Self::AtLeastOne => x >= 1.0,
                Self::Share => (0.0..=1.0).contains(&x),
                Self::BelowOne => (0.0..1.0).contains(&x),
                Self::Inside => x > 0.0 && x < 1.0,
                Self::Factor => x > 0.0 && x <= 1.0,
            }
    }

    fn text(self) -> &'static str {
        match self {
            Self::Positive => "a number above 0",
            Self::NotNegative => "a number, 0 or more",
            Self::AtLeastOne => "a number, 1 or more",
            Self::Share => "a number from 0 to 1",
            Self::BelowOne => "a number from 0 to below 1",
            Self::Inside => "a number between 0 and 1",
            Self::Factor => "a number above 0, at most 1",
        }
    }
}

/// Rules: a path with `*` for any key or position, and what stands there. Options of nodes, sources
/// and transforms are checked by the crates that they belong to.
const RULES: &[(&str, Range)] = &[
    ("task.beam", Range::AtLeastOne),
    ("task.max_length", Range::AtLeastOne),
    ("task.length_penalty", Range::NotNegative),
    ("task.search.coverage_penalty", Range::NotNegative),
    ("task.search.sampling.temperature", Range::Positive),
    ("task.search.sampling.top_p", Range::Factor),
    ("task.search.sampling.samples", Range::AtLeastOne),
    ("objectives.*.weight", Range::Positive),
    ("objectives.*.loss.smoothing", Range::BelowOne),
    ("objectives.*.loss.delta", Range::Positive),
    ("objectives.*.loss.positive_weight", Range::Positive),
    ("objectives.*.loss.first", Range::AtLeastOne),
    ("objectives.*.loss.alpha", Range::NotNegative),
    ("objectives.*.loss.mode_weight", Range::NotNegative),
    ("objectives.*.loss.beta", Range::Positive),
    ("objectives.*.loss.heading", Range::NotNegative),
    ("objectives.*.loss.speed", Range::NotNegative),
    ("stages.*.objectives.*", Range::Positive),
    ("stages.*.steps", Range::AtLeastOne),
    ("stages.*.epochs", Range::Positive),
    ("stages.*.lr", Range::Positive),
    ("stages.*.lr.*", Range::Positive),
    ("stages.*.clip_norm", Range::Positive),
    ("stages.*.accumulate", Range::AtLeastOne),
    ("stages.*.ema", Range::Inside),
    ("stages.*.average.last", Range::AtLeastOne),
    ("stages.*.average.every", Range::AtLeastOne),
    ("stages.*.schedule.end", Range::Share),
    ("stages.*.schedule.size", Range::AtLeastOne),
    ("stages.*.schedule.gamma", Range::Factor),
    ("stages.*.schedule.every", Range::AtLeastOne),
    ("stages.*.inputs.*.share.start", Range::Share),
    ("stages.*.inputs.*.share.end", Range::Share),
    ("stages.*.inputs.*.share.from", Range::Share),
    ("stages.*.inputs.*.share.until", Range::Share),
    ("stages.*.regularise.*.l1", Range::NotNegative),
    ("stages.*.regularise.*.l2", Range::NotNegative),
    ("stages.*.evaluate.batches", Range::AtLeastOne),
    ("stages.*.early_stopping.patience", Range::AtLeastOne),
    ("stages.*.early_stopping.min_change", Range::NotNegative),
    ("stages.*.gate.*.batches", Range::AtLeastOne),
    ("stages.*.gate.*.tolerance", Range::NotNegative),
    ("stages.*.checkpoint.keep", Range::AtLeastOne),
    ("arms.*.epochs.*", Range::Positive),
];

/// Rules for the options of an optimiser, wherever one stands.
const OPTIMISER: &[(&str, Range)] = &[
    ("momentum", Range::BelowOne),
    ("dampening", Range::Share),
    ("weight_decay", Range::NotNegative),
    ("beta1", Range::BelowOne),
    ("beta2", Range::BelowOne),
    ("alpha", Range::BelowOne),
    ("eps", Range::Positive),
];

/// Reports every number out of its range.
pub(super) fn check(reader: &mut Reader) {
    let mut wrong = Vec::new();
    for (pattern, range) in RULES {
        apply(&reader.tree, pattern, *range, &mut wrong);
    }
    for (key, range) in OPTIMISER {
        apply(
            &reader.tree,
            &format!("stages.*.optimiser.{key}"),
            *range,
            &mut wrong,
        );
        apply(
            &reader.tree,
            &format!("stages.*.optimisers.*.{key}"),
            *range,
            &mut wrong,
        );
    }
    for (place, found, range) in wrong {
        let span = reader.tree.span_at(&place);
        let subject = reader.subject(&place);
        let message = format!("{subject}: found {found}, expected {}", range.text());
        reader.report(Diagnostic::new("out-of-range", span, message));
    }
}

fn apply(tree: &Tree, pattern: &str, range: Range, wrong: &mut Vec<(Path, String, Range)>) {
    let keys: Vec<&str> = pattern.split('.').collect();
    visit(tree, &keys, &mut Vec::new(), &mut |place, tree| {
        let number = match tree.value {
            Value::Integer(number) => number as f64,
            Value::Float(number) => number,
            _ => return,
        };
        if !range.holds(number) {
            wrong.push((place.clone(), tree.found(), range));
        }
    });
}

fn visit(tree: &Tree, keys: &[&str], place: &mut Path, act: &mut impl FnMut(&Path, &Tree)) {
    let Some((key, rest)) = keys.split_first() else {
        act(place, tree);
        return;
    };
    let children = tree
        .entries()
        .iter()
        .map(|entry| (Step::from(&entry.key), &entry.tree));
    let items = tree
        .items()
        .iter()
        .enumerate()
        .map(|(index, item)| (Step::from(index), item));
    for (step, child) in children.chain(items) {
        if *key == "*" || Step::from(*key) == step {
            place.push(step);
            visit(child, rest, place, act);
            place.pop();
        }
    }
}
