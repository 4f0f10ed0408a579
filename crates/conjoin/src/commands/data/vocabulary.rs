//! `conjoin data vocabulary`: a tokenizer file from text.

use super::told;
use crate::cli::data::VocabularyArgs;
use crate::error::CliError;
use crate::output;
use conjoin_data::text::{TextForm, VocabularyConfig, read_lines};
use conjoin_data::{DataError, corpus};
use std::path::Path;

pub(crate) fn run(arguments: &VocabularyArgs) -> Result<(), CliError> {
    if !arguments.force {
        corpus::absent(&arguments.out).map_err(|error| told(&error))?;
    }
    let mut texts = Vec::new();
    for file in &arguments.files {
        read(file, &arguments.fields, &mut texts).map_err(|error| told(&error))?;
    }
    let config = VocabularyConfig {
        kind: arguments.kind.into(),
        size: arguments.size,
        form: TextForm {
            unicode: arguments.normalise.into(),
            lowercase: arguments.lowercase,
        },
        coverage: arguments.coverage,
        byte_fallback: arguments.byte_fallback,
    };
    let trained = config
        .train(texts.iter().map(String::as_str))
        .map_err(|error| told(&error))?;
    corpus::write_whole(&arguments.out, &trained.file).map_err(|error| told(&error))?;
    output::line(&format!(
        "{}: {} symbols from {} texts; {} of {} characters have symbols",
        arguments.out.display(),
        trained.size,
        texts.len(),
        trained.covered,
        trained.characters
    ))
}

/// The texts of a file: its lines, or the fields of a table.
fn read(file: &Path, fields: &[u16], texts: &mut Vec<String>) -> Result<(), DataError> {
    let table = file.extension().is_some_and(|ending| ending == "tsv");
    for (number, line) in (1..).zip(read_lines(file)?) {
        if !table {
            texts.push(line);
            continue;
        }
        let found: Vec<&str> = line.split('\t').collect();
        if fields.is_empty() {
            texts.extend(found.iter().map(ToString::to_string));
        }
        for &field in fields {
            let text = found
                .get(usize::from(field) - 1)
                .ok_or_else(|| DataError::Format {
                    place: format!("{} line {number}", file.display()),
                    found: format!("{} tab-separated fields", found.len()),
                    expected: format!("at least {field}"),
                })?;
            texts.push((*text).to_owned());
        }
    }
    Ok(())
}
