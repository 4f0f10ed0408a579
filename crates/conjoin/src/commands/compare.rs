//! `conjoin compare`: arms of a recipe, each with several seeds, at the budgets that the recipe
//! declares for them; a table with intervals, and one report.

use super::train::{Job, interrupt_flag};
use crate::cli::CompareArgs;
use crate::error::CliError;
use crate::system::{RunNote, read_recipe, read_text};
use crate::{outcomes, output, report, run_log};
use conjoin_graph::NodeExtension;
use conjoin_insight::report::ComparedRun;
use conjoin_insight::{ArmResult, Bootstrap, Comparison, Report};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

pub(crate) fn run(extensions: &[NodeExtension], arguments: &CompareArgs) -> Result<(), CliError> {
    let recipe = &arguments.recipe;
    let first = read_recipe(&recipe.recipe, &recipe.set, extensions, None)?;
    let known: Vec<String> = first.arms.iter().map(|(name, _)| name.clone()).collect();
    let arms = if arguments.arms.is_empty() {
        known.clone()
    } else {
        arguments.arms.clone()
    };
    if let Some(unknown) = arms.iter().find(|arm| !known.contains(arm)) {
        return Err(CliError::input(format!(
            "--arms {unknown}: the recipe has no such arm; it has {}",
            known.join(", ")
        )));
    }
    let name = first.plan.name.clone();
    let out = arguments
        .out
        .clone()
        .unwrap_or_else(|| Path::new("runs").join(format!("{name}-compare")));
    if out.exists() && !arguments.resume {
        return Err(CliError::input(format!(
            "{}: exists; nothing was written (choose another --out, or go on with --resume)",
            out.display()
        )));
    }
    let interrupt = interrupt_flag()?;
    let seed = first.plan.seed;
    let mut results = Vec::new();
    let mut runs = Vec::new();
    for arm in &arms {
        for offset in 0..arguments.seeds {
            let folder = format!("{arm}-{}", seed + offset);
            let one = OneRun {
                extensions,
                arguments,
                arm,
                seed: seed + offset,
                out: out.join(&folder),
            };
            results.push(one.result(&interrupt)?);
            runs.push(ComparedRun {
                arm: arm.clone(),
                seed: seed + offset,
                log: run_log::read(&one.out.join("metrics.jsonl"))?,
                report: format!("{folder}/report.html"),
            });
        }
    }
    let comparison = Comparison::new(&results, &Bootstrap::default())
        .map_err(|error| CliError::failed(error.to_string()))?;
    write_report(arguments, &name, &out, runs, &comparison)?;
    let json = comparison.json();
    let path = out.join("comparison.json");
    std::fs::write(&path, json.to_string()).map_err(|error| CliError::unwritable(&path, &error))?;
    if arguments.json {
        output::json(&json)
    } else {
        output::line(&format!(
            "{}\nreport: {}",
            comparison.text().trim_end(),
            out.join("report.html").display()
        ))
    }
}

/// One arm with one seed.
struct OneRun<'a> {
    extensions: &'a [NodeExtension],
    arguments: &'a CompareArgs,
    arm: &'a str,
    seed: u64,
    out: PathBuf,
}

impl OneRun<'_> {
    /// Trains, or reads what a finished run left behind.
    fn result(&self, interrupt: &Arc<AtomicBool>) -> Result<ArmResult, CliError> {
        let kept = self.out.join("outcomes.json");
        if kept.exists() {
            let text = read_text(&kept)?;
            return serde_json::from_str(&text)
                .map_err(|error| CliError::input(format!("{}: {error}", kept.display())));
        }
        eprintln!("arm {}, seed {}", self.arm, self.seed);
        let recipe = &self.arguments.recipe;
        let mut set = recipe.set.clone();
        set.push(format!("seed={}", self.seed));
        let checked = read_recipe(&recipe.recipe, &set, self.extensions, Some(self.arm))?;
        let job = Job {
            checked: &checked,
            note: RunNote {
                recipe: recipe.recipe.display().to_string(),
                arm: Some(self.arm.to_owned()),
                only: Vec::new(),
                version: env!("CARGO_PKG_VERSION").to_owned(),
            },
            out: &self.out,
            resume: self.arguments.resume,
            device: &self.arguments.device.device,
            quiet: false,
        };
        let finished = job.run(interrupt)?;
        let result = ArmResult {
            arm: self.arm.to_owned(),
            seed: self.seed,
            metrics: outcomes::of(&finished.scored),
        };
        let text =
            serde_json::to_string(&result).map_err(|error| CliError::failed(error.to_string()))?;
        std::fs::write(&kept, text).map_err(|error| CliError::unwritable(&kept, &error))?;
        Ok(result)
    }
}

/// The comparison with the curves of all runs; each run has a report of its own.
fn write_report(
    arguments: &CompareArgs,
    name: &str,
    out: &Path,
    runs: Vec<ComparedRun>,
    comparison: &Comparison,
) -> Result<(), CliError> {
    let recipe = &arguments.recipe;
    let mut command = vec![format!("conjoin compare {}", recipe.recipe.display())];
    command.extend(recipe.set.iter().map(|set| format!("--set '{set}'")));
    if !arguments.arms.is_empty() {
        command.push(format!("--arms {}", arguments.arms.join(",")));
    }
    command.push(format!("--seeds {}", arguments.seeds));
    command.push(format!("--out {}", out.display()));
    let report = Report {
        name: format!("{name}: arms compared"),
        date: report::date(),
        comparison: Some(comparison.clone()),
        runs,
        // As it is written: every run keeps its own, resolved.
        recipe: read_text(&recipe.recipe)?,
        command: command.join(" "),
        ..Report::default()
    };
    report::write(&report, &out.join("report.html"))
}
