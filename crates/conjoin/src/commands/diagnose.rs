//! `conjoin diagnose`: which part of a run is to blame.

use crate::cli::{DiagnoseArgs, Part};
use crate::diagnose::{Subject, gates, gradients};
use crate::error::CliError;
use crate::outcomes::with_likelihoods;
use crate::progress::Counter;
use crate::system::LoadedRun;
use crate::{output, report};
use conjoin_graph::NodeExtension;
use conjoin_insight::diagnosis::scores;
use conjoin_insight::{Bootstrap, Diagnosis};
use conjoin_train::TrainError;

/// Resamples of each interval: enough for two digits, with many changes at once.
const REPLICATES: usize = 2_000;

pub(crate) fn run(extensions: &[NodeExtension], arguments: &DiagnoseArgs) -> Result<(), CliError> {
    let parts: Vec<Part> = arguments.parts().collect();
    if parts.is_empty() {
        return Err(CliError::input(
            "--only and --skip leave no part to compute",
        ));
    }
    let loaded = LoadedRun::open(&arguments.run, extensions)?;
    let task = &loaded.checked.task;
    let data = arguments.data.as_deref().unwrap_or(task.data());
    let bootstrap = Bootstrap {
        replicates: REPLICATES,
        ..Bootstrap::default()
    };
    let counter = Counter::default();
    let tell = |text: &str| counter.tell(text);
    let subject = Subject {
        scorer: loaded.scorer(),
        ports: loaded.plan.score_ports(),
        loaded: &loaded,
        data,
        batches: arguments.batches as usize,
        bootstrap,
        metrics: task.metrics().iter().map(ToString::to_string).collect(),
        tell: &tell,
    };
    let interfaces = subject.interfaces(&arguments.interface)?;
    counter.tell("the system as it is");
    let scored = subject.score(&[])?;
    let base = with_likelihoods(&scored);
    let source = loaded.data.source(data).map_err(TrainError::from)?;
    for note in loaded.data.notes(data) {
        eprintln!("data {data}: {note}");
    }
    let mut diagnosis = Diagnosis {
        name: loaded.plan.name.clone(),
        run: arguments.run.run.display().to_string(),
        step: loaded.step,
        date: report::date(),
        command: arguments.command(),
        data: data.to_owned(),
        items: scored.items.len(),
        items_in_data: source.len(),
        level: bootstrap.level,
        replicates: bootstrap.replicates,
        scores: scores(&base, &subject.metrics, &bootstrap)
            .map_err(|error| CliError::failed(format!("data set {data}: {error}")))?,
        ..Diagnosis::default()
    };
    for part in parts {
        match part {
            Part::Oracle => diagnosis.oracle = Some(subject.oracle(&base, &interfaces)?),
            Part::Probe => {
                let seed = loaded.plan.seed;
                diagnosis.probes = Some(subject.probes(&base, &interfaces, seed)?);
            }
            Part::Gradients => {
                counter.tell("gradients");
                let batches = arguments.gradient_batches as usize;
                diagnosis.gradients = Some(gradients(&loaded, batches)?);
            }
            Part::Gates => {
                counter.tell("gates");
                diagnosis.gates = Some(gates(&loaded, subject.batches, &bootstrap)?);
            }
        }
    }
    counter.finish();
    let path = match &arguments.out {
        Some(path) => path.clone(),
        None => arguments.run.run.join("diagnose.html"),
    };
    std::fs::write(&path, diagnosis.html()).map_err(|error| CliError::unwritable(&path, &error))?;
    if arguments.json {
        return output::json(&diagnosis.json());
    }
    output::line(&format!("{}\npage: {}", diagnosis.text(), path.display()))
}
