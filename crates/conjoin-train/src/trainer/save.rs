//! Checkpoints of a run under way, and going on from them.

use super::Trainer;
use super::stage_run::StageRun;
use crate::checkpoint::{
    Arrays, BEFORE, CONTRACTS, Found, OPTIMISER, RECIPE, RunState, STATE, encode_arrays,
    load_graph, node_file, state_of,
};
use crate::event::Level;
use crate::{Event, TrainError};
use conjoin_graph::weights;
use std::time::Instant;

impl StageRun<'_> {
    /// Writes a checkpoint between two steps of the stage.
    pub(super) fn save_progress(&mut self) -> Result<(), TrainError> {
        let begun = Instant::now();
        let mut progress = self.progress.clone();
        progress.seconds = self.seconds();
        self.trainer.state.progress = Some(progress);
        let mut extra = vec![(OPTIMISER, self.optimiser.save())];
        if let Some(average) = &self.average {
            extra.extend(average.save());
        }
        if let Some(before) = &self.before {
            extra.push((BEFORE, before.clone()));
        }
        self.trainer.save(&extra)?;
        self.clock.checkpoint += begun.elapsed().as_secs_f64();
        Ok(())
    }
}

impl Trainer {
    /// Writes a checkpoint of the present state, tells so, and removes old ones.
    pub(super) fn save(&mut self, extra: &[(&'static str, Arrays)]) -> Result<(), TrainError> {
        let step = self.state.global_step;
        let target = self.store.path(step);
        let mut writer = self.store.begin(step)?;
        for name in self.graph.names() {
            let file = node_file(name);
            let Some(node) = self.graph.node(name) else {
                continue;
            };
            let tensors = weights::tensors(node);
            let broken = tensors
                .iter()
                .find(|(.., v)| !v.iter().all(|x| x.is_finite()));
            if let Some((path, ..)) = broken {
                return Err(TrainError::damaged(
                    &target.join(file),
                    format!(
                        "not written: {path} is not finite after step {step} (a smaller `lr` may \
                         help)"
                    ),
                ));
            }
            let bytes = weights::encode(&tensors, None).map_err(|error| {
                let source = std::io::Error::other(error.to_string());
                TrainError::io(&target.join(&file), "encode", source)
            })?;
            writer.add(&file, &bytes)?;
        }
        for (file, arrays) in extra {
            writer.add(file, &encode_arrays(arrays, &target.join(file))?)?;
        }
        writer.add(STATE, &self.state.encode(&target.join(STATE))?)?;
        writer.add(RECIPE, &self.copies.recipe)?;
        writer.add(CONTRACTS, &self.copies.contracts)?;
        let path = writer.finish()?;
        self.emit(&Event::Checkpoint {
            path: path
                .strip_prefix(self.run.root())
                .unwrap_or(&path)
                .display()
                .to_string(),
            global_step: step,
        })?;
        self.prune()
    }

    /// Removes checkpoints that the stage of the newest one does not keep.
    fn prune(&self) -> Result<(), TrainError> {
        let under_way = usize::from(self.state.progress.is_some());
        let stage = (self.state.stage + under_way).saturating_sub(1);
        let Some(stage) = self.plan.stages.get(stage) else {
            return Ok(());
        };
        let mut always = self.state.stage_ends.clone();
        always.extend(self.state.best.as_ref().map(|best| best.global_step));
        self.store.prune(stage.config.checkpoint.keep, &always)
    }

    /// Goes on from the newest checkpoint that can be read; `None` where the run begins.
    pub(super) fn resume(&mut self) -> Result<Option<Found>, TrainError> {
        self.store.sweep()?;
        let (found, skipped) = self.store.newest()?;
        let step = found.as_ref().map_or(0, |found| found.step);
        if self.run.is_resumed() {
            self.listeners.rewind(step)?;
        }
        for (damaged, error) in skipped {
            let aside = self.store.set_aside(damaged)?;
            let text = format!(
                "{error}; the checkpoint of step {damaged} is set aside as {}, the run goes on \
                 from step {step}",
                aside.display()
            );
            self.say(Level::Warning, text)?;
        }
        if let Some(found) = &found {
            let state = state_of(found)?;
            self.check(&state, found)?;
            self.load(found, false)?;
            let stages = std::mem::take(&mut self.state.stages);
            self.state = RunState { stages, ..state };
            // A process that was killed after it wrote a checkpoint had no time to.
            self.prune()?;
        }
        Ok(found)
    }

    /// The checkpoint must be of a run with the same seed and, as far as it came, the same stages.
    fn check(&self, state: &RunState, found: &Found) -> Result<(), TrainError> {
        let mismatch = |problem: String| {
            Err(TrainError::Mismatch {
                path: found.path.clone(),
                problem,
            })
        };
        if state.seed != self.state.seed {
            let (there, here) = (state.seed, self.state.seed);
            return mismatch(format!(
                "it was written with seed {there}, the recipe has {here}"
            ));
        }
        let begun = state.stage + usize::from(state.progress.is_some());
        if state.stages.get(..begun) != self.state.stages.get(..begun) {
            let (there, here) = (state.stages.join(", "), self.state.stages.join(", "));
            return mismatch(format!("it has stages {there}, the recipe has {here}"));
        }
        Ok(())
    }

    fn load(&mut self, found: &Found, averaged: bool) -> Result<(), TrainError> {
        let graph = std::mem::take(&mut self.graph);
        self.graph = load_graph(graph, found, averaged)?;
        Ok(())
    }

    /// Takes the weights of an earlier checkpoint, averaged where it has averages. A damaged one is
    /// told and the present weights stay.
    pub(super) fn return_to(&mut self, step: u64) -> Result<(), TrainError> {
        match self.store.read(step) {
            Ok(found) => self.load(&found, true),
            Err(error) => {
                let text = format!("{error}; the last weights are kept instead of the best");
                self.say(Level::Warning, text)
            }
        }
    }
}
