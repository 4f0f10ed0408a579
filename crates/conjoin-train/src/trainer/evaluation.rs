//! Evaluation within and after a stage, the best checkpoint, early stopping.

use super::stage_run::StageRun;
use crate::checkpoint::{Best, Exact};
use crate::evaluate::{objective_losses, total};
use crate::event::Level;
use crate::plan::ObjectivePlan;
use crate::{Event, TrainError};
use conjoin_graph::graph::Graph;
use std::collections::BTreeMap;
use std::time::Instant;

/// Name of the weighted sum of all objectives' losses.
pub const TOTAL: &str = "total";

type Scores = BTreeMap<String, f64>;

impl StageRun<'_> {
    pub(super) fn evaluation_is_due(&self) -> bool {
        let config = self.stage.config.evaluate.as_ref();
        config.is_some_and(|c| c.every > 0 && self.progress.step.is_multiple_of(c.every))
    }

    /// Evaluates on the stage's evaluation data; whether the watched score is the best so far.
    pub(super) fn evaluate(&mut self) -> Result<bool, TrainError> {
        let Some(config) = self.stage.config.evaluate.clone() else {
            return Ok(false);
        };
        let begun = Instant::now();
        self.evaluated = Some(self.progress.step);
        let graph = self.evaluation_graph();
        let loader = self.trainer.evaluation_loader(&config.data)?;
        let objectives: Vec<&ObjectivePlan> = self.stage.objectives.iter().collect();
        let device = self.trainer.evaluation_device();
        let batches = config.batches;
        let mut scores =
            objective_losses(&graph, self.stage, &objectives, &loader, batches, &device)?;
        scores.insert(TOTAL.to_owned(), total(&self.stage.objectives, &scores));
        if config.task {
            scores.extend(self.task_scores(&graph, &config.data, config.batches)?);
        }
        drop(graph);
        let best = self.is_best(&scores)?;
        self.clock.evaluation += begun.elapsed().as_secs_f64();
        self.tell_scores(config.data, scores, best)?;
        Ok(best)
    }

    /// The task's own scores at the end of the stage, on the weights that are handed on.
    pub(super) fn score_task(&mut self) -> Result<(), TrainError> {
        let last = self.trainer.plan.stages.last();
        let is_last = last.is_some_and(|last| last.config.name == self.stage.config.name);
        if !self.stage.config.scored && !is_last {
            return Ok(());
        }
        let Some(data) = self.trainer.scorer.as_ref().map(|s| s.data().to_owned()) else {
            return Ok(());
        };
        let begun = Instant::now();
        let graph = self.trainer.graph.evaluation_copy();
        let scores = self.task_scores(&graph, &data, None)?;
        self.clock.evaluation += begun.elapsed().as_secs_f64();
        if scores.is_empty() {
            return Ok(());
        }
        self.tell_scores(data, scores, false)
    }

    /// A copy to evaluate, with averaged weights where the stage averages.
    fn evaluation_graph(&self) -> Graph {
        let mut graph = self.trainer.graph.evaluation_copy();
        if let Some(average) = &self.average {
            average.write_to(&mut graph);
        }
        graph
    }

    fn task_scores(
        &mut self,
        graph: &Graph,
        data: &str,
        batches: Option<usize>,
    ) -> Result<Scores, TrainError> {
        let Some(scorer) = &mut self.trainer.scorer else {
            return Ok(Scores::new());
        };
        scorer
            .scores(graph, self.stage, data, batches)
            .map_err(|source| TrainError::Score {
                stage: self.stage.config.name.clone(),
                data: data.to_owned(),
                source,
            })
    }

    fn tell_scores(&mut self, data: String, scores: Scores, best: bool) -> Result<(), TrainError> {
        let (finite, others): (Scores, Scores) =
            scores.into_iter().partition(|(_, score)| score.is_finite());
        for (name, score) in others {
            let text = format!("score {name:?} on data set {data:?} is {score}");
            self.trainer.say(Level::Warning, text)?;
        }
        self.trainer.emit(&Event::Evaluated {
            stage: self.stage.config.name.clone(),
            global_step: self.trainer.state.global_step,
            data,
            scores: finite,
            best,
        })
    }

    /// Compares the watched score with the best one so far and keeps count.
    fn is_best(&mut self, scores: &Scores) -> Result<bool, TrainError> {
        let stopping = self.stage.config.early_stopping.as_ref();
        let metric = stopping.map_or(TOTAL, |stopping| stopping.metric.as_str());
        let value = *scores.get(metric).ok_or_else(|| TrainError::Stage {
            stage: self.stage.config.name.clone(),
            problem: format!(
                "early stopping watches {metric:?}, the evaluation has {}",
                scores
                    .keys()
                    .map(String::as_str)
                    .collect::<Vec<_>>()
                    .join(", ")
            ),
        })?;
        let sign = if self.larger_is_better(metric) {
            -1.0
        } else {
            1.0
        };
        let least = stopping.map_or(0.0, |stopping| stopping.min_change);
        let improved = improves(value * sign, self.progress.best.map(|b| b.0 * sign), least);
        if !improved {
            self.progress.stale += 1;
            return Ok(false);
        }
        self.progress.stale = 0;
        self.progress.best = Some(Exact(value));
        self.trainer.state.best = Some(Best {
            stage: self.stage.config.name.clone(),
            metric: metric.to_owned(),
            value,
            global_step: self.trainer.state.global_step,
            scores: scores
                .iter()
                .filter(|(_, v)| v.is_finite())
                .map(|(k, v)| (k.clone(), *v))
                .collect(),
        });
        Ok(true)
    }

    fn larger_is_better(&self, metric: &str) -> bool {
        let is_loss = metric == TOTAL || self.stage.objectives.iter().any(|o| o.name == metric);
        let scorer = self.trainer.scorer.as_ref();
        !is_loss && scorer.is_some_and(|scorer| scorer.larger_is_better(metric))
    }

    /// Why the stage ends early, if it does.
    pub(super) fn exhausted(&self) -> Option<String> {
        let config = self.stage.config.early_stopping.as_ref()?;
        (self.progress.stale >= config.patience.max(1)).then(|| {
            format!(
                "{} did not improve in {} evaluations",
                config.metric, self.progress.stale
            )
        })
    }
}

/// Whether a value is smaller than the best one by more than `least`. NaN never is.
fn improves(value: f64, best: Option<f64>, least: f64) -> bool {
    match best {
        None => value.is_finite(),
        Some(best) => value.is_finite() && value < best - least,
    }
}

#[cfg(test)]
mod tests {
    use super::improves;

    #[test]
    fn an_improvement_is_finite_and_large_enough() {
        assert!(improves(1.0, None, 0.5));
        assert!(!improves(f64::NAN, None, 0.0));
        assert!(improves(0.4, Some(1.0), 0.5));
        assert!(!improves(0.6, Some(1.0), 0.5));
        assert!(!improves(1.0, Some(1.0), 0.0));
        assert!(!improves(f64::NEG_INFINITY, Some(1.0), 0.0));
    }
}
