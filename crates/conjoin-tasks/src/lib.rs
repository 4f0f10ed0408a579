//! What a system adds to the graph and the loop: the ports it scores, how it decodes, its metrics.

pub mod alignment;
pub mod classification;
pub mod decode;
pub mod detection;
pub mod displacement;
pub mod driving;
mod error;
pub mod error_rate;
pub mod interfaces;
mod metric;
mod score_run;
mod scored;
mod scorer;
pub mod teacher_forcing;
pub mod text_metrics;
pub mod text_scores;
pub mod transduction;

pub use error::TaskError;
pub use metric::MetricKind;
pub use scored::{
    ClassOutput, EpisodeOutput, ItemOutcome, Outputs, PlanOutput, PredictedClass,
    PredictedSequence, Prediction, SafeCommand, Scored, SequenceOutput, TextOutput,
};
pub use scorer::{LastScored, TaskScorer};
pub use text_metrics::Printed;

use conjoin_graph::PortRef;
use std::collections::BTreeMap;

conjoin_data::closed_kinds! {
    /// What a run is scored as, and what `predict` does.
    pub enum TaskConfig {
        /// A class index from the logits of one port: accuracy, cross-entropy, confusion.
        Classification(classification::ClassificationConfig) = "classification",
        /// A token sequence produced one token at a time: token and sequence error rates.
        Transduction(transduction::TransductionConfig) = "transduction",
        /// A plan that is driven, closed loop, in the embedded world: driving score, infractions, NAVSIM's sub-scores.
        Driving(driving::DrivingConfig) = "driving",
    }
}

impl TaskConfig {
    /// The ports that the task reads, by the task's own name for them. A stage's `score` table may
    /// point a name at another port.
    pub fn ports(&self) -> BTreeMap<&'static str, PortRef> {
        match self {
            Self::Classification(config) => config.ports(),
            Self::Transduction(config) => config.ports(),
            Self::Driving(config) => config.ports(),
        }
    }

    /// The task with ports replaced by a stage's `score` table.
    #[must_use]
    pub fn with_ports(&self, ports: &BTreeMap<String, PortRef>) -> Self {
        let mut task = self.clone();
        for (name, port) in ports {
            match &mut task {
                Self::Classification(config) => config.set_port(name, port),
                Self::Transduction(config) => config.set_port(name, port),
                Self::Driving(config) => config.set_port(name, port),
            }
        }
        task
    }

    /// The data set that is scored at the end of each stage and by `eval`.
    pub fn data(&self) -> &str {
        match self {
            Self::Classification(config) => &config.data,
            Self::Transduction(config) => &config.data,
            Self::Driving(config) => &config.data,
        }
    }

    /// Every port that the task reads where it is given, required or not.
    pub fn port_names(&self) -> &'static [&'static str] {
        match self {
            Self::Classification(_) => classification::PORTS,
            Self::Transduction(_) => transduction::PORTS,
            Self::Driving(_) => driving::PORTS,
        }
    }

    /// The ports that scores follow from: those of the outputs.
    pub fn outputs(&self) -> Vec<PortRef> {
        match self {
            Self::Classification(config) => vec![config.logits.clone()],
            Self::Transduction(config) => vec![config.logits.clone()],
            Self::Driving(config) => vec![config.plan.clone()],
        }
    }

    /// The column that outputs are fed back into, where the task produces them one by one.
    pub fn fed_back(&self) -> Option<&PortRef> {
        match self {
            Self::Classification(_) | Self::Driving(_) => None,
            Self::Transduction(config) => Some(&config.tokens),
        }
    }

    /// How many outputs `predict` gives for an input at most; none where all that there are.
    pub fn outputs_an_input(&self) -> Option<usize> {
        match self {
            Self::Classification(_) | Self::Driving(_) => None,
            Self::Transduction(config) => Some(config.outputs_an_input()),
        }
    }

    /// Names of what the task can be compared with that needs no training.
    pub fn baselines(&self) -> &'static [&'static str] {
        match self {
            Self::Classification(_) | Self::Transduction(_) => &[],
            Self::Driving(_) => &driving::BASELINES,
        }
    }

    /// What a baseline does on the task's items.
    ///
    /// # Errors
    /// The task has no baseline of this name.
    pub fn baseline(&self, name: &str) -> Result<Scored, TaskError> {
        let scored = match self {
            Self::Classification(_) | Self::Transduction(_) => None,
            Self::Driving(config) => config.baseline(name),
        };
        scored.ok_or_else(|| TaskError::Baseline(name.to_owned()))
    }

    /// Bytes of an input that `predict` takes where it is not told otherwise: words and texts are short,
    /// a moment of a drive may hold three images as numbers.
    pub fn longest_input(&self) -> usize {
        match self {
            Self::Classification(_) | Self::Transduction(_) => 10_000,
            Self::Driving(_) => 4_000_000,
        }
    }

    /// The scores that the task gives; the first headlines a report.
    pub fn metrics(&self) -> &'static [&'static str] {
        match self {
            Self::Classification(_) => classification::METRICS,
            Self::Transduction(config) => config.metrics(),
            Self::Driving(_) => driving::METRICS,
        }
    }
}
