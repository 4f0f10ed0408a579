//! Data sets before any data is read: options, the columns that come out, files that must exist.

use super::quoted;
use crate::diagnostic::Diagnostic;
use crate::read::Reader;
use crate::sections::Sections;
use crate::suggest;
use crate::tree::{Path, Step, place};
use conjoin_data::{Columns, DataError, DataSetConfig, SourceConfig};
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

/// The columns of a data set.
#[derive(Debug, Default, Clone)]
pub(super) struct DataColumns {
    pub columns: Columns,
    /// Nothing was wrong, so that a column which is not here does not exist.
    pub whole: bool,
}

/// Checks every data set; all of its transforms are looked at, whatever is wrong with one.
pub(super) fn check(parts: &Sections, reader: &mut Reader) -> BTreeMap<String, DataColumns> {
    let mut missing = BTreeSet::new();
    parts
        .data
        .iter()
        .map(|(name, config)| {
            let columns = match config {
                Some(config) => check_one(&place!["data", name], config, reader, &mut missing),
                None => DataColumns::default(),
            };
            (name.clone(), columns)
        })
        .collect()
}

fn check_one(
    place: &Path,
    config: &DataSetConfig,
    reader: &mut Reader,
    missing: &mut BTreeSet<PathBuf>,
) -> DataColumns {
    let mut whole = true;
    let source = config.source.check();
    let mut refuse = |reader: &mut Reader, prefix: &[Step], error: &DataError, found: &[String]| {
        whole = false;
        report(reader, place, prefix, error, found);
    };
    let absent = absent_description(&config.source);
    if let Some(error) = source.as_ref().err().filter(|_| !absent) {
        refuse(reader, &place!["source"], error, &names(&config.source));
    }
    if source.is_ok() || absent {
        check_files(place, &config.source, reader, missing);
    }
    let mut columns = config.source.columns();
    if absent || source.is_err() && columns.is_empty() {
        // Nothing is known of the columns.
        return DataColumns {
            columns,
            whole: false,
        };
    }
    if let Err(error) = config.loader.check(&columns) {
        // Its keys begin with the name of the table.
        let ragged = columns.iter().filter(|(_, contract)| contract.ragged);
        let ragged: Vec<String> = ragged.map(|(name, _)| name.clone()).collect();
        report(reader, place, &[], &error, &ragged);
    }
    for (index, transform) in config.transforms.iter().enumerate() {
        if let Err(error) = transform.bind(&mut columns) {
            // The columns of a wrong source are no measure for a transform.
            if source.is_err() && error.key().is_some_and(names_column) {
                continue;
            }
            let names: Vec<String> = columns.keys().cloned().collect();
            refuse(reader, &place!["transforms", index], &error, &names);
        }
    }
    DataColumns { columns, whole }
}

/// Whether a file that tells of the columns, a tokenizer or the description of a recording, is not there:
/// a missing file, not a wrong one.
fn absent_description(source: &SourceConfig) -> bool {
    match source {
        SourceConfig::Parallel(config) => config.tokenizer_files().any(|(_, file)| !file.exists()),
        SourceConfig::Lerobot(config) => config.infos().any(|(_, info)| !info.exists()),
        _ => false,
    }
}

/// What a source could make columns of.
fn names(source: &SourceConfig) -> Vec<String> {
    match source {
        SourceConfig::Lerobot(config) => config.features(),
        _ => Vec::new(),
    }
}

/// Options whose value is the name of a column, or of what a column is made of.
fn names_column(key: &str) -> bool {
    ["column", "agents", "visible", "lines", "mask", "feature"].contains(&key)
}

/// Files and folders that the source will want; one that several want is reported once.
fn check_files(
    place: &Path,
    source: &SourceConfig,
    reader: &mut Reader,
    missing: &mut BTreeSet<PathBuf>,
) {
    let infos: Vec<(&str, PathBuf)> = match source {
        SourceConfig::Lerobot(config) => config.infos().collect(),
        _ => Vec::new(),
    };
    let wanted = match source {
        SourceConfig::Cmudict(config) => {
            let words = config.words.as_deref();
            words.map(|file| ("words", file)).into_iter().collect()
        }
        SourceConfig::Words(config) => vec![("path", config.path.as_path())],
        SourceConfig::Random(_) => Vec::new(),
        SourceConfig::Parallel(config) => config
            .files()
            .into_iter()
            .chain(config.tokenizer_files())
            .collect(),
        SourceConfig::Idx(config) => vec![("dir", config.dir.as_path())],
        SourceConfig::Lerobot(_) => {
            let infos = infos.iter();
            infos.map(|(key, info)| (*key, info.as_path())).collect()
        }
    };
    for (key, file) in wanted {
        if file.exists() || !missing.insert(file.to_owned()) {
            continue;
        }
        let full: Path = place.iter().cloned().chain(place!["source", key]).collect();
        let span = reader.tree.span_at(&full);
        let (sort, help) = match key {
            "dir" => ("folder", super::data_package(file)),
            "tokenizer" | "target_tokenizer" => {
                let help = "conjoin data vocabulary writes tokenizer files";
                ("file", Some(help.to_owned()))
            }
            _ if !infos.is_empty() => {
                let help = "conjoin data drive --out DIR records the driving world";
                ("file", Some(help.to_owned()))
            }
            _ => ("file", None),
        };
        let message = format!("missing data {sort} {:?}", file.display().to_string());
        reader.report(Diagnostic::new("missing-file", span, message).maybe_help(help));
    }
}

/// Reports an error of the data crate at its key.
fn report(reader: &mut Reader, place: &Path, prefix: &[Step], error: &DataError, among: &[String]) {
    let mut full: Path = place.iter().chain(prefix).cloned().collect();
    let message = match error {
        DataError::Config {
            key,
            found,
            expected,
        } => {
            full.extend(steps(key));
            let (found, expected) = (quoted(found), quoted(expected));
            format!(
                "{}: found {found}, expected {expected}",
                reader.subject(&full)
            )
        }
        other => quoted(&other.to_string()),
    };
    let span = reader.tree.span_at(&full);
    let written = reader.tree.at(&full).and_then(|tree| tree.as_str());
    // The last name of the path; the number of an entry does not count.
    let mut names = full.iter().rev().filter_map(|step| match step {
        Step::Key(key) => Some(key.as_str()),
        Step::Index(_) => None,
    });
    let near = written
        .filter(|_| {
            names
                .next()
                .is_some_and(|key| key == "features" || names_column(key))
        })
        .filter(|name| !among.iter().any(|known| known == name))
        .and_then(|name| suggest::nearest(name, among))
        .map(|name| format!("did you mean \"{name}\"?"));
    reader.report(Diagnostic::new("data", span, message).maybe_help(near));
}

/// `batch.column` and `transforms[1].column` as steps.
fn steps(key: &str) -> Path {
    key.split(['.', '[', ']'])
        .filter(|part| !part.is_empty())
        .map(|part| match part.parse::<usize>() {
            Ok(index) => Step::Index(index),
            Err(_) => Step::from(part),
        })
        .collect()
}
