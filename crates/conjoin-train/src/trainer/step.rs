//! One optimiser step: passes and gradients of its batches, one look at the numbers, the update.

use super::clock::timed;
use super::stage_run::StageRun;
use crate::diagnose::{self, NotFinite, Replay};
use crate::inputs::{self, Columns};
use crate::optimiser::{GradientStore, penalty};
use crate::parameters::{restore_statistics, statistics};
use crate::pass::{columns, forward, kept_ports, loss};
use crate::plan::{ObjectivePlan, StagePlan};
use crate::{Event, TrainError, seeds};
use burn::tensor::Tensor;
use conjoin_graph::PortRef;
use conjoin_graph::graph::Pass;
use conjoin_kernels::threads::inside;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

/// Objectives that change the same nodes: they share a backward pass.
#[derive(Debug, Clone)]
pub(super) struct Group<'a> {
    updates: &'a BTreeSet<String>,
    objectives: Vec<&'a ObjectivePlan>,
}

impl<'a> Group<'a> {
    /// The groups of a stage, in the order of its objectives.
    pub fn of(stage: &'a StagePlan) -> Vec<Self> {
        let mut groups: Vec<Self> = Vec::new();
        for objective in &stage.objectives {
            match groups.iter_mut().find(|g| *g.updates == objective.updates) {
                Some(group) => group.objectives.push(objective),
                None => groups.push(Self {
                    updates: &objective.updates,
                    objectives: vec![objective],
                }),
            }
        }
        groups
    }
}

/// A batch as a pass reads it.
#[derive(Debug)]
struct Prepared {
    columns: Columns,
    pass: Pass,
    samples: usize,
}

/// Unweighted terms of the loss on the device, `[1]` each.
type Terms = Vec<(String, Tensor<1>)>;

/// What a step tells.
struct Figures {
    loss: f64,
    terms: BTreeMap<String, f64>,
    norm: f64,
}

impl Figures {
    fn are_finite(&self) -> bool {
        self.loss.is_finite() && self.norm.is_finite()
    }
}

impl StageRun<'_> {
    /// Makes one step and tells the listeners.
    pub(super) fn step(&mut self) -> Result<(), TrainError> {
        let begun = Instant::now();
        let config = &self.stage.config;
        let (step, steps) = (self.progress.step, self.progress.steps);
        let shares = inputs::shares(self.stage, step, steps);
        // Batch statistics move with every pass; a step that fails gives them back.
        let kept = statistics(&self.trainer.graph, &self.stage.trained);
        let mut gradients = GradientStore::default();
        let mut terms = Terms::new();
        let mut batches = Vec::with_capacity(config.accumulate);
        for number in 0..config.accumulate.max(1) {
            let prepared = self.prepare(number, &shares)?;
            let losses = self.gradients(&prepared, &mut gradients)?;
            add_terms(&mut terms, losses);
            batches.push(prepared);
        }
        let penalties = penalty::apply(&self.trainer.graph, &config.regularise, &mut gradients);
        let figures = self.read(terms, penalties, inside(|| gradients.norm()));
        if !figures.are_finite() {
            restore_statistics(&mut self.trainer.graph, kept);
            return Err(self.diagnose(&batches)?);
        }
        drop(kept);
        let samples = batches.iter().map(|prepared| prepared.samples).sum();
        drop(batches);
        self.update(&mut gradients, figures.norm);
        self.progress.step += 1;
        self.trainer.state.global_step += 1;
        let (epoch, batch) = self.batches.position();
        self.progress.epoch = epoch;
        self.progress.batch = batch;
        let event = Event::Step {
            stage: config.name.clone(),
            step: self.progress.step,
            steps,
            global_step: self.trainer.state.global_step,
            epoch,
            loss: figures.loss,
            terms: figures.terms,
            lr: self.optimiser.rates(config.schedule.factor(step, steps)),
            grad_norm: Some(figures.norm),
            shares: shares
                .into_iter()
                .map(|(k, v)| (k.to_string(), v))
                .collect(),
            samples,
            seconds: begun.elapsed().as_secs_f64(),
        };
        self.trainer.emit(&event)
    }

    /// Takes the next batch and decides everything random about its pass.
    fn prepare(
        &mut self,
        number: usize,
        shares: &BTreeMap<PortRef, f64>,
    ) -> Result<Prepared, TrainError> {
        let Self { stage, batches, .. } = self;
        let batch = timed(&mut self.clock.data, || batches.next(&stage.config.name))?;
        for skipped in self.batches.new_skips() {
            self.trainer.say(crate::event::Level::Warning, skipped)?;
        }
        let columns = columns(self.stage, &batch, &self.trainer.device)?;
        let state = &self.trainer.state;
        let seed = seeds::pass(state.seed, state.global_step, number);
        let mut pass = Pass {
            training: Some(seed),
            shares: shares.clone(),
            precision: self.stage.config.precision.into(),
            ..Pass::default()
        };
        inputs::feed_predictions(&self.trainer.graph, self.stage, &columns, &mut pass)
            .map_err(|source| TrainError::graph(self.stage, source))?;
        Ok(Prepared {
            columns,
            pass,
            samples: batch.size(),
        })
    }

    /// Adds the gradients of one batch; gives the terms, divided by the number of batches.
    ///
    /// Each group has a pass of its own: a backward pass uses up the record of its forward pass.
    fn gradients(
        &mut self,
        prepared: &Prepared,
        gradients: &mut GradientStore,
    ) -> Result<Terms, TrainError> {
        let share = 1.0 / self.stage.config.accumulate.max(1) as f64;
        let mut terms = Terms::new();
        let mut first_trace = None;
        for group in &self.groups {
            let pass = Pass {
                keep: kept_ports(group.objectives.iter().copied()),
                ..prepared.pass.clone()
            };
            let graph = &self.trainer.graph;
            let mut trace = forward(graph, self.stage, &prepared.columns, &pass)?;
            self.clock.add_forward(&trace.seconds);
            let mut total: Option<Tensor<1>> = None;
            for objective in &group.objectives {
                let mean = loss(self.stage, objective, &prepared.columns, &trace)?.mean * share;
                terms.push((objective.name.clone(), mean.clone().inner()));
                let weighted = mean * objective.weight;
                total = Some(match total {
                    Some(sum) => sum + weighted,
                    None => weighted,
                });
            }
            trace.clear();
            let Some(total) = total else { continue };
            if !total.is_tracked() {
                return Err(self.no_gradient(group));
            }
            timed(&mut self.clock.backward, || {
                gradients.collect(graph, group.updates, inside(|| total.backward()));
            });
            first_trace.get_or_insert(trace);
        }
        // After all groups: a node whose statistics change is no longer the one that was recorded.
        if let Some(mut trace) = first_trace {
            self.trainer.graph.absorb(&mut trace);
        }
        Ok(terms)
    }

    fn no_gradient(&self, group: &Group<'_>) -> TrainError {
        let names: Vec<&str> = group.objectives.iter().map(|o| o.name.as_str()).collect();
        TrainError::Objective {
            stage: self.stage.config.name.clone(),
            objective: names.join(" + "),
            problem: "no gradient flows from it to any trained node".to_owned(),
        }
    }

    /// The one look at losses on the device in a step.
    fn read(&self, terms: Terms, penalties: Vec<(String, f64)>, norm: f64) -> Figures {
        let (names, tensors): (Vec<String>, Vec<Tensor<1>>) = terms.into_iter().unzip();
        let values = Tensor::cat(tensors, 0).into_data();
        let weight = |name: &String| {
            let objective = self.stage.objectives.iter().find(|o| o.name == *name);
            objective.map_or(1.0, |objective| objective.weight)
        };
        let terms: BTreeMap<String, f64> = names
            .into_iter()
            .zip(values.iter::<f64>())
            .chain(penalties)
            .collect();
        Figures {
            loss: terms.iter().map(|(name, value)| weight(name) * value).sum(),
            norm,
            terms,
        }
    }

    fn update(&mut self, gradients: &mut GradientStore, norm: f64) {
        let config = &self.stage.config;
        let (step, steps) = (self.progress.step, self.progress.steps);
        let factor = config.schedule.factor(step, steps);
        // As `torch.nn.utils.clip_grad_norm_`.
        let clip = config
            .clip_norm
            .map_or(1.0, |largest| (largest / (norm + 1e-6)).min(1.0));
        let Self {
            optimiser,
            average,
            trainer,
            clock,
            ..
        } = self;
        timed(&mut clock.optimiser, || {
            inside(|| optimiser.step(&mut trainer.graph, gradients, factor, clip));
            if let Some(average) = average {
                average.update(&trainer.graph, step + 1, steps);
            }
        });
    }

    /// The error of a step whose numbers are not finite.
    fn diagnose(&self, batches: &[Prepared]) -> Result<TrainError, TrainError> {
        let replays: Vec<Replay<'_>> = batches
            .iter()
            .map(|prepared| Replay {
                columns: &prepared.columns,
                pass: &prepared.pass,
            })
            .collect();
        let culprit = diagnose::find(&self.trainer.graph, self.stage, &replays)?;
        Ok(TrainError::NotFinite(Box::new(NotFinite {
            stage: self.stage.config.name.clone(),
            step: self.progress.step + 1,
            global_step: self.trainer.state.global_step + 1,
            culprit,
        })))
    }
}

/// Adds terms of one batch to those of the batches before.
fn add_terms(sums: &mut Terms, terms: Terms) {
    if sums.is_empty() {
        *sums = terms;
        return;
    }
    // Every batch has the same terms in the same order.
    for ((_, sum), (_, term)) in sums.iter_mut().zip(terms) {
        *sum = sum.clone() + term;
    }
}
