//! What the name of a score says about it: how to write it, and which direction is better.

use crate::number;
use conjoin_tasks::MetricKind;

/// A score's label, unit and direction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Metric {
    /// The name in events and files.
    pub name: String,
    /// The name for people.
    pub label: String,
    /// A share, written as per cent.
    pub percent: bool,
    pub higher_is_better: bool,
}

/// Short names that are written in capitals.
const ABBREVIATIONS: [&str; 12] = [
    "per", "wer", "cer", "ter", "bleu", "map", "iou", "pdms", "nc", "dac", "ep", "ttc",
];

/// Labels that say more than their names: who measures a distance so, and what is held.
const LABELS: [(&str, &str); 7] = [
    ("l2_1s", "L2 at 1 s (UniAD)"),
    ("l2_2s", "L2 at 2 s (UniAD)"),
    ("l2_1s_mean", "mean L2 up to 1 s (ST-P3)"),
    ("l2_2s_mean", "mean L2 up to 2 s (ST-P3)"),
    ("held_by_agent", "plan held by an agent"),
    ("held_by_occupancy", "plan held by occupancy"),
    ("held_by_road", "plan held by the road's edge"),
];

impl Metric {
    /// By the conventions of [`MetricKind`].
    pub fn of(name: &str) -> Self {
        let lower = name.to_lowercase().replace(['-', ' '], "_");
        let last = lower.rsplit(['.', '/']).next().unwrap_or(&lower);
        let kind = MetricKind::of(name);
        let prefix = &lower[..lower.len() - last.len()];
        let known = LABELS.iter().find(|(name, _)| *name == last);
        let label = if let Some((_, label)) = known {
            format!("{prefix}{label}")
        } else if ABBREVIATIONS.contains(&last) {
            format!("{prefix}{}", last.to_uppercase())
        } else if last == "chrf" {
            format!("{prefix}chrF")
        } else {
            lower.replace('_', " ")
        };
        Self {
            name: name.to_owned(),
            label,
            percent: kind.share,
            higher_is_better: kind.higher_is_better,
        }
    }

    /// The label as the beginning of a line: `Driving score`, `BLEU`.
    pub fn title(&self) -> String {
        let mut letters = self.label.chars();
        letters.next().map_or_else(String::new, |first| {
            first.to_uppercase().chain(letters).collect()
        })
    }

    /// The score as text.
    pub fn format(&self, value: f64) -> String {
        if self.percent && value.is_finite() {
            number::percent(value, 2)
        } else {
            number::significant(value, 4)
        }
    }

    /// A difference, with its sign; shares in percentage points.
    pub fn format_difference(&self, value: f64) -> String {
        let sign = if value > 0.0 { "+" } else { "" };
        if self.percent && value.is_finite() {
            format!("{sign}{}", number::percent(value, 2).replace(" %", " pp"))
        } else {
            format!("{sign}{}", number::significant(value, 3))
        }
    }

    /// Whether `a` is the better score.
    pub fn better(&self, a: f64, b: f64) -> bool {
        if self.higher_is_better { a > b } else { a < b }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_tell_unit_and_direction() {
        let wer = Metric::of("wer");
        assert_eq!(
            (wer.label.as_str(), wer.percent, wer.higher_is_better),
            ("WER", true, false)
        );
        assert_eq!(wer.format(0.3751), "37.51 %");
        assert_eq!(wer.format_difference(-0.012), "−1.20 pp");
        let accuracy = Metric::of("balanced-accuracy");
        assert!(accuracy.percent && accuracy.higher_is_better);
        assert!(accuracy.better(0.9, 0.8));
        let loss = Metric::of("cross-entropy");
        assert!(!loss.percent && !loss.higher_is_better);
        assert_eq!(loss.format(0.51234), "0.5123");
        assert_eq!(Metric::of("token_error_rate").format(0.1), "10.00 %");
        assert_eq!(Metric::of("test/per").label, "test/PER");
        assert_eq!(Metric::of("chrf").label, "chrF");
        let held = Metric::of("held_by_agent");
        assert_eq!(held.label, "plan held by an agent");
        assert!(held.percent && !held.higher_is_better);
        assert_eq!(held.title(), "Plan held by an agent");
    }

    #[test]
    fn distances_in_the_open_loop_name_their_protocol() {
        for (name, label) in [
            ("l2_1s", "L2 at 1 s (UniAD)"),
            ("l2_2s", "L2 at 2 s (UniAD)"),
            ("l2_1s_mean", "mean L2 up to 1 s (ST-P3)"),
            ("l2_2s_mean", "mean L2 up to 2 s (ST-P3)"),
        ] {
            let metric = Metric::of(name);
            assert_eq!(metric.label, label);
            assert!(!metric.percent && !metric.higher_is_better);
            assert_eq!(
                Metric::of(&format!("test/{name}")).label,
                format!("test/{label}")
            );
        }
    }
}
