//! The log a person reads (`log.txt`), and reading back the one a program reads.

use crate::error::CliError;
use crate::progress::{duration, scores_text};
use conjoin_insight::RunLog;
use conjoin_train::event::Level;
use conjoin_train::{Event, Listener};
use std::fs::File;
use std::io::{self, Write};
use std::path::Path;

/// Reads `metrics.jsonl`.
pub(crate) fn read(path: &Path) -> Result<RunLog, CliError> {
    RunLog::read(path).map_err(|error| CliError::failed(error.to_string()))
}

/// Appends what happened between the steps to `log.txt`.
#[derive(Debug)]
pub(crate) struct LogFile(File);

impl LogFile {
    pub fn open(path: &Path) -> io::Result<Self> {
        File::options()
            .create(true)
            .append(true)
            .open(path)
            .map(Self)
    }
}

impl Listener for LogFile {
    fn on(&mut self, event: &Event) -> io::Result<()> {
        let line = match event {
            Event::Started {
                name,
                seed,
                resumed_from,
                ..
            } => match resumed_from {
                Some(step) => format!("{name}, seed {seed}: resumed from step {step}"),
                None => format!("{name}, seed {seed}"),
            },
            Event::StageStarted { stage, steps, .. } => format!("stage {stage}: {steps} steps"),
            Event::Evaluated {
                stage,
                global_step,
                data,
                scores,
                ..
            } => format!(
                "{stage}, step {global_step}, {data}: {}",
                scores_text(scores)
            ),
            Event::StageFinished { stage, seconds, .. } => {
                format!("stage {stage} finished in {}", duration(*seconds))
            }
            Event::Message { level, text } => match level {
                Level::Info => text.clone(),
                Level::Warning => format!("warning: {text}"),
            },
            Event::Checkpoint { path, .. } => format!("checkpoint {path}"),
            Event::Gate {
                objective, passed, ..
            } => format!(
                "gate {objective}: {}",
                if *passed { "kept" } else { "lost" }
            ),
            Event::Finished { seconds, .. } => format!("finished in {}", duration(*seconds)),
            Event::Step { .. } | Event::Interface { .. } | Event::Timing { .. } => return Ok(()),
        };
        writeln!(self.0, "{line}")
    }
}
