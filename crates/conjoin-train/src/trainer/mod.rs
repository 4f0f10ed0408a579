//! The loop: stages in order, each a number of optimiser steps, resumable between any two steps.
//!
//! What is where: `stage_run` is a stage from its beginning to its end, `step` one optimiser step,
//! `evaluation` scores and early stopping, `gates` what must survive, `prepare` resets and imports,
//! `save` checkpoints and resuming, `batches` the stream of training data.

mod batches;
mod clock;
mod evaluation;
mod gates;
mod prepare;
mod save;
mod stage_run;
mod step;

use crate::checkpoint::{RunState, Store};
use crate::data::DataSets;
use crate::event::Level;
use crate::listeners::Listeners;
use crate::plan::Plan;
use crate::run::RunDirectory;
use crate::{Event, Listener, Scorer, TrainError, seeds};
use burn::tensor::Device;
use conjoin_data::Loader;
use conjoin_graph::graph::Graph;
use stage_run::{Ended, StageRun};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

/// What a run needs.
pub struct Setup {
    pub plan: Arc<Plan>,
    /// Built with the plan's seed on a device with autodiff.
    pub graph: Graph,
    /// The device of the graph, with autodiff.
    pub device: Device,
    /// Usually `DataSets::new(plan)`, shared with the scorer.
    pub data: Arc<DataSets>,
    /// Created for a new run, resumed for one that goes on.
    pub run: RunDirectory,
    pub listeners: Vec<Box<dyn Listener>>,
    /// Scores the task; `None` where the run has none.
    pub scorer: Option<Box<dyn Scorer>>,
    /// When set, the run writes a checkpoint after the step at hand and ends.
    pub interrupt: Arc<AtomicBool>,
    /// Kept in every checkpoint.
    pub copies: Copies,
}

impl std::fmt::Debug for Setup {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Setup")
            .field("plan", &self.plan.name)
            .field("run", &self.run)
            .finish_non_exhaustive()
    }
}

/// Files that travel with the weights.
#[derive(Debug, Clone, Default)]
pub struct Copies {
    /// The recipe as resolved.
    pub recipe: Vec<u8>,
    /// Contracts of all ports, as JSON.
    pub contracts: Vec<u8>,
}

/// How a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// All stages are done.
    Finished { global_step: u64 },
    /// The interrupt flag was set; the run can be resumed.
    Interrupted { global_step: u64 },
}

/// Runs the stages of a plan.
pub struct Trainer {
    plan: Arc<Plan>,
    graph: Graph,
    device: Device,
    data: Arc<DataSets>,
    run: RunDirectory,
    store: Store,
    listeners: Listeners,
    scorer: Option<Box<dyn Scorer>>,
    interrupt: Arc<AtomicBool>,
    copies: Copies,
    state: RunState,
    /// Loaders of evaluations, by data set.
    loaders: BTreeMap<String, Arc<Loader>>,
    begun: Instant,
}

impl std::fmt::Debug for Trainer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Trainer")
            .field("run", &self.run)
            .field("state", &self.state)
            .finish_non_exhaustive()
    }
}

impl Trainer {
    pub fn new(setup: Setup) -> Self {
        let plan = setup.plan;
        let state = RunState {
            seed: plan.seed,
            stages: plan.stages.iter().map(|s| s.config.name.clone()).collect(),
            ..RunState::default()
        };
        Self {
            plan,
            graph: setup.graph,
            device: setup.device,
            data: setup.data,
            store: Store::new(setup.run.checkpoints()),
            run: setup.run,
            listeners: Listeners(setup.listeners),
            scorer: setup.scorer,
            interrupt: setup.interrupt,
            copies: setup.copies,
            state,
            loaders: BTreeMap::new(),
            begun: Instant::now(),
        }
    }

    /// Runs all stages that are not done, from the newest checkpoint where there is one.
    ///
    /// # Errors
    /// See [`TrainError`]. Checkpoints written before stay intact, and the run can be resumed from
    /// them.
    pub fn run(&mut self) -> Result<Outcome, TrainError> {
        self.begun = Instant::now();
        let mut resumed = self.resume()?;
        self.emit(&Event::Started {
            name: self.plan.name.clone(),
            seed: self.plan.seed,
            device: device_name(&self.device),
            resumed_from: resumed.as_ref().map(|found| found.step),
            stages: self.state.stages.clone(),
        })?;
        let plan = Arc::clone(&self.plan);
        while let Some(stage) = plan.stages.get(self.state.stage) {
            let global_step = self.state.global_step;
            if self.interrupted() {
                return Ok(Outcome::Interrupted { global_step });
            }
            let mut run = match resumed.take().zip(self.state.progress.clone()) {
                Some((found, progress)) => StageRun::resume(self, stage, progress, &found)?,
                None => StageRun::begin(self, stage)?,
            };
            if run.run()? == Ended::Interrupted {
                let global_step = self.state.global_step;
                return Ok(Outcome::Interrupted { global_step });
            }
        }
        let global_step = self.state.global_step;
        self.emit(&Event::Finished {
            global_step,
            seconds: self.begun.elapsed().as_secs_f64(),
        })?;
        Ok(Outcome::Finished { global_step })
    }

    /// The system as it is now.
    pub fn graph(&self) -> &Graph {
        &self.graph
    }

    fn interrupted(&self) -> bool {
        self.interrupt.load(Ordering::Relaxed)
    }

    fn emit(&mut self, event: &Event) -> Result<(), TrainError> {
        self.listeners.emit(event)
    }

    fn say(&mut self, level: Level, text: impl Into<String>) -> Result<(), TrainError> {
        let text = text.into();
        self.emit(&Event::Message { level, text })
    }

    /// Tells how a data set was read, if that is to be told and was not yet.
    fn tell_notes(&mut self, data: &str) -> Result<(), TrainError> {
        for note in self.data.notes(data) {
            self.say(Level::Info, format!("data {data}: {note}"))?;
        }
        Ok(())
    }

    /// The batches that evaluations read: the same ones every time.
    fn evaluation_loader(&mut self, data: &str) -> Result<Arc<Loader>, TrainError> {
        if let Some(loader) = self.loaders.get(data) {
            return Ok(Arc::clone(loader));
        }
        let seed = seeds::evaluation_data(self.plan.seed);
        let loader = Arc::new(self.data.loader(data, seed)?);
        self.tell_notes(data)?;
        self.loaders.insert(data.to_owned(), Arc::clone(&loader));
        Ok(loader)
    }

    /// The device of evaluation copies.
    fn evaluation_device(&self) -> Device {
        self.device.clone().without_autodiff()
    }
}

/// `Flex(Cpu)` from `Device<Flex(Cpu)>`, whether with autodiff or without.
fn device_name(device: &Device) -> String {
    let text = format!("{:?}", device.clone().without_autodiff());
    let inner = text
        .strip_prefix("Device<")
        .and_then(|rest| rest.strip_suffix('>'));
    inner.unwrap_or(&text).to_owned()
}
