//! What may not be said next: an end that comes too early, sequences of tokens that were said before.
//!
//! Forbidden tokens get no probability; the others keep theirs, as Hugging Face's logits processors
//! do in beam search.

use super::SearchConfig;

/// The rules for a search.
#[derive(Debug, Clone, Copy)]
pub(super) struct Guard {
    eos: i64,
    min_length: usize,
    ngram: usize,
}

impl Guard {
    pub fn new(config: &SearchConfig, eos: i64) -> Self {
        Self {
            eos,
            min_length: config.min_length,
            ngram: config.no_repeat_ngram,
        }
    }

    /// Whether anything is forbidden behind a prefix of so many tokens.
    pub fn acts(self, length: usize) -> bool {
        length < self.min_length || self.reads_tokens()
    }

    /// Whether the tokens themselves matter.
    pub fn reads_tokens(self) -> bool {
        self.ngram > 0
    }

    /// Takes the probability from what may not follow `length` tokens, which are `tokens` if
    /// [`Guard::reads_tokens`]; `scores` has one log-probability a symbol.
    pub fn apply(self, scores: &mut [f32], length: usize, tokens: &[i64]) {
        if length < self.min_length {
            forbid(scores, self.eos);
        }
        if self.ngram == 0 || tokens.len() < self.ngram {
            return;
        }
        let last = &tokens[tokens.len() + 1 - self.ngram..];
        for window in tokens.windows(self.ngram) {
            if window[..self.ngram - 1] == *last {
                forbid(scores, window[self.ngram - 1]);
            }
        }
    }
}

/// Gives a symbol no probability.
pub(crate) fn forbid(scores: &mut [f32], symbol: i64) {
    if let Some(score) = usize::try_from(symbol).ok().and_then(|i| scores.get_mut(i)) {
        *score = f32::NEG_INFINITY;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn forbidden(config: &SearchConfig, tokens: &[i64]) -> Vec<usize> {
        let mut scores = [0.0; 6];
        Guard::new(config, 0).apply(&mut scores, tokens.len(), tokens);
        (0..6).filter(|&i| scores[i] != 0.0).collect()
    }

    #[test]
    fn what_completes_a_sequence_said_before_is_forbidden() {
        let config = SearchConfig {
            no_repeat_ngram: 2,
            ..SearchConfig::default()
        };
        assert_eq!(forbidden(&config, &[1, 2, 1, 3, 1]), [2, 3]);
        assert_eq!(forbidden(&config, &[1, 2, 3]), [] as [usize; 0]);
        assert_eq!(forbidden(&config, &[1, 1]), [1]);
        assert_eq!(forbidden(&config, &[4]), [] as [usize; 0]);
        let single = SearchConfig {
            no_repeat_ngram: 1,
            ..SearchConfig::default()
        };
        assert_eq!(forbidden(&single, &[4, 5]), [4, 5]);
    }

    #[test]
    fn an_end_before_the_shortest_length_is_forbidden() {
        let config = SearchConfig {
            min_length: 2,
            ..SearchConfig::default()
        };
        assert_eq!(forbidden(&config, &[3]), [0]);
        assert_eq!(forbidden(&config, &[3, 4]), [] as [usize; 0]);
    }
}
