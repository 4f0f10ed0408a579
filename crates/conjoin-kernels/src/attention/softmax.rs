//! The softmax over the valid steps of each row, fused.

use super::reference;
use crate::flex::{self, Dense, Fused};
use crate::reduce;
use crate::shapes::expect_lengths;
use crate::simd::{self, Isa, Kernel, exp};
use burn::backend::flex::FlexTensor;
use burn::tensor::Tensor;
use rayon::prelude::*;

/// The softmax of `scores [B, U, T]` over the valid steps of each row, `lengths[b]` of row `b`: `[B, U, T]`,
/// `w[b, u, t] = e^scores[b, u, t] / Σ_s e^scores[b, u, s]` with `t` and `s` below the length; 0 beyond it, and
/// everywhere in a row that has none.
///
/// Sources: Bridle, "Probabilistic Interpretation of Feedforward Classification Network Outputs" (1990); over
/// positions, Bahdanau, Cho and Bengio, "Neural Machine Translation by Jointly Learning to Align and
/// Translate" (2015), equation 6.
///
/// # Panics
/// If there is not one length a row, or one exceeds `T`.
#[track_caller]
pub fn masked_softmax(scores: Tensor<3>, lengths: &[usize]) -> Tensor<3> {
    let [batch, _, time] = scores.dims();
    expect_lengths("masked_softmax", lengths, batch, time);
    if !flex::supported(&scores) {
        return reference::masked_softmax(scores, lengths);
    }
    flex::apply(
        MaskedSoftmax {
            lengths: lengths.to_vec(),
        },
        [scores.into_dispatch()],
    )
}

#[derive(Clone, Debug)]
struct MaskedSoftmax {
    lengths: Vec<usize>,
}

impl Fused<1> for MaskedSoftmax {
    /// The weights.
    type Saved = Dense;

    fn forward(&self, [scores]: &[Dense; 1]) -> (FlexTensor, Dense) {
        let [batch, queries, time] = scores.dims();
        let mut weights = vec![0.0; batch * queries * time];
        let row = (queries * time).max(1);
        weights
            .par_chunks_mut(row)
            .zip(scores.values().par_chunks(row))
            .zip(&self.lengths)
            .for_each(|((weights, scores), &length)| {
                simd::run(Softmax {
                    scores,
                    weights,
                    time,
                    length,
                });
            });
        let weights = Dense::from_vec(weights, [batch, queries, time]);
        (weights.tensor(), weights)
    }

    fn backward(
        &self,
        weights: Dense,
        gradient: Dense,
        [wanted]: [bool; 1],
    ) -> [Option<FlexTensor>; 1] {
        if !wanted {
            return [None];
        }
        let [batch, queries, time] = weights.dims();
        let mut d_scores = vec![0.0; batch * queries * time];
        let row = (queries * time).max(1);
        d_scores
            .par_chunks_mut(row)
            .zip(weights.values().par_chunks(row))
            .zip(gradient.values().par_chunks(row))
            .zip(&self.lengths)
            .for_each(|(((d_scores, weights), d_weights), &length)| {
                simd::run(SoftmaxGradient {
                    weights,
                    d_weights,
                    d_scores,
                    time,
                    length,
                });
            });
        [Some(flex::tensor(d_scores, [batch, queries, time]))]
    }
}

/// One row of the batch, `[U, T]`.
pub(crate) struct Softmax<'a> {
    pub scores: &'a [f32],
    pub weights: &'a mut [f32],
    pub time: usize,
    pub length: usize,
}

impl Kernel for Softmax<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Isa>(self, isa: S) {
        let rows = self
            .scores
            .chunks_exact(self.time)
            .zip(self.weights.chunks_exact_mut(self.time));
        for (scores, weights) in rows {
            let (scores, weights) = (&scores[..self.length], &mut weights[..self.length]);
            let most = reduce::max(scores);
            for (weight, score) in weights.iter_mut().zip(scores) {
                *weight = exp(isa, score - most);
            }
            let scale = 1.0 / reduce::sum(weights, |weight| weight);
            for weight in weights {
                *weight *= scale;
            }
        }
    }
}

/// The gradient of [`Softmax`].
pub(crate) struct SoftmaxGradient<'a> {
    pub weights: &'a [f32],
    pub d_weights: &'a [f32],
    pub d_scores: &'a mut [f32],
    pub time: usize,
    pub length: usize,
}

impl Kernel for SoftmaxGradient<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Isa>(self, _: S) {
        let rows = self
            .weights
            .chunks_exact(self.time)
            .zip(self.d_weights.chunks_exact(self.time));
        for ((weights, d_weights), d_scores) in rows.zip(self.d_scores.chunks_exact_mut(self.time))
        {
            let (weights, d_weights) = (&weights[..self.length], &d_weights[..self.length]);
            let mean = reduce::dot(weights, d_weights);
            for ((d_score, weight), d_weight) in d_scores.iter_mut().zip(weights).zip(d_weights) {
                *d_score = weight * (d_weight - mean);
            }
        }
    }
}
