//! A stage from its beginning to its end.

use super::Trainer;
use super::batches::Batches;
use super::clock::Clock;
use super::step::Group;
use crate::checkpoint::{Arrays, BEFORE, Exact, Found, OPTIMISER, Progress, arrays};
use crate::event::Level;
use crate::interfaces;
use crate::optimiser::{Average, Optimiser};
use crate::parameters::snapshot;
use crate::pass::columns;
use crate::plan::StagePlan;
use crate::stage::OnGateFail;
use crate::{Event, TrainError, seeds};
use conjoin_graph::graph::Graph;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

/// Why [`StageRun::run`] returned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ended {
    Done,
    Interrupted,
}

/// A stage under way.
pub(super) struct StageRun<'a> {
    pub(super) trainer: &'a mut Trainer,
    pub(super) stage: &'a StagePlan,
    pub(super) progress: Progress,
    pub(super) optimiser: Optimiser,
    pub(super) average: Option<Average>,
    /// Weights before the stage, where a gate may want them back.
    pub(super) before: Option<Arrays>,
    pub(super) batches: Batches,
    pub(super) groups: Vec<Group<'a>>,
    pub(super) clock: Clock,
    /// Step of the stage at which it was evaluated last.
    pub(super) evaluated: Option<u64>,
    begun: Instant,
}

impl<'a> StageRun<'a> {
    /// Begins a stage: measures gates, resets and imports weights.
    pub fn begin(trainer: &'a mut Trainer, stage: &'a StagePlan) -> Result<Self, TrainError> {
        let config = &stage.config;
        let gates = config
            .gate
            .iter()
            .map(|gate| trainer.measure(stage, gate).map(Exact));
        let gates = gates.collect::<Result<_, _>>()?;
        let rolls_back = |gate: &crate::stage::GateConfig| gate.on_fail == OnGateFail::RollBack;
        let before = config
            .gate
            .iter()
            .any(rolls_back)
            .then(|| snapshot(&trainer.graph, &changed_nodes(stage)));
        trainer.prepare(stage)?;
        let progress = Progress {
            steps: trainer.length(stage)?,
            gates,
            ..Progress::default()
        };
        let mut run = Self::assemble(trainer, stage, progress)?;
        run.before = before;
        run.tell_begin()?;
        Ok(run)
    }

    /// Goes on with a stage from a checkpoint; the graph has its weights already.
    pub fn resume(
        trainer: &'a mut Trainer,
        stage: &'a StagePlan,
        progress: Progress,
        found: &Found,
    ) -> Result<Self, TrainError> {
        let mut run = Self::assemble(trainer, stage, progress)?;
        let mismatch = |file: &'static str| {
            move |problem: String| TrainError::Mismatch {
                path: found.path.join(file),
                problem,
            }
        };
        if let Some(states) = arrays(found, OPTIMISER)? {
            run.optimiser
                .load(&run.trainer.graph, states, mismatch(OPTIMISER))?;
        }
        if let Some(average) = &mut run.average {
            let (file, device) = (average.file(), run.trainer.device.clone());
            if let Some(weights) = arrays(found, file)? {
                average.load(weights, &device.without_autodiff(), mismatch(file))?;
            }
        }
        run.before = arrays(found, BEFORE)?;
        run.tell_begin()?;
        Ok(run)
    }

    fn assemble(
        trainer: &'a mut Trainer,
        stage: &'a StagePlan,
        progress: Progress,
    ) -> Result<Self, TrainError> {
        let config = &stage.config;
        let seed = seeds::training_data(trainer.plan.seed, &config.name);
        let loader = trainer.data.loader(&config.data, seed)?;
        trainer.tell_notes(&config.data)?;
        trainer.graph.train_only(&stage.trained);
        Ok(Self {
            optimiser: Optimiser::new(stage)?,
            average: Average::of(config, &stage.trained),
            before: None,
            batches: Batches::new(loader, progress.epoch, progress.batch),
            groups: Group::of(stage),
            clock: Clock::default(),
            evaluated: None,
            begun: Instant::now(),
            progress,
            stage,
            trainer,
        })
    }

    fn tell_begin(&mut self) -> Result<(), TrainError> {
        let graph = &self.trainer.graph;
        let frozen = |name: &&str| !self.stage.trained.contains(*name);
        let event = Event::StageStarted {
            stage: self.stage.config.name.clone(),
            index: self.trainer.state.stage,
            steps: self.progress.steps,
            trained: self
                .stage
                .trained
                .iter()
                .map(|n| (n.clone(), weights(graph, n)))
                .collect(),
            frozen: self
                .stage
                .route
                .nodes()
                .filter(frozen)
                .map(str::to_owned)
                .collect(),
        };
        self.trainer.emit(&event)
    }

    /// Runs the stage to its end or to an interruption.
    pub fn run(&mut self) -> Result<Ended, TrainError> {
        let mut early = None;
        while self.progress.step < self.progress.steps && early.is_none() {
            self.step()?;
            let last = self.progress.step == self.progress.steps;
            let improved = !last && self.evaluation_is_due() && self.evaluate()?;
            early = self.exhausted().filter(|_| !last);
            // The end of the stage writes a checkpoint of its own.
            if last || early.is_some() {
                continue;
            }
            let interrupted = self.trainer.interrupted();
            if improved || interrupted || self.checkpoint_is_due() {
                self.save_progress()?;
            }
            if interrupted {
                let text = format!("interrupted in stage {:?}", self.stage.config.name);
                self.trainer.say(Level::Info, text)?;
                return Ok(Ended::Interrupted);
            }
        }
        self.finish(early)?;
        Ok(Ended::Done)
    }

    fn checkpoint_is_due(&self) -> bool {
        let every = self.stage.config.checkpoint.every;
        every > 0 && self.progress.step.is_multiple_of(every)
    }

    /// Evaluates, chooses the weights that are handed on, checks the gates, writes the checkpoint.
    fn finish(&mut self, early: Option<String>) -> Result<(), TrainError> {
        let due = self.stage.config.evaluate.is_some();
        if due && self.evaluated != Some(self.progress.step) {
            self.evaluate()?;
        }
        let averaged = self.average.is_some();
        self.hand_on()?;
        self.check_gates()?;
        if let Err(error) = self.score_task() {
            // Scores may fail for a reason that has nothing to do with what was trained, which is kept: resumed,
            // the run scores again. An average, and the end of an early stop, are not written between two steps.
            if !averaged && early.is_none() {
                self.save_progress()?;
            }
            return Err(error);
        }
        self.tell_interfaces()?;
        let name = self.stage.config.name.clone();
        let timing = self.clock.event(&name);
        self.trainer.emit(&timing)?;
        let seconds = self.seconds();
        let global_step = self.trainer.state.global_step;
        self.trainer.emit(&Event::StageFinished {
            stage: name,
            global_step,
            seconds,
            early,
        })?;
        let state = &mut self.trainer.state;
        state.stage += 1;
        state.progress = None;
        state.stage_ends.insert(global_step);
        self.trainer.save(&[])
    }

    /// Puts the weights in place that the stage leaves: the best ones with early stopping, else the
    /// averaged ones where there is an average, else the last ones.
    fn hand_on(&mut self) -> Result<(), TrainError> {
        if let Some(average) = self.average.take() {
            average.write_to(&mut self.trainer.graph);
        }
        let here = self.trainer.state.global_step;
        let best = self.trainer.state.best.as_ref();
        let best = best.filter(|best| {
            best.stage == self.stage.config.name
                && best.global_step != here
                && self.stage.config.early_stopping.is_some()
        });
        match best.map(|best| best.global_step) {
            Some(step) => self.trainer.return_to(step),
            None => Ok(()),
        }
    }

    fn tell_interfaces(&mut self) -> Result<(), TrainError> {
        let data = self.stage.config.data.clone();
        let loader = self.trainer.evaluation_loader(&data)?;
        let device = self.trainer.evaluation_device();
        let Some(batch) = loader.epoch(0, 0).next() else {
            return Ok(());
        };
        let columns = columns(self.stage, &batch?, &device)?;
        let graph = self.trainer.graph.evaluation_copy();
        let step = self.trainer.state.global_step;
        for event in interfaces::statistics(&graph, self.stage, &columns, step)? {
            self.trainer.emit(&event)?;
        }
        Ok(())
    }

    /// Seconds spent in the stage, earlier processes included.
    pub(super) fn seconds(&self) -> f64 {
        self.progress.seconds + self.begun.elapsed().as_secs_f64()
    }
}

/// Number of weights of a node.
fn weights(graph: &Graph, name: &str) -> usize {
    let mut count = 0;
    if let Some(node) = graph.node(name) {
        node.visit(&mut |param| {
            if !param.statistic {
                count += param.shape.iter().product::<usize>();
            }
        });
    }
    count
}

/// Nodes that a stage may change.
fn changed_nodes(stage: &StagePlan) -> BTreeSet<String> {
    let imported: &BTreeMap<_, _> = &stage.config.weights;
    let others = stage.config.reset.iter().chain(imported.keys());
    stage.trained.iter().chain(others).cloned().collect()
}
