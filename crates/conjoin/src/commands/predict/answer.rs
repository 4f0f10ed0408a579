//! Answers to lines of inputs: many together where they fit, each by itself where one of them is at fault.

use super::aligned::Aligned;
use crate::cli::PredictArgs;
use crate::error::CliError;
use crate::lines::Line;
use crate::report;
use crate::system::LoadedRun;
use conjoin_data::Source;
use conjoin_graph::Graph;
use conjoin_tasks::driving::{Drive, Pilot};
use conjoin_tasks::{Prediction, SafeCommand, TaskConfig, TaskError, TaskScorer};
use conjoin_train::Plan;
use serde::Serialize;
use serde_json::json;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Inputs that are decoded together.
pub(super) const TOGETHER: usize = 256;

/// Bytes of inputs that are decoded together, each as long as the longest: a long one must not make
/// many short ones as expensive as itself.
const PADDED: usize = 1 << 16;

/// Where answers go, a line at a time.
pub(super) type Say<'a> = &'a mut dyn FnMut(&str) -> Result<(), CliError>;

/// What answers: the same for all streams of inputs.
pub(super) struct Answerer {
    graph: Graph,
    plan: Arc<Plan>,
    scorer: TaskScorer,
    /// Where inputs are moments of a drive.
    pilot: Option<Pilot>,
    json: bool,
    /// JSON with where each output looked.
    alignments: bool,
    /// Outputs without the inputs before them.
    output_only: bool,
    /// Outputs an input; in text 1 and in JSON all where it is not said.
    count: Option<usize>,
    explain: Option<PathBuf>,
    longest: usize,
}

/// Inputs that come one after the other from one place.
pub(super) struct Stream {
    place: String,
    /// Inputs so far.
    number: usize,
    failed: usize,
    drive: Option<Drive>,
}

/// What comes of an input.
enum Outcome {
    /// It is empty.
    Blank,
    /// Why there is no output, and in a drive what is safe to do all the same.
    Refused(String, Option<SafeCommand>),
    Found(Prediction),
}

/// An output, and the length of the input in tokens before and after it was cut, where it was.
type Answer = (Prediction, Option<(usize, usize)>);

impl Stream {
    /// Inputs without an output.
    pub fn failed(&self) -> usize {
        self.failed
    }

    /// Names an input that has no output, and why, on standard error.
    fn refuse(&mut self, row: usize, why: &str, pilot: Option<&Pilot>) -> Outcome {
        self.failed += 1;
        let why = format!("{}: {why}", self.named(row));
        eprintln!("error: {why}");
        let drive = pilot.zip(self.drive.as_mut());
        Outcome::Refused(why, drive.and_then(|(pilot, drive)| pilot.miss(drive)))
    }

    /// Says on standard error what became of an input that has an output.
    fn warn(&self, row: usize, what: &str) {
        eprintln!("warning: {}: {what}", self.named(row));
    }

    fn named(&self, row: usize) -> String {
        format!("{}, input {}", self.place, self.number + row + 1)
    }
}

impl Answerer {
    pub fn new(loaded: LoadedRun, arguments: &PredictArgs) -> Result<Self, CliError> {
        let scorer = loaded.scorer();
        let task = scorer.task();
        Ok(Self {
            pilot: scorer.pilot(&loaded.plan.score_ports())?,
            json: arguments.json,
            alignments: arguments.alignments,
            output_only: arguments.output_only,
            count: arguments.n_best.map(usize::from),
            explain: arguments.explain.clone(),
            longest: arguments.longest.unwrap_or_else(|| task.longest_input()),
            graph: loaded.graph,
            plan: loaded.plan,
            scorer,
        })
    }

    /// Bytes of an input that are read.
    pub fn longest(&self) -> usize {
        self.longest
    }

    /// Begins a stream of inputs; `place` names it in messages.
    pub fn stream(&self, place: &str) -> Stream {
        Stream {
            place: place.to_owned(),
            number: 0,
            failed: 0,
            drive: self.pilot.as_ref().map(Pilot::begin),
        }
    }

    /// Says a line for every input, in parts that fit into memory.
    pub fn answer(
        &self,
        stream: &mut Stream,
        inputs: &[Line],
        say: Say<'_>,
    ) -> Result<(), CliError> {
        let mut rest = inputs;
        while !rest.is_empty() {
            let mut longest = 0;
            let fits = |(index, line): &(usize, &Line)| {
                longest = longest.max(line.text.len());
                *index == 0 || (*index < TOGETHER && longest * (index + 1) <= PADDED)
            };
            let count = rest.iter().enumerate().take_while(fits).count();
            let (part, others) = rest.split_at(count);
            self.part(stream, part, say)?;
            rest = others;
        }
        Ok(())
    }

    /// Says a line for every input. One that cannot be read is named on standard error and gets a line
    /// without output, so that lines stay aligned; so is one that was read with bytes replaced.
    fn part(&self, stream: &mut Stream, inputs: &[Line], say: Say<'_>) -> Result<(), CliError> {
        let mut found: Vec<Outcome> = inputs.iter().map(|_| Outcome::Blank).collect();
        let mut filled = Vec::with_capacity(inputs.len());
        for (row, input) in inputs.iter().enumerate() {
            if let Some(byte) = input.replaced {
                let what = format!("what is no UTF-8 is replaced by U+FFFD, from byte {byte} on");
                stream.warn(row, &what);
            }
            if input.cut > 0 {
                let why = format!(
                    "expected at most {} bytes (--longest), found {}",
                    self.longest,
                    input.text.len() + input.cut
                );
                // What came before it in a drive is answered before it.
                if self.pilot.is_some() {
                    self.fill(stream, inputs, &std::mem::take(&mut filled), &mut found)?;
                }
                found[row] = stream.refuse(row, &why, self.pilot.as_ref());
            } else if self.pilot.is_some() || !input.text.trim().is_empty() {
                filled.push(row);
            }
        }
        self.fill(stream, inputs, &filled, &mut found)?;
        for (input, outcome) in inputs.iter().zip(found) {
            stream.number += 1;
            say(&self.text(stream.number, input, outcome)?)?;
        }
        Ok(())
    }

    /// Decodes some rows together or, where one of them is at fault, by halves, until it is alone.
    fn fill(
        &self,
        stream: &mut Stream,
        inputs: &[Line],
        rows: &[usize],
        found: &mut [Outcome],
    ) -> Result<(), CliError> {
        if rows.is_empty() {
            return Ok(());
        }
        let texts = rows.iter().map(|&row| inputs[row].text.clone()).collect();
        match self.predict(stream, texts) {
            Ok(predictions) => {
                for (&row, answer) in rows.iter().zip(predictions) {
                    self.tell_cuts(stream, row, &answer);
                    found[row] = Outcome::Found(answer.0);
                }
                Ok(())
            }
            Err(error) if error.is_an_inputs() && rows.len() > 1 => {
                let (first, second) = rows.split_at(rows.len() / 2);
                self.fill(stream, inputs, first, found)?;
                self.fill(stream, inputs, second, found)
            }
            Err(error) if error.is_an_inputs() => {
                let why = error.to_string();
                // Alone it is the first line of what was read; the stream knows its number.
                let alone = format!("{} line 1: ", stream.place);
                let why = why.strip_prefix(&alone).unwrap_or(&why);
                found[rows[0]] = stream.refuse(rows[0], why, self.pilot.as_ref());
                Ok(())
            }
            Err(other) => Err(other.into()),
        }
    }

    /// Says what of an input was not read, and which of the outputs that are shown do not end.
    fn tell_cuts(&self, stream: &Stream, row: usize, (prediction, shortened): &Answer) {
        if let Some((from, to)) = shortened {
            stream.warn(row, &format!("the input is cut from {from} tokens to {to}"));
        }
        let shown = self.count.unwrap_or(if self.json { usize::MAX } else { 1 });
        let cut = prediction.cut(shown);
        let (Some(tokens), TaskConfig::Transduction(task)) = (cut.iter().max(), self.scorer.task())
        else {
            return;
        };
        let which = match cut.len() {
            1 => "an output is".to_owned(),
            count => format!("{count} outputs are"),
        };
        let limit = task.max_length;
        let what = format!("{which} cut at {tokens} tokens (task.max_length = {limit})");
        stream.warn(row, &what);
    }

    fn predict(&self, stream: &mut Stream, inputs: Vec<String>) -> Result<Vec<Answer>, TaskError> {
        if let (Some(pilot), Some(drive)) = (&self.pilot, &mut stream.drive) {
            let plans = pilot.answer(&self.graph, drive, &inputs)?;
            return Ok(plans.into_iter().map(|plan| (plan, None)).collect());
        }
        let data = self.scorer.task().data();
        let config = self.plan.data.get(data);
        let config = config.ok_or_else(|| TaskError::DataSet(data.to_owned()))?;
        let source: Arc<dyn Source> = config.config.source.raw(&stream.place, inputs)?.into();
        let ports = self.plan.score_ports();
        let found = (self.scorer).predict(&self.graph, &ports, data, Arc::clone(&source))?;
        let with_cut = |(index, prediction)| (prediction, source.shortened(index));
        Ok(found.into_iter().enumerate().map(with_cut).collect())
    }

    /// The line for an input; its attention is drawn where that was asked for.
    fn text(&self, number: usize, input: &Line, outcome: Outcome) -> Result<String, CliError> {
        let mut prediction = match outcome {
            Outcome::Found(prediction) => prediction,
            Outcome::Refused(why, command) if self.pilot.is_some() => {
                let refused = Unplanned {
                    error: why,
                    command,
                };
                return serde_json::to_string(&refused).map_err(unwritten);
            }
            Outcome::Refused(why, _) if self.json => {
                return Ok(json!({ "input": input.text, "error": why }).to_string());
            }
            _ if self.json => return Ok(json!({ "input": input.text }).to_string()),
            _ if self.output_only => return Ok(String::new()),
            _ => return Ok(format!("{}\t", input.text)),
        };
        if let Some(dir) = &self.explain {
            draw(dir, number, &prediction)?;
        }
        if !self.json {
            let count = self.count.unwrap_or(1);
            return Ok(if self.output_only {
                prediction.outputs(count)
            } else {
                prediction.line(count)
            });
        }
        prediction.truncate(self.count.unwrap_or(usize::MAX));
        let line = if self.alignments {
            serde_json::to_string(&Aligned::new(&prediction))
        } else {
            serde_json::to_string(&prediction)
        };
        line.map_err(unwritten)
    }
}

/// A moment of a drive that could not be read.
#[derive(Serialize)]
struct Unplanned {
    error: String,
    #[serde(flatten)]
    command: Option<SafeCommand>,
}

fn unwritten(error: serde_json::Error) -> CliError {
    CliError::failed(error.to_string())
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
