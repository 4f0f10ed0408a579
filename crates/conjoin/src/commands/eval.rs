//! `conjoin eval`: scores of a run on a data set.

use crate::cli::EvalArgs;
use crate::error::CliError;
use crate::output;
use crate::progress::scores_text;
use crate::system::LoadedRun;
use conjoin_graph::NodeExtension;

pub(crate) fn run(extensions: &[NodeExtension], arguments: &EvalArgs) -> Result<(), CliError> {
    let loaded = LoadedRun::open(&arguments.run, extensions)?;
    let data = arguments
        .data
        .clone()
        .unwrap_or_else(|| loaded.checked.task.data().to_owned());
    let scorer = loaded.scorer();
    let ports = loaded.plan.score_ports();
    let scored = scorer.score(&loaded.graph, &ports, &data, arguments.batches)?;
    for note in scorer.notes(&data) {
        eprintln!("data {data}: {note}");
    }
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
