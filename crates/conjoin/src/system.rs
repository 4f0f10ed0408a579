//! From a recipe file or a run directory to something that can run.

use crate::device;
use crate::error::CliError;
use burn::tensor::Device;
use conjoin_graph::{Graph, NodeExtension};
use conjoin_recipe::{Checked, Diagnostics, Recipe};
use conjoin_tasks::TaskScorer;
use conjoin_train::checkpoint::{self, Store};
use conjoin_train::{DataSets, Plan, RunDirectory};
use serde::{Deserialize, Serialize};
use std::path::Path;
use std::sync::Arc;

/// Reads and checks a recipe; warnings go to standard error.
pub(crate) fn read_recipe(
    path: &Path,
    overrides: &[String],
    extensions: &[NodeExtension],
    arm: Option<&str>,
) -> Result<Checked, CliError> {
    checked(path, |text, file| {
        conjoin_recipe::check(text, file, overrides, extensions, arm)
    })
}

/// As [`read_recipe`], to use the weights that it trained.
pub(crate) fn read_trained(
    path: &Path,
    overrides: &[String],
    extensions: &[NodeExtension],
    arm: Option<&str>,
) -> Result<Checked, CliError> {
    checked(path, |text, file| {
        conjoin_recipe::check_trained(text, file, overrides, extensions, arm)
    })
}

/// What `check` makes of a recipe's text and the name of its file; warnings go to standard error.
fn checked(
    path: &Path,
    check: impl FnOnce(&str, &str) -> Result<Checked, Diagnostics>,
) -> Result<Checked, CliError> {
    let text = read_text(path)?;
    let checked = check(&text, &path.display().to_string()).map_err(CliError::Recipe)?;
    if !checked.warnings.is_empty() {
        eprintln!("{}", checked.warnings.render());
    }
    Ok(checked)
}

pub(crate) fn read_text(path: &Path) -> Result<String, CliError> {
    std::fs::read_to_string(path).map_err(|error| CliError::unreadable(path, &error))
}

/// Builds all nodes of a plan.
pub(crate) fn build(plan: &Plan, device: &Device) -> Result<Graph, CliError> {
    let stages: Vec<_> = plan
        .stages
        .iter()
        .map(|stage| &stage.resolution)
        .chain([&plan.resolution])
        .collect();
    Graph::build(&plan.nodes, stages, device, plan.seed)
        .map_err(|error| CliError::failed(error.to_string()))
}

/// What a run directory remembers of the command that made it: `run.json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct RunNote {
    /// The recipe's file as it was named.
    pub recipe: String,
    pub arm: Option<String>,
    /// Stages that were asked for one by one; all of the arm when empty.
    pub only: Vec<String>,
    pub version: String,
}

impl RunNote {
    const FILE: &str = "run.json";

    pub fn write(&self, run: &RunDirectory) -> Result<(), CliError> {
        let path = run.root().join(Self::FILE);
        let text = serde_json::to_string_pretty(self)
            .map_err(|error| CliError::failed(error.to_string()))?;
        std::fs::write(&path, text).map_err(|error| CliError::unwritable(&path, &error))
    }

    pub fn read(run: &RunDirectory) -> Result<Self, CliError> {
        let path = run.root().join(Self::FILE);
        let text = read_text(&path)?;
        serde_json::from_str(&text)
            .map_err(|error| CliError::input(format!("{}: {error}", path.display())))
    }

    /// The command that makes the run again.
    pub fn command(&self, out: &Path) -> String {
        let mut words = vec!["conjoin train".to_owned(), self.recipe.clone()];
        if let Some(arm) = &self.arm {
            words.push(format!("--arm {arm}"));
        }
        if !self.only.is_empty() {
            words.push(format!("--stage {}", self.only.join(",")));
        }
        words.push(format!("--out {}", out.display()));
        words.join(" ")
    }
}

/// Keeps only the named stages of a plan.
pub(crate) fn keep_stages(plan: &mut Plan, only: &[String]) -> Result<(), CliError> {
    for name in only {
        if plan.stage(name).is_none() {
            let known: Vec<&str> = plan.stages.iter().map(|s| s.config.name.as_str()).collect();
            return Err(CliError::input(format!(
                "--stage {name}: the arm has no such stage; it has {}",
                known.join(", ")
            )));
        }
    }
    if !only.is_empty() {
        plan.stages
            .retain(|stage| only.contains(&stage.config.name));
    }
    Ok(())
}

/// A finished or unfinished run with its weights, ready to be evaluated.
pub(crate) struct LoadedRun {
    pub checked: Checked,
    pub plan: Arc<Plan>,
    /// Without autodiff.
    pub graph: Graph,
    pub device: Device,
    /// Global step of the weights.
    pub step: u64,
    /// The checkpoint of the weights, and all of them.
    pub found: checkpoint::Found,
    pub store: Store,
    pub data: Arc<DataSets>,
}

impl LoadedRun {
    pub fn open(
        arguments: &crate::cli::RunArgs,
        extensions: &[NodeExtension],
    ) -> Result<Self, CliError> {
        let device = device::parse(&arguments.device.device)?;
        let run = RunDirectory::open(&arguments.run)?;
        let note = RunNote::read(&run)?;
        let mut checked = read_trained(
            &run.recipe(),
            &arguments.set,
            extensions,
            note.arm.as_deref(),
        )?;
        keep_stages(&mut checked.plan, &note.only)?;
        let plan = Arc::new(checked.plan.clone());
        let store = Store::new(run.checkpoints());
        let found = find(&store, &arguments.checkpoint, run.root())?;
        let graph = build(&plan, &device)?;
        let graph = checkpoint::load_graph(graph, &found, true)?;
        Ok(Self {
            checked,
            data: Arc::new(DataSets::new(Arc::clone(&plan))),
            plan,
            graph: graph.evaluation_copy(),
            device,
            step: found.step,
            found,
            store,
        })
    }

    pub fn scorer(&self) -> TaskScorer {
        let (plan, data) = (Arc::clone(&self.plan), Arc::clone(&self.data));
        TaskScorer::new(plan, self.checked.task.clone(), self.device.clone(), data)
    }
}

/// The checkpoint that `--checkpoint` names.
fn find(store: &Store, wanted: &str, root: &Path) -> Result<checkpoint::Found, CliError> {
    let none = || CliError::input(format!("{}: the run has no checkpoint yet", root.display()));
    match wanted {
        "best" => checkpoint::best(store)?.ok_or_else(none),
        "last" => store.newest()?.0.ok_or_else(none),
        step => {
            let steps = store.steps()?;
            let known: Vec<String> = steps.iter().map(ToString::to_string).collect();
            match step.parse() {
                Ok(step) if steps.contains(&step) => Ok(store.read(step)?),
                _ => Err(CliError::input(format!(
                    "--checkpoint {step}: expected best, last or one of the steps {}",
                    known.join(", ")
                ))),
            }
        }
    }
}

/// What differs between the recipe of a run and the one at hand.
pub(crate) fn changes(run: &RunDirectory, checked: &Checked) -> Result<Vec<String>, CliError> {
    let path = run.recipe();
    let before = read_text(&path)?;
    let parse = |text: &str, name: &str| Recipe::parse(text, name, &[]).map_err(CliError::Recipe);
    let before = parse(&before, &path.display().to_string())?;
    let after = parse(&checked.resolved, "the recipe")?;
    let changes = conjoin_recipe::diff::diff(&before, &after);
    Ok(changes.iter().map(ToString::to_string).collect())
}
