//! `[arms]`: the ways in which a recipe can be trained.

use super::{below, check_name, expect, is_table, keys_at, plain};
use crate::diagnostic::Diagnostic;
use crate::read::Reader;
use crate::suggest;
use crate::tree::{Value, place};
use schemars::{JsonSchema, schema_for};
use serde::Deserialize;
use std::collections::BTreeMap;

/// The ways in which a recipe can be trained.
#[derive(Debug, Default, Clone)]
pub(crate) struct Arms {
    pub default: Option<String>,
    pub arms: Vec<(String, Option<Arm>)>,
}

/// A sequence of stages, with lengths that differ from the stages' own.
#[derive(Debug, Clone, Default, PartialEq, serde::Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Arm {
    /// Names of stages, in order.
    pub stages: Vec<String>,
    /// Lengths in epochs of stages that are shorter or longer in this arm.
    #[serde(default)]
    pub epochs: BTreeMap<String, f64>,
}

pub(super) fn read(reader: &mut Reader) -> Arms {
    let place = place!["arms"];
    let mut arms = Arms::default();
    if reader.tree.at(&place).is_none() || !is_table(reader, &place) {
        return arms;
    }
    for name in keys_at(reader, &place) {
        let one = below(&place, &name);
        if name == "default" {
            arms.default = reader.read(&one, &schema_for!(String), &[], plain);
            continue;
        }
        check_name(reader, &one, &name);
        let arm = match reader.tree.at(&one).map(|tree| &tree.value) {
            Some(Value::Array(_)) => reader
                .read(&one, &schema_for!(Vec<String>), &[], plain)
                .map(|stages| Arm {
                    stages,
                    epochs: BTreeMap::new(),
                }),
            Some(Value::Table(_)) => reader.read(&one, &schema_for!(Arm), &[], plain),
            _ => {
                let expected = "a list of stages, or a table with \"stages\" and \"epochs\"";
                expect(reader, &one, expected, |_| false);
                None
            }
        };
        arms.arms.push((name, arm));
    }
    if arms.default.is_none() && !reader.is_damaged(&below(&place, "default")) {
        let span = reader.tree.span_at(&place);
        let names = suggest::list(arms.arms.iter().map(|(name, _)| name));
        let message = "missing key \"default\" in [arms]: the arm that is trained";
        reader.report(Diagnostic::new("missing-key", span, message).help(format!("arms: {names}")));
    }
    arms
}
