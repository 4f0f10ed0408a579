//! What scoring leaves behind: totals, one outcome an item for statistics, outputs for people.

use std::collections::BTreeMap;

/// Scores that are shares between 0 and 1 and are shown in percent.
pub fn is_rate(name: &str) -> bool {
    matches!(name, "accuracy" | "per" | "wer")
}

/// Errors of one item: the unit that intervals are drawn over.
#[derive(Debug, Clone, PartialEq)]
pub struct ItemOutcome {
    /// What the item is: a word, an image's row.
    pub key: String,
    pub errors: usize,
    /// What the errors are counted against: tokens of the reference, 1 for a class.
    pub length: usize,
}

/// One produced sequence with what it is compared to.
#[derive(Debug, Clone, PartialEq)]
pub struct SequenceOutput {
    pub key: String,
    /// Symbols of the source, where the input is a token sequence.
    pub source: Vec<String>,
    pub output: Vec<String>,
    pub references: Vec<Vec<String>>,
    pub log_probability: f64,
    /// Attention weights, a row an output symbol (and one for the end), a column a source symbol.
    pub alignment: Vec<Vec<f32>>,
}

/// One classified sample.
#[derive(Debug, Clone, PartialEq)]
pub struct ClassOutput {
    pub key: String,
    /// Position in the data set, to find the sample again.
    pub index: usize,
    pub target: usize,
    pub predicted: usize,
    pub probabilities: Vec<f32>,
}

/// What a task produced, item by item.
#[derive(Debug, Clone, PartialEq)]
pub enum Outputs {
    Sequences(Vec<SequenceOutput>),
    Classes {
        names: Vec<String>,
        items: Vec<ClassOutput>,
    },
}

/// Scores on a data set.
#[derive(Debug, Clone, PartialEq)]
pub struct Scored {
    pub scores: BTreeMap<String, f64>,
    pub items: Vec<ItemOutcome>,
    pub outputs: Outputs,
}
