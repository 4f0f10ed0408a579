//! What forward and backward pass share: sizes, masks, dropout, and the scores of one block.

use super::tiles::{Rows, multiply, pad};
use crate::dropout::{mix32, mix64};
use crate::flex::Dense;
use crate::precision::Precision;
use crate::simd::{Isa, exp_down};
use std::sync::Arc;

/// Queries of a block.
pub const QUERIES: usize = 64;
/// Keys of a block.
pub const KEYS: usize = 64;

/// Sizes and options of one call.
#[derive(Clone, Debug)]
pub struct Heads {
    pub batch: usize,
    /// `H`.
    pub count: usize,
    pub queries: usize,
    pub keys: usize,
    /// Numbers of a head's query and key.
    pub width: usize,
    /// Numbers of a head's value.
    pub value_width: usize,
    pub scale: f32,
    pub causal: bool,
    pub lengths: Option<Arc<Vec<usize>>>,
    pub dropout: Option<Dropout>,
    /// Sizes of the additive mask, each full or 1.
    pub mask: Option<[usize; 4]>,
    pub precision: Precision,
}

/// Which weights are dropped: a function of the seed, the row of weights and the key alone.
#[derive(Clone, Copy, Debug)]
pub struct Dropout {
    seed: u64,
    threshold: u32,
    pub scale: f32,
}

impl Dropout {
    pub fn new(p: f64, seed: u64) -> Self {
        Self {
            seed,
            threshold: (p * 2f64.powi(32)).round().min(f64::from(u32::MAX)) as u32,
            scale: (1.0 / (1.0 - p)) as f32,
        }
    }

    /// The keys of row `row` of all rows `[B, H, T]`.
    #[inline(always)]
    pub fn row(self, row: usize) -> [u32; 2] {
        let key = mix64(self.seed ^ mix64(row as u64));
        [key as u32, (key >> 32) as u32]
    }

    /// The factor of the weight of key `j`: 0 or `1 / (1 - p)`.
    #[inline(always)]
    pub fn factor(self, row: [u32; 2], j: usize) -> f32 {
        let bits = mix32(mix32(j as u32 ^ row[0]).wrapping_add(row[1]));
        if bits < self.threshold {
            0.0
        } else {
            self.scale
        }
    }
}

impl Heads {
    /// Queries of one task's chunk: all, unless rows and heads are too few to keep processors busy.
    /// A function of the sizes alone, so that results do not depend on threads.
    pub fn chunk(&self) -> usize {
        const TASKS: usize = 16;
        let chunks = TASKS.div_ceil((self.batch * self.count).max(1));
        let blocks = self.queries.div_ceil(QUERIES).max(1);
        blocks.div_ceil(chunks) * QUERIES
    }

    /// The keys that count in a row of the batch.
    pub fn length(&self, b: usize) -> usize {
        self.lengths
            .as_ref()
            .map_or(self.keys, |lengths| lengths[b])
    }

    /// How many of the keys from `first` on query `t` sees, at most `KEYS`.
    #[inline(always)]
    pub fn visible(&self, b: usize, t: usize, first: usize) -> usize {
        let last = if self.causal {
            self.length(b).min(t + 1)
        } else {
            self.length(b)
        };
        last.saturating_sub(first).min(KEYS)
    }

    /// Keys from here on no query before `end` sees.
    pub fn reach(&self, b: usize, end: usize) -> usize {
        let length = self.length(b);
        if self.causal { length.min(end) } else { length }
    }

    /// Where row `t` of a head lies in `[B, T, H, width]`, and the distance of rows.
    pub fn rows<'a>(
        &self,
        of: &'a [f32],
        time: usize,
        width: usize,
        [b, h, t]: [usize; 3],
    ) -> Rows<'a> {
        let stride = self.count * width;
        let first = (b * time + t) * stride + h * width;
        Rows {
            // An empty matrix has no first row.
            data: &of[first.min(of.len())..],
            stride,
        }
    }

    /// Adds a row of the mask to scores of the keys from `first` on.
    #[inline(always)]
    pub fn add_mask(
        &self,
        mask: Option<&Dense>,
        [b, h, t]: [usize; 3],
        first: usize,
        scores: &mut [f32],
    ) {
        let (Some([mb, mh, mt, ms]), Some(mask)) = (self.mask, mask) else {
            return;
        };
        let at = |index: usize, size: usize| if size == 1 { 0 } else { index };
        let row = ((at(b, mb) * mh + at(h, mh)) * mt + at(t, mt)) * ms;
        let values = &mask.values()[row..][..ms];
        if ms == 1 {
            for score in scores {
                *score += values[0];
            }
        } else {
            for (score, mask) in scores.iter_mut().zip(&values[first..]) {
                *score += mask;
            }
        }
    }

    /// The scores of a block of queries `q [rows, pad(width)]`, scaled, and keys `turned
    /// [width, KEYS]`: `[rows, pad(keys)]` with rows `KEYS` apart; minus infinity where a query does not
    /// see a key.
    #[inline(always)]
    #[allow(clippy::too_many_arguments)] // a block is described by this much
    pub fn scores(
        &self,
        [b, h, t]: [usize; 3],
        rows: usize,
        [first, keys]: [usize; 2],
        q: &[f32],
        turned: &[f32],
        mask: Option<&Dense>,
        scores: &mut [f32],
    ) {
        let left = Rows {
            data: q,
            stride: pad(self.width),
        };
        let right = Rows {
            data: turned,
            stride: KEYS,
        };
        let sizes = [rows, keys, self.width];
        multiply::<false, false>(self.precision, sizes, left, right, scores, KEYS);
        for row in 0..rows {
            let scores = &mut scores[row * KEYS..][..pad(keys)];
            let visible = self.visible(b, t + row, first).min(keys);
            self.add_mask(mask, [b, h, t + row], first, &mut scores[..visible]);
            scores[visible..].fill(f32::NEG_INFINITY);
        }
    }
}

/// Replaces scores by `e^(score - most) · inverse`.
#[inline(always)]
pub fn weights<S: Isa>(isa: S, scores: &mut [f32], [most, inverse]: [f32; 2]) {
    for score in scores {
        *score = exp_down(isa, *score - most) * inverse;
    }
}

/// The first `len` numbers of a buffer, which grows if it must; what they are is left open.
pub fn sized(buffer: &mut Vec<f32>, len: usize) -> &mut [f32] {
    if buffer.len() < len {
        buffer.resize(len, 0.0);
    }
    &mut buffer[..len]
}
