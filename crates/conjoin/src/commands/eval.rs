//! `conjoin eval`: scores of a run on a data set.

use crate::cli::EvalArgs;
use crate::error::CliError;
use crate::output;
use crate::progress::scores_text;
use crate::system::LoadedRun;
use conjoin_graph::NodeExtension;
use conjoin_tasks::TaskScorer;
use std::sync::Arc;

pub(crate) fn run(extensions: &[NodeExtension], arguments: &EvalArgs) -> Result<(), CliError> {
    let loaded = LoadedRun::open(&arguments.run, extensions)?;
    let task = loaded.checked.task.clone();
    let data = arguments
        .data
        .clone()
        .unwrap_or_else(|| task.data().to_owned());
    let mut scorer = TaskScorer::new(Arc::clone(&loaded.plan), task, loaded.device.clone());
    let none = std::collections::BTreeMap::new();
    let ports = loaded
        .plan
        .stages
        .last()
        .map_or(&none, |stage| &stage.config.score);
    let scored = scorer.score(&loaded.graph, ports, &data, arguments.batches)?;
    if arguments.json {
        return output::json(&serde_json::json!({
            "run": arguments.run.run,
            "step": loaded.step,
            "data": data,
            "items": scored.items.len(),
            "scores": scored.scores,
        }));
    }
    output::line(&format!(
        "{data}, step {}, {} items: {}",
        loaded.step,
        scored.items.len(),
        scores_text(&scored.scores)
    ))
}
