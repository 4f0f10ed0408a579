//! Runs that are finished, of one recipe or of several that are scored on the same items.

use super::rows::{Row, Variant, baselines, check_baselines, score};
use super::{command, conclude};
use crate::cli::{CompareArgs, RunArgs};
use crate::error::CliError;
use crate::system::LoadedRun;
use crate::{outcomes, report, run_log};
use conjoin_graph::NodeExtension;
use conjoin_insight::report::ComparedRun;
use conjoin_insight::{ArmResult, Report};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// Compares runs. A run of before outcomes were kept, or one that is not finished, is scored now.
pub(super) fn compare(
    extensions: &[NodeExtension],
    arguments: &CompareArgs,
    variants: &[Variant],
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
    if inputs.len() < 2 && variants.is_empty() && !arguments.baselines {
        return Err(CliError::input(format!(
            "{}: one run cannot be compared; name a second run, a recipe, --also or --baselines",
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
        let row = Row {
            extensions,
            device: &arguments.device,
            run,
            arm: &result.arm,
            seed: result.seed,
        };
        let further = variants.iter().map(|variant| row.scored(variant));
        let further = further.collect::<Result<Vec<_>, _>>()?;
        results.push(result);
        results.extend(further);
    }
    if let Some(seed) = results.first().map(|first| first.seed)
        && arguments.baselines
    {
        let first = LoadedRun::open(&run_arguments(arguments, &inputs[0]), extensions)?;
        check_baselines(&first.checked.task)?;
        results.extend(baselines(&first.checked.task, seed..seed + 1, None)?);
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
    let path = outcomes::path(run);
    if let Some(result) = outcomes::kept(&path)? {
        return Ok(result);
    }
    let replaced = path.exists();
    if !replaced {
        eprintln!("{}: has no outcomes.json, and is scored now", run.display());
    }
    let (loaded, scored) = score(extensions, &run_arguments(arguments, run))?;
    let result = outcomes::of(&loaded.plan.name, loaded.plan.seed, &scored);
    if replaced {
        outcomes::write(&result, &path)?;
    }
    Ok(result)
}

fn run_arguments(arguments: &CompareArgs, run: &Path) -> RunArgs {
    RunArgs {
        run: run.to_owned(),
        checkpoint: "best".to_owned(),
        set: Vec::new(),
        device: arguments.device.clone(),
    }
}
