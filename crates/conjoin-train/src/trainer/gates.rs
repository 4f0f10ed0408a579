//! Gates: a module's own objective before and after a stage.

use super::Trainer;
use super::stage_run::StageRun;
use crate::checkpoint::Exact;
use crate::evaluate::objective_losses;
use crate::event::Level;
use crate::parameters::restore;
use crate::plan::StagePlan;
use crate::stage::{GateConfig, OnGateFail};
use crate::{Event, TrainError};

impl Trainer {
    /// The loss that a gate watches, on the weights as they are, through the route, wiring and data
    /// of the earlier stage.
    pub(super) fn measure(
        &mut self,
        stage: &StagePlan,
        gate: &GateConfig,
    ) -> Result<f64, TrainError> {
        let wrong = |problem: String| TrainError::Stage {
            stage: stage.config.name.clone(),
            problem: format!("gate: {problem}"),
        };
        let plan = std::sync::Arc::clone(&self.plan);
        let earlier = plan
            .stage(&gate.stage)
            .ok_or_else(|| wrong(format!("stage {:?} is not part of this run", gate.stage)))?;
        let mut objectives = earlier.objectives.iter();
        let objective = objectives
            .find(|objective| objective.name == gate.objective)
            .ok_or_else(|| {
                let (stage, objective) = (&gate.stage, &gate.objective);
                wrong(format!("stage {stage:?} has no objective {objective:?}"))
            })?;
        let data = gate.data.as_ref().unwrap_or(&earlier.config.data);
        let loader = self.evaluation_loader(data)?;
        let graph = self.graph.evaluation_copy();
        let device = self.evaluation_device();
        let losses = objective_losses(
            &graph,
            earlier,
            &[objective],
            &loader,
            gate.batches,
            &device,
        )?;
        let loss = losses.get(&gate.objective).copied().unwrap_or(f64::NAN);
        if loss.is_finite() {
            Ok(loss)
        } else {
            Err(wrong(format!("objective {:?} is {loss}", gate.objective)))
        }
    }
}

impl StageRun<'_> {
    /// Measures every gate again and does what it says where the loss rose too far.
    pub(super) fn check_gates(&mut self) -> Result<(), TrainError> {
        let stage = self.stage;
        let mut roll_back = false;
        for (gate, Exact(before)) in stage.config.gate.iter().zip(self.progress.gates.clone()) {
            let after = self.trainer.measure(stage, gate)?;
            let passed = after <= before + gate.tolerance * before.abs();
            self.trainer.emit(&Event::Gate {
                stage: stage.config.name.clone(),
                objective: gate.objective.clone(),
                before,
                after,
                tolerance: gate.tolerance,
                passed,
            })?;
            if passed {
                continue;
            }
            let text = format!(
                "gate: objective {:?} rose from {before:.6} to {after:.6}",
                gate.objective
            );
            match gate.on_fail {
                OnGateFail::Warn => self.trainer.say(Level::Warning, text)?,
                OnGateFail::RollBack => {
                    let text = format!("{text}; the weights return to what they were before");
                    self.trainer.say(Level::Warning, text)?;
                    roll_back = true;
                }
                OnGateFail::Fail => {
                    return Err(TrainError::Gate {
                        stage: stage.config.name.clone(),
                        objective: gate.objective.clone(),
                        before,
                        after,
                        tolerance: gate.tolerance,
                    });
                }
            }
        }
        if let Some(before) = self.before.as_ref().filter(|_| roll_back) {
            restore(&mut self.trainer.graph, before);
            self.trainer.state.best = None;
        }
        Ok(())
    }
}
