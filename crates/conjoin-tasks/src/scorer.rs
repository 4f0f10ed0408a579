//! Runs a task over a data set or over raw inputs: opens data, finds routes, moves batches.

use crate::TaskConfig;
use crate::decode::DecodeError;
use crate::scored::{Prediction, Scored};
use crate::transduction::symbols;
use burn::tensor::Device;
use conjoin_data::{Contract, DataError, DataSetConfig, Loader, Meaning, Source, Vocabulary};
use conjoin_graph::graph::{GraphError, Keep};
use conjoin_graph::{Graph, Pass, PortRef, Route, Value, ValueError};
use conjoin_train::scorer::Scorer;
use conjoin_train::{Plan, StagePlan};
use std::collections::BTreeMap;
use std::sync::Arc;

/// A failure while scoring or predicting.
#[derive(Debug, thiserror::Error)]
pub enum TaskError {
    #[error(transparent)]
    Data(#[from] DataError),
    #[error(transparent)]
    Graph(#[from] GraphError),
    #[error(transparent)]
    Decode(#[from] DecodeError),
    #[error("{0}")]
    Value(#[from] ValueError),
    #[error("there is no data set {0:?} in the recipe")]
    DataSet(String),
    #[error("the data set has no column {0:?}, which the task reads")]
    Column(String),
    #[error("column {0:?} has no vocabulary")]
    Vocabulary(String),
    #[error("vocabulary {vocabulary:?} has no symbol {symbol}, which decoding needs")]
    Symbol {
        vocabulary: String,
        symbol: &'static str,
    },
}

impl TaskError {
    /// Whether the user's input is at fault rather than the machine or the program.
    pub fn is_users(&self) -> bool {
        matches!(
            self,
            Self::Data(_)
                | Self::DataSet(_)
                | Self::Column(_)
                | Self::Vocabulary(_)
                | Self::Symbol { .. }
        )
    }

    pub(crate) fn column(name: &str) -> Self {
        Self::Column(name.to_owned())
    }
}

/// Scores graphs of one plan; data sets are opened once.
#[derive(Debug)]
pub struct TaskScorer {
    plan: Arc<Plan>,
    task: TaskConfig,
    device: Device,
    sources: BTreeMap<String, Arc<dyn Source>>,
}

impl TaskScorer {
    /// `device` is where evaluation copies of the graph live: without autodiff.
    pub fn new(plan: Arc<Plan>, task: TaskConfig, device: Device) -> Self {
        Self {
            plan,
            task,
            device,
            sources: BTreeMap::new(),
        }
    }

    pub fn task(&self) -> &TaskConfig {
        &self.task
    }

    /// Scores an evaluation copy of the graph. `ports` replaces ports of the task, as a stage's
    /// `score` table does; `batches` limits how much of the data set is read.
    pub fn score(
        &mut self,
        graph: &Graph,
        ports: &BTreeMap<String, PortRef>,
        data: &str,
        batches: Option<usize>,
    ) -> Result<Scored, TaskError> {
        let task = self.task.with_ports(ports);
        let source = self.source(data)?;
        let data_plan = self
            .plan
            .data
            .get(data)
            .ok_or_else(|| TaskError::DataSet(data.to_owned()))?;
        let loader = in_order(&data_plan.config, source.clone())?;
        let batches = loader.epoch(0, 0).take(batches.unwrap_or(usize::MAX));
        let mut run = ScoreRun {
            graph,
            plan: &self.plan,
            columns: &data_plan.columns,
            source: source.as_ref(),
            device: &self.device,
            batches: Box::new(batches),
        };
        task.run(&mut run)
    }

    /// Outputs for samples from elsewhere, in their order; `data` is the data set whose transforms
    /// and batching they go through.
    pub fn predict(
        &mut self,
        graph: &Graph,
        ports: &BTreeMap<String, PortRef>,
        data: &str,
        source: Arc<dyn Source>,
    ) -> Result<Vec<Prediction>, TaskError> {
        if source.is_empty() {
            return Ok(Vec::new());
        }
        let task = self.task.with_ports(ports);
        let data_plan = self
            .plan
            .data
            .get(data)
            .ok_or_else(|| TaskError::DataSet(data.to_owned()))?;
        let loader = in_order(&data_plan.config, source.clone())?;
        let mut run = ScoreRun {
            graph,
            plan: &self.plan,
            columns: &data_plan.columns,
            source: source.as_ref(),
            device: &self.device,
            batches: Box::new(loader.epoch(0, 0)),
        };
        let mut found = match &task {
            TaskConfig::Classification(config) => config.predict(&mut run)?,
            TaskConfig::Transduction(config) => config.predict(&mut run)?,
        };
        found.sort_by_key(|(index, _)| *index);
        Ok(found
            .into_iter()
            .map(|(_, prediction)| prediction)
            .collect())
    }

    /// The opened source of a data set.
    pub fn source(&mut self, data: &str) -> Result<Arc<dyn Source>, TaskError> {
        if let Some(source) = self.sources.get(data) {
            return Ok(source.clone());
        }
        let source = self.plan.open_source(data)?;
        self.sources.insert(data.to_owned(), source.clone());
        Ok(source)
    }
}

/// A loader that yields every sample once, in the source's order.
fn in_order(config: &DataSetConfig, source: Arc<dyn Source>) -> Result<Loader, DataError> {
    let mut config = config.clone();
    config.loader.shuffle = false;
    config.loader.drop_last = false;
    config.loader(source, 0)
}

impl TaskConfig {
    fn run(&self, run: &mut ScoreRun<'_>) -> Result<Scored, TaskError> {
        match self {
            Self::Classification(config) => config.score(run),
            Self::Transduction(config) => config.score(run),
        }
    }
}

/// A batch on the device.
#[derive(Debug)]
pub(crate) struct TaskBatch {
    pub values: BTreeMap<String, Value>,
    pub indices: Vec<usize>,
}

/// One pass of a task over data.
pub(crate) struct ScoreRun<'a> {
    pub graph: &'a Graph,
    plan: &'a Plan,
    columns: &'a BTreeMap<String, Contract>,
    source: &'a dyn Source,
    pub device: &'a Device,
    batches: Box<dyn Iterator<Item = Result<conjoin_data::Batch, DataError>> + 'a>,
}

impl ScoreRun<'_> {
    /// The next batch on the device.
    pub fn next_batch(&mut self) -> Result<Option<TaskBatch>, TaskError> {
        let Some(batch) = self.batches.next() else {
            return Ok(None);
        };
        let batch = batch?;
        let values = batch
            .columns
            .iter()
            .map(|(name, column)| Ok((name.clone(), Value::from_column(column, self.device)?)))
            .collect::<Result<_, ValueError>>()?;
        Ok(Some(TaskBatch {
            values,
            indices: batch.indices,
        }))
    }

    /// The route of the joined graph to these ports.
    pub fn route(&self, wanted: &[PortRef]) -> Result<Route, TaskError> {
        let resolution = conjoin_graph::spec::resolve(
            &self.plan.nodes,
            &self.plan.wiring,
            self.columns,
            Some(wanted),
        );
        for port in wanted {
            if resolution.contract(port, self.columns).is_none() {
                return Err(GraphError::MissingPort(port.to_string()).into());
            }
        }
        Ok(Route::new(&self.plan.nodes, &self.plan.wiring, &resolution))
    }

    /// The value of one port for a batch.
    pub fn forward(
        &self,
        route: &Route,
        batch: &TaskBatch,
        port: &PortRef,
    ) -> Result<Value, TaskError> {
        let pass = Pass {
            keep: Keep::Only([port.clone()].into()),
            ..Pass::default()
        };
        let trace = self.graph.forward(route, &batch.values, &pass)?;
        Ok(trace.get(port)?.clone())
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

    /// All right answers for a row: the source's, else the target column without special symbols.
    pub fn references(
        &self,
        batch: &TaskBatch,
        row: usize,
        target: &str,
        vocabulary: &Vocabulary,
    ) -> Vec<Vec<i64>> {
        let known = self.source.references(batch.indices[row]);
        if !known.is_empty() {
            return known;
        }
        let Some(value) = batch.values.get(target) else {
            return Vec::new();
        };
        let tokens = row_tokens(value, row);
        vec![
            tokens
                .into_iter()
                .filter(|&token| !vocabulary.is_special(token))
                .collect(),
        ]
    }

    /// The symbols of the token column that the route reads besides the produced one.
    pub fn source_symbols(
        &self,
        route: &Route,
        batch: &TaskBatch,
        row: usize,
        produced: &str,
    ) -> Vec<String> {
        let column = route.columns().into_iter().find(|&name| {
            let meaning = self.columns.get(name).map(|contract| contract.meaning);
            name != produced && meaning == Some(Meaning::Tokens)
        });
        let Some(column) = column else {
            return Vec::new();
        };
        match (self.vocabulary(column), batch.values.get(column)) {
            (Ok(vocabulary), Some(value)) => symbols(&vocabulary, &row_tokens(value, row)),
            _ => Vec::new(),
        }
    }
}

/// The valid tokens of one row of a `[B, T]` value.
fn row_tokens(value: &Value, row: usize) -> Vec<i64> {
    let width = value.shape().get(1).copied().unwrap_or(1);
    let length = value.row_lengths().get(row).copied().unwrap_or(width);
    let tokens = value.to_i64();
    tokens[row * width..row * width + length.min(width)].to_vec()
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
        Ok(scored.scores)
    }

    fn larger_is_better(&self, metric: &str) -> bool {
        metric == "accuracy"
    }
}
