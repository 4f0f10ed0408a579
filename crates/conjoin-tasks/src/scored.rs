//! What scoring leaves behind: totals, one outcome an item for statistics, outputs for people.

use crate::driving::HeldBy;
use crate::text_metrics::Printed;
use crate::text_metrics::bleu::BleuStatistics;
use crate::text_metrics::chrf::ChrfStatistics;
use conjoin_world::driving::guard::Interventions;
use conjoin_world::driving::score::closed_loop::{Ending, EpisodeScore};
use conjoin_world::driving::vehicle::Control;
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
    /// Its part in the BLEU of all.
    pub bleu: BleuStatistics,
    /// Its part in the chrF of all.
    pub chrf: ChrfStatistics,
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

/// One driven episode.
#[derive(Debug, Clone, PartialEq)]
pub struct EpisodeOutput {
    /// Its family of layouts and its seed.
    pub key: String,
    pub score: EpisodeScore,
    /// Steps of 0.1 s.
    pub steps: usize,
    /// What the safety layer did, or would have done.
    pub interventions: Interventions,
    /// Steps on which the planner found no plan and braked.
    pub fallbacks: usize,
    /// An animated PNG, for the first ones.
    pub film: Option<Vec<u8>>,
}

impl EpisodeOutput {
    /// Whether it ended in a collision that was the vehicle's fault.
    pub fn is_at_fault(&self) -> bool {
        self.score.ending == Ending::Collision { at_fault: true }
    }
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
    Episodes(Vec<EpisodeOutput>),
}

/// Scores on a data set.
#[derive(Debug, Clone, PartialEq)]
pub struct Scored {
    pub scores: BTreeMap<String, f64>,
    /// Scores as the tool of their field prints them, with a signature of how they came about; none
    /// where there is no such tool.
    pub printed: Vec<Printed>,
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
        /// Symbols of the input, where it is a token sequence. As JSON, like the alignments, told only
        /// where they are asked for.
        #[serde(skip)]
        source: Vec<String>,
    },
    /// Classes, most probable first.
    Class {
        input: String,
        classes: Vec<PredictedClass>,
    },
    /// A plan for a moment of a drive.
    Plan(PlanOutput),
}

/// A plan, and what is safe to do now.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub struct PlanOutput {
    /// x, y (m), heading (rad), speed (m/s) at 0.1 s, 0.2 s, … in the frame of the vehicle.
    pub plan: Vec<[f32; 4]>,
    /// Whether the planner found no plan and brakes.
    pub fallback: bool,
    /// Why, where the system tells.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// What holds the plan most, where the system tells and something does.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub held_by: Option<HeldBy>,
    /// None where the safety layer was told nothing of what is around.
    #[serde(flatten)]
    pub command: Option<SafeCommand>,
}

/// What the safety layer lets through for the next 0.1 s.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize)]
pub struct SafeCommand {
    pub control: Control,
    /// Whether the layer braked in the planner's place; where it is off, whether it would have.
    pub braked: bool,
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
    /// What hypotheses are ranked by.
    pub score: f64,
    /// Whether it ends where the model ended it, and not at the length limit.
    pub finished: bool,
    /// Attention weights, a row an output symbol (and one for the end), a column a source symbol; behind
    /// those what pads the source to the longest one of its batch.
    #[serde(skip)]
    pub alignment: Vec<Vec<f32>>,
}

impl PredictedSequence {
    /// The output for people, on one line: its text, or its symbols with spaces between them. A tab or
    /// an end of line, which vocabularies that spell in bytes can say, becomes a space.
    pub fn said(&self) -> String {
        let said = match &self.text {
            Some(text) => text.clone(),
            None => self.output.join(" "),
        };
        said.replace(BREAKS, " ")
    }
}

/// What would begin another column or line, for any reader of lines.
const BREAKS: [char; 8] = [
    '\t', '\n', '\u{b}', '\u{c}', '\r', '\u{85}', '\u{2028}', '\u{2029}',
];

/// One class.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub struct PredictedClass {
    pub class: String,
    pub probability: f32,
}

impl Prediction {
    /// The input as it was given, a tab and the outputs (see [`Self::outputs`]). A plan has no input in
    /// its line. An end of line within an input becomes a space.
    pub fn line(&self, count: usize) -> String {
        let outputs = self.outputs(count);
        match self {
            Self::Sequence { input, .. } | Self::Class { input, .. } => {
                format!("{}\t{outputs}", input.replace('\n', " "))
            }
            Self::Plan(_) => outputs,
        }
    }

    /// The best output; with `count` above 1 as many outputs, best first, with tabs between them. Classes
    /// come with their probability, behind a tab. A plan is a JSON object.
    pub fn outputs(&self, count: usize) -> String {
        let outputs: Vec<String> = match self {
            Self::Sequence { hypotheses, .. } => {
                let best = hypotheses.iter().take(count);
                best.map(PredictedSequence::said).collect()
            }
            Self::Class { classes, .. } => {
                let best = classes.iter().take(count);
                let text = |c: &PredictedClass| format!("{}\t{:.4}", c.class, c.probability);
                best.map(text).collect()
            }
            Self::Plan(plan) => return serde_json::to_string(plan).unwrap_or_default(),
        };
        outputs.join("\t")
    }

    /// Of the `count` best outputs those that were cut before their end, as numbers of tokens.
    pub fn cut(&self, count: usize) -> Vec<usize> {
        match self {
            Self::Sequence { hypotheses, .. } => {
                let best = hypotheses.iter().take(count);
                let cut = best.filter(|hypothesis| !hypothesis.finished);
                cut.map(|hypothesis| hypothesis.output.len()).collect()
            }
            Self::Class { .. } | Self::Plan(_) => Vec::new(),
        }
    }

    /// Keeps the `count` best outputs.
    pub fn truncate(&mut self, count: usize) {
        match self {
            Self::Sequence { hypotheses, .. } => hypotheses.truncate(count),
            Self::Class { classes, .. } => classes.truncate(count),
            Self::Plan(_) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use conjoin_data::text::{TextForm, TextTokenizer, VocabularyConfig, VocabularyKind};

    fn sequence(text: &str, finished: bool) -> PredictedSequence {
        PredictedSequence {
            output: vec!["▁x".to_owned(); 3],
            text: Some(text.to_owned()),
            log_probability: -1.0,
            score: -1.0,
            finished,
            alignment: Vec::new(),
        }
    }

    #[test]
    fn a_plan_names_what_holds_it() {
        let told = |held_by: Option<HeldBy>| {
            let plan = PlanOutput {
                plan: vec![[1.0, 0.0, 0.0, 5.0]],
                fallback: false,
                reason: None,
                held_by,
                command: None,
            };
            Prediction::Plan(plan).line(1)
        };
        let agent = HeldBy::Agent {
            index: 2,
            dual: 4.0,
            slack: Some(0.5),
        };
        let line = told(Some(agent));
        assert!(
            line.contains(r#""held_by":{"agent":{"index":2,"dual":4.0,"slack":0.5}}"#),
            "{line}"
        );
        assert!(!told(None).contains("held_by"));
    }

    /// A vocabulary that spells in bytes can say an end of line.
    #[test]
    fn an_output_stays_in_its_line_and_column() {
        let config = VocabularyConfig {
            kind: VocabularyKind::Bpe,
            size: 300,
            form: TextForm::default(),
            coverage: 1.0,
            byte_fallback: true,
        };
        let trained = config.train(["a b", "a b"]).unwrap();
        let tokenizer = TextTokenizer::parse("bytes", &trained.file, "bytes").unwrap();
        let symbols = ["▁", "a", "<0x0A>", "b", "<0x09>", "b", "<0x0D>", "a"];
        let index = |symbol: &str| tokenizer.vocabulary().index(symbol).unwrap();
        let tokens: Vec<i64> = symbols.into_iter().map(index).collect();
        let text = tokenizer.decode(&tokens).unwrap();
        assert_eq!(text, "a\nb\tb\ra");
        let prediction = Prediction::Sequence {
            input: "an\tinput\nof two lines".to_owned(),
            hypotheses: vec![sequence(&text, true), sequence("u\u{2028}v", false)],
            source: Vec::new(),
        };
        assert_eq!(prediction.outputs(1), "a b b a");
        assert_eq!(prediction.outputs(2), "a b b a\tu v");
        assert_eq!(prediction.line(1), "an\tinput of two lines\ta b b a");
        assert_eq!((prediction.cut(1), prediction.cut(2)), (vec![], vec![3]));
        // As JSON nothing is lost.
        let told = serde_json::to_value(&prediction).unwrap();
        assert_eq!(told["hypotheses"][0]["text"], "a\nb\tb\ra");
    }
}
