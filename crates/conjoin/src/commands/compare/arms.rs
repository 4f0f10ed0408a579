//! Arms of a recipe, trained one after the other. What an arm has in common with one that is done, its
//! first stages with the same seed, is taken over from there: it would come out the same, bit for bit.

use super::rows::{Row, Variant, baselines, check_baselines};
use super::{command, conclude};
use crate::cli::CompareArgs;
use crate::commands::train::{Branch, Job, interrupt_flag};
use crate::error::CliError;
use crate::system::{RunNote, read_recipe, read_text, read_trained};
use crate::{outcomes, report, run_log};
use conjoin_graph::NodeExtension;
use conjoin_insight::report::ComparedRun;
use conjoin_insight::{ArmResult, Report};
use conjoin_recipe::Checked;
use conjoin_train::checkpoint::{Store, state_of};
use conjoin_train::{RunDirectory, StageConfig};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

/// Seeds where none are asked for.
const SEEDS: u64 = 3;

/// Trains the arms of a recipe, and compares them.
pub(super) fn compare(
    extensions: &[NodeExtension],
    arguments: &CompareArgs,
    variants: &[Variant],
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
    // What comes after the trainings is checked before them.
    if arguments.baselines {
        check_baselines(&first.task)?;
    }
    for variant in variants {
        let set = [&arguments.set[..], variant.set()].concat();
        read_trained(recipe, &set, extensions, None)?;
    }
    let interrupt = interrupt_flag("writing a checkpoint")?;
    let seed = first.plan.seed;
    let seeds = seed..seed + arguments.seeds.unwrap_or(SEEDS);
    let mut results = Vec::new();
    let mut runs = Vec::new();
    let mut done = Vec::new();
    for arm in &arms {
        for seed in seeds.clone() {
            let folder = format!("{arm}-{seed}");
            let one = OneRun {
                extensions,
                arguments,
                recipe,
                arm,
                seed,
                out: out.join(&folder),
            };
            results.push(one.result(&mut done, &interrupt)?);
            for variant in variants {
                results.push(one.row().kept_or_scored(variant)?);
            }
            runs.push(ComparedRun {
                arm: arm.clone(),
                seed,
                log: run_log::read(&one.out.join("metrics.jsonl"))?,
                report: format!("{folder}/report.html"),
            });
        }
    }
    if arguments.baselines {
        results.extend(baselines(&first.task, seeds, Some(&out))?);
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

/// An arm that is done with one seed.
struct Done {
    seed: u64,
    out: PathBuf,
    stages: Vec<StageConfig>,
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
    /// Its weights, once they are trained.
    fn row(&self) -> Row<'_> {
        Row {
            extensions: self.extensions,
            device: &self.arguments.device,
            run: &self.out,
            arm: self.arm,
            seed: self.seed,
        }
    }

    /// Trains, or reads what a finished run left behind.
    fn result(
        &self,
        done: &mut Vec<Done>,
        interrupt: &Arc<AtomicBool>,
    ) -> Result<ArmResult, CliError> {
        let mut set = self.arguments.set.clone();
        set.push(format!("seed={}", self.seed));
        let checked = read_recipe(self.recipe, &set, self.extensions, Some(self.arm))?;
        let stages = checked.plan.stages.iter().map(|stage| &stage.config);
        let stages: Vec<StageConfig> = stages.cloned().collect();
        let path = outcomes::path(&self.out);
        let result = if let Some(result) = outcomes::kept(&path)? {
            result
        } else if path.exists() {
            // Trained to its end, with outcomes of another build.
            let result = self.row().scored_as(self.arm, &[])?;
            outcomes::write(&result, &path)?;
            result
        } else {
            eprintln!("arm {}, seed {}", self.arm, self.seed);
            let branch = self.branch(&stages, done)?;
            self.train(&checked, branch, interrupt)?
        };
        done.push(Done {
            seed: self.seed,
            out: self.out.clone(),
            stages,
        });
        Ok(result)
    }

    /// Where the most of the first stages are done already.
    fn branch(&self, stages: &[StageConfig], done: &[Done]) -> Result<Option<Branch>, CliError> {
        let common = |other: &Done| {
            let pairs = stages.iter().zip(&other.stages);
            pairs.take_while(|(own, theirs)| own == theirs).count()
        };
        let same_seed = done.iter().filter(|other| other.seed == self.seed);
        let Some(other) = same_seed.max_by_key(|other| common(other)) else {
            return Ok(None);
        };
        let store = Store::new(RunDirectory::open(&other.out)?.checkpoints());
        let Some(newest) = store.newest()?.0 else {
            return Ok(None);
        };
        let ends = state_of(&newest)?.stage_ends;
        let ends: Vec<u64> = ends.into_iter().take(common(other)).collect();
        if ends.is_empty() {
            return Ok(None);
        }
        eprintln!(
            "{} of {} stages are those of {}",
            ends.len(),
            stages.len(),
            other.out.display()
        );
        Ok(Some(Branch {
            from: other.out.clone(),
            ends,
        }))
    }

    fn train(
        &self,
        checked: &Checked,
        branch: Option<Branch>,
        interrupt: &Arc<AtomicBool>,
    ) -> Result<ArmResult, CliError> {
        let job = Job {
            checked,
            note: RunNote {
                recipe: self.recipe.display().to_string(),
                arm: Some(self.arm.to_owned()),
                only: Vec::new(),
                version: env!("CARGO_PKG_VERSION").to_owned(),
            },
            out: &self.out,
            resume: self.arguments.resume,
            branch,
            device: &self.arguments.device.device,
            quiet: false,
        };
        let finished = job.run(interrupt)?;
        Ok(outcomes::of(self.arm, self.seed, &finished.scored))
    }
}
