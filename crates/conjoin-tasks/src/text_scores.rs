//! Scores of text that was produced token by token: BLEU, chrF, TER and perplexity.
//!
//! Shapes: `B` batch, `U` target time, `V` vocabulary.

use crate::scored::{ItemOutcome, Outputs, Scored, SequenceOutput, TextOutput};
use crate::scorer::{ScoreRun, TaskBatch, TaskError, token_rows};
use crate::text_metrics::bleu::{self, BleuOptions, BleuStatistics};
use crate::text_metrics::chrf::{self, ChrfOptions, ChrfStatistics};
use crate::text_metrics::ter::{self, TerOptions, TerStatistics};
use crate::text_metrics::{BleuTokeniser, spaced};
use conjoin_graph::Value;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Scores, the headline first.
pub(crate) const METRICS: &[&str] = &["bleu", "chrf", "ter", "perplexity"];

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
    /// Negative log-probability of the true tokens, and their number.
    surprise: f64,
    tokens: usize,
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
            surprise: 0.0,
            tokens: 0,
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
        self.bleu += bleu::statistics(&output, &references, &self.bleu_options());
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

    /// Counts how probable the true tokens of a batch are, given those before them: `logits`
    /// `[B, U, V]`.
    pub fn add_surprise(&mut self, batch: &TaskBatch, logits: &Value) -> Result<(), TaskError> {
        let target = batch.values.get(&self.target);
        let target = target.ok_or_else(|| TaskError::column(&self.target))?;
        let shape = logits.shape();
        let (time, width) = match shape[..] {
            [_, time, width] => (time, width.max(1)),
            _ => return Err(TaskError::column(&self.target)),
        };
        let logits = logits.to_f32();
        for (row, tokens) in token_rows(target).iter().enumerate() {
            for (position, &token) in tokens.iter().enumerate().take(time) {
                let begin = (row * time + position) * width;
                let logits = &logits[begin..begin + width];
                let largest = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
                let sum: f64 = logits.iter().map(|&x| f64::from(x - largest).exp()).sum();
                let own = usize::try_from(token).ok().and_then(|i| logits.get(i));
                let own = own.ok_or_else(|| TaskError::column(&self.target))?;
                self.surprise += sum.ln() - f64::from(own - largest);
                self.tokens += 1;
            }
        }
        Ok(())
    }

    pub fn finish(self) -> Scored {
        let perplexity = (self.surprise / self.tokens.max(1) as f64).exp();
        let scores = [
            ("bleu", self.bleu.score(&self.bleu_options()).score),
            ("chrf", self.chrf.score(&self.chrf_options())),
            // A share, as all error rates are.
            ("ter", self.ter.score().score / 100.0),
            ("perplexity", perplexity),
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
    use burn::tensor::{Device, Int, Tensor, TensorData};

    /// A batch of one target column with rows of different lengths.
    fn batch() -> TaskBatch {
        let tokens = TensorData::new(vec![3_i64, 1, 2, 0], [2, 2]);
        let tokens = Tensor::<2, Int>::from_data(tokens, &Device::default());
        let target = Value::with_lengths(tokens, Some(vec![2, 1].into()));
        TaskBatch {
            values: [("target_out".to_owned(), target)].into(),
            indices: vec![0, 1],
        }
    }

    fn perplexity(logits: [f32; 16]) -> f64 {
        let logits = TensorData::new(logits.to_vec(), [2, 2, 4]);
        let logits = Tensor::<3>::from_data(logits, &Device::default());
        let mut tally = TextTally::new(TextScoresConfig::default(), "target_out");
        tally
            .add_surprise(&batch(), &Value::with_lengths(logits, None))
            .unwrap();
        assert_eq!(tally.tokens, 3);
        tally.finish().scores["perplexity"]
    }

    #[test]
    fn perplexity_is_the_number_of_equally_probable_tokens() {
        assert!((perplexity([0.5; 16]) - 4.0).abs() < 1e-6);
    }

    #[test]
    fn true_tokens_count_and_padding_does_not() {
        let mut logits = [0.0; 16];
        // Position by position: token 3, token 1, token 2, padding.
        logits[3] = 50.0;
        logits[4 + 1] = 50.0;
        logits[8 + 2] = 3.0_f32.ln();
        logits[12] = -50.0;
        // Two certain tokens, and one with probability 3 of 6.
        assert!((perplexity(logits) - 2.0_f64.powf(1.0 / 3.0)).abs() < 1e-6);
    }

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
