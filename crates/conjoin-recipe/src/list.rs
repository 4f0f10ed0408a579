//! What there is to write in a recipe, from the same definitions that the parser uses.

use crate::kinds::{self, KindSet};
use crate::schema::Shape;
use conjoin_data::LoaderConfig;
use conjoin_graph::NodeExtension;
use conjoin_train::StageConfig;
use conjoin_train::schedule::{RampConfig, ScheduleConfig};
use schemars::{Schema, schema_for};
use serde::Serialize;
use std::fmt;

/// One family of kinds.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Group {
    /// The word after `conjoin list`: `nodes`, `losses`, …
    pub name: &'static str,
    /// Where in a recipe it is written.
    pub place: &'static str,
    pub kinds: Vec<Kind>,
}

/// One kind with its options.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Kind {
    /// The value of `kind`, or the name of the table.
    pub name: String,
    pub about: String,
    pub options: Vec<OptionInfo>,
}

/// One key.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct OptionInfo {
    pub name: String,
    /// The type in words.
    #[serde(rename = "type")]
    pub kind: String,
    pub required: bool,
    /// The default as TOML would have it, where there is one.
    pub default: Option<serde_json::Value>,
    pub about: String,
    /// Keys of a table.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub options: Vec<OptionInfo>,
}

/// Tables in tables that are shown.
const DEPTH: usize = 3;

/// Every family, with the node kinds of outside crates.
pub fn all(extensions: &[NodeExtension]) -> Vec<Group> {
    let table = |name: &str, about: &str, schema: Schema| Kind {
        name: name.to_owned(),
        about: about.to_owned(),
        options: options(Shape::new(&schema), DEPTH),
    };
    vec![
        group("nodes", "[nodes.NAME]", &kinds::nodes(extensions)),
        group("losses", "loss of [objectives.NAME]", &kinds::losses()),
        group(
            "optimisers",
            "optimiser of [[stages]]",
            &kinds::optimisers(),
        ),
        Group {
            name: "schedules",
            place: "schedule and inputs of [[stages]]",
            kinds: vec![
                table(
                    "schedule",
                    "How the learning rate moves over a stage.",
                    schema_for!(ScheduleConfig),
                ),
                table(
                    "share",
                    "How the share of predictions in an input moves.",
                    schema_for!(RampConfig),
                ),
            ],
        },
        group("data", "source of [data.NAME]", &kinds::sources()),
        group(
            "transforms",
            "transforms of [data.NAME]",
            &kinds::transforms(),
        ),
        Group {
            name: "loaders",
            place: "loader of [data.NAME]",
            kinds: vec![table(
                "loader",
                "How samples become batches.",
                schema_for!(LoaderConfig),
            )],
        },
        group("tasks", "[task]", &kinds::tasks()),
        Group {
            name: "stages",
            place: "[[stages]]",
            kinds: vec![table(
                "stage",
                "What is trained, and how.",
                schema_for!(StageConfig),
            )],
        },
    ]
}

fn group<T>(name: &'static str, place: &'static str, set: &KindSet<'_, T>) -> Group {
    let kinds = set.kinds.iter().map(|kind| Kind {
        name: (*kind).to_owned(),
        about: set.about(kind).unwrap_or_default().to_owned(),
        options: set
            .schema(kind)
            .map(|schema| options(Shape::new(&schema), DEPTH))
            .unwrap_or_default(),
    });
    Group {
        name,
        place,
        kinds: kinds.collect(),
    }
}

fn options(shape: Shape<'_>, depth: usize) -> Vec<OptionInfo> {
    if depth == 0 {
        return Vec::new();
    }
    let required = shape.required();
    shape
        .keys()
        .filter_map(|name| {
            let key = shape.key(name)?;
            Some(OptionInfo {
                name: name.to_owned(),
                kind: key.type_text(),
                required: required.contains(&name),
                default: key.default().cloned(),
                about: key.about().unwrap_or_default(),
                options: options(key, depth - 1),
            })
        })
        .collect()
}

impl OptionInfo {
    fn write(&self, f: &mut fmt::Formatter<'_>, indent: usize) -> fmt::Result {
        let default = match (&self.default, self.required) {
            (_, true) => ", required".to_owned(),
            // The keys have defaults of their own.
            (Some(value), false) if !value.is_object() => format!(", default {value}"),
            _ => String::new(),
        };
        writeln!(f, "{:indent$}{}: {}{default}", "", self.name, self.kind)?;
        let indent = indent + 4;
        if !self.about.is_empty() {
            writeln!(f, "{:indent$}{}", "", self.about)?;
        }
        self.options.iter().try_for_each(|key| key.write(f, indent))
    }
}

impl fmt::Display for Group {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{} ({})", self.name, self.place)?;
        for kind in &self.kinds {
            writeln!(f, "\n  {}  {}", kind.name, kind.about)?;
            for option in &kind.options {
                option.write(f, 4)?;
            }
        }
        Ok(())
    }
}
