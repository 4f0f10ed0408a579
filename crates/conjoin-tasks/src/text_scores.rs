//! Scores of text that was produced token by token: BLEU, chrF and TER.

use crate::error::TaskError;
use crate::score_run::ScoreRun;
use crate::scored::{ItemOutcome, Outputs, Scored, SequenceOutput, TextOutput};
use crate::teacher_forcing::TeacherForcing;
use crate::text_metrics::bleu::{self, BleuOptions, BleuStatistics};
use crate::text_metrics::chrf::{self, ChrfOptions, ChrfScore, ChrfStatistics};
use crate::text_metrics::ter::{self, TerOptions, TerStatistics};
use crate::text_metrics::{BleuTokeniser, Printed, spaced};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Scores, the headline first.
pub(crate) const METRICS: &[&str] = &["bleu", "chrf", "ter", "perplexity", "token_accuracy"];

/// How outputs are scored as text: BLEU and chrF from 0 to 100 and TER as sacreBLEU 2.6.0 gives them, and
/// perplexity a token. `eval` prints sacreBLEU's lines with its signatures; the version in them is that of
/// the sacreBLEU whose definitions are followed.
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
        let chrf = chrf::statistics(&output, &references, &self.chrf_options());
        self.chrf += &chrf;
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
            chrf,
        });
        Ok(())
    }

    fn edits(&self, output: &str, references: &[String]) -> TerStatistics {
        let options = self.ter_options();
        if !self.spreads_words() {
            return ter::statistics(output, references, &options);
        }
        let spread = |text: &str| spaced(self.config.tokenise, text);
        let references: Vec<String> = references.iter().map(|r| spread(r)).collect();
        ter::statistics(&spread(output), &references, &options)
    }

    fn ter_options(&self) -> TerOptions {
        TerOptions {
            case_sensitive: !self.config.lowercase,
        }
    }

    /// Whether TER counts the tokens of BLEU, because words have no spaces between them.
    fn spreads_words(&self) -> bool {
        match self.config.tokenise {
            BleuTokeniser::Zh | BleuTokeniser::Char => true,
            BleuTokeniser::Mteval13a | BleuTokeniser::None => false,
        }
    }

    /// BLEU, chrF and TER as sacreBLEU prints them. It has no TER over the tokens of `zh` and `char`: there
    /// the signature says `tok:zh-tercom` or `tok:char-tercom`.
    fn printed(&self) -> Vec<Printed> {
        let references = || self.outputs.iter().map(|output| output.references.len());
        let (bleu, chrf) = (self.bleu_options(), self.chrf_options());
        let chrf_score = ChrfScore {
            score: self.chrf.score(&chrf),
            name: chrf.name(),
        };
        let mut ter = self.ter_options().signature(references());
        if self.spreads_words() {
            let tokens = format!("tok:{}-tercom", self.config.tokenise.name());
            ter = ter.replace("tok:tercom", &tokens);
        }
        vec![
            Printed::new(
                "bleu",
                &self.bleu.score(&bleu),
                bleu.signature(references()),
            ),
            Printed::new("chrf", &chrf_score, chrf.signature(references())),
            Printed::new("ter", &self.ter.score(), ter),
        ]
    }

    /// All scores; `forced` counted how well true prefixes are continued.
    pub fn finish(self, forced: &TeacherForcing) -> Scored {
        let printed = self.printed();
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
            printed,
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

    #[test]
    fn a_signature_says_what_is_compared() {
        let signatures = |tokenise, lowercase| {
            let config = TextScoresConfig {
                tokenise,
                lowercase,
            };
            let printed = TextTally::new(config, "target_out").printed();
            printed.into_iter().map(|p| p.signature).collect::<Vec<_>>()
        };
        assert_eq!(
            signatures(BleuTokeniser::Mteval13a, false),
            [
                "nrefs:1|case:mixed|eff:no|tok:13a|smooth:exp|version:2.6.0",
                "nrefs:1|case:mixed|eff:yes|nc:6|nw:0|space:no|version:2.6.0",
                "nrefs:1|case:mixed|tok:tercom|norm:no|punct:yes|asian:no|version:2.6.0",
            ]
        );
        let chinese = signatures(BleuTokeniser::Zh, true);
        assert!(chinese[0].starts_with("nrefs:1|case:lc|eff:no|tok:zh|"));
        assert!(chinese[2].starts_with("nrefs:1|case:lc|tok:zh-tercom|"));
    }
}
