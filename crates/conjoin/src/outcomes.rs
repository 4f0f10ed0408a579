//! What a run did on every item that it was scored on: `outcomes.json`, from which runs are compared.

use crate::error::CliError;
use crate::system::read_text;
use conjoin_insight::{ArmResult, Outcomes};
use conjoin_tasks::{EpisodeOutput, Outputs, Scored};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

pub(crate) fn path(run: &Path) -> PathBuf {
    run.join("outcomes.json")
}

/// The outcomes of one run.
pub(crate) fn of(arm: &str, seed: u64, scored: &Scored) -> ArmResult {
    let mut hash = blake3::Hasher::new();
    for item in &scored.items {
        hash.update(item.key.as_bytes());
        hash.update(b"\n");
    }
    ArmResult {
        arm: arm.to_owned(),
        seed,
        metrics: metrics(scored),
        lengths: lengths(&scored.outputs),
        scored: hash.finalize().to_hex()[..16].to_owned(),
    }
}

pub(crate) fn write(result: &ArmResult, run: &Path) -> Result<(), CliError> {
    write_to(result, &path(run))
}

pub(crate) fn write_to(result: &ArmResult, path: &Path) -> Result<(), CliError> {
    let text =
        serde_json::to_string(result).map_err(|error| CliError::failed(error.to_string()))?;
    std::fs::write(path, text).map_err(|error| CliError::unwritable(path, &error))
}

pub(crate) fn read(run: &Path) -> Result<ArmResult, CliError> {
    read_from(&path(run))
}

pub(crate) fn read_from(path: &Path) -> Result<ArmResult, CliError> {
    serde_json::from_str(&read_text(path)?)
        .map_err(|error| CliError::input(format!("{}: {error}", path.display())))
}

/// Outcomes of every item by metric.
fn metrics(scored: &Scored) -> BTreeMap<String, Outcomes> {
    let errors = || {
        let counts = scored
            .items
            .iter()
            .map(|i| (i.errors as u32, i.length as u32));
        Outcomes::Errors(counts.collect())
    };
    match &scored.outputs {
        Outputs::Episodes(episodes) => {
            let of = |value: fn(&EpisodeOutput) -> f64| {
                Outcomes::Values(episodes.iter().map(value).collect())
            };
            let success = episodes.iter().map(|e| e.score.success).collect();
            [
                ("driving_score", of(|e| e.score.driving_score)),
                ("success", Outcomes::Correct(success)),
                ("completion", of(|e| e.score.completion)),
                ("collisions_at_fault", of(|e| f64::from(e.is_at_fault()))),
                ("intervention_rate", of(|e| e.interventions.share())),
            ]
            .map(|(name, outcomes)| (name.to_owned(), outcomes))
            .into()
        }
        Outputs::Classes { .. } => {
            let right = scored.items.iter().map(|item| item.errors == 0).collect();
            [("accuracy".to_owned(), Outcomes::Correct(right))].into()
        }
        Outputs::Texts(texts) => {
            let bleu = texts.iter().map(|text| text.bleu.counts()).collect();
            [
                ("bleu".to_owned(), Outcomes::Bleu(bleu)),
                ("ter".to_owned(), errors()),
            ]
            .into()
        }
        Outputs::Sequences(_) => {
            let words = scored.items.iter().map(|i| (u32::from(i.errors > 0), 1));
            [
                ("per".to_owned(), errors()),
                ("wer".to_owned(), Outcomes::Errors(words.collect())),
            ]
            .into()
        }
    }
}

/// Symbols of every source; of text its words, or its characters where it is written without spaces.
fn lengths(outputs: &Outputs) -> Vec<u32> {
    match outputs {
        Outputs::Classes { .. } | Outputs::Episodes(_) => Vec::new(),
        Outputs::Sequences(items) => items.iter().map(|item| item.source.len() as u32).collect(),
        Outputs::Texts(items) => {
            let words = |text: &str| text.split_whitespace().count() as u32;
            let keys = || items.iter().map(|item| item.sequence.key.as_str());
            let spaced = keys().any(|key| words(key) > 1);
            let length = |key: &str| {
                if spaced {
                    words(key)
                } else {
                    key.chars().count() as u32
                }
            };
            keys().map(length).collect()
        }
    }
}

/// Outcomes by metric with the cross-entropy of every class besides: it moves where no answer does.
pub(crate) fn with_likelihoods(scored: &Scored) -> BTreeMap<String, Outcomes> {
    let mut outcomes = metrics(scored);
    if let Outputs::Classes { items, .. } = &scored.outputs {
        let surprise = items.iter().map(|item| {
            let probability = item.probabilities.get(item.target).copied();
            -f64::from(probability.unwrap_or(0.0).max(f32::MIN_POSITIVE)).ln()
        });
        let values = Outcomes::Values(surprise.collect());
        outcomes.insert("cross-entropy".to_owned(), values);
    }
    outcomes
}
