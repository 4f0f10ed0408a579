//! `conjoin data libreoffice-help` and `debian-handbook`: parallel text of installed documents.

use super::told;
use crate::cli::data::{HandbookArgs, HelpArgs, LanguageArgs};
use crate::error::CliError;
use crate::output;
use conjoin_data::corpus::{
    self, Aligned, DEBIAN_HANDBOOK, Documents, LIBREOFFICE_HELP, Layout, Parts,
};
use serde_json::{Value, json};
use std::path::Path;

pub(crate) fn libreoffice_help(arguments: &HelpArgs) -> Result<(), CliError> {
    let files = ["train.tsv", "valid.tsv", "test.tsv"].map(|name| arguments.out.join(name));
    for file in &files {
        free(file, arguments.force)?;
    }
    let found = align(&LIBREOFFICE_HELP, &arguments.languages)?;
    let parts = Parts::new(&found.pages);
    if parts.train.is_empty() {
        return Err(nothing(&arguments.languages));
    }
    let pairs = [&parts.train, &parts.valid, &parts.test];
    for (file, pairs) in files.iter().zip(pairs) {
        corpus::write_tsv(file, pairs).map_err(|error| told(&error))?;
    }
    let counts = parts.counts;
    let mut told = matched(&found);
    told["repeated"] = json!(counts.repeated);
    for ((name, pages), pairs) in ["train", "valid", "test"]
        .iter()
        .zip(counts.pages)
        .zip(pairs)
    {
        told[name] = json!({ "pages": pages, "pairs": pairs.len() });
    }
    told["train"]["left_out_as_near"] = json!(counts.train_near);
    told["valid"]["left_out_as_near"] = json!(counts.valid_near);
    if arguments.json {
        return output::json(&told);
    }
    let mut lines = matched_lines(&found);
    lines.push(format!("repeated within a part: {} pairs", counts.repeated));
    lines.push(format!(
        "near a validation or test segment: {} pairs of the training part; near a test segment: {} \
         of the validation part",
        counts.train_near, counts.valid_near
    ));
    for ((file, pages), pairs) in files.iter().zip(counts.pages).zip(pairs) {
        lines.push(format!(
            "{}: {} pairs of {pages} pages",
            file.display(),
            pairs.len()
        ));
    }
    output::line(&lines.join("\n"))
}

pub(crate) fn debian_handbook(arguments: &HandbookArgs) -> Result<(), CliError> {
    free(&arguments.out, arguments.force)?;
    let found = align(&DEBIAN_HANDBOOK, &arguments.languages)?;
    let pairs = corpus::distinct(&found.pages);
    if pairs.is_empty() {
        return Err(nothing(&arguments.languages));
    }
    corpus::write_tsv(&arguments.out, &pairs).map_err(|error| told(&error))?;
    if arguments.json {
        let mut told = matched(&found);
        told["pairs"] = json!(pairs.len());
        return output::json(&told);
    }
    let mut lines = matched_lines(&found);
    lines.push(format!(
        "{}: {} distinct pairs",
        arguments.out.display(),
        pairs.len()
    ));
    output::line(&lines.join("\n"))
}

/// Before long work: a file that must not be written over.
fn free(path: &Path, force: bool) -> Result<(), CliError> {
    if force {
        return Ok(());
    }
    corpus::absent(path).map_err(|error| told(&error))
}

fn align(layout: &Layout, languages: &LanguageArgs) -> Result<Aligned, CliError> {
    let root = languages.root.as_deref();
    Documents::find(layout, root, &languages.from, &languages.to)
        .and_then(|documents| documents.align())
        .map_err(|error| told(&error))
}

fn nothing(languages: &LanguageArgs) -> CliError {
    CliError::input(format!(
        "no text of {} could be matched with {}",
        languages.from, languages.to
    ))
}

fn segments(found: &Aligned) -> usize {
    found.pages.iter().map(|(_, pairs)| pairs.len()).sum()
}

fn matched(found: &Aligned) -> Value {
    json!({
        "pages": { "matched": found.pages.len(), "in_one_language": found.pages_alone,
                   "unlike": found.pages_unmatched },
        "blocks": { "matched": found.blocks, "unlike": found.blocks_unmatched },
        "segments": { "pairs": segments(found), "the_same": found.untranslated,
                      "without_letters": found.without_letters },
    })
}

fn matched_lines(found: &Aligned) -> Vec<String> {
    vec![
        format!(
            "pages: {} matched; skipped: {} in one language alone, {} unlike in structure",
            found.pages.len(),
            found.pages_alone,
            found.pages_unmatched
        ),
        format!(
            "blocks: {} matched; skipped: {} unlike in structure",
            found.blocks, found.blocks_unmatched
        ),
        format!(
            "segments: {} pairs; skipped: {} the same in both languages, {} without letters",
            segments(found),
            found.untranslated,
            found.without_letters
        ),
    ]
}
