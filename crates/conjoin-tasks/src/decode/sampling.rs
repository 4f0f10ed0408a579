//! Draws of a token from a distribution or from its larger part.
//!
//! As Hugging Face's `generate` with `do_sample`: temperature, then the `top_k` most probable, then
//! the fewest of these that together have probability `top_p`.

use super::SamplingConfig;
use conjoin_nn::rng::{Stream, child_key};

/// The random choices of one output.
#[derive(Debug, Clone)]
pub(super) struct Draw {
    temperature: f64,
    top_k: usize,
    top_p: f64,
    stream: Stream,
    /// Tokens with their probabilities, kept so that a step allocates nothing.
    pool: Vec<(usize, f64)>,
}

/// The random stream of an input under a seed: from the two alone, so that neither batching nor what
/// came before matters.
pub fn stream_of(seed: u64, input: &str) -> u64 {
    child_key(child_key(seed, "sampling"), input)
}

impl Draw {
    /// `sample` counts the outputs of one input.
    pub fn new(config: &SamplingConfig, stream: u64, sample: usize) -> Self {
        Self {
            temperature: config.temperature,
            top_k: config.top_k,
            top_p: config.top_p,
            stream: Stream::new(child_key(stream, &sample.to_string())),
            pool: Vec::new(),
        }
    }

    /// A token by its log-probabilities `[V]`; none where nothing has any.
    pub fn token(&mut self, scores: &[f32], position: usize) -> Option<i64> {
        self.keep_larger_part(scores);
        let total: f64 = self.pool.iter().map(|(_, p)| p).sum();
        let wanted = self.stream.uniform(position as u64) * total;
        let mut sum = 0.0;
        for &(token, probability) in &self.pool {
            sum += probability;
            if wanted < sum {
                return Some(token as i64);
            }
        }
        // Rounding may leave the last one over.
        self.pool.last().map(|&(token, _)| token as i64)
    }

    /// Fills the pool, most probable first where anything is cut away.
    fn keep_larger_part(&mut self, scores: &[f32]) {
        let largest = scores.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        self.pool.clear();
        if !largest.is_finite() {
            return;
        }
        let temperature = self.temperature;
        let weight = |score: f32| (f64::from(score - largest) / temperature).exp();
        let possible = scores.iter().enumerate().filter(|(_, s)| s.is_finite());
        self.pool
            .extend(possible.map(|(token, &s)| (token, weight(s))));
        let cuts = (self.top_k > 0 && self.top_k < self.pool.len()) || self.top_p < 1.0;
        if !cuts {
            return;
        }
        self.pool
            .sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
        if self.top_k > 0 {
            self.pool.truncate(self.top_k);
        }
        if self.top_p < 1.0 {
            let total: f64 = self.pool.iter().map(|(_, p)| p).sum();
            let mut sum = 0.0;
            let enough = self.pool.iter().position(|(_, p)| {
                sum += p;
                sum >= self.top_p * total
            });
            self.pool
                .truncate(enough.map_or(self.pool.len(), |i| i + 1));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shares(config: &SamplingConfig, probabilities: &[f32]) -> Vec<f64> {
        let scores: Vec<f32> = probabilities.iter().map(|p| p.ln()).collect();
        let draws = 20_000;
        let mut counts = vec![0; scores.len()];
        for sample in 0..draws {
            let token = Draw::new(config, stream_of(3, "word"), sample).token(&scores, 0);
            counts[token.unwrap() as usize] += 1;
        }
        counts
            .iter()
            .map(|&c| f64::from(c) / draws as f64)
            .collect()
    }

    fn close(found: &[f64], expected: &[f64]) {
        for (a, b) in found.iter().zip(expected) {
            assert!((a - b).abs() < 0.012, "{found:?} instead of {expected:?}");
        }
    }

    #[test]
    fn shares_are_the_probabilities_of_what_is_left() {
        let p = [0.1, 0.5, 0.0, 0.15, 0.25];
        let all = SamplingConfig::default();
        close(&shares(&all, &p), &[0.1, 0.5, 0.0, 0.15, 0.25]);
        let two = SamplingConfig {
            top_k: 2,
            ..all.clone()
        };
        close(&shares(&two, &p), &[0.0, 2.0 / 3.0, 0.0, 0.0, 1.0 / 3.0]);
        // 0.5 + 0.25 is not enough, so that 0.15 stays.
        let nucleus = SamplingConfig {
            top_p: 0.8,
            ..all.clone()
        };
        close(
            &shares(&nucleus, &p),
            &[0.0, 5.0 / 9.0, 0.0, 1.5 / 9.0, 2.5 / 9.0],
        );
        let bold = SamplingConfig {
            temperature: 0.5,
            ..all
        };
        let squares = [0.01, 0.25, 0.0, 0.0225, 0.0625].map(|x| x / 0.345);
        close(&shares(&bold, &p), &squares);
    }

    #[test]
    fn nothing_is_drawn_from_nothing() {
        let mut draw = Draw::new(&SamplingConfig::default(), 1, 0);
        assert_eq!(draw.token(&[f32::NEG_INFINITY; 3], 0), None);
    }

    #[test]
    fn draws_follow_from_seed_input_sample_and_position() {
        let scores = [0.0f32; 64];
        let tokens = |stream, sample| -> Vec<i64> {
            let mut draw = Draw::new(&SamplingConfig::default(), stream, sample);
            (0..6).filter_map(|i| draw.token(&scores, i)).collect()
        };
        let reference = tokens(stream_of(1, "a"), 0);
        assert_eq!(reference, tokens(stream_of(1, "a"), 0));
        for other in [
            tokens(stream_of(2, "a"), 0),
            tokens(stream_of(1, "b"), 0),
            tokens(stream_of(1, "a"), 1),
        ] {
            assert_ne!(reference, other);
        }
    }
}
