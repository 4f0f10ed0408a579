//! What a run wrote into `metrics.jsonl`, put in order for reading.

mod records;

pub use records::{Evaluation, GateRecord, InterfaceRecord, StageRecord, StepRecord, TimingRecord};

use conjoin_train::Event;
use conjoin_train::event::Level;
use std::collections::BTreeMap;
use std::io::BufRead;
use std::path::Path;

/// A `metrics.jsonl` that cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    #[error("cannot read {path}: {source}")]
    Read {
        path: String,
        source: std::io::Error,
    },
    #[error("{path}, line {line}: not an event: {message}")]
    Line {
        path: String,
        line: usize,
        message: String,
    },
}

/// Everything that a run reported. Steps that a resumed run repeated are kept once.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct RunLog {
    pub name: String,
    pub seed: u64,
    pub device: String,
    pub resumed: bool,
    pub stages: Vec<StageRecord>,
    pub steps: Vec<StepRecord>,
    pub evaluations: Vec<Evaluation>,
    pub interfaces: Vec<InterfaceRecord>,
    pub timings: Vec<TimingRecord>,
    pub gates: Vec<GateRecord>,
    pub warnings: Vec<String>,
    /// Seconds from the last start to the end, once the run is finished.
    pub finished_seconds: Option<f64>,
}

impl RunLog {
    /// Reads a `metrics.jsonl`. A last line that was cut off, as by a power failure, is left out.
    pub fn read(path: &Path) -> Result<Self, LogError> {
        let file = std::fs::File::open(path).map_err(|source| LogError::Read {
            path: path.display().to_string(),
            source,
        })?;
        Self::from_lines(std::io::BufReader::new(file), &path.display().to_string())
    }

    /// Reads lines of events; `path` is for messages. JSON writes NaN and infinities as `null`;
    /// events with such values are left out, and a warning counts them.
    pub fn from_lines(mut reader: impl BufRead, path: &str) -> Result<Self, LogError> {
        let mut log = Self::default();
        let mut text = Vec::new();
        let mut infinite = 0_u64;
        for line in 1.. {
            text.clear();
            let read = reader.read_until(b'\n', &mut text);
            let read = read.map_err(|source| LogError::Read {
                path: path.to_owned(),
                source,
            })?;
            if read == 0 {
                break;
            }
            if text.trim_ascii().is_empty() {
                continue;
            }
            match serde_json::from_slice(&text) {
                Ok(event) => log.push(event),
                Err(_) if !text.ends_with(b"\n") => break,
                Err(_) if is_not_finite(&text) => infinite += 1,
                Err(error) => {
                    return Err(LogError::Line {
                        path: path.to_owned(),
                        line,
                        message: error.to_string(),
                    });
                }
            }
        }
        if infinite > 0 {
            log.warnings.push(format!(
                "lines of the log with values that are not finite, left out: {infinite}"
            ));
        }
        Ok(log)
    }

    /// Takes in the next event.
    pub fn push(&mut self, event: Event) {
        match event {
            Event::Started {
                name,
                seed,
                device,
                resumed_from,
                ..
            } => {
                (self.name, self.seed, self.device) = (name, seed, device);
                match resumed_from {
                    Some(step) => self.forget_after(step),
                    None => *self = Self::started_anew(self),
                }
            }
            Event::StageStarted {
                stage,
                steps,
                trained,
                frozen,
                ..
            } => self.start_stage(stage, steps, trained, frozen),
            Event::Step {
                stage,
                global_step,
                loss,
                terms,
                lr,
                grad_norm,
                shares,
                samples,
                seconds,
                ..
            } => self.steps.push(StepRecord {
                stage,
                global_step,
                loss,
                terms,
                lr,
                grad_norm,
                shares,
                samples,
                seconds,
            }),
            Event::Evaluated {
                stage,
                global_step,
                data,
                scores,
                best,
            } => self.evaluations.push(Evaluation {
                stage,
                global_step,
                data,
                scores,
                best,
            }),
            Event::Interface {
                stage,
                global_step,
                port,
                shape,
                mean,
                std,
                min,
                max,
                zeros,
            } => self.interfaces.push(InterfaceRecord {
                stage,
                global_step,
                port,
                shape,
                mean,
                std,
                min,
                max,
                zeros,
            }),
            Event::Timing {
                stage,
                forward,
                backward,
                optimiser,
                data,
                evaluation,
                checkpoint,
            } => self.timings.push(TimingRecord {
                stage,
                forward,
                backward,
                optimiser,
                data,
                evaluation,
                checkpoint,
            }),
            Event::Gate {
                stage,
                objective,
                before,
                after,
                tolerance,
                passed,
            } => self.gates.push(GateRecord {
                stage,
                objective,
                before,
                after,
                tolerance,
                passed,
            }),
            Event::StageFinished {
                stage,
                global_step,
                seconds,
                early,
            } => {
                if let Some(record) = self.stages.iter_mut().find(|s| s.name == stage) {
                    record.seconds = Some(seconds);
                    record.finished_at = Some(global_step);
                    record.early = early;
                }
            }
            Event::Message { level, text } => {
                if level == Level::Warning {
                    self.warnings.push(text);
                }
            }
            Event::Finished { seconds, .. } => self.finished_seconds = Some(seconds),
            Event::Checkpoint { .. } => {}
        }
    }

    /// The last scores on `data` in each stage, in the order of the stages.
    pub fn stage_scores(&self, data: &str) -> Vec<(String, BTreeMap<String, f64>)> {
        self.stages
            .iter()
            .filter_map(|stage| {
                let last = self
                    .evaluations
                    .iter()
                    .rfind(|e| e.stage == stage.name && e.data == data)?;
                Some((stage.name.clone(), last.scores.clone()))
            })
            .collect()
    }

    /// Wall-clock seconds: what the last process reported, or the sum of all steps where that is
    /// more (a resumed run).
    pub fn seconds(&self) -> f64 {
        let steps: f64 = self.steps.iter().map(|step| step.seconds).sum();
        self.finished_seconds.unwrap_or(0.0).max(steps)
    }

    fn started_anew(old: &Self) -> Self {
        Self {
            name: old.name.clone(),
            seed: old.seed,
            device: old.device.clone(),
            ..Self::default()
        }
    }

    fn start_stage(
        &mut self,
        name: String,
        steps: u64,
        trained: BTreeMap<String, usize>,
        frozen: Vec<String>,
    ) {
        let record = StageRecord {
            name,
            steps,
            trained,
            frozen,
            seconds: None,
            early: None,
            finished_at: None,
        };
        match self.stages.iter_mut().find(|s| s.name == record.name) {
            Some(old) => *old = record,
            None => self.stages.push(record),
        }
    }

    /// A resumed run repeats everything after its checkpoint.
    fn forget_after(&mut self, step: u64) {
        self.resumed = true;
        self.finished_seconds = None;
        self.steps.retain(|record| record.global_step <= step);
        self.evaluations.retain(|record| record.global_step <= step);
        self.interfaces.retain(|record| record.global_step <= step);
        let finished = |name: &str| {
            self.stages
                .iter()
                .any(|s| s.name == name && s.finished_at.is_some_and(|at| at <= step))
        };
        self.timings.retain(|record| finished(&record.stage));
        self.gates.retain(|record| finished(&record.stage));
    }
}

/// Whether a line is an event that JSON could not hold because a number in it is NaN or infinite.
fn is_not_finite(line: &[u8]) -> bool {
    /// Keys under which `null` is a value in its own right.
    const OPTIONAL: [&str; 3] = ["resumed_from", "grad_norm", "early"];
    let Ok(serde_json::Value::Object(event)) = serde_json::from_slice(line) else {
        return false;
    };
    event.contains_key("event")
        && event.iter().any(|(key, value)| match value {
            serde_json::Value::Object(inner) => inner.values().any(serde_json::Value::is_null),
            value => value.is_null() && !OPTIONAL.contains(&key.as_str()),
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn step(global_step: u64, loss: f64) -> String {
        format!(
            r#"{{"event":"step","stage":"a","step":{global_step},"steps":9,"global_step":{global_step},"epoch":0,"loss":{loss},"terms":{{}},"lr":{{}},"grad_norm":null,"shares":{{}},"samples":4,"seconds":0.5}}"#
        )
    }

    fn started(resumed_from: &str) -> String {
        format!(
            r#"{{"event":"started","name":"n","seed":1,"device":"cpu","resumed_from":{resumed_from},"stages":["a"]}}"#
        )
    }

    #[test]
    fn a_resumed_run_counts_repeated_steps_once() {
        let lines = [
            started("null"),
            step(1, 3.0),
            step(2, 2.0),
            step(3, 9.0),
            started("2"),
            step(3, 1.0),
        ];
        let log = RunLog::from_lines(lines.join("\n").as_bytes(), "m").unwrap();
        let losses: Vec<f64> = log.steps.iter().map(|step| step.loss).collect();
        assert_eq!(losses, [3.0, 2.0, 1.0]);
        assert!(log.resumed);
        assert_eq!(log.seconds(), 1.5);
    }

    #[test]
    fn values_that_are_not_finite_are_counted() {
        let lines = [started("null"), step(1, 3.0), step(2, f64::NAN)];
        let text = lines.join("\n").replace("NaN", "null") + "\n" + &step(3, 2.0) + "\n";
        let log = RunLog::from_lines(text.as_bytes(), "m").unwrap();
        assert_eq!(log.steps.len(), 2);
        assert_eq!(log.warnings.len(), 1);
        assert!(
            log.warnings[0].ends_with("left out: 1"),
            "{:?}",
            log.warnings
        );
    }

    #[test]
    fn a_cut_last_line_is_left_out_and_a_bad_line_is_named() {
        let cut = format!("{}\n{}\n{{\"event\":\"st", started("null"), step(1, 3.0));
        assert_eq!(
            RunLog::from_lines(cut.as_bytes(), "m").unwrap().steps.len(),
            1
        );
        let bad = format!("{}\nnonsense\n{}\n", started("null"), step(1, 3.0));
        let error = RunLog::from_lines(bad.as_bytes(), "m").unwrap_err();
        assert!(
            error.to_string().starts_with("m, line 2: not an event"),
            "{error}"
        );
    }
}
