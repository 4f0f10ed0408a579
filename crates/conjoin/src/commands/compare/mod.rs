//! `conjoin compare`: arms of a recipe, each with several seeds, at the budgets that the recipe
//! declares for them; or runs that are finished. A table with intervals, and one report.
//!
//! `arms` trains, `runs` reads what is finished, `rows` adds rows to either: the same weights scored with
//! other options, and the task's baselines.

mod arms;
mod rows;
mod runs;

use crate::cli::CompareArgs;
use crate::error::CliError;
use crate::{output, report};
use conjoin_graph::NodeExtension;
use conjoin_insight::{ArmResult, Bootstrap, Comparison, Report};
use std::path::Path;

pub(crate) fn run(extensions: &[NodeExtension], arguments: &CompareArgs) -> Result<(), CliError> {
    let variants = rows::variants(&arguments.also)?;
    match arguments.inputs.as_slice() {
        [recipe] if !recipe.is_dir() => arms::compare(extensions, arguments, &variants, recipe),
        inputs => runs::compare(extensions, arguments, &variants, inputs),
    }
}

/// Prints the comparison, and writes it with the report where there is a directory for them.
fn conclude(
    arguments: &CompareArgs,
    results: &[ArmResult],
    out: Option<&Path>,
    page: impl FnOnce(Comparison) -> Report,
) -> Result<(), CliError> {
    let comparison = Comparison::new(results, &Bootstrap::default())
        .map_err(|error| CliError::input(error.to_string()))?;
    let (json, mut text) = (comparison.json(), comparison.text());
    if let Some(out) = out {
        let failed = |error: std::io::Error| CliError::unwritable(out, &error);
        std::fs::create_dir_all(out).map_err(failed)?;
        let place = out.join("report.html");
        report::write(&page(comparison), &place)?;
        let path = out.join("comparison.json");
        std::fs::write(&path, json.to_string())
            .map_err(|error| CliError::unwritable(&path, &error))?;
        text = format!("{}\nreport: {}", text.trim_end(), place.display());
    }
    if arguments.json {
        output::json(&json)
    } else {
        output::line(text.trim_end())
    }
}

/// The command that compares again.
fn command(arguments: &CompareArgs) -> String {
    let mut words = vec!["conjoin compare".to_owned()];
    words.extend(
        arguments
            .inputs
            .iter()
            .map(|input| input.display().to_string()),
    );
    words.extend(arguments.set.iter().map(|set| format!("--set '{set}'")));
    if !arguments.arms.is_empty() {
        words.push(format!("--arms {}", arguments.arms.join(",")));
    }
    words.extend(arguments.also.iter().map(|also| format!("--also '{also}'")));
    words.extend(arguments.baselines.then(|| "--baselines".to_owned()));
    words.extend(arguments.seeds.map(|seeds| format!("--seeds {seeds}")));
    words.extend(
        arguments
            .out
            .as_ref()
            .map(|out| format!("--out {}", out.display())),
    );
    words.join(" ")
}
