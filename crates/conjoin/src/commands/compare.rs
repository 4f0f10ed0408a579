//! `conjoin compare`: arms of a recipe, each with several seeds, at the budgets that the recipe
//! declares for them; or runs that are finished. A table with intervals, and one report.

use super::train::{Job, interrupt_flag};
use crate::cli::{CompareArgs, RunArgs};
use crate::error::CliError;
use crate::system::{LoadedRun, RunNote, read_recipe, read_text};
use crate::{outcomes, output, report, run_log};
use conjoin_graph::NodeExtension;
use conjoin_insight::report::ComparedRun;
use conjoin_insight::{ArmResult, Bootstrap, Comparison, Report};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

/// Seeds where none are asked for.
const SEEDS: u64 = 3;

pub(crate) fn run(extensions: &[NodeExtension], arguments: &CompareArgs) -> Result<(), CliError> {
    match arguments.inputs.as_slice() {
        [recipe] if !recipe.is_dir() => arms(extensions, arguments, recipe),
        inputs => runs(extensions, arguments, inputs),
    }
}

/// Trains the arms of a recipe.
fn arms(
    extensions: &[NodeExtension],
    arguments: &CompareArgs,
    recipe: &Path,
) -> Result<(), CliError> {
    let first = read_recipe(recipe, &arguments.set, extensions, None)?;
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
    let interrupt = interrupt_flag("writing a checkpoint")?;
    let seed = first.plan.seed;
    let mut results = Vec::new();
    let mut runs = Vec::new();
    for arm in &arms {
        for offset in 0..arguments.seeds.unwrap_or(SEEDS) {
            let folder = format!("{arm}-{}", seed + offset);
            let one = OneRun {
                extensions,
                arguments,
                recipe,
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
    let text = read_text(recipe)?;
    conclude(arguments, &results, Some(&out), |comparison| Report {
        name: format!("{name}: arms compared"),
        date: report::date(),
        lengths: comparison.lengths.clone(),
        comparison: Some(comparison),
        runs,
        // As it is written: every run keeps its own, resolved.
        recipe: text,
        command: command(arguments),
        ..Report::default()
    })
}

/// Compares runs that are finished, of one recipe or of several that are scored on the same items.
/// A run of before outcomes were kept, or one that is not finished, is scored now.
fn runs(
    extensions: &[NodeExtension],
    arguments: &CompareArgs,
    inputs: &[PathBuf],
) -> Result<(), CliError> {
    let asked = [
        ("--set", !arguments.set.is_empty()),
        ("--arms", !arguments.arms.is_empty()),
        ("--seeds", arguments.seeds.is_some()),
        ("--resume", arguments.resume),
    ];
    if let Some((name, _)) = asked.iter().find(|(_, given)| *given) {
        return Err(CliError::input(format!(
            "{name}: finished runs are compared as they are; it belongs to a recipe"
        )));
    }
    if let Some(other) = inputs.iter().find(|input| !input.is_dir()) {
        return Err(CliError::input(format!(
            "{}: expected one recipe, or run directories alone",
            other.display()
        )));
    }
    if inputs.len() < 2 {
        return Err(CliError::input(format!(
            "{}: one run cannot be compared; name a second run, or a recipe",
            inputs[0].display()
        )));
    }
    let mut results: Vec<ArmResult> = Vec::new();
    let mut compared = Vec::new();
    for (run, name) in inputs.iter().zip(names(inputs)?) {
        let mut result = kept_or_scored(extensions, arguments, run)?;
        result.arm = name;
        compared.push(ComparedRun {
            arm: result.arm.clone(),
            seed: result.seed,
            log: run_log::read(&run.join("metrics.jsonl"))?,
            report: String::new(),
        });
        // Every run is an arm with one seed, whichever it was.
        result.seed = results.first().map_or(result.seed, |first| first.seed);
        results.push(result);
    }
    conclude(
        arguments,
        &results,
        arguments.out.as_deref(),
        |comparison| Report {
            name: "runs compared".to_owned(),
            date: report::date(),
            lengths: comparison.lengths.clone(),
            comparison: Some(comparison),
            runs: compared,
            command: command(arguments),
            ..Report::default()
        },
    )
}

/// What the runs are called: the names of their directories if these are all different, else their paths.
fn names(runs: &[PathBuf]) -> Result<Vec<String>, CliError> {
    let distinct = |names: &[String]| names.iter().collect::<BTreeSet<_>>().len() == names.len();
    let paths: Vec<String> = runs.iter().map(|run| run.display().to_string()).collect();
    if !distinct(&paths) {
        let twice = paths
            .iter()
            .find(|path| paths.iter().filter(|p| p == path).count() > 1);
        let twice = twice.cloned().unwrap_or_default();
        return Err(CliError::input(format!("{twice}: named twice")));
    }
    let last = |run: &PathBuf| {
        run.file_name()
            .map(|name| name.to_string_lossy().into_owned())
    };
    let short: Option<Vec<String>> = runs.iter().map(last).collect();
    Ok(short.filter(|short| distinct(short)).unwrap_or(paths))
}

fn kept_or_scored(
    extensions: &[NodeExtension],
    arguments: &CompareArgs,
    run: &Path,
) -> Result<ArmResult, CliError> {
    if outcomes::path(run).exists() {
        return outcomes::read(run);
    }
    eprintln!("{}: has no outcomes.json, and is scored now", run.display());
    let loaded = LoadedRun::open(
        &RunArgs {
            run: run.to_owned(),
            checkpoint: "best".to_owned(),
            set: Vec::new(),
            device: arguments.device.clone(),
        },
        extensions,
    )?;
    let data = loaded.checked.task.data().to_owned();
    let ports = loaded.plan.score_ports();
    let scored = loaded.scorer().score(&loaded.graph, &ports, &data, None)?;
    Ok(outcomes::of(&loaded.plan.name, loaded.plan.seed, &scored))
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
    words.extend(arguments.seeds.map(|seeds| format!("--seeds {seeds}")));
    words.extend(
        arguments
            .out
            .as_ref()
            .map(|out| format!("--out {}", out.display())),
    );
    words.join(" ")
}

/// One arm with one seed.
struct OneRun<'a> {
    extensions: &'a [NodeExtension],
    arguments: &'a CompareArgs,
    recipe: &'a Path,
    arm: &'a str,
    seed: u64,
    out: PathBuf,
}

impl OneRun<'_> {
    /// Trains, or reads what a finished run left behind.
    fn result(&self, interrupt: &Arc<AtomicBool>) -> Result<ArmResult, CliError> {
        if outcomes::path(&self.out).exists() {
            return outcomes::read(&self.out);
        }
        eprintln!("arm {}, seed {}", self.arm, self.seed);
        let mut set = self.arguments.set.clone();
        set.push(format!("seed={}", self.seed));
        let checked = read_recipe(self.recipe, &set, self.extensions, Some(self.arm))?;
        let job = Job {
            checked: &checked,
            note: RunNote {
                recipe: self.recipe.display().to_string(),
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
        Ok(outcomes::of(self.arm, self.seed, &finished.scored))
    }
}
