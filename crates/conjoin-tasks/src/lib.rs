//! What a system adds to the graph and the loop: the ports it scores, how it decodes, its metrics.

pub mod classification;
pub mod transduction;

use conjoin_graph::PortRef;
use std::collections::BTreeMap;

conjoin_data::closed_kinds! {
    /// What a run is scored as, and what `predict` does.
    pub enum TaskConfig {
        /// A class index from the logits of one port: accuracy, cross-entropy, confusion.
        Classification(classification::ClassificationConfig) = "classification",
        /// A token sequence produced one token at a time: token and sequence error rates.
        Transduction(transduction::TransductionConfig) = "transduction",
    }
}

impl TaskConfig {
    /// The ports that the task reads, by the task's own name for them. A stage's `score` table may
    /// point a name at another port.
    pub fn ports(&self) -> BTreeMap<&'static str, PortRef> {
        match self {
            Self::Classification(config) => config.ports(),
            Self::Transduction(config) => config.ports(),
        }
    }

    /// The data set that is scored at the end of each stage and by `eval`.
    pub fn data(&self) -> &str {
        match self {
            Self::Classification(config) => &config.data,
            Self::Transduction(config) => &config.data,
        }
    }
}
