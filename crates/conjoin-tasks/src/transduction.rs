//! Transduction: a token sequence from an input, produced one token at a time.

use crate::decode::{
    BeamConfig, DecoderSetup, Hypothesis, SearchConfig, beam_search, greedy, sample, stream_of,
};
use crate::error::TaskError;
use crate::error_rate::{ErrorRate, ItemErrors};
use crate::score_run::{ScoreRun, TaskBatch};
use crate::scored::{ItemOutcome, Outputs, PredictedSequence, Prediction, Scored, SequenceOutput};
use crate::teacher_forcing::{TeacherForcing, said_behind};
use crate::text_scores::{self, TextScoresConfig, TextTally};
use conjoin_data::Vocabulary;
use conjoin_graph::{PortRef, Route};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Scores, the headline first.
const METRICS: &[&str] = &["wer", "per"];

/// Scores with `teacher_forced`.
const MORE_METRICS: &[&str] = &["wer", "per", "perplexity", "token_accuracy"];

/// Ports that are read; `alignment` may be left out.
pub(crate) const PORTS: &[&str] = &["tokens", "logits", "target", "alignment"];

/// Options of `[task] kind = "transduction"`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TransductionConfig {
    /// The column that carries the tokens said so far; decoding feeds predictions here.
    pub tokens: PortRef,
    /// Logits over the next token, `[B, U, V]`.
    pub logits: PortRef,
    /// The column with the tokens to be said, ending in `<eos>`.
    pub target: PortRef,
    /// Data set that is scored.
    pub data: String,
    /// Beam width; 1 is greedy.
    #[serde(default = "one")]
    pub beam: usize,
    /// Exponent of the length by which a beam hypothesis' log-probability is divided (0: none).
    #[serde(default)]
    pub length_penalty: f64,
    /// More about how outputs are searched for, or drawn.
    #[serde(default)]
    pub search: SearchConfig,
    /// Longest output in tokens.
    #[serde(default = "sixty_four")]
    pub max_length: usize,
    /// Attention weights `[B, U, T]` that the report draws.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub alignment: Option<PortRef>,
    /// Score outputs as text instead of token by token: BLEU, chrF, TER, and perplexity and accuracy of
    /// the next token behind true ones, as in `text = { tokenise = "13a" }`. The data must be text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<TextScoresConfig>,
    /// Score next tokens behind the true ones too: `perplexity` and `token_accuracy`.
    #[serde(default)]
    pub teacher_forced: bool,
}

fn one() -> usize {
    1
}

fn sixty_four() -> usize {
    64
}

impl TransductionConfig {
    /// The scores that the task gives.
    pub(crate) fn metrics(&self) -> &'static [&'static str] {
        match (self.text, self.teacher_forced) {
            (Some(_), _) => text_scores::METRICS,
            (None, true) => MORE_METRICS,
            (None, false) => METRICS,
        }
    }

    pub(crate) fn outputs_an_input(&self) -> usize {
        let sampling = self.search.sampling.as_ref();
        sampling
            .map_or(self.beam, |sampling| sampling.samples)
            .max(1)
    }

    pub(crate) fn ports(&self) -> BTreeMap<&'static str, PortRef> {
        let mut ports: BTreeMap<&'static str, PortRef> = [
            ("tokens", self.tokens.clone()),
            ("logits", self.logits.clone()),
            ("target", self.target.clone()),
        ]
        .into();
        if let Some(alignment) = &self.alignment {
            ports.insert("alignment", alignment.clone());
        }
        ports
    }

    pub(crate) fn set_port(&mut self, name: &str, port: &PortRef) {
        match name {
            "tokens" => self.tokens = port.clone(),
            "logits" => self.logits = port.clone(),
            "target" => self.target = port.clone(),
            "alignment" => self.alignment = Some(port.clone()),
            _ => {}
        }
    }

    /// What a decoder needs, from the vocabulary of the target column.
    pub(crate) fn setup(&self, vocabulary: &Vocabulary) -> Result<DecoderSetup, TaskError> {
        let symbol = |name: &'static str, index: Option<i64>| {
            index.ok_or_else(|| TaskError::Symbol {
                vocabulary: vocabulary.name.clone(),
                symbol: name,
            })
        };
        Ok(DecoderSetup {
            tokens: self.tokens.port.clone(),
            logits: self.logits.clone(),
            alignment: self.alignment.clone(),
            bos: symbol("<bos>", vocabulary.bos)?,
            eos: symbol("<eos>", vocabulary.eos)?,
            banned: vocabulary.unsaid(),
            max_length: self.max_length,
        })
    }

    /// Ports that decoding computes.
    pub(crate) fn wanted(&self) -> Vec<PortRef> {
        std::iter::once(self.logits.clone())
            .chain(self.alignment.clone())
            .collect()
    }

    /// The hypotheses of every row of a batch, best first.
    pub(crate) fn decode(
        &self,
        run: &ScoreRun<'_>,
        route: &Route,
        batch: &TaskBatch,
        setup: &DecoderSetup,
    ) -> Result<Vec<Vec<Hypothesis>>, TaskError> {
        let (graph, device, search) = (run.graph, run.device, &self.search);
        let (columns, rows) = (&batch.values, batch.indices.len());
        if let Some(sampling) = &search.sampling {
            let stream = |&index: &usize| stream_of(sampling.seed, &run.key(index));
            let streams: Vec<u64> = batch.indices.iter().map(stream).collect();
            return Ok(sample(
                graph, route, columns, &streams, setup, search, device,
            )?);
        }
        if self.beam <= 1 {
            let best = greedy(graph, route, columns, rows, setup, search, device)?;
            return Ok(best.into_iter().map(|best| vec![best]).collect());
        }
        let config = BeamConfig {
            width: self.beam,
            length_penalty: self.length_penalty,
            search: search.clone(),
        };
        Ok(beam_search(
            graph, route, columns, rows, setup, &config, device,
        )?)
    }

    /// Token error rate (`per`) and item error rate (`wer`) against the best-matching reference, or
    /// the scores of the outputs as text; with `teacher_forced`, and for text, also how well true
    /// prefixes are continued.
    pub(crate) fn score(&self, run: &mut ScoreRun<'_>) -> Result<Scored, TaskError> {
        let target = run.column(&self.target)?;
        let vocabulary = run.vocabulary(&target)?;
        let setup = self.setup(&vocabulary)?;
        let route = run.route(&self.wanted())?;
        let mut texts = self.text.map(|config| TextTally::new(config, &target));
        let truth = run.route(std::slice::from_ref(&self.logits))?;
        let mut total = ErrorRate::default();
        let mut forced = TeacherForcing::default();
        let (mut outcomes, mut outputs) = (Vec::new(), Vec::new());
        while let Some(batch) = run.next_batch()? {
            if self.teacher_forced || self.text.is_some() {
                let targets = batch.values.get(&target);
                let targets = targets.ok_or_else(|| TaskError::column(&target))?;
                forced.add(&run.forward(&truth, &batch, &self.logits)?, targets);
            }
            let decoded = if run.true_prefix {
                let targets = batch.values.get(&target);
                let targets = targets.ok_or_else(|| TaskError::column(&target))?;
                said_behind(&run.forward(&truth, &batch, &self.logits)?, targets, &setup)
            } else {
                self.decode(run, &route, &batch, &setup)?
            };
            let references = run.references(&batch, &target, &vocabulary);
            let sources = run.source_symbols(&route, &batch, &self.tokens.port);
            let told = references.into_iter().zip(sources);
            for (row, (hypotheses, (references, source))) in
                decoded.into_iter().zip(told).enumerate()
            {
                let Some(best) = hypotheses.into_iter().next() else {
                    continue;
                };
                let index = batch.indices[row];
                let output = SequenceOutput {
                    key: run.key(index),
                    source,
                    output: symbols(&vocabulary, &best.tokens),
                    references: references.iter().map(|r| symbols(&vocabulary, r)).collect(),
                    log_probability: best.log_probability,
                    alignment: best.alignment,
                };
                if let Some(texts) = &mut texts {
                    texts.add(run, index, &best.tokens, output)?;
                    continue;
                }
                let errors = ItemErrors::best(&references, &best.tokens);
                total.add(errors);
                outcomes.push(ItemOutcome {
                    key: output.key.clone(),
                    errors: errors.errors,
                    length: errors.length,
                });
                outputs.push(output);
            }
        }
        if let Some(texts) = texts {
            return Ok(texts.finish(&forced));
        }
        let mut scores: BTreeMap<String, f64> = [
            ("per".to_owned(), total.token_error_rate()),
            ("wer".to_owned(), total.item_error_rate()),
        ]
        .into();
        if self.teacher_forced {
            scores.insert("perplexity".to_owned(), forced.perplexity());
            scores.insert("token_accuracy".to_owned(), forced.accuracy());
        }
        Ok(Scored {
            scores,
            printed: Vec::new(),
            items: outcomes,
            outputs: Outputs::Sequences(outputs),
        })
    }

    /// Hypotheses for every sample, with its position.
    pub(crate) fn predict(
        &self,
        run: &mut ScoreRun<'_>,
    ) -> Result<Vec<(usize, Prediction)>, TaskError> {
        let target = run.column(&self.target)?;
        let vocabulary = run.vocabulary(&target)?;
        let setup = self.setup(&vocabulary)?;
        let route = run.route(&self.wanted())?;
        let mut found = Vec::new();
        while let Some(batch) = run.next_batch()? {
            let decoded = self.decode(run, &route, &batch, &setup)?;
            let sources = run.source_symbols(&route, &batch, &self.tokens.port);
            for (row, (hypotheses, source)) in decoded.into_iter().zip(sources).enumerate() {
                let hypotheses = hypotheses
                    .into_iter()
                    .map(|hypothesis| PredictedSequence {
                        output: symbols(&vocabulary, &hypothesis.tokens),
                        text: run.detokenise(&target, &hypothesis.tokens),
                        log_probability: hypothesis.log_probability,
                        score: hypothesis.score,
                        finished: hypothesis.finished,
                        alignment: hypothesis.alignment,
                    })
                    .collect();
                let prediction = Prediction::Sequence {
                    input: run.key(batch.indices[row]),
                    hypotheses,
                    source,
                };
                found.push((batch.indices[row], prediction));
            }
        }
        Ok(found)
    }
}

/// Symbols of indices; an index outside the vocabulary is shown as its number.
pub(crate) fn symbols(vocabulary: &Vocabulary, tokens: &[i64]) -> Vec<String> {
    tokens
        .iter()
        .map(|&token| {
            vocabulary
                .symbol(token)
                .map_or_else(|| token.to_string(), ToOwned::to_owned)
        })
        .collect()
}
