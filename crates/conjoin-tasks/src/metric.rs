//! What the name of a score says about it, by the conventions of the field.

/// Unit and direction of a score.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MetricKind {
    /// A share between 0 and 1, written as per cent.
    pub share: bool,
    pub higher_is_better: bool,
}

/// Words in a name that make it a gain.
const GAINS: [&str; 19] = [
    "accuracy",
    "precision",
    "recall",
    "f1",
    "iou",
    "map",
    "bleu",
    "chrf",
    "chrf++",
    "exact",
    "score",
    "success",
    "completion",
    "pdms",
    "nc",
    "dac",
    "ep",
    "ttc",
    "comfort",
];

/// Gains that the field writes as points from 0 to 100.
const POINTS: [&str; 3] = ["bleu", "chrf", "chrf++"];

impl MetricKind {
    /// Error rates and accuracies are shares; everything that is no known gain is a cost. A prefix
    /// that ends in `.` or `/` does not count.
    pub fn of(name: &str) -> Self {
        let lower = name.to_lowercase().replace(['-', ' '], "_");
        let last = lower.rsplit(['.', '/']).next().unwrap_or(&lower);
        let rate = matches!(
            last,
            "collisions_at_fault"
                | "intervention_rate"
                | "fallback_rate"
                | "held_by_agent"
                | "held_by_occupancy"
                | "held_by_road"
        ) || matches!(last, "per" | "wer" | "cer" | "ter" | "error" | "errors")
            || last.ends_with("error_rate");
        let gain = last.split('_').any(|word| GAINS.contains(&word));
        Self {
            share: rate || (gain && !POINTS.contains(&last)),
            higher_is_better: gain,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::MetricKind;

    #[test]
    fn names_tell_unit_and_direction() {
        let share = |higher_is_better| MetricKind {
            share: true,
            higher_is_better,
        };
        assert_eq!(MetricKind::of("wer"), share(false));
        assert_eq!(MetricKind::of("test/PER"), share(false));
        assert_eq!(MetricKind::of("token_error_rate"), share(false));
        assert_eq!(MetricKind::of("balanced-accuracy"), share(true));
        assert_eq!(MetricKind::of("driving_score"), share(true));
        assert_eq!(MetricKind::of("intervention_rate"), share(false));
        assert_eq!(MetricKind::of("held_by_agent"), share(false));
        assert_eq!(MetricKind::of("held_by_occupancy"), share(false));
        let (loss, bleu) = (MetricKind::of("cross-entropy"), MetricKind::of("bleu"));
        assert!(!loss.share && !loss.higher_is_better);
        assert!(!bleu.share && bleu.higher_is_better);
        assert_eq!(MetricKind::of("chrf++"), bleu);
        assert_eq!(MetricKind::of("perplexity"), loss);
    }
}
