//! `conjoin predict`: outputs for raw inputs, one line out for one line in.

use crate::cli::PredictArgs;
use crate::error::CliError;
use crate::lines::{Line, Lines};
use crate::system::LoadedRun;
use crate::{output, report};
use conjoin_graph::NodeExtension;
use conjoin_tasks::{Prediction, TaskConfig, TaskError, TaskScorer};
use std::path::{Path, PathBuf};

/// Inputs that are decoded together.
const TOGETHER: usize = 256;

/// Bytes of inputs that are decoded together, each as long as the longest: a long one must not make
/// many short ones as expensive as itself.
const PADDED: usize = 1 << 16;

pub(crate) fn run(extensions: &[NodeExtension], arguments: &PredictArgs) -> Result<(), CliError> {
    let loaded = LoadedRun::open(&arguments.run, extensions)?;
    let scorer = loaded.scorer();
    let count = arguments.n_best.map(usize::from);
    check(scorer.task(), count, arguments.explain.as_deref())?;
    let mut predictor = Predictor {
        loaded,
        scorer,
        json: arguments.json,
        count,
        explain: arguments.explain.clone(),
        longest: arguments.longest,
        number: 0,
        failed: 0,
    };
    if arguments.inputs.is_empty() {
        let mut lines = Lines::new(std::io::BufReader::new(std::io::stdin()), arguments.longest);
        while let Some(waiting) = lines.waiting(TOGETHER)? {
            predictor.answer("standard input", &waiting)?;
        }
    } else {
        let inputs = arguments.inputs.iter();
        let inputs: Vec<Line> = inputs
            .map(|input| Line::new(input, arguments.longest))
            .collect();
        predictor.answer("arguments", &inputs)?;
    }
    match predictor.failed {
        0 => Ok(()),
        count => Err(CliError::input(format!(
            "inputs without an output: {count}"
        ))),
    }
}

/// What is asked for must be there before anything is read.
fn check(task: &TaskConfig, count: Option<usize>, explain: Option<&Path>) -> Result<(), CliError> {
    let most = task.outputs_an_input();
    if let (Some(count), Some(most)) = (count, most)
        && count > most
    {
        return Err(CliError::input(format!(
            "--n-best {count}: the task gives {most} for an input; --set task.beam={count} looks for \
             more, or task.search.sampling.samples={count} draws them"
        )));
    }
    let Some(dir) = explain else {
        return Ok(());
    };
    if !task.ports().contains_key("alignment") {
        return Err(CliError::input(
            "--explain: expected a task with \"alignment\", the attention weights that are drawn",
        ));
    }
    std::fs::create_dir_all(dir).map_err(|error| CliError::unwritable(dir, &error))
}

struct Predictor {
    loaded: LoadedRun,
    scorer: TaskScorer,
    json: bool,
    /// Outputs an input; in text 1 and in JSON all where it is not said.
    count: Option<usize>,
    explain: Option<PathBuf>,
    longest: usize,
    /// Inputs so far.
    number: usize,
    failed: usize,
}

impl Predictor {
    /// Prints a line for every input, in parts that fit into memory.
    fn answer(&mut self, place: &str, inputs: &[Line]) -> Result<(), CliError> {
        let mut rest = inputs;
        while !rest.is_empty() {
            let mut longest = 0;
            let fits = |(index, line): &(usize, &Line)| {
                longest = longest.max(line.text.len());
                *index == 0 || (*index < TOGETHER && longest * (index + 1) <= PADDED)
            };
            let count = rest.iter().enumerate().take_while(fits).count();
            let (part, others) = rest.split_at(count);
            self.part(place, part)?;
            rest = others;
        }
        Ok(())
    }

    /// Prints a line for every input. One that cannot be read is named on standard error and gets
    /// a line without output, so that lines stay aligned.
    fn part(&mut self, place: &str, inputs: &[Line]) -> Result<(), CliError> {
        let mut found: Vec<Option<Prediction>> = vec![None; inputs.len()];
        let mut filled = Vec::with_capacity(inputs.len());
        for (row, input) in inputs.iter().enumerate() {
            if input.cut > 0 {
                let number = self.number + row + 1;
                self.refuse(&format!(
                    "{place}, input {number}: expected at most {} bytes (--longest), found {}",
                    self.longest,
                    input.text.len() + input.cut
                ));
            } else if !input.text.trim().is_empty() {
                filled.push(row);
            }
        }
        self.fill(place, inputs, &filled, &mut found)?;
        for (input, prediction) in inputs.iter().zip(found) {
            self.number += 1;
            self.print(input, prediction)?;
        }
        Ok(())
    }

    /// Decodes some rows together or, where one of them is at fault, by halves, until it is alone.
    fn fill(
        &mut self,
        place: &str,
        inputs: &[Line],
        rows: &[usize],
        found: &mut [Option<Prediction>],
    ) -> Result<(), CliError> {
        if rows.is_empty() {
            return Ok(());
        }
        let texts = rows.iter().map(|&row| inputs[row].text.clone()).collect();
        match self.predict(place, texts) {
            Ok(predictions) => {
                for (&row, prediction) in rows.iter().zip(predictions) {
                    found[row] = Some(prediction);
                }
                Ok(())
            }
            Err(error) if error.is_an_inputs() && rows.len() > 1 => {
                let (first, second) = rows.split_at(rows.len() / 2);
                self.fill(place, inputs, first, found)?;
                self.fill(place, inputs, second, found)
            }
            Err(error) if error.is_an_inputs() => {
                let number = self.number + rows[0] + 1;
                self.refuse(&format!("{place}, input {number}: {error}"));
                Ok(())
            }
            Err(other) => Err(other.into()),
        }
    }

    fn refuse(&mut self, why: &str) {
        self.failed += 1;
        eprintln!("error: {why}");
    }

    fn print(&self, input: &Line, prediction: Option<Prediction>) -> Result<(), CliError> {
        let Some(mut prediction) = prediction else {
            return if self.json {
                output::line(&serde_json::json!({ "input": input.text }).to_string())
            } else {
                output::line(&format!("{}\t", input.text))
            };
        };
        if let Some(dir) = &self.explain {
            draw(dir, self.number, &prediction)?;
        }
        if !self.json {
            return output::line(&prediction.line(self.count.unwrap_or(1)));
        }
        prediction.truncate(self.count.unwrap_or(usize::MAX));
        let text = serde_json::to_string(&prediction)
            .map_err(|error| CliError::failed(error.to_string()))?;
        output::line(&text)
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

/// Draws the best output's attention as `DIR/NUMBER.svg`, numbered as the inputs are.
fn draw(dir: &Path, number: usize, prediction: &Prediction) -> Result<(), CliError> {
    let Prediction::Sequence {
        input,
        hypotheses,
        source,
    } = prediction
    else {
        return Ok(());
    };
    let Some(best) = hypotheses.first() else {
        return Ok(());
    };
    let map = report::attention_map(input, source, &best.output, &best.alignment);
    let Some(picture) = map.file() else {
        return Ok(());
    };
    let path = dir.join(format!("{number:06}.svg"));
    std::fs::write(&path, picture).map_err(|error| CliError::unwritable(&path, &error))
}
