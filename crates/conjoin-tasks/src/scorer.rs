//! Runs a task over a data set or over raw inputs: opens data, finds routes, moves batches.

use crate::driving::{self, OnPolicyConfig, Pilot};
use crate::error::TaskError;
use crate::interfaces::{Change, Changed};
use crate::score_run::{Batches, ScoreRun, route_to};
use crate::scored::{Prediction, Scored};
use crate::{MetricKind, TaskConfig};
use burn::tensor::Device;
use conjoin_data::{DataError, Loader, Source};
use conjoin_graph::{Graph, PortRef};
use conjoin_train::data::spread_batches;
use conjoin_train::scorer::Scorer;
use conjoin_train::{DataPlan, DataSets, Plan, StagePlan};
use conjoin_world::driving::recording::Recorded;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Scores graphs of one plan on its data sets.
#[derive(Debug)]
pub struct TaskScorer {
    plan: Arc<Plan>,
    task: TaskConfig,
    device: Device,
    data: Arc<DataSets>,
    last: LastScored,
}

/// The latest complete scoring of the task's own data set by a scorer: after a run, that of its
/// final weights.
#[derive(Debug, Clone, Default)]
pub struct LastScored(Arc<Mutex<Option<Scored>>>);

impl LastScored {
    pub fn take(&self) -> Option<Scored> {
        self.lock().take()
    }

    fn lock(&self) -> MutexGuard<'_, Option<Scored>> {
        // A panic elsewhere cannot leave it half written.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl TaskScorer {
    /// `device` is where evaluation copies of the graph live: without autodiff.
    pub fn new(plan: Arc<Plan>, task: TaskConfig, device: Device, data: Arc<DataSets>) -> Self {
        Self {
            plan,
            task,
            device,
            data,
            last: LastScored::default(),
        }
    }

    pub fn task(&self) -> &TaskConfig {
        &self.task
    }

    /// What a person should know of how a scored data set was read; once for each.
    pub fn notes(&self, data: &str) -> Vec<String> {
        self.data.notes(data)
    }

    /// A handle that outlives the scorer.
    pub fn last(&self) -> LastScored {
        self.last.clone()
    }

    /// Scores an evaluation copy of the graph. `ports` replaces ports of the task, as a stage's
    /// `score` table does; `batches` limits how much of the data set is read.
    pub fn score(
        &self,
        graph: &Graph,
        ports: &BTreeMap<String, PortRef>,
        data: &str,
        batches: Option<usize>,
    ) -> Result<Scored, TaskError> {
        let loader = self.loader(data)?;
        let limit = batches;
        let batches = loader.epoch(0, 0).take(batches.unwrap_or(usize::MAX));
        let limited: Batches<'_> = Box::new(batches);
        self.score_batches(graph, ports, data, (limited, limit), &[])
    }

    /// As [`TaskScorer::score`], with some interfaces carrying something else; `batches` are spread
    /// over the data set.
    pub fn score_changed(
        &self,
        graph: &Graph,
        ports: &BTreeMap<String, PortRef>,
        data: &str,
        batches: usize,
        changes: &[Change<'_>],
    ) -> Result<Scored, TaskError> {
        let loader = self.loader(data)?;
        let limited = (spread_batches(&loader, batches), Some(batches));
        self.score_batches(graph, ports, data, limited, changes)
    }

    /// The batches of a data set in its own order.
    fn loader(&self, data: &str) -> Result<Loader, TaskError> {
        let source = self.data.source(data)?;
        Ok(in_order(self.data_set(data)?, source)?)
    }

    fn score_batches(
        &self,
        graph: &Graph,
        ports: &BTreeMap<String, PortRef>,
        data: &str,
        (batches, limit): (Batches<'_>, Option<usize>),
        changes: &[Change<'_>],
    ) -> Result<Scored, TaskError> {
        let source = self.data.source(data)?;
        let changed = Changed::new(&self.plan, graph, changes)?;
        let mut run = self.pass(&changed.graph, data, source.as_ref(), batches)?;
        (run.nodes, run.wiring) = (&changed.nodes, &changed.wiring);
        run.true_prefix = changed.true_prefix;
        run.limit = limit;
        match &self.task.with_ports(ports) {
            TaskConfig::Classification(config) => config.score(&mut run),
            TaskConfig::Transduction(config) => config.score(&mut run),
            TaskConfig::Driving(config) => config.score(&mut run),
        }
    }

    /// Outputs for samples from elsewhere, in their order; `data` is the data set whose transforms
    /// and batching they go through.
    pub fn predict(
        &self,
        graph: &Graph,
        ports: &BTreeMap<String, PortRef>,
        data: &str,
        source: Arc<dyn Source>,
    ) -> Result<Vec<Prediction>, TaskError> {
        if source.is_empty() {
            return Ok(Vec::new());
        }
        let loader = in_order(self.data_set(data)?, source.clone())?;
        let batches = Box::new(loader.epoch(0, 0));
        let mut run = self.pass(graph, data, source.as_ref(), batches)?;
        let mut found = match &self.task.with_ports(ports) {
            TaskConfig::Classification(config) => config.predict(&mut run)?,
            TaskConfig::Transduction(config) => config.predict(&mut run)?,
            TaskConfig::Driving(_) => return Err(TaskError::NoSamples),
        };
        found.sort_by_key(|(index, _)| *index);
        Ok(found
            .into_iter()
            .map(|(_, prediction)| prediction)
            .collect())
    }

    /// What plans for moments of a drive that are told one after the other; none where the task is not
    /// driving. `ports` replaces ports of the task, as a stage's `score` table does.
    ///
    /// # Errors
    /// The task's data set is no recording of the driving world, or has not what the route reads.
    pub fn pilot(&self, ports: &BTreeMap<String, PortRef>) -> Result<Option<Pilot>, TaskError> {
        let TaskConfig::Driving(config) = self.task.with_ports(ports) else {
            return Ok(None);
        };
        let (plan, data) = (&self.plan, self.data_set(&config.data)?);
        let route = route_to(&plan.nodes, &plan.wiring, &data.columns, &config.wanted())?;
        Pilot::new(&config, &data.config, route, &self.device).map(Some)
    }

    /// Lets the system drive, and records what it sees with what the expert would do; `stop` ends it
    /// behind the episodes that are whole. `told` hears of every episode.
    ///
    /// # Errors
    /// The task is not driving, an option is out of range, or the recording cannot be written.
    pub fn record(
        &self,
        graph: &Graph,
        ports: &BTreeMap<String, PortRef>,
        options: &OnPolicyConfig,
        out: &Path,
        stop: &AtomicBool,
        told: &mut dyn FnMut(&Recorded),
    ) -> Result<Recorded, TaskError> {
        let TaskConfig::Driving(config) = self.task.with_ports(ports) else {
            return Err(TaskError::NoDriver(self.task.kind()));
        };
        let source = self.data.source(&config.data)?;
        let none = Box::new(std::iter::empty());
        let run = self.pass(graph, &config.data, source.as_ref(), none)?;
        driving::record(&config, &run, options, out, stop, told)
    }

    fn data_set(&self, name: &str) -> Result<&DataPlan, TaskError> {
        let found = self.plan.data.get(name);
        found.ok_or_else(|| TaskError::DataSet(name.to_owned()))
    }

    fn pass<'a>(
        &'a self,
        graph: &'a Graph,
        data: &str,
        source: &'a dyn Source,
        batches: Batches<'a>,
    ) -> Result<ScoreRun<'a>, TaskError> {
        Ok(ScoreRun {
            graph,
            nodes: &self.plan.nodes,
            wiring: &self.plan.wiring,
            true_prefix: false,
            limit: None,
            data: self.data_set(data)?,
            columns: &self.data_set(data)?.columns,
            source,
            device: &self.device,
            batches,
        })
    }
}

/// A loader that yields every sample once, in the source's order.
fn in_order(data: &DataPlan, source: Arc<dyn Source>) -> Result<Loader, DataError> {
    let mut config = data.config.clone();
    config.loader.shuffle = false;
    config.loader.drop_last = false;
    config.loader(source, 0)
}

impl Scorer for TaskScorer {
    fn data(&self) -> &str {
        self.task.data()
    }

    fn scores(
        &mut self,
        graph: &Graph,
        stage: &StagePlan,
        data: &str,
        batches: Option<usize>,
    ) -> Result<BTreeMap<String, f64>, Box<dyn std::error::Error + Send + Sync>> {
        let scored = self.score(graph, &stage.config.score, data, batches)?;
        let scores = scored.scores.clone();
        if data == self.task.data() && batches.is_none() {
            *self.last.lock() = Some(scored);
        }
        Ok(scores)
    }

    fn larger_is_better(&self, metric: &str) -> bool {
        MetricKind::of(metric).higher_is_better
    }
}
