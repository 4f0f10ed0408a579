//! `conjoin eval`: scores of a run on a data set.

use crate::cli::EvalArgs;
use crate::error::CliError;
use crate::output;
use crate::progress::scores_text;
use crate::system::LoadedRun;
use conjoin_graph::NodeExtension;
use conjoin_tasks::Printed;
use std::collections::BTreeMap;

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
        let mut told = serde_json::json!({
            "run": arguments.run.run,
            "step": loaded.step,
            "data": data,
            "items": scored.items.len(),
            "scores": scored.scores,
        });
        if !scored.printed.is_empty() {
            let by_metric = |of: fn(&Printed) -> &String| -> BTreeMap<&str, &String> {
                scored.printed.iter().map(|p| (p.metric, of(p))).collect()
            };
            told["signatures"] = serde_json::json!(by_metric(|printed| &printed.signature));
            told["printed"] = serde_json::json!(by_metric(|printed| &printed.line));
        }
        return output::json(&told);
    }
    let scores = format!(
        "{data}, step {}, {} items: {}",
        loaded.step,
        scored.items.len(),
        scores_text(&scored.scores)
    );
    let printed = scored.printed.iter().map(|printed| printed.line.as_str());
    let lines: Vec<&str> = std::iter::once(scores.as_str()).chain(printed).collect();
    output::line(&lines.join("\n"))
}
