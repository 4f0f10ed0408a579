//! How well each next token is foretold behind the true ones: perplexity and accuracy under teacher
//! forcing. Next to the scores of decoded outputs they show what a model loses by reading its own
//! mistakes (exposure bias, Ranzato et al. 2016).

use crate::decode::{DecoderSetup, Hypothesis, forbid, log_softmax};
use conjoin_graph::Value;

/// Sums over positions.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct TeacherForcing {
    positions: usize,
    right: usize,
    /// In nats.
    cross_entropy: f64,
}

impl TeacherForcing {
    /// Adds a batch: logits `[B, U, V]` and targets `[B, U]` with a length a row. Every valid position
    /// counts, that of the end symbol too.
    pub fn add(&mut self, logits: &Value, targets: &Value) {
        let vocabulary = logits.shape().last().copied().unwrap_or(1).max(1);
        let time = targets.shape().get(1).copied().unwrap_or(1).max(1);
        let lengths = targets.row_lengths();
        let targets = targets.to_i64();
        let mut scores = logits.to_f32();
        let rows = scores.chunks_exact_mut(vocabulary).zip(targets).enumerate();
        for (index, (scores, target)) in rows {
            let valid = lengths.get(index / time).copied().unwrap_or(time);
            if index % time >= valid {
                continue;
            }
            log_softmax(scores);
            let target = usize::try_from(target).unwrap_or(usize::MAX);
            let score = scores.get(target).copied().unwrap_or(f32::NEG_INFINITY);
            self.positions += 1;
            self.cross_entropy -= f64::from(score);
            // The first of the largest, as decoding takes it.
            let better = |(place, other): (usize, &f32)| {
                *other > score || (*other == score && place < target)
            };
            self.right += usize::from(!scores.iter().enumerate().any(better));
        }
    }

    /// Exponential of the mean cross-entropy.
    pub fn perplexity(&self) -> f64 {
        (self.cross_entropy / self.positions.max(1) as f64).exp()
    }

    /// Share of positions whose token is the most probable one.
    pub fn accuracy(&self) -> f64 {
        self.right as f64 / self.positions.max(1) as f64
    }
}

/// What is said at each position behind the true tokens: one hypothesis a row, with the most probable
/// symbol that decoding could say there. An end said too early is a symbol left out; at the last
/// position the end is right. Logits `[B, U, V]`, targets `[B, U]` with a length a row.
pub(crate) fn said_behind(
    logits: &Value,
    targets: &Value,
    setup: &DecoderSetup,
) -> Vec<Vec<Hypothesis>> {
    let vocabulary = logits.shape().last().copied().unwrap_or(1).max(1);
    let time = targets.shape().get(1).copied().unwrap_or(1).max(1);
    let lengths = targets.row_lengths();
    let mut scores = logits.to_f32();
    let rows = scores
        .chunks_exact_mut(vocabulary * time)
        .zip(lengths.iter());
    rows.map(|(row, &length)| {
        let mut said = Hypothesis {
            finished: true,
            ..Hypothesis::default()
        };
        for scores in row.chunks_exact_mut(vocabulary).take(length.min(time)) {
            for &symbol in &setup.banned {
                forbid(scores, symbol);
            }
            log_softmax(scores);
            let best = scores.iter().enumerate();
            let best = best.reduce(|best, other| if other.1 > best.1 { other } else { best });
            let Some((token, score)) = best else { continue };
            said.log_probability += f64::from(*score);
            if token as i64 != setup.eos {
                said.tokens.push(token as i64);
            }
        }
        said.score = said.log_probability;
        vec![said]
    })
    .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::{DType, Device, Int, Tensor};

    #[test]
    fn padding_does_not_count() {
        let device = Device::flex();
        let ln = |x: f32| x.ln();
        let logits = Tensor::<3>::from_data(
            [
                [[ln(0.5), ln(0.25), ln(0.25)], [ln(0.1), ln(0.8), ln(0.1)]],
                [[ln(0.25), ln(0.5), ln(0.25)], [9.0, 0.0, 0.0]],
            ],
            &device,
        );
        let targets = Tensor::<2, Int>::from_data([[0i64, 1], [2, 1]], (&device, DType::I64));
        let targets = Value::with_lengths(targets, Some([2, 1].into()));
        let mut total = TeacherForcing::default();
        total.add(&logits.into(), &targets);
        let expected = (1.0f64 / (0.5 * 0.8 * 0.25)).powf(1.0 / 3.0);
        assert!((total.perplexity() - expected).abs() < 1e-6);
        assert!((total.accuracy() - 2.0 / 3.0).abs() < 1e-12);
    }
    #[test]
    fn each_position_is_said_behind_the_truth_and_an_early_end_is_left_out() {
        let device = Device::flex();
        // Symbols: 0 banned, 1 the end, 2 and 3.
        let logits = Tensor::<3>::from_data(
            [
                [
                    [9.0, 0.0, 2.0, 1.0],
                    [0.0, 5.0, 1.0, 2.0],
                    [0.0, 3.0, 1.0, 0.0],
                ],
                [
                    [0.0, 0.0, 0.0, 4.0],
                    [0.0, 0.0, 2.0, 0.0],
                    [0.0, 0.0, 9.0, 0.0],
                ],
            ],
            &device,
        );
        let targets = [[2i64, 3, 1], [3, 1, 0]];
        let targets = Tensor::<2, Int>::from_data(targets, (&device, DType::I64));
        let targets = Value::with_lengths(targets, Some([3, 2].into()));
        let setup = DecoderSetup {
            tokens: "tokens".to_owned(),
            logits: "output.logits".parse().unwrap(),
            alignment: None,
            bos: 0,
            eos: 1,
            banned: vec![0],
            max_length: 9,
        };
        let said = said_behind(&logits.into(), &targets, &setup);
        assert_eq!(said[0][0].tokens, [2]);
        assert_eq!(said[1][0].tokens, [3, 2]);
    }
}
