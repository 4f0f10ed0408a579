//! Scores of text that was produced token by token: BLEU, chrF and TER.

use crate::error::TaskError;
use crate::score_run::ScoreRun;
use crate::scored::{ItemOutcome, Outputs, Scored, SequenceOutput, TextOutput};
use crate::teacher_forcing::TeacherForcing;
use crate::text_metrics::bleu::{self, BleuOptions, BleuStatistics};
use crate::text_metrics::chrf::{self, ChrfOptions, ChrfStatistics};
use crate::text_metrics::ter::{self, TerOptions, TerStatistics};
use crate::text_metrics::{BleuTokeniser, spaced};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Scores, the headline first.
pub(crate) const METRICS: &[&str] = &["bleu", "chrf", "ter", "perplexity", "token_accuracy"];

/// How outputs are scored as text: BLEU and chrF from 0 to 100 and TER as sacreBLEU gives them, and
/// perplexity a token.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TextScoresConfig {
    /// How BLEU cuts text into words: `13a`, `zh` (each Chinese character by itself), `char` or
    /// `none`. TER follows it for `zh` and `char`, where words have no spaces between them.
    #[serde(default)]
    pub tokenise: BleuTokeniser,
    /// Compare in lower case.
    #[serde(default)]
    pub lowercase: bool,
}

/// Sums over the items so far.
#[derive(Debug)]
pub(crate) struct TextTally {
    config: TextScoresConfig,
    /// The column whose tokens are text.
    target: String,
    bleu: BleuStatistics,
    chrf: ChrfStatistics,
    ter: TerStatistics,
    items: Vec<ItemOutcome>,
    outputs: Vec<TextOutput>,
}

impl TextTally {
    pub fn new(config: TextScoresConfig, target: &str) -> Self {
        Self {
            config,
            target: target.to_owned(),
            bleu: BleuStatistics::default(),
            chrf: ChrfStatistics::default(),
            ter: TerStatistics::default(),
            items: Vec::new(),
            outputs: Vec::new(),
        }
    }

    fn bleu_options(&self) -> BleuOptions {
        BleuOptions {
            tokenise: self.config.tokenise,
            lowercase: self.config.lowercase,
            effective_order: false,
        }
    }

    fn chrf_options(&self) -> ChrfOptions {
        ChrfOptions {
            lowercase: self.config.lowercase,
            ..ChrfOptions::default()
        }
    }

    /// Counts one produced sequence, the output of sample `index`.
    pub fn add(
        &mut self,
        run: &ScoreRun<'_>,
        index: usize,
        tokens: &[i64],
        sequence: SequenceOutput,
    ) -> Result<(), TaskError> {
        let text = run.detokenise(&self.target, tokens);
        let output = text.ok_or_else(|| TaskError::NotText(self.target.clone()))?;
        let references = run.reference_texts(index);
        if references.is_empty() {
            return Err(TaskError::NotText(self.target.clone()));
        }
        let bleu = bleu::statistics(&output, &references, &self.bleu_options());
        self.bleu += bleu;
        self.chrf += &chrf::statistics(&output, &references, &self.chrf_options());
        let ter = self.edits(&output, &references);
        self.ter += ter;
        self.items.push(ItemOutcome {
            key: sequence.key.clone(),
            errors: ter.edits as usize,
            length: ter.reference_length.round() as usize,
        });
        self.outputs.push(TextOutput {
            sequence,
            output,
            references,
            bleu,
        });
        Ok(())
    }

    fn edits(&self, output: &str, references: &[String]) -> TerStatistics {
        let options = TerOptions {
            case_sensitive: !self.config.lowercase,
        };
        match self.config.tokenise {
            BleuTokeniser::Zh | BleuTokeniser::Char => {
                let spread = |text: &str| spaced(self.config.tokenise, text);
                let references: Vec<String> = references.iter().map(|r| spread(r)).collect();
                ter::statistics(&spread(output), &references, &options)
            }
            BleuTokeniser::Mteval13a | BleuTokeniser::None => {
                ter::statistics(output, references, &options)
            }
        }
    }

    /// All scores; `forced` counted how well true prefixes are continued.
    pub fn finish(self, forced: &TeacherForcing) -> Scored {
        let scores = [
            ("bleu", self.bleu.score(&self.bleu_options()).score),
            ("chrf", self.chrf.score(&self.chrf_options())),
            // A share, as all error rates are.
            ("ter", self.ter.score().score / 100.0),
            ("perplexity", forced.perplexity()),
            ("token_accuracy", forced.accuracy()),
        ];
        let scores = scores.map(|(name, score)| (name.to_owned(), score));
        Scored {
            scores: scores.into(),
            items: self.items,
            outputs: Outputs::Texts(self.outputs),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn edits_follow_the_characters_where_words_have_no_spaces() {
        let tally = |tokenise| {
            let config = TextScoresConfig {
                tokenise,
                lowercase: false,
            };
            let tally = TextTally::new(config, "target_out");
            let found = tally.edits("打开文件。", &["打开一个文件。".to_owned()]);
            (found.edits, found.reference_length)
        };
        assert_eq!(tally(BleuTokeniser::Zh), (2, 7.0));
        assert_eq!(tally(BleuTokeniser::Mteval13a), (1, 1.0));
    }
}
