//! Which part of a system is to blame: what each interface costs, which ones are not read, which
//! loss moves what, what joining did to each module.
//!
//! Outcomes of every item under every change come in, with gradients and losses batch by batch;
//! intervals, ranks and verdicts are made here. Differences are paired by item.

mod effects;
mod gates;
mod gradients;
mod oracle;
mod page;
mod probes;
mod text;

pub use effects::{Effect, Outcome, effects, items_changed, scores};
pub use gates::{GateInput, GateReport, GateRow, GateVerdict};
pub use gradients::{CosineRow, GradientReport, LossRow, ModuleCell, Spread};
pub use oracle::{OracleInput, OracleReport, OracleRow, Untold};
pub use probes::{ProbeCell, ProbeInput, ProbeReport, ProbeRow, ProbeVerdict};

use crate::statistics::Estimate;
use serde::{Deserialize, Serialize};

/// Everything that was found about a run.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Diagnosis {
    pub name: String,
    /// The run's directory.
    pub run: String,
    /// Global step of the weights.
    pub step: u64,
    /// When it was made, as text.
    pub date: String,
    /// The command that makes it again.
    pub command: String,
    /// The data set that is scored.
    pub data: String,
    /// Items scored, and how many the data set has.
    pub items: usize,
    pub items_in_data: usize,
    /// Share of replicates inside each interval.
    pub level: f64,
    pub replicates: usize,
    /// The system as it is, the headline metric first.
    pub scores: Vec<Score>,
    pub oracle: Option<OracleReport>,
    pub probes: Option<ProbeReport>,
    pub gradients: Option<GradientReport>,
    pub gates: Option<GateReport>,
}

/// A metric of the system as it is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Score {
    pub metric: String,
    pub score: Estimate,
}

/// An interface by its names.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Wire {
    /// The input, `node.port`.
    pub to: String,
    /// What feeds it.
    pub from: String,
}

impl Diagnosis {
    /// The diagnosis as JSON, for scripts; `findings` has the sentences of [`Diagnosis::findings`].
    pub fn json(&self) -> serde_json::Value {
        let mut value = serde_json::json!(self);
        if let Some(table) = value.as_object_mut() {
            table.insert("findings".to_owned(), serde_json::json!(self.findings()));
        }
        value
    }

    /// Everything that a person should know first, a sentence each.
    pub fn findings(&self) -> Vec<String> {
        let mut found = Vec::new();
        if let Some(oracle) = &self.oracle {
            found.extend(oracle.findings());
        }
        if let Some(probes) = &self.probes {
            found.extend(probes.findings(self.items));
        }
        if let Some(gradients) = &self.gradients {
            found.extend(gradients.findings());
        }
        if let Some(gates) = &self.gates {
            found.extend(gates.findings());
        }
        found
    }

    fn level_text(&self) -> String {
        format!("{} %", crate::number::short(self.level * 100.0))
    }
}

/// `a`, `a and b`, `a, b and c`.
fn list<S: AsRef<str>>(names: &[S]) -> String {
    match names {
        [] => String::new(),
        [one] => one.as_ref().to_owned(),
        [rest @ .., last] => {
            let rest: Vec<&str> = rest.iter().map(AsRef::as_ref).collect();
            format!("{} and {}", rest.join(", "), last.as_ref())
        }
    }
}
