//! One row's look at its memory in one step, and the gradient.
//!
//! Shapes: `T` valid positions; query `[A]`, keys `[T, A]`, memory `[T, M]`, weights `[T]`.

use crate::attention::{Scores, ScoresGradient, Softmax, SoftmaxGradient};
use crate::reduce;
use crate::simd::{Isa, Kernel, mul_add};

/// What a row looks at: its valid positions.
#[derive(Clone, Copy)]
pub(crate) struct Seen<'a> {
    pub keys: &'a [f32],
    pub memory: &'a [f32],
    /// `v` of the additive score; empty for products.
    pub v: &'a [f32],
}

/// `weights = softmax(score(query, keys))`, `context = weights · memory`.
pub(crate) struct Look<'a> {
    pub seen: Seen<'a>,
    pub query: &'a [f32],
    /// One a valid position.
    pub weights: &'a mut [f32],
    /// 0 at first.
    pub context: &'a mut [f32],
    /// As long as `weights`.
    pub scores: &'a mut [f32],
}

impl Kernel for Look<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Isa>(self, isa: S) {
        let (time, width) = (self.weights.len(), self.query.len());
        if time == 0 {
            return;
        }
        let Seen { keys, memory, v } = self.seen;
        if v.is_empty() {
            for (score, key) in self.scores.iter_mut().zip(keys.chunks_exact(width)) {
                *score = reduce::dot(self.query, key);
            }
        } else {
            let (query, output) = (self.query, &mut *self.scores);
            Scores {
                query,
                keys,
                v,
                output,
                time,
            }
            .run(isa);
        }
        let (scores, weights) = (&*self.scores, &mut *self.weights);
        let length = time;
        Softmax {
            scores,
            weights,
            time,
            length,
        }
        .run(isa);
        let size = self.context.len();
        for (weight, position) in self.weights.iter().zip(memory.chunks_exact(size.max(1))) {
            for (sum, value) in self.context.iter_mut().zip(position) {
                *sum = mul_add(isa, *weight, *value, *sum);
            }
        }
    }
}

/// The gradient of [`Look`], but for that of the memory.
pub(crate) struct LookBack<'a> {
    pub seen: Seen<'a>,
    pub query: &'a [f32],
    pub weights: &'a [f32],
    pub d_context: &'a [f32],
    /// The gradient of the weights as others see them.
    pub d_weights: &'a [f32],
    /// Receives the gradient of the scores.
    pub d_scores: &'a mut [f32],
    /// 0 at first.
    pub d_query: &'a mut [f32],
    /// Of the additive score only, which adds to them.
    pub d_keys: &'a mut [f32],
    pub d_v: &'a mut [f32],
    /// As long as `weights`.
    pub scratch: &'a mut [f32],
}

impl Kernel for LookBack<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Isa>(self, isa: S) {
        let (time, width) = (self.weights.len(), self.query.len());
        if time == 0 {
            return;
        }
        let Seen { keys, memory, v } = self.seen;
        let size = self.d_context.len();
        self.scratch.copy_from_slice(self.d_weights);
        for (sum, position) in self
            .scratch
            .iter_mut()
            .zip(memory.chunks_exact(size.max(1)))
        {
            *sum += reduce::dot(self.d_context, position);
        }
        SoftmaxGradient {
            weights: self.weights,
            d_weights: self.scratch,
            d_scores: self.d_scores,
            time,
            length: time,
        }
        .run(isa);
        if !v.is_empty() {
            ScoresGradient {
                query: self.query,
                keys,
                v,
                d_scores: self.d_scores,
                d_query: self.d_query,
                d_keys: self.d_keys,
                d_v: self.d_v,
            }
            .run(isa);
            return;
        }
        for (d_score, key) in self.d_scores.iter().zip(keys.chunks_exact(width.max(1))) {
            for (sum, value) in self.d_query.iter_mut().zip(key) {
                *sum = mul_add(isa, *d_score, *value, *sum);
            }
        }
    }
}
