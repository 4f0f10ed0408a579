//! Rows beside those of the arms: the same weights scored with other options of the recipe, and the
//! task's baselines.

use crate::cli::{DeviceArgs, RunArgs};
use crate::error::CliError;
use crate::outcomes;
use crate::system::LoadedRun;
use conjoin_graph::NodeExtension;
use conjoin_insight::ArmResult;
use conjoin_tasks::{Scored, TaskConfig};
use std::ops::Range;
use std::path::Path;

/// Values of the recipe that are replaced when weights are scored once more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Variant {
    name: String,
    set: Vec<String>,
}

/// From `NAME:KEY=VALUE`; those of one name are one variant.
pub(super) fn variants(given: &[String]) -> Result<Vec<Variant>, CliError> {
    let mut variants: Vec<Variant> = Vec::new();
    for text in given {
        let parts = text.split_once(':').filter(|(name, set)| {
            // The name is part of a file's name.
            let plain = |c: char| c.is_ascii_alphanumeric() || "-_".contains(c);
            !name.is_empty() && name.chars().all(plain) && set.contains('=')
        });
        let Some((name, set)) = parts else {
            return Err(CliError::input(format!(
                "--also {text}: expected NAME:KEY=VALUE, as in unguarded:task.safety=false"
            )));
        };
        match variants.iter_mut().find(|variant| variant.name == name) {
            Some(variant) => variant.set.push(set.to_owned()),
            None => variants.push(Variant {
                name: name.to_owned(),
                set: vec![set.to_owned()],
            }),
        }
    }
    Ok(variants)
}

impl Variant {
    pub fn set(&self) -> &[String] {
        &self.set
    }
}

/// A run whose weights are scored once more.
pub(super) struct Row<'a> {
    pub extensions: &'a [NodeExtension],
    pub device: &'a DeviceArgs,
    pub run: &'a Path,
    pub arm: &'a str,
    pub seed: u64,
}

impl Row<'_> {
    /// The row of a variant.
    pub fn scored(&self, variant: &Variant) -> Result<ArmResult, CliError> {
        let name = format!("{}, {}", self.arm, variant.name);
        eprintln!("{name}, seed {}", self.seed);
        self.scored_as(&name, &variant.set)
    }

    /// The same, kept in the run's directory.
    pub fn kept_or_scored(&self, variant: &Variant) -> Result<ArmResult, CliError> {
        let path = self.run.join(format!("outcomes-{}.json", variant.name));
        if let Some(result) = outcomes::kept(&path)? {
            return Ok(result);
        }
        let result = self.scored(variant)?;
        outcomes::write(&result, &path)?;
        Ok(result)
    }

    /// The weights that the arm itself was scored with, under a name and with values of the recipe replaced.
    pub fn scored_as(&self, name: &str, set: &[String]) -> Result<ArmResult, CliError> {
        let arguments = RunArgs {
            run: self.run.to_owned(),
            checkpoint: "last".to_owned(),
            set: set.to_vec(),
            device: self.device.clone(),
        };
        let (_, scored) = score(self.extensions, &arguments)?;
        Ok(outcomes::of(name, self.seed, &scored))
    }
}

/// Scores a run on the data of its task.
pub(super) fn score(
    extensions: &[NodeExtension],
    arguments: &RunArgs,
) -> Result<(LoadedRun, Scored), CliError> {
    let loaded = LoadedRun::open(arguments, extensions)?;
    let data = loaded.checked.task.data().to_owned();
    let ports = loaded.plan.score_ports();
    let scored = loaded.scorer().score(&loaded.graph, &ports, &data, None)?;
    Ok((loaded, scored))
}

/// That the task has baselines.
pub(super) fn check_baselines(task: &TaskConfig) -> Result<(), CliError> {
    if task.baselines().is_empty() {
        let kind = task.kind();
        return Err(CliError::input(format!(
            "--baselines: the task {kind:?} has none"
        )));
    }
    Ok(())
}

/// The rows of the task's baselines, the same for every seed; with a directory they are kept there.
pub(super) fn baselines(
    task: &TaskConfig,
    seeds: Range<u64>,
    out: Option<&Path>,
) -> Result<Vec<ArmResult>, CliError> {
    let mut rows = Vec::new();
    for &name in task.baselines() {
        let path = out.map(|out| out.join(format!("baseline-{name}.json")));
        let kept = match &path {
            Some(path) => outcomes::kept(path)?,
            None => None,
        };
        let mut row = if let Some(row) = kept {
            row
        } else {
            eprintln!("baseline {name}");
            let row = outcomes::of(name, seeds.start, &task.baseline(name)?);
            if let Some(path) = &path {
                outcomes::write(&row, path)?;
            }
            row
        };
        row.arm = format!("{name} (baseline)");
        rows.extend(seeds.clone().map(|seed| ArmResult {
            seed,
            ..row.clone()
        }));
    }
    Ok(rows)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_of_one_name_are_one_variant() {
        let given = ["a:task.beam=5", "b-2:x=y:z", "a:task.max_length=9"].map(str::to_owned);
        let found = variants(&given).unwrap();
        assert_eq!(found.len(), 2);
        assert_eq!(found[0].name, "a");
        assert_eq!(found[0].set, ["task.beam=5", "task.max_length=9"]);
        assert_eq!(found[1].set, ["x=y:z"]);
        for wrong in ["task.beam=5", ":a=b", "a:b", "a/b:c=d", ""] {
            match variants(&[wrong.to_owned()]) {
                Err(CliError::Input(text)) => assert!(text.contains("expected NAME:KEY=VALUE")),
                other => panic!("{other:?}"),
            }
        }
    }
}
