//! `[data.NAME]`: a source, transforms, a loader.

use super::{Anything, below, expect, plain};
use crate::kinds;
use crate::read::Reader;
use crate::tree::{Path, Value};
use conjoin_data::{DataSetConfig, LoaderConfig, SourceConfig, TransformConfig};
use schemars::{JsonSchema, schema_for};
use serde::Deserialize;

/// A table of `[data]`, for its keys and help; the parts are read one by one.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[expect(
    dead_code,
    reason = "fields are declared for the parser and the schema alone"
)]
struct DataTable {
    /// Where samples come from: a table with `kind`.
    source: Anything,
    /// What happens to each sample, in order: a list of tables with `kind`.
    #[serde(default)]
    transforms: Anything,
    /// How samples become batches.
    loader: Anything,
    /// Names of other data sets whose examples are left out here.
    #[serde(default)]
    exclude: Anything,
}

pub(super) fn read(reader: &mut Reader, place: &Path) -> Option<DataSetConfig> {
    let whole = reader.read(place, &schema_for!(DataTable), &[], plain::<DataTable>);
    let source: Option<SourceConfig> = reader
        .read_kind(&below(place, "source"), &kinds::sources())
        .1;
    let transforms = read_transforms(reader, &below(place, "transforms"));
    let loader: Option<LoaderConfig> = reader.read(
        &below(place, "loader"),
        &schema_for!(LoaderConfig),
        &[],
        plain,
    );
    let exclude = below(place, "exclude");
    let exclude: Option<Vec<String>> = match reader.tree.at(&exclude) {
        Some(_) => reader.read(&exclude, &schema_for!(Vec<String>), &[], plain),
        None => Some(Vec::new()),
    };
    whole?;
    Some(DataSetConfig {
        source: source?,
        transforms: transforms?,
        loader: loader?,
        exclude: exclude?,
    })
}

fn read_transforms(reader: &mut Reader, place: &Path) -> Option<Vec<TransformConfig>> {
    let Some(tree) = reader.tree.at(place) else {
        return Some(Vec::new());
    };
    let count = tree.items().len();
    if !expect(reader, place, "a list of tables", |tree| {
        matches!(tree.value, Value::Array(_))
    }) {
        return None;
    }
    let set = kinds::transforms();
    let all: Vec<_> = (0..count)
        .map(|i| reader.read_kind(&below(place, i), &set).1)
        .collect();
    all.into_iter().collect()
}
