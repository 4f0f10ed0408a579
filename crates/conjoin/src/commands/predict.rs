//! `conjoin predict`: outputs for raw inputs, one line out for one line in.

use crate::cli::PredictArgs;
use crate::error::CliError;
use crate::output;
use crate::system::LoadedRun;
use conjoin_graph::NodeExtension;
use conjoin_tasks::{Prediction, TaskError, TaskScorer};
use std::io::BufRead;

/// Lines that are decoded together.
const CHUNK: usize = 256;

pub(crate) fn run(extensions: &[NodeExtension], arguments: &PredictArgs) -> Result<(), CliError> {
    let loaded = LoadedRun::open(&arguments.run, extensions)?;
    let scorer = loaded.scorer();
    let mut predictor = Predictor {
        loaded,
        scorer,
        json: arguments.json,
        failed: 0,
    };
    if arguments.inputs.is_empty() {
        predictor.standard_input()?;
    } else {
        for chunk in arguments.inputs.chunks(CHUNK) {
            predictor.chunk("arguments", chunk)?;
        }
    }
    match predictor.failed {
        0 => Ok(()),
        count => Err(CliError::input(format!(
            "inputs without an output: {count}"
        ))),
    }
}

struct Predictor {
    loaded: LoadedRun,
    scorer: TaskScorer,
    json: bool,
    failed: usize,
}

impl Predictor {
    /// Answers as soon as no more input is waiting, so that it works in a pipe and at a keyboard.
    fn standard_input(&mut self) -> Result<(), CliError> {
        let mut input = std::io::BufReader::new(std::io::stdin());
        let mut chunk = Vec::new();
        let mut line = Vec::new();
        loop {
            line.clear();
            let read = input
                .read_until(b'\n', &mut line)
                .map_err(|error| CliError::failed(format!("standard input: {error}")))?;
            if read > 0 {
                let text = String::from_utf8_lossy(&line);
                chunk.push(text.trim_end_matches(['\n', '\r']).to_owned());
            }
            if chunk.len() >= CHUNK || input.buffer().is_empty() || read == 0 {
                self.chunk("standard input", &chunk)?;
                chunk.clear();
            }
            if read == 0 {
                return Ok(());
            }
        }
    }

    /// Prints a line for every input. One that cannot be read is named on standard error and gets
    /// a line without output, so that lines stay aligned.
    fn chunk(&mut self, place: &str, inputs: &[String]) -> Result<(), CliError> {
        let mut lines: Vec<Option<Prediction>> = vec![None; inputs.len()];
        let filled: Vec<usize> = (0..inputs.len())
            .filter(|&i| !inputs[i].trim().is_empty())
            .collect();
        let pick = |rows: &[usize]| rows.iter().map(|&i| inputs[i].clone()).collect::<Vec<_>>();
        match self.predict(place, pick(&filled)) {
            Ok(found) => {
                for (row, prediction) in filled.into_iter().zip(found) {
                    lines[row] = Some(prediction);
                }
            }
            Err(TaskError::Data(_)) => {
                for row in filled {
                    match self.predict(place, pick(&[row])) {
                        Ok(found) => lines[row] = found.into_iter().next(),
                        Err(TaskError::Data(error)) => {
                            self.failed += 1;
                            eprintln!("error: {error}");
                        }
                        Err(other) => return Err(other.into()),
                    }
                }
            }
            Err(other) => return Err(other.into()),
        }
        for (input, prediction) in inputs.iter().zip(lines) {
            match prediction {
                Some(prediction) if self.json => {
                    let text = serde_json::to_string(&prediction)
                        .map_err(|error| CliError::failed(error.to_string()))?;
                    output::line(&text)?;
                }
                Some(prediction) => output::line(&prediction.to_string())?,
                None if self.json => {
                    output::line(&serde_json::json!({ "input": input }).to_string())?;
                }
                None => output::line(&format!("{input}\t"))?,
            }
        }
        Ok(())
    }

    fn predict(&mut self, place: &str, inputs: Vec<String>) -> Result<Vec<Prediction>, TaskError> {
        let data = self.scorer.task().data().to_owned();
        let plan = &self.loaded.plan;
        let config = plan
            .data
            .get(&data)
            .ok_or_else(|| TaskError::DataSet(data.clone()))?;
        let source = config.config.source.raw(place, inputs)?;
        self.scorer.predict(
            &self.loaded.graph,
            &plan.score_ports(),
            &data,
            source.into(),
        )
    }
}
