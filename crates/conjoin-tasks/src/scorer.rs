//! Runs a task over a data set or over raw inputs: opens data, finds routes, moves batches.

use crate::error::TaskError;
use crate::interfaces::{Change, Changed};
use crate::scored::{Prediction, Scored};
use crate::transduction::symbols;
use crate::{MetricKind, TaskConfig};
use burn::tensor::Device;
use conjoin_data::{Contract, DataError, Loader, Meaning, Source, Vocabulary};
use conjoin_graph::graph::{GraphError, Keep, Trace};
use conjoin_graph::{Graph, NodeSpec, Pass, PortRef, Route, Value, ValueError, Wiring};
use conjoin_train::data::spread_batches;
use conjoin_train::scorer::Scorer;
use conjoin_train::{DataPlan, DataSets, Plan, StagePlan};
use std::collections::BTreeMap;
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
            TaskConfig::Driving(_) => return Err(TaskError::NoInputs),
        };
        found.sort_by_key(|(index, _)| *index);
        Ok(found
            .into_iter()
            .map(|(_, prediction)| prediction)
            .collect())
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

type Batches<'a> = Box<dyn Iterator<Item = Result<conjoin_data::Batch, DataError>> + 'a>;

/// A batch on the device.
#[derive(Debug)]
pub(crate) struct TaskBatch {
    pub values: BTreeMap<String, Value>,
    pub indices: Vec<usize>,
}

impl TaskBatch {
    pub fn new(batch: conjoin_data::Batch, device: &Device) -> Result<Self, ValueError> {
        let columns = batch.columns.iter();
        let values = columns
            .map(|(name, column)| Ok((name.clone(), Value::from_column(column, device)?)))
            .collect::<Result<_, ValueError>>()?;
        Ok(Self {
            values,
            indices: batch.indices,
        })
    }
}

/// One pass of a task over data.
pub(crate) struct ScoreRun<'a> {
    pub graph: &'a Graph,
    nodes: &'a [NodeSpec],
    wiring: &'a Wiring,
    /// Outputs are what is said behind true tokens, position by position, and not behind the
    /// system's own.
    pub true_prefix: bool,
    /// At most so many batches are scored, or what counts as much.
    pub limit: Option<usize>,
    pub data: &'a DataPlan,
    columns: &'a BTreeMap<String, Contract>,
    source: &'a dyn Source,
    pub device: &'a Device,
    batches: Batches<'a>,
}

impl ScoreRun<'_> {
    /// The next batch on the device.
    pub fn next_batch(&mut self) -> Result<Option<TaskBatch>, TaskError> {
        let Some(batch) = self.batches.next() else {
            return Ok(None);
        };
        Ok(Some(TaskBatch::new(batch?, self.device)?))
    }

    /// The route of the joined graph to these ports.
    pub fn route(&self, wanted: &[PortRef]) -> Result<Route, TaskError> {
        let resolution =
            conjoin_graph::spec::resolve(self.nodes, self.wiring, self.columns, Some(wanted));
        for port in wanted {
            if resolution.contract(port, self.columns).is_none() {
                return Err(GraphError::MissingPort(port.to_string()).into());
            }
        }
        Ok(Route::new(self.nodes, self.wiring, &resolution))
    }

    /// The value of one port for a batch.
    pub fn forward(
        &self,
        route: &Route,
        batch: &TaskBatch,
        port: &PortRef,
    ) -> Result<Value, TaskError> {
        let trace = self.trace(route, batch, std::slice::from_ref(port))?;
        Ok(trace.get(port)?.clone())
    }

    /// The values of some ports for a batch.
    pub fn trace(
        &self,
        route: &Route,
        batch: &TaskBatch,
        ports: &[PortRef],
    ) -> Result<Trace, TaskError> {
        let pass = Pass {
            keep: Keep::Only(ports.iter().cloned().collect()),
            ..Pass::default()
        };
        Ok(self.graph.forward(route, &batch.values, &pass)?)
    }

    /// The name of the column that a task's port names.
    pub fn column(&self, port: &PortRef) -> Result<String, TaskError> {
        if port.is_data() && self.columns.contains_key(&port.port) {
            Ok(port.port.clone())
        } else {
            Err(TaskError::Column(port.to_string()))
        }
    }

    pub fn vocabulary(&self, column: &str) -> Result<Arc<Vocabulary>, TaskError> {
        self.columns
            .get(column)
            .and_then(|contract| contract.vocabulary.clone())
            .ok_or_else(|| TaskError::Vocabulary(column.to_owned()))
    }

    pub fn key(&self, index: usize) -> String {
        self.source.key(index).into_owned()
    }

    /// The text of tokens of a column, where they are pieces of text.
    pub fn detokenise(&self, column: &str, tokens: &[i64]) -> Option<String> {
        self.source.detokenise(column, tokens)
    }

    /// All right answers for a sample as text.
    pub fn reference_texts(&self, index: usize) -> Vec<String> {
        self.source.reference_texts(index)
    }

    /// All right answers for each row: the source's, else the target column without special
    /// symbols.
    pub fn references(
        &self,
        batch: &TaskBatch,
        target: &str,
        vocabulary: &Vocabulary,
    ) -> Vec<Vec<Vec<i64>>> {
        let mut known: Vec<Vec<Vec<i64>>> = batch
            .indices
            .iter()
            .map(|&index| self.source.references(index))
            .collect();
        if known.iter().all(|references| !references.is_empty()) {
            return known;
        }
        let told = batch.values.get(target).map(token_rows).unwrap_or_default();
        for (references, mut tokens) in known.iter_mut().zip(told) {
            if references.is_empty() {
                tokens.retain(|&token| !vocabulary.is_special(token));
                references.push(tokens);
            }
        }
        known
    }

    /// The symbols, row by row, of the token column that the route reads besides the produced one;
    /// empty where there is none.
    pub fn source_symbols(
        &self,
        route: &Route,
        batch: &TaskBatch,
        produced: &str,
    ) -> Vec<Vec<String>> {
        let column = route.columns().into_iter().find(|&name| {
            let meaning = self.columns.get(name).map(|contract| contract.meaning);
            name != produced && meaning == Some(Meaning::Tokens)
        });
        let none = || vec![Vec::new(); batch.indices.len()];
        let Some(column) = column else {
            return none();
        };
        match (self.vocabulary(column), batch.values.get(column)) {
            (Ok(vocabulary), Some(value)) => token_rows(value)
                .iter()
                .map(|tokens| symbols(&vocabulary, tokens))
                .collect(),
            _ => none(),
        }
    }
}

/// The valid tokens of each row of a `[B, T]` value.
pub(crate) fn token_rows(value: &Value) -> Vec<Vec<i64>> {
    let width = value.shape().get(1).copied().unwrap_or(1).max(1);
    let lengths = value.row_lengths();
    let tokens = value.to_i64();
    tokens
        .chunks(width)
        .enumerate()
        .map(|(row, tokens)| {
            let length = lengths.get(row).copied().unwrap_or(width);
            tokens[..length.min(width)].to_vec()
        })
        .collect()
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
