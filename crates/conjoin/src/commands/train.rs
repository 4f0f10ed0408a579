//! `conjoin train`: the stages of a recipe, into a run directory.

use crate::cli::TrainArgs;
use crate::error::CliError;
use crate::progress::{Progress, scores_text};
use crate::system::{RunNote, build, changes, keep_stages, read_recipe};
use crate::{device, outcomes, output, report, run_log};
use burn::tensor::Device;
use conjoin_graph::{Graph, NodeExtension};
use conjoin_recipe::Checked;
use conjoin_tasks::{Scored, TaskScorer};
use conjoin_train::listeners::{JsonLines, TensorBoard};
use conjoin_train::{
    Copies, DataSets, Listener, Outcome, Plan, RunDirectory, Setup, TrainError, Trainer,
};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

pub(crate) fn run(extensions: &[NodeExtension], arguments: &TrainArgs) -> Result<(), CliError> {
    let recipe = &arguments.recipe;
    let arm = arguments.arm.as_deref();
    let mut checked = read_recipe(&recipe.recipe, &recipe.set, extensions, arm)?;
    keep_stages(&mut checked.plan, &arguments.stage)?;
    let out = match &arguments.out {
        Some(out) => out.clone(),
        None => Path::new("runs").join(&checked.plan.name),
    };
    let note = RunNote {
        recipe: recipe.recipe.display().to_string(),
        arm: checked.arm.clone(),
        only: arguments.stage.clone(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
    };
    let interrupt = interrupt_flag("writing a checkpoint")?;
    let job = Job {
        checked: &checked,
        note,
        out: &out,
        resume: arguments.resume,
        branch: None,
        device: &arguments.device.device,
        quiet: false,
    };
    let finished = job.run(&interrupt)?;
    if arguments.json {
        return output::json(&serde_json::json!({
            "run": out,
            "global_step": finished.global_step,
            "data": checked.task.data(),
            "scores": finished.scored.scores,
        }));
    }
    output::line(&format!(
        "{}: {}\nreport: {}",
        checked.task.data(),
        scores_text(&finished.scored.scores),
        out.join("report.html").display()
    ))
}

/// Set by Ctrl-C: the work at hand is brought to an end, of which `what` tells. A second Ctrl-C ends it at
/// once.
pub(crate) fn interrupt_flag(what: &'static str) -> Result<Arc<AtomicBool>, CliError> {
    let flag = Arc::new(AtomicBool::new(false));
    let seen = Arc::clone(&flag);
    ctrlc::set_handler(move || {
        if seen.swap(true, Ordering::Relaxed) {
            std::process::exit(1);
        }
        eprintln!("interrupted: {what} (once more to end at once)");
    })
    .map_err(|error| CliError::failed(format!("cannot listen for Ctrl-C: {error}")))?;
    Ok(flag)
}

/// One training run from a checked recipe to its report.
pub(crate) struct Job<'a> {
    pub checked: &'a Checked,
    pub note: RunNote,
    pub out: &'a Path,
    pub resume: bool,
    /// Where its first stages are done already.
    pub branch: Option<Branch>,
    pub device: &'a str,
    /// No progress on standard error.
    pub quiet: bool,
}

/// A run whose first stages are those of another one.
pub(crate) struct Branch {
    /// The directory of that run.
    pub from: PathBuf,
    /// Global steps at which the stages that are taken over ended.
    pub ends: Vec<u64>,
}

/// What a finished run reached.
pub(crate) struct Finished {
    pub scored: Scored,
    pub global_step: u64,
}

impl Job<'_> {
    pub fn run(&self, interrupt: &Arc<AtomicBool>) -> Result<Finished, CliError> {
        let plan = Arc::new(self.checked.plan.clone());
        let device = device::parse(self.device)?;
        // Missing files are found before the directory is made.
        let data = open_data(&plan)?;
        let run = self.directory()?;
        let root = run.root().to_owned();
        let graph = build(&plan, &device.clone().autodiff())?;
        let listeners = self.listeners(&run)?;
        let scorer = TaskScorer::new(
            Arc::clone(&plan),
            self.checked.task.clone(),
            device.clone(),
            Arc::clone(&data),
        );
        let last = scorer.last();
        let mut trainer = Trainer::new(Setup {
            plan: Arc::clone(&plan),
            graph,
            device: device.clone().autodiff(),
            data: Arc::clone(&data),
            run,
            listeners,
            scorer: Some(Box::new(scorer)),
            interrupt: Arc::clone(interrupt),
            copies: Copies {
                recipe: self.checked.resolved.clone().into_bytes(),
                contracts: contracts(&plan)?,
            },
        });
        let global_step = match trainer.run()? {
            Outcome::Finished { global_step } => global_step,
            Outcome::Interrupted { global_step } => {
                return Err(CliError::failed(format!(
                    "interrupted at step {global_step}; go on with --resume --out {}",
                    root.display()
                )));
            }
        };
        let scored = match last.take() {
            Some(scored) => scored,
            // The run had been finished before.
            None => self.score(&plan, trainer.graph(), device, &data)?,
        };
        let scored_data = self.checked.task.data();
        for note in data.notes(scored_data) {
            eprintln!("data {scored_data}: {note}");
        }
        let arm = self.note.arm.as_deref().unwrap_or(&plan.name);
        let result = outcomes::of(arm, plan.seed, &scored);
        outcomes::write(&result, &outcomes::path(&root))?;
        self.report(&plan, trainer.graph(), &data, &scored, &root)?;
        Ok(Finished {
            scored,
            global_step,
        })
    }

    fn score(
        &self,
        plan: &Arc<Plan>,
        graph: &Graph,
        device: Device,
        data: &Arc<DataSets>,
    ) -> Result<Scored, CliError> {
        let task = self.checked.task.clone();
        let name = task.data().to_owned();
        let scorer = TaskScorer::new(Arc::clone(plan), task, device, Arc::clone(data));
        Ok(scorer.score(&graph.evaluation_copy(), &plan.score_ports(), &name, None)?)
    }

    fn report(
        &self,
        plan: &Plan,
        graph: &Graph,
        data: &DataSets,
        scored: &Scored,
        root: &Path,
    ) -> Result<(), CliError> {
        let source = data
            .source(self.checked.task.data())
            .map_err(TrainError::from)?;
        let report = report::of_run(report::Parts {
            checked: self.checked,
            plan,
            graph,
            scored,
            source: source.as_ref(),
            log: run_log::read(&root.join("metrics.jsonl"))?,
            command: self.note.command(root),
        });
        report::write(&report, &root.join("report.html"))
    }

    /// A new directory, or an old one whose recipe is the same.
    fn directory(&self) -> Result<RunDirectory, CliError> {
        if self.resume && self.out.join("recipe.toml").exists() {
            let run = RunDirectory::resume(self.out)?;
            let changes = changes(&run, self.checked)?;
            let note = RunNote::read(&run)?;
            if !changes.is_empty() {
                return Err(CliError::input(format!(
                    "--resume: the recipe has changed since {} was begun:\n  {}",
                    self.out.display(),
                    changes.join("\n  ")
                )));
            }
            if (&note.arm, &note.only) != (&self.note.arm, &self.note.only) {
                return Err(CliError::input(format!(
                    "--resume: {} was begun with `{}`",
                    self.out.display(),
                    note.command(self.out)
                )));
            }
            return Ok(run);
        }
        let run = match &self.branch {
            None => RunDirectory::create(self.out)?,
            Some(Branch { from, ends }) => {
                RunDirectory::branch(self.out, &RunDirectory::open(from)?, ends)?
            }
        };
        let write = |path: PathBuf, text: &[u8]| {
            std::fs::write(&path, text).map_err(|error| CliError::unwritable(&path, &error))
        };
        self.note.write(&run)?;
        let summary = conjoin_recipe::summary::summarise(self.checked)
            .map_err(|error| CliError::failed(error.to_string()))?;
        let summary = serde_json::to_vec_pretty(&summary)
            .map_err(|error| CliError::failed(error.to_string()))?;
        write(run.plan(), &summary)?;
        // The recipe comes last: a directory without it is not a run.
        write(run.recipe(), self.checked.resolved.as_bytes())?;
        Ok(run)
    }

    fn listeners(&self, run: &RunDirectory) -> Result<Vec<Box<dyn Listener>>, CliError> {
        let open = |path: &Path, error: std::io::Error| CliError::unwritable(path, &error);
        let metrics = run.metrics();
        let lines = JsonLines::open(&metrics).map_err(|error| open(&metrics, error))?;
        let board = TensorBoard::create(&run.events()).map_err(|e| open(&run.events(), e))?;
        let log = run_log::LogFile::open(&run.log()).map_err(|e| open(&run.log(), e))?;
        let mut listeners: Vec<Box<dyn Listener>> =
            vec![Box::new(lines), Box::new(board), Box::new(log)];
        if !self.quiet {
            listeners.push(Box::new(Progress::default()));
        }
        Ok(listeners)
    }
}

/// Opens the data of every stage and of the task, so that a missing file ends the command before
/// anything is written.
fn open_data(plan: &Arc<Plan>) -> Result<Arc<DataSets>, CliError> {
    let data = Arc::new(DataSets::new(Arc::clone(plan)));
    for stage in &plan.stages {
        data.source(&stage.config.data).map_err(TrainError::from)?;
        if let Some(evaluate) = &stage.config.evaluate {
            data.source(&evaluate.data).map_err(TrainError::from)?;
        }
    }
    Ok(data)
}

/// Contracts of all ports, by data set and stage, as the checkpoints keep them.
fn contracts(plan: &Plan) -> Result<Vec<u8>, CliError> {
    let mut ports = serde_json::Map::new();
    for stage in &plan.stages {
        for (node, outputs) in &stage.resolution.outputs {
            for output in outputs {
                let contract = serde_json::to_value(&output.contract)
                    .map_err(|error| CliError::failed(error.to_string()))?;
                ports.insert(format!("{node}.{}", output.name), contract);
            }
        }
    }
    for (name, data) in &plan.data {
        for (column, contract) in &data.columns {
            let contract = serde_json::to_value(contract)
                .map_err(|error| CliError::failed(error.to_string()))?;
            ports.insert(format!("data.{name}.{column}"), contract);
        }
    }
    serde_json::to_vec_pretty(&ports).map_err(|error| CliError::failed(error.to_string()))
}
