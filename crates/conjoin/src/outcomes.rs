//! What a run did on every item that it was scored on: `outcomes.json`, from which runs are compared.

use crate::error::CliError;
use crate::system::read_text;
use conjoin_insight::{ArmResult, Outcomes};
use conjoin_tasks::{EpisodeOutput, Outputs, Scored};
use conjoin_world::driving::score::SubScores;
use serde::Serialize;
use serde_json::Value;
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

/// Grows when other metrics are kept, or mean something else: what an older build kept is scored again.
const FORMAT: u32 = 2;

/// What is written.
#[derive(Serialize)]
struct Written<'a> {
    format: u32,
    #[serde(flatten)]
    result: &'a ArmResult,
}

pub(crate) fn write(result: &ArmResult, path: &Path) -> Result<(), CliError> {
    let format = FORMAT;
    let text = serde_json::to_string(&Written { format, result })
        .map_err(|error| CliError::failed(error.to_string()))?;
    std::fs::write(path, text).map_err(|error| CliError::unwritable(path, &error))
}

/// What was kept at a path; nothing where there is no file, or one of another build.
pub(crate) fn kept(path: &Path) -> Result<Option<ArmResult>, CliError> {
    if !path.exists() {
        return Ok(None);
    }
    let text = read_text(path)?;
    let broken = |error| CliError::input(format!("{}: {error}", path.display()));
    let kept: Value = serde_json::from_str(&text).map_err(broken)?;
    // What an older build wrote may have no number, and be anything else besides.
    if kept.get("format").and_then(Value::as_u64) != Some(FORMAT.into()) {
        eprintln!(
            "{}: written by another build of conjoin, and made anew",
            path.display()
        );
        return Ok(None);
    }
    serde_json::from_value(kept).map(Some).map_err(broken)
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
        Outputs::Episodes(episodes) => of_episodes(episodes),
        Outputs::Classes { .. } => {
            let right = scored.items.iter().map(|item| item.errors == 0).collect();
            [("accuracy".to_owned(), Outcomes::Correct(right))].into()
        }
        Outputs::Texts(texts) => {
            let bleu = texts.iter().map(|text| text.bleu.counts()).collect();
            let chrf = texts.iter().map(|text| text.chrf.counts()).collect();
            [
                ("bleu".to_owned(), Outcomes::Bleu(bleu)),
                ("chrf".to_owned(), Outcomes::Chrf(chrf)),
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

/// What is compared of driven episodes, so that the totals are those of the task. Of NAVSIM's sub-scores an
/// episode has none where it was too short for a stretch.
fn of_episodes(episodes: &[EpisodeOutput]) -> BTreeMap<String, Outcomes> {
    let values =
        |value: fn(&EpisodeOutput) -> f64| Outcomes::Values(episodes.iter().map(value).collect());
    let ratios = |ratio: &dyn Fn(&EpisodeOutput) -> (f64, f64)| {
        Outcomes::Ratios(episodes.iter().map(ratio).collect())
    };
    let navsim = |score: fn(&SubScores) -> f64| {
        ratios(&|e| e.score.pdm.as_ref().map_or((0.0, 0.0), |s| (score(s), 1.0)))
    };
    // Right or wrong an episode: arms are tested on it with McNemar's test.
    let at_fault = episodes.iter().map(|e| (u32::from(e.is_at_fault()), 1));
    let success = episodes.iter().map(|e| e.score.success);
    [
        ("driving_score", values(|e| e.score.driving_score)),
        ("success", Outcomes::Correct(success.collect())),
        ("completion", values(|e| e.score.completion)),
        ("collisions_at_fault", Outcomes::Errors(at_fault.collect())),
        (
            "infractions_per_km",
            ratios(&|e| (e.score.infractions.len() as f64, e.score.metres / 1000.0)),
        ),
        ("intervention_rate", values(|e| e.interventions.share())),
        ("pdms", navsim(|s| s.pdms)),
        ("nc", navsim(|s| s.nc)),
        ("dac", navsim(|s| s.dac)),
        ("ep", navsim(|s| s.ep)),
        ("ttc", navsim(|s| s.ttc)),
        ("comfort", navsim(|s| s.c)),
    ]
    .map(|(name, outcomes)| (name.to_owned(), outcomes))
    .into()
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

#[cfg(test)]
mod tests {
    use super::*;
    use conjoin_insight::Comparison;
    use conjoin_insight::statistics::Bootstrap;
    use conjoin_tasks::ItemOutcome;
    use conjoin_world::driving::guard::Interventions;
    use conjoin_world::driving::score::closed_loop::{Ending, EpisodeScore, Infraction};

    /// An episode of 100 m that a layer braked in for a tenth of its steps.
    fn episode(number: usize, crashes: bool, pdms: Option<f64>) -> EpisodeOutput {
        let infractions = vec![Infraction::VehicleCollision; usize::from(crashes)];
        let pdm = |pdms| SubScores {
            nc: 1.0,
            dac: 1.0,
            ep: pdms,
            ttc: 1.0,
            c: 0.5,
            pdms,
        };
        EpisodeOutput {
            key: format!("straight-0 seed {number}"),
            score: EpisodeScore {
                ending: if crashes {
                    Ending::Collision { at_fault: true }
                } else {
                    Ending::Goal
                },
                completion: if crashes { 0.5 } else { 1.0 },
                success: !crashes,
                infractions,
                off_road_share: 0.0,
                driving_score: if crashes { 0.3 } else { 1.0 },
                metres: 100.0,
                seconds: 20.0,
                pdm: pdms.map(pdm),
            },
            steps: 200,
            interventions: Interventions {
                steps: 200,
                detected: 20,
                ..Interventions::default()
            },
            fallbacks: 0,
            film: None,
        }
    }

    fn arm(name: &str, episodes: Vec<EpisodeOutput>) -> ArmResult {
        let item = |episode: &EpisodeOutput| ItemOutcome {
            key: episode.key.clone(),
            errors: usize::from(!episode.score.success),
            length: 1,
        };
        let scored = Scored {
            scores: BTreeMap::new(),
            printed: Vec::new(),
            items: episodes.iter().map(item).collect(),
            outputs: Outputs::Episodes(episodes),
        };
        of(name, 7, &scored)
    }

    #[test]
    fn arms_that_drive_are_compared_on_all_scores() {
        let wild = (0..20).map(|i| episode(i, i % 2 == 0, (i != 3).then_some(0.4)));
        let calm = (0..20).map(|i| episode(i, i == 0, Some(0.8)));
        let arms = [arm("wild", wild.collect()), arm("calm", calm.collect())];
        let bootstrap = Bootstrap {
            replicates: 400,
            ..Bootstrap::default()
        };
        let found = Comparison::new(&arms, &bootstrap).unwrap();
        let row = |metric: &str, arm: usize| {
            let table = found.metrics.iter().find(|table| table.metric == metric);
            table.unwrap().arms[arm].clone()
        };
        assert_eq!(found.metrics.len(), 12);
        for (metric, wild, calm) in [
            ("success", 0.5, 0.95),
            ("collisions_at_fault", 0.5, 0.05),
            ("infractions_per_km", 5.0, 0.5),
            ("intervention_rate", 0.1, 0.1),
            ("pdms", 0.4, 0.8),
            ("ep", 0.4, 0.8),
            ("comfort", 0.5, 0.5),
            ("nc", 1.0, 1.0),
        ] {
            let [first, second] = [row(metric, 0), row(metric, 1)];
            assert!(
                (first.score.value - wild).abs() < 1e-9,
                "{metric} {first:?}"
            );
            assert!(
                (second.score.value - calm).abs() < 1e-9,
                "{metric} {second:?}"
            );
            let difference = second.difference.unwrap();
            assert!((difference.value - (calm - wild)).abs() < 1e-9, "{metric}");
            assert!(difference.low <= difference.value && difference.value <= difference.high);
        }
        for metric in ["success", "collisions_at_fault"] {
            let test = row(metric, 1).mcnemar[0];
            assert_eq!((test.only_first, test.only_second), (0, 9), "{metric}");
            assert!(test.p < 0.01);
        }
        assert!(row("pdms", 1).mcnemar.is_empty());
        // Without NAVSIM's sub-scores the others are left.
        let plain = |name: &str| arm(name, (0..4).map(|i| episode(i, i == 0, None)).collect());
        let found = Comparison::new(&[plain("a"), plain("b")], &bootstrap).unwrap();
        assert_eq!(found.metrics.len(), 6);
    }
}
