//! Drivers that need no training, on the same episodes.

use super::{DrivingConfig, key, scored};
use crate::scored::{EpisodeOutput, Scored};
use conjoin_world::driving::baseline::Baseline;
use conjoin_world::driving::guard::{Guard, GuardConfig, Guarded};
use conjoin_world::driving::table::table;
use conjoin_world::driving::vehicle::STEP;

impl DrivingConfig {
    /// Lets a baseline drive, without the safety layer: what that would have done is counted. None where
    /// there is no baseline of this name.
    pub(crate) fn baseline(&self, name: &str) -> Option<Scored> {
        let driver = Baseline::named(name)?;
        let config = GuardConfig {
            on: false,
            ..self.guard()
        };
        let driven = table(&self.episodes(None), self.navsim, |_| Guarded {
            driver: driver.clone(),
            guard: Guard::new(config),
        });
        let output = |result: conjoin_world::driving::table::EpisodeResult| EpisodeOutput {
            key: key(result.episode),
            steps: (result.score.seconds / STEP).round() as usize,
            score: result.score,
            interventions: result.interventions.unwrap_or_default(),
            fallbacks: 0,
            film: None,
        };
        Some(scored(driven.results.into_iter().map(output).collect()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn baselines_drive_the_tasks_episodes() {
        let task: DrivingConfig = serde_json::from_value(serde_json::json!({
            "plan": "qp.plan", "target": "data.plan", "data": "test", "episodes": 3, "navsim": false
        }))
        .unwrap();
        let found = task.baseline("constant-velocity").unwrap();
        let keys: Vec<&str> = found.items.iter().map(|item| item.key.as_str()).collect();
        let expected: Vec<String> = task.episodes(None).into_iter().map(key).collect();
        assert_eq!(keys, expected);
        // Whoever only drives straight on with the speed of the start arrives nowhere on most roads.
        assert!(found.scores["success"] < 1.0 && found.scores["completion"] < 1.0);
        assert!(found.scores["intervention_rate"] > 0.0);
        assert!(task.baseline("nobody").is_none());
    }
}
