//! What a recipe may say about how outputs are searched for.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How a search ranks what it finds, when it stops, and what it never says.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct SearchConfig {
    /// What a finished hypothesis' log-probability is divided by.
    pub length_normaliser: LengthNormaliser,
    /// Weight of the coverage penalty of Wu et al. 2016 (equation 14): hypotheses that leave parts of
    /// the source unattended rank lower. Beam search only; wants the task's `alignment`.
    pub coverage_penalty: f64,
    /// When beam search has enough.
    pub early_stopping: EarlyStopping,
    /// Shortest output in tokens, the end symbol not counted.
    pub min_length: usize,
    /// No sequence of so many tokens is said twice (Paulus et al. 2018); 0 allows all.
    pub no_repeat_ngram: usize,
    /// Draw tokens at random instead of searching for the most probable ones.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sampling: Option<SamplingConfig>,
}

/// What a log-probability is divided by, for a length n (the end symbol counted) and the task's
/// `length_penalty` a.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum LengthNormaliser {
    /// `n^a`.
    #[default]
    Power,
    /// `((5 + n) / 6)^a` (Wu et al. 2016, equation 14).
    Gnmt,
}

impl LengthNormaliser {
    /// The divisor of a log-probability.
    pub fn divisor(self, length: usize, penalty: f64) -> f64 {
        let length = length.max(1) as f64;
        match self {
            Self::Power => length.powf(penalty),
            Self::Gnmt => ((5.0 + length) / 6.0).powf(penalty),
        }
    }
}

/// When a beam that has as many finished hypotheses as it is wide looks no further.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum EarlyStopping {
    /// When no prefix could enter the list, however long it became: finds the best that the width
    /// allows (`early_stopping="never"` of Hugging Face's `generate`).
    #[default]
    Never,
    /// When no prefix could enter the list if it ended here (`early_stopping=False` there).
    Heuristic,
    /// At once (`early_stopping=True` there).
    First,
}

/// Ancestral sampling from the model's distribution, or from its larger part.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct SamplingConfig {
    /// Logits are divided by it: below 1 bolder, above 1 more varied.
    pub temperature: f64,
    /// Only the so many most probable tokens are drawn from (Fan et al. 2018); 0 takes all.
    pub top_k: usize,
    /// Only the most probable tokens that together have this probability are drawn from (Holtzman et
    /// al. 2020).
    pub top_p: f64,
    /// Seed of the draws. An input's draws follow from the seed and the input alone.
    pub seed: u64,
    /// Outputs that are drawn for an input; the most probable of them comes first.
    pub samples: usize,
}

impl Default for SamplingConfig {
    fn default() -> Self {
        Self {
            temperature: 1.0,
            top_k: 0,
            top_p: 1.0,
            seed: 1,
            samples: 1,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::LengthNormaliser;

    /// Values of the formulas in Wu et al. 2016 and in Hugging Face's `BeamHypotheses`.
    #[test]
    fn divisors_are_those_of_the_papers() {
        let gnmt = LengthNormaliser::Gnmt;
        assert!((gnmt.divisor(1, 0.6) - 1.0).abs() < 1e-12);
        assert!((gnmt.divisor(7, 1.0) - 2.0).abs() < 1e-12);
        assert!((LengthNormaliser::Power.divisor(9, 0.5) - 3.0).abs() < 1e-12);
        assert_eq!(LengthNormaliser::Power.divisor(9, 0.0), 1.0);
    }
}
