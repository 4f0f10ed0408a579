//! Additive scores, fused: the `[B, U, T, A]` sums never exist, each is made where it is used.

use super::reference;
use crate::flex::{self, Dense, Fused, all_supported};
use crate::shapes::{expect, expect_lengths};
use crate::simd::{self, Isa, Kernel, mul_add, tanh};
use burn::backend::flex::FlexTensor;
use burn::tensor::Tensor;
use rayon::prelude::*;

/// `v . tanh(q + k)` for every `query [B, U, A]` and every key among `keys [B, T, A]` within its row's
/// length, with `v [A]`: `[B, U, T]`, 0 beyond the length.
///
/// Source: Bahdanau, Cho and Bengio, "Neural Machine Translation by Jointly Learning to Align and
/// Translate" (2015), appendix A.1.2.
///
/// # Panics
/// If shapes do not fit together or a length exceeds `T`.
#[track_caller]
pub fn additive_scores(
    query: Tensor<3>,
    keys: Tensor<3>,
    v: Tensor<1>,
    lengths: &[usize],
) -> Tensor<3> {
    const NAME: &str = "additive_scores";
    let ([batch, _, width], [_, time, _]) = (query.dims(), keys.dims());
    expect(NAME, "keys", &keys.dims(), &[batch, time, width]);
    expect(NAME, "v", &v.dims(), &[width]);
    expect_lengths(NAME, lengths, batch, time);
    if !all_supported(&[&query, &keys, &v]) {
        return reference::additive_scores(query, keys, v, lengths);
    }
    let inputs = [
        query.into_dispatch(),
        keys.into_dispatch(),
        v.into_dispatch(),
    ];
    flex::apply(
        Additive {
            lengths: lengths.to_vec(),
        },
        inputs,
    )
}

#[derive(Clone, Debug)]
struct Additive {
    lengths: Vec<usize>,
}

impl Fused<3> for Additive {
    type Saved = [Dense; 3];

    fn forward(&self, inputs: &[Dense; 3]) -> (FlexTensor, Self::Saved) {
        let [query, keys, v] = inputs;
        let ([batch, queries, width], [_, time, _]) = (query.dims(), keys.dims());
        let mut scores = vec![0.0; batch * queries * time];
        scores
            .par_chunks_mut((queries * time).max(1))
            .enumerate()
            .for_each(|(row, scores)| {
                simd::run(Scores {
                    query: &query.values()[row * queries * width..][..queries * width],
                    keys: &keys.values()[row * time * width..][..self.lengths[row] * width],
                    v: v.values(),
                    output: scores,
                    time,
                });
            });
        (flex::tensor(scores, [batch, queries, time]), inputs.clone())
    }

    fn backward(
        &self,
        [query, keys, v]: Self::Saved,
        gradient: Dense,
        _wanted: [bool; 3],
    ) -> [Option<FlexTensor>; 3] {
        let ([batch, queries, width], [_, time, _]) = (query.dims(), keys.dims());
        let mut d_query = vec![0.0; batch * queries * width];
        let mut d_keys = vec![0.0; batch * time * width];
        // One part a row, joined in order below, so that threads do not matter.
        let mut parts = vec![0.0; batch * width];
        let chunk = |size: usize| size.max(1);
        d_query
            .par_chunks_mut(chunk(queries * width))
            .zip(d_keys.par_chunks_mut(chunk(time * width)))
            .zip(parts.par_chunks_mut(chunk(width)))
            .enumerate()
            .for_each(|(row, ((d_query, d_keys), d_v))| {
                simd::run(ScoresGradient {
                    query: &query.values()[row * queries * width..][..queries * width],
                    keys: &keys.values()[row * time * width..][..self.lengths[row] * width],
                    v: v.values(),
                    d_scores: &gradient.values()[row * queries * time..][..queries * time],
                    d_query,
                    d_keys,
                    d_v,
                });
            });
        let mut d_v = vec![0.0; width];
        for part in parts.chunks_exact(chunk(width)) {
            for (sum, part) in d_v.iter_mut().zip(part) {
                *sum += part;
            }
        }
        [
            Some(flex::tensor(d_query, [batch, queries, width])),
            Some(flex::tensor(d_keys, [batch, time, width])),
            Some(flex::tensor(d_v, [width])),
        ]
    }
}

/// The scores of one row: `query [U, A]` over the valid `keys`.
pub(crate) struct Scores<'a> {
    pub query: &'a [f32],
    pub keys: &'a [f32],
    pub v: &'a [f32],
    pub output: &'a mut [f32],
    pub time: usize,
}

impl Kernel for Scores<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Isa>(self, isa: S) {
        const LANES: usize = 16;
        let width = self.v.len();
        if width == 0 {
            self.output.fill(0.0);
            return;
        }
        let whole = width - width % LANES;
        let rows = self
            .query
            .chunks_exact(width)
            .zip(self.output.chunks_exact_mut(self.time));
        for (query, scores) in rows {
            for (key, score) in self.keys.chunks_exact(width).zip(scores) {
                let mut partial = [0.0; LANES];
                for first in (0..whole).step_by(LANES) {
                    let at = first..first + LANES;
                    let (q, k, v) = (&query[at.clone()], &key[at.clone()], &self.v[at]);
                    for l in 0..LANES {
                        partial[l] = mul_add(isa, v[l], tanh(isa, q[l] + k[l]), partial[l]);
                    }
                }
                for j in whole..width {
                    partial[j - whole] = mul_add(
                        isa,
                        self.v[j],
                        tanh(isa, query[j] + key[j]),
                        partial[j - whole],
                    );
                }
                *score = partial.iter().sum();
            }
        }
    }
}

/// The gradient of [`Scores`]. The slices of gradients are zero at first.
pub(crate) struct ScoresGradient<'a> {
    pub query: &'a [f32],
    pub keys: &'a [f32],
    pub v: &'a [f32],
    pub d_scores: &'a [f32],
    pub d_query: &'a mut [f32],
    pub d_keys: &'a mut [f32],
    pub d_v: &'a mut [f32],
}

impl Kernel for ScoresGradient<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Isa>(self, isa: S) {
        let width = self.v.len();
        if width == 0 {
            return;
        }
        let queries = self.query.len() / width;
        let time = self.d_scores.len() / queries.max(1);
        let (v, d_v) = (&self.v[..width], &mut self.d_v[..width]);
        for u in 0..queries {
            let query = &self.query[u * width..][..width];
            let d_query = &mut self.d_query[u * width..][..width];
            let d_scores = &self.d_scores[u * time..][..time];
            for (t, key) in self.keys.chunks_exact(width).enumerate() {
                let key = &key[..width];
                let d_key = &mut self.d_keys[t * width..][..width];
                let d_score = d_scores[t];
                for j in 0..width {
                    let squashed = tanh(isa, query[j] + key[j]);
                    let d_sum = d_score * v[j] * (1.0 - squashed * squashed);
                    d_query[j] += d_sum;
                    d_key[j] += d_sum;
                    d_v[j] = mul_add(isa, d_score, squashed, d_v[j]);
                }
            }
        }
    }
}
