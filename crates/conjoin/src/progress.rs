//! Progress bars on a terminal, a few lines without one.

use conjoin_train::event::Level;
use conjoin_train::{Event, Listener};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::collections::BTreeMap;
use std::io::IsTerminal;
use std::time::Duration;

/// Follows a run on standard error.
#[derive(Debug)]
pub struct Progress {
    bar: ProgressBar,
    terminal: bool,
    /// Samples a second, smoothed over steps.
    rate: f64,
}

impl Default for Progress {
    fn default() -> Self {
        let terminal = std::io::stderr().is_terminal();
        Self {
            bar: ProgressBar::hidden(),
            terminal,
            rate: 0.0,
        }
    }
}

impl Progress {
    fn say(&self, text: &str) {
        if self.terminal {
            self.bar.suspend(|| eprintln!("{text}"));
        } else {
            eprintln!("{text}");
        }
    }

    fn begin_stage(&mut self, stage: &str, steps: u64) {
        self.rate = 0.0;
        if !self.terminal {
            self.say(&format!("stage {stage}: {steps} steps"));
            return;
        }
        let bar = ProgressBar::with_draw_target(Some(steps), ProgressDrawTarget::stderr_with_hz(8));
        let template = "{prefix:.bold} {bar:28.cyan/dim} {pos}/{len} {msg} {eta_precise} left";
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style);
        }
        bar.set_prefix(stage.to_owned());
        self.bar = bar;
    }
}

impl Listener for Progress {
    fn on(&mut self, event: &Event) -> std::io::Result<()> {
        match event {
            Event::StageStarted { stage, steps, .. } => self.begin_stage(stage, *steps),
            Event::Step {
                step,
                loss,
                samples,
                seconds,
                ..
            } => {
                let now = *samples as f64 / seconds.max(1e-9);
                self.rate = if self.rate == 0.0 {
                    now
                } else {
                    0.98 * self.rate + 0.02 * now
                };
                self.bar.set_position(*step);
                self.bar
                    .set_message(format!("loss {loss:.4}  {:.0} samples/s ", self.rate));
            }
            Event::Evaluated { data, scores, .. } => {
                self.say(&format!("  {data}: {}", scores_text(scores)));
            }
            Event::Gate {
                objective,
                before,
                after,
                passed,
                ..
            } => {
                let verdict = if *passed { "kept" } else { "lost" };
                self.say(&format!(
                    "  gate {objective}: {before:.4} -> {after:.4}, {verdict}"
                ));
            }
            Event::StageFinished {
                stage,
                seconds,
                early,
                ..
            } => {
                self.bar.finish_and_clear();
                let why = early
                    .as_ref()
                    .map_or_else(String::new, |why| format!(" ({why})"));
                let time = duration(*seconds);
                self.say(&format!("stage {stage} finished in {time}{why}"));
            }
            Event::Message { level, text } => match level {
                Level::Info => self.say(text),
                Level::Warning => self.say(&format!("warning: {text}")),
            },
            Event::Started { .. }
            | Event::Interface { .. }
            | Event::Timing { .. }
            | Event::Checkpoint { .. }
            | Event::Finished { .. } => {}
        }
        Ok(())
    }
}

/// Counts what a command does, on a terminal alone.
#[derive(Debug)]
pub(crate) struct Counter(ProgressBar);

impl Default for Counter {
    fn default() -> Self {
        if !std::io::stderr().is_terminal() {
            return Self(ProgressBar::hidden());
        }
        let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr_with_hz(8));
        if let Ok(style) = ProgressStyle::with_template("{spinner} {pos:>3} {msg}  {elapsed}") {
            bar.set_style(style);
        }
        Self(bar)
    }
}

impl Counter {
    /// Of things whose number is known.
    pub fn of(total: u64) -> Self {
        let counter = Self::default();
        counter.0.set_length(total);
        let template = "{bar:28.cyan/dim} {pos}/{len} {msg}  {elapsed}, {eta_precise} left";
        if let Ok(style) = ProgressStyle::with_template(template) {
            counter.0.set_style(style);
        }
        counter
    }

    /// The next thing is begun.
    pub fn tell(&self, text: &str) {
        self.0.inc(1);
        self.0.set_message(text.to_owned());
    }

    pub fn finish(&self) {
        self.0.finish_and_clear();
    }
}

/// `per 9.21 %, wer 37.50 %, phonemes 0.4312`: rates in percent, all else as it is.
pub fn scores_text(scores: &BTreeMap<String, f64>) -> String {
    let parts: Vec<String> = scores
        .iter()
        .map(|(name, value)| {
            if conjoin_tasks::MetricKind::of(name).share {
                format!("{name} {:.2} %", 100.0 * value)
            } else {
                format!("{name} {value:.4}")
            }
        })
        .collect();
    parts.join(", ")
}

/// `4 min 12 s`.
pub fn duration(seconds: f64) -> String {
    let whole = Duration::from_secs_f64(seconds.max(0.0)).as_secs();
    match whole {
        0..60 => format!("{seconds:.1} s"),
        60..3600 => format!("{} min {} s", whole / 60, whole % 60),
        _ => format!("{} h {} min", whole / 3600, whole % 3600 / 60),
    }
}
