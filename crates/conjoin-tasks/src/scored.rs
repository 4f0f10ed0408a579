//! What scoring leaves behind: totals, one outcome an item for statistics, outputs for people.

use std::collections::BTreeMap;

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

/// One produced text with what it is compared to.
#[derive(Debug, Clone, PartialEq)]
pub struct TextOutput {
    /// The tokens that were produced, and those of the target.
    pub sequence: SequenceOutput,
    /// The text of the tokens.
    pub output: String,
    /// As they stand in the data.
    pub references: Vec<String>,
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
    /// Sequences that are scored as text.
    Texts(Vec<TextOutput>),
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

/// The output for one raw input.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
#[serde(untagged)]
pub enum Prediction {
    /// Sequences, best first.
    Sequence {
        input: String,
        hypotheses: Vec<PredictedSequence>,
    },
    /// Classes, most probable first.
    Class {
        input: String,
        classes: Vec<PredictedClass>,
    },
}

/// One hypothesis of a beam.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub struct PredictedSequence {
    pub output: Vec<String>,
    /// The text of the output, where its tokens are pieces of text.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    /// Natural logarithm.
    pub log_probability: f64,
}

impl PredictedSequence {
    /// The output for people: its text, or its symbols with spaces between them.
    pub fn said(&self) -> String {
        match &self.text {
            Some(text) => text.clone(),
            None => self.output.join(" "),
        }
    }
}

/// One class.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub struct PredictedClass {
    pub class: String,
    pub probability: f32,
}

impl std::fmt::Display for Prediction {
    /// The best output after the input and a tab.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Sequence { input, hypotheses } => {
                let best = hypotheses.first().map(PredictedSequence::said);
                write!(f, "{input}\t{}", best.unwrap_or_default())
            }
            Self::Class { input, classes } => match classes.first() {
                Some(best) => write!(f, "{input}\t{}\t{:.4}", best.class, best.probability),
                None => write!(f, "{input}\t"),
            },
        }
    }
}
