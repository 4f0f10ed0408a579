//! What the loop asks of a task: scores beyond the objectives' losses.

use crate::plan::StagePlan;
use conjoin_graph::graph::Graph;
use std::collections::BTreeMap;

/// Scores a system as a whole, with its task's own metrics.
pub trait Scorer: Send {
    /// The data set that is scored after each stage.
    fn data(&self) -> &str;

    /// Scores by metric; empty where the stage gives nothing to score.
    ///
    /// `graph` is a copy for evaluation, without autodiff, with averaged weights where the stage
    /// averages. `stage` says which ports are scored (its `score` table). At most `batches` batches
    /// are read.
    ///
    /// # Errors
    /// Data cannot be read, or the graph cannot run.
    fn scores(
        &mut self,
        graph: &Graph,
        stage: &StagePlan,
        data: &str,
        batches: Option<usize>,
    ) -> Result<BTreeMap<String, f64>, Box<dyn std::error::Error + Send + Sync>>;

    /// Whether a larger value of a metric is a better one.
    fn larger_is_better(&self, metric: &str) -> bool;
}
