//! Multi-head attention in memory that grows linearly with the sequence.
//!
//! Shapes: `B` rows, `T` queries, `S` keys, `H` heads, `D` numbers a head's query and key, `E` a head's
//! value. Heads lie side by side in a row, `[B, T, H·D]`: that is how a linear layer writes them and how
//! the next one reads the result, so nothing is transposed in memory; a task copies one head's rows into
//! the cache, where it has to arrange them for the registers anyway.
//!
//! The weights `[B, H, T, S]` never exist: blocks of 64 by 64 are made in the cache, and made again in
//! the backward pass from the two numbers that are kept for each query and head.

mod backward;
mod block;
mod forward;
mod mask_gradient;
mod tiles;

use std::sync::Arc;

use burn::backend::flex::FlexTensor;
use burn::tensor::Tensor;

use super::reference;
use crate::flex::{Dense, Fused, all_supported, apply, tensor};
use crate::precision::Precision;
use crate::shapes::{expect, expect_lengths};
use backward::Operands;
pub(super) use block::Dropout;
use block::Heads;

/// Options of [`multi_head_attention`]: `MultiHead { causal: true, ..MultiHead::new(4) }`.
#[derive(Clone, Debug)]
pub struct MultiHead {
    /// `H`.
    pub heads: usize,
    /// What scores are multiplied by; `1 / sqrt(D)` where not given.
    pub scale: Option<f64>,
    /// Whether query `t` sees the keys `0..=t` only, as PyTorch's `is_causal`.
    pub causal: bool,
    /// How many keys of each row count (`[B]`, each at most `S`); the rest is padding.
    pub lengths: Option<Vec<usize>>,
    /// Added to the scores; each of its sizes is that of `[B, H, T, S]` or 1. Minus infinity hides a key.
    /// It gets a gradient if it is tracked, for learned biases of positions.
    pub mask: Option<Tensor<4>>,
    /// Probability and seed of a dropout of the weights. A weight is kept or dropped by the seed and its
    /// place in `[B, H, T, S]` alone: give every call its own seed (see [`crate::dropout::dropout`]).
    pub dropout: Option<(f64, u64)>,
}

impl MultiHead {
    /// Attention of every query to every key, by `heads` heads.
    pub fn new(heads: usize) -> Self {
        Self {
            heads,
            scale: None,
            causal: false,
            lengths: None,
            mask: None,
            dropout: None,
        }
    }
}

/// `softmax(scale · q kᵀ + mask) v` for every head: `q [B, T, H·D]`, `k [B, S, H·D]`, `v [B, S, H·E]` give
/// `[B, T, H·E]`, as PyTorch's `scaled_dot_product_attention` does on `[B, H, T, D]`.
///
/// A query that sees no key gives 0, and its gradient is 0. Memory beyond operands and result is two
/// numbers for every query and head. Products are in the current [`Precision`].
///
/// Sources: Vaswani et al., "Attention Is All You Need" (2017); Dao, "FlashAttention-2" (2023).
///
/// # Panics
/// If shapes do not fit together, a length exceeds `S`, the mask does not broadcast, or the probability
/// of dropout is not in `[0, 1)`.
#[track_caller]
pub fn multi_head_attention(
    q: Tensor<3>,
    k: Tensor<3>,
    v: Tensor<3>,
    options: MultiHead,
) -> Tensor<3> {
    let heads = checked(q.dims(), k.dims(), v.dims(), &options);
    if !all_supported(&[&q, &k, &v, &options.mask]) {
        return reference::multi_head_attention(q, k, v, options);
    }
    let operands = (q.into_dispatch(), k.into_dispatch(), v.into_dispatch());
    match options.mask {
        Some(mask) => {
            let mask = mask.into_dispatch();
            apply(heads, [operands.0, operands.1, operands.2, mask])
        }
        None => apply(heads, [operands.0, operands.1, operands.2]),
    }
}

/// The sizes of a call whose shapes fit together.
#[track_caller]
fn checked(q: [usize; 3], k: [usize; 3], v: [usize; 3], options: &MultiHead) -> Heads {
    const NAME: &str = "multi_head_attention";
    let heads = options.heads;
    for (argument, dims) in [("q", q), ("k", k), ("v", v)] {
        assert!(
            heads > 0 && dims[2] > 0 && dims[2].is_multiple_of(heads),
            "{NAME}: {argument} has {} numbers a step, which {heads} heads do not share",
            dims[2]
        );
    }
    expect(NAME, "k", &k, &[q[0], k[1], q[2]]);
    expect(NAME, "v", &v, &[q[0], k[1], v[2]]);
    if let Some(lengths) = &options.lengths {
        expect_lengths(NAME, lengths, q[0], k[1]);
    }
    let mask = options.mask.as_ref().map(Tensor::dims);
    let full = [q[0], heads, q[1], k[1]];
    if let Some(mask) = mask {
        let fits = mask.iter().zip(full).all(|(m, full)| *m == full || *m == 1);
        assert!(
            fits,
            "{NAME}: mask is {mask:?}, which does not broadcast to {full:?}"
        );
    }
    let dropout = options.dropout.and_then(|(p, seed)| {
        assert!(
            (0.0..1.0).contains(&p),
            "{NAME}: the probability of dropout {p} is not in [0, 1)"
        );
        (p > 0.0).then(|| Dropout::new(p, seed))
    });
    let width = q[2] / heads;
    Heads {
        batch: q[0],
        count: heads,
        queries: q[1],
        keys: k[1],
        width,
        value_width: v[2] / heads,
        scale: options.scale.unwrap_or(1.0 / (width as f64).sqrt()) as f32,
        causal: options.causal,
        lengths: options.lengths.clone().map(Arc::new),
        dropout,
        mask,
        precision: Precision::current(),
    }
}

/// What the backward pass needs.
#[derive(Clone, Debug)]
pub struct Saved {
    operands: [Dense; 3],
    mask: Option<Dense>,
    context: Dense,
    /// See [`forward::forward`].
    statistics: Arc<Vec<f32>>,
}

impl Heads {
    fn run_forward(&self, [q, k, v]: [&Dense; 3], mask: Option<&Dense>) -> (FlexTensor, Saved) {
        let (context, statistics) = forward::forward(self, [q, k, v], mask);
        let dims = [self.batch, self.queries, self.count * self.value_width];
        let context = Dense::from_vec(context, dims);
        let saved = Saved {
            operands: [q.clone(), k.clone(), v.clone()],
            mask: mask.cloned(),
            context: context.clone(),
            statistics: Arc::new(statistics),
        };
        (context.into_tensor(), saved)
    }

    fn run_backward(
        &self,
        saved: &Saved,
        dy: &Dense,
        wanted: [bool; 4],
    ) -> [Option<FlexTensor>; 4] {
        let [q, k, v] = saved.operands.each_ref().map(Dense::values);
        let operands = Operands {
            q,
            k,
            v,
            mask: saved.mask.as_ref(),
            context: saved.context.values(),
            d_context: dy.values(),
            statistics: &saved.statistics,
        };
        let mut gradients = [None, None, None, None];
        if wanted[..3].contains(&true) {
            let [dq, dk, dv] = backward::backward(self, operands);
            let width = self.count * self.width;
            gradients[0] = wanted[0].then(|| tensor(dq, [self.batch, self.queries, width]));
            gradients[1] = wanted[1].then(|| tensor(dk, [self.batch, self.keys, width]));
            let dims = [self.batch, self.keys, self.count * self.value_width];
            gradients[2] = wanted[2].then(|| tensor(dv, dims));
        }
        if let (true, Some(dims)) = (wanted[3], self.mask) {
            let gradient = mask_gradient::mask_gradient(self, operands, dims);
            gradients[3] = Some(tensor(gradient, dims));
        }
        gradients
    }
}

impl Fused<3> for Heads {
    type Saved = Saved;

    fn forward(&self, [q, k, v]: &[Dense; 3]) -> (FlexTensor, Saved) {
        self.run_forward([q, k, v], None)
    }

    fn backward(&self, saved: Saved, dy: Dense, [q, k, v]: [bool; 3]) -> [Option<FlexTensor>; 3] {
        let [q, k, v, _] = self.run_backward(&saved, &dy, [q, k, v, false]);
        [q, k, v]
    }
}

impl Fused<4> for Heads {
    type Saved = Saved;

    fn forward(&self, [q, k, v, mask]: &[Dense; 4]) -> (FlexTensor, Saved) {
        self.run_forward([q, k, v], Some(mask))
    }

    fn backward(&self, saved: Saved, dy: Dense, wanted: [bool; 4]) -> [Option<FlexTensor>; 4] {
        self.run_backward(&saved, &dy, wanted)
    }
}
