//! Masked modelling (Devlin, Chang, Lee, Toutanova 2019, "BERT", section 3.1): some tokens are
//! chosen; of these 80 % become `<mask>`, 10 % a random token, 10 % stay; all of them are targets.

use super::{Transform, add_column, check_share, column_of};
use crate::random::DataRng;
use crate::{Columns, Contract, DataError, Field, Meaning, Sample, Vocabulary};
use rand::Rng;
use rand::seq::index;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// What a target holds where nothing is to be predicted.
pub(crate) const IGNORE: i64 = -100;

/// Corrupts a token column and writes what was there into `<column>_target`.
///
/// As in BERT's own code a fixed number is chosen, `max(1, round(rate x ordinary tokens))`, so that
/// short words have a target too; `<eos>` and its like are never chosen.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct MaskTokensConfig {
    /// The token column; its vocabulary must have `<mask>`.
    pub column: String,
    /// Share of the ordinary tokens that is chosen.
    #[serde(default = "default_rate")]
    pub rate: f32,
    /// Of the chosen, the share that becomes `<mask>`.
    #[serde(default = "default_masked")]
    pub masked: f32,
    /// Of the chosen, the share that becomes a random ordinary token; the rest stays.
    #[serde(default = "default_random")]
    pub random: f32,
}

fn default_rate() -> f32 {
    0.15
}

fn default_masked() -> f32 {
    0.8
}

fn default_random() -> f32 {
    0.1
}

impl MaskTokensConfig {
    pub(super) fn bind(&self, columns: &mut Columns) -> Result<Box<dyn Transform>, DataError> {
        for (key, value) in [
            ("rate", self.rate),
            ("masked", self.masked),
            ("random", self.random),
        ] {
            check_share(key, value)?;
        }
        if self.masked + self.random > 1.0 + f32::EPSILON {
            let found = format!("{} with `masked` {}", self.random, self.masked);
            return Err(DataError::config(
                "random",
                found,
                "two shares that sum to at most 1",
            ));
        }
        let contract = column_of(columns, &self.column, &[Meaning::Tokens])?;
        let usable = contract.vocabulary.as_ref().and_then(|v| {
            let ordinary: Vec<i64> = (0..v.len() as i64).filter(|&i| !v.is_special(i)).collect();
            v.mask
                .filter(|_| !ordinary.is_empty())
                .map(|mask| (Arc::clone(v), mask, ordinary))
        });
        let Some((vocabulary, mask, ordinary)) = usable else {
            let found = format!("`{}`: {contract}", self.column);
            let expected = "tokens of a vocabulary with `<mask>` and ordinary symbols";
            return Err(DataError::config("column", found, expected));
        };
        let target = Contract {
            ignore: Some(IGNORE),
            ..contract.clone()
        };
        let target_column = format!("{}_target", self.column);
        add_column(columns, "column", &target_column, target)?;
        Ok(Box::new(MaskTokens {
            config: self.clone(),
            target_column,
            vocabulary,
            mask,
            ordinary,
        }))
    }
}

#[derive(Debug)]
struct MaskTokens {
    config: MaskTokensConfig,
    target_column: String,
    vocabulary: Arc<Vocabulary>,
    mask: i64,
    /// Indices of the symbols that are not special.
    ordinary: Vec<i64>,
}

impl Transform for MaskTokens {
    fn apply(&self, sample: &mut Sample, rng: &mut DataRng) -> Result<(), DataError> {
        let tokens = sample.tokens_mut(&self.config.column)?;
        let candidates: Vec<usize> = (0..tokens.len())
            .filter(|&i| !self.vocabulary.is_special(tokens[i]))
            .collect();
        let count = (self.config.rate * candidates.len() as f32).round() as usize;
        let count = count.max(1).min(candidates.len());
        let mut target = vec![IGNORE; tokens.len()];
        for chosen in index::sample(rng, candidates.len(), count) {
            let position = candidates[chosen];
            target[position] = tokens[position];
            let fate = rng.random::<f32>();
            if fate < self.config.masked {
                tokens[position] = self.mask;
            } else if fate < self.config.masked + self.config.random {
                tokens[position] = self.ordinary[rng.random_range(0..self.ordinary.len())];
            }
        }
        sample
            .fields
            .insert(self.target_column.clone(), Field::Tokens(target));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{apply, columns, read, refusal, sample};
    use super::*;
    use crate::random::stream;

    fn tokens(sample: &Sample, column: &str) -> Vec<i64> {
        match &sample.fields[column] {
            Field::Tokens(tokens) => tokens.clone(),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn targets_hold_what_was_there_and_only_where_chosen() {
        let clean = tokens(&sample(), "letters");
        for seed in 0..200 {
            let masked = apply(
                r#"{"kind": "mask-tokens", "column": "letters", "rate": 0.4}"#,
                seed,
            );
            let (input, target) = (
                tokens(&masked, "letters"),
                tokens(&masked, "letters_target"),
            );
            let chosen = target.iter().filter(|&&t| t != IGNORE).count();
            assert_eq!(chosen, 2); // round(0.4 * 5)
            assert_eq!(target[5], IGNORE, "<eos> is never chosen");
            for i in 0..clean.len() {
                if target[i] == IGNORE {
                    assert_eq!(input[i], clean[i]);
                } else {
                    assert_eq!(target[i], clean[i]);
                }
            }
        }
    }

    #[test]
    fn fates_are_80_10_10() {
        let config = read(r#"{"kind": "mask-tokens", "column": "letters", "rate": 1.0}"#);
        let transform = config.bind(&mut columns()).unwrap();
        let count = 20_000;
        let clean = vec![3; count];
        let mut sample = Sample::new("long").with("letters", Field::Tokens(clean));
        transform
            .apply(&mut sample, &mut stream(5, "test", &[]))
            .unwrap();
        let input = tokens(&sample, "letters");
        let share = |wanted: i64| input.iter().filter(|&&t| t == wanted).count() as f64 / 20_000.0;
        assert!((share(2) - 0.8).abs() < 0.01, "<mask>: {}", share(2));
        // The random token is the old one in one case of three.
        assert!(
            (share(3) - (0.1 + 0.1 / 3.0)).abs() < 0.01,
            "kept: {}",
            share(3)
        );
        assert!((share(4) - 0.1 / 3.0).abs() < 0.01, "random: {}", share(4));
        assert_eq!(share(0) + share(1), 0.0, "no special symbol is drawn");
    }

    #[test]
    fn one_token_at_least_and_none_of_none() {
        let config = read(r#"{"kind": "mask-tokens", "column": "letters", "rate": 0.01}"#);
        let transform = config.bind(&mut columns()).unwrap();
        for (letters, chosen) in [(vec![3, 1], 1), (vec![1], 0), (vec![], 0)] {
            let mut sample = Sample::new("short").with("letters", Field::Tokens(letters));
            transform
                .apply(&mut sample, &mut stream(0, "test", &[]))
                .unwrap();
            let target = tokens(&sample, "letters_target");
            assert_eq!(target.iter().filter(|&&t| t != IGNORE).count(), chosen);
        }
    }

    #[test]
    fn the_target_contract_has_the_ignored_index() {
        let mut columns = columns();
        read(r#"{"kind": "mask-tokens", "column": "letters"}"#)
            .bind(&mut columns)
            .unwrap();
        assert_eq!(columns["letters_target"].ignore, Some(IGNORE));
        assert_eq!(
            columns["letters_target"].vocabulary,
            columns["letters"].vocabulary
        );
        assert_eq!(columns["letters"].ignore, None);
    }

    #[test]
    fn options_are_checked() {
        let json = r#"{"kind": "mask-tokens", "column": "letters", "masked": 0.8, "random": 0.5}"#;
        assert_eq!(
            refusal(json),
            "option `random`: found 0.5 with `masked` 0.8, expected two shares that sum to at most 1"
        );
        assert!(refusal(r#"{"kind": "mask-tokens", "column": "image"}"#).contains("of tokens"));
    }
}
