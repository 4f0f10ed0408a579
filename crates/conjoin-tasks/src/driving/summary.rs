//! From driven episodes to scores.

use crate::scored::EpisodeOutput;
use conjoin_world::driving::score::SubScores;
use std::collections::BTreeMap;

/// Scores of all episodes: means over episodes, but infractions per kilometre of all.
pub(super) fn summarise(episodes: &[EpisodeOutput]) -> BTreeMap<String, f64> {
    let count = episodes.len().max(1) as f64;
    let mean = |of: &dyn Fn(&EpisodeOutput) -> f64| episodes.iter().map(of).sum::<f64>() / count;
    let share = |of: &dyn Fn(&EpisodeOutput) -> bool| mean(&|e| f64::from(u8::from(of(e))));
    let metres: f64 = episodes.iter().map(|e| e.score.metres).sum();
    let infractions: usize = episodes.iter().map(|e| e.score.infractions.len()).sum();
    let steps: usize = episodes.iter().map(|e| e.steps).sum();
    let per_step = |of: fn(&EpisodeOutput) -> usize| {
        let found: usize = episodes.iter().map(of).sum();
        found as f64 / steps.max(1) as f64
    };
    let mut scores: BTreeMap<String, f64> = [
        ("driving_score", mean(&|e| e.score.driving_score)),
        ("success", share(&|e| e.score.success)),
        ("completion", mean(&|e| e.score.completion)),
        ("collisions_at_fault", share(&EpisodeOutput::is_at_fault)),
        (
            "infractions_per_km",
            infractions as f64 / (metres / 1000.0).max(1e-3),
        ),
        (
            "intervention_rate",
            per_step(|e| e.interventions.braking() as usize),
        ),
        ("fallback_rate", per_step(|e| e.fallbacks)),
    ]
    .map(|(name, value)| (name.to_owned(), value))
    .into();
    let driven: Vec<_> = episodes.iter().filter_map(|e| e.score.pdm).collect();
    if !driven.is_empty() {
        let mean = |of: &dyn Fn(&SubScores) -> f64| {
            driven.iter().map(of).sum::<f64>() / driven.len() as f64
        };
        for (name, value) in [
            ("pdms", mean(&|s| s.pdms)),
            ("nc", mean(&|s| s.nc)),
            ("dac", mean(&|s| s.dac)),
            ("ep", mean(&|s| s.ep)),
            ("ttc", mean(&|s| s.ttc)),
            ("comfort", mean(&|s| s.c)),
        ] {
            scores.insert(name.to_owned(), value);
        }
    }
    scores
}
