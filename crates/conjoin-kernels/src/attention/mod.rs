//! Attention: of decoder steps over the states of an encoder, and of many heads in transformers.
//!
//! Shapes: `B` rows, `U` decoder steps, `T` encoder steps padded on the right, `D` numbers a query and
//! a key, `A` of them where they are projected to a common size, `E` numbers a value.

mod additive;
mod heads;
mod product;
pub mod reference;
mod softmax;

pub use additive::additive_scores;
pub(crate) use additive::{Scores, ScoresGradient};
pub use heads::{MultiHead, multi_head_attention};
pub use softmax::masked_softmax;
pub(crate) use softmax::{Softmax, SoftmaxGradient};

use crate::shapes::{expect, expect_lengths};
use burn::tensor::Tensor;
use product::product;

/// How a query and a key are compared.
#[derive(Clone, Debug)]
#[allow(clippy::large_enum_variant)] // one exists at a time, and a box would burden the caller
pub enum Score {
    /// `scale * (q . k)` (Luong et al. 2015; with `scale = 1 / sqrt(D)`, Vaswani et al. 2017).
    Dot {
        /// The factor.
        scale: f64,
    },
    /// `v . tanh(q + k)`, of queries and keys that are already projected to `A` numbers
    /// (Bahdanau et al. 2015).
    Additive {
        /// The weights `v [A]`.
        v: Tensor<1>,
    },
}

/// Attends from `query [B, U, D]` over `keys [B, T, D]` to `values [B, T, E]`; each row over its first
/// `lengths[row]` steps only. Gives the context `[B, U, E]` and the weights `[B, U, T]`:
/// `weights[b, u, t] = softmax_t score(query[b, u], keys[b, t])`,
/// `context[b, u] = Σ_t weights[b, u, t] values[b, t]`, with the formula of the [`Score`].
///
/// The weights of a row sum to 1 over its valid steps and are 0 beyond; all 0 in a row of length 0.
/// Matrix products are in the current [`crate::Precision`].
///
/// Sources: Bahdanau, Cho and Bengio, "Neural Machine Translation by Jointly Learning to Align and Translate"
/// (2015), equations 5 and 6; of the scores, beside them.
///
/// # Panics
/// If shapes do not fit together or a length exceeds `T`.
#[track_caller]
pub fn attention(
    score: Score,
    query: Tensor<3>,
    keys: Tensor<3>,
    values: Tensor<3>,
    lengths: &[usize],
) -> (Tensor<3>, Tensor<3>) {
    const NAME: &str = "attention";
    let ([batch, _, width], [_, time, _], [.., size]) = (query.dims(), keys.dims(), values.dims());
    expect(NAME, "keys", &keys.dims(), &[batch, time, width]);
    expect(NAME, "values", &values.dims(), &[batch, time, size]);
    expect_lengths(NAME, lengths, batch, time);
    let scores = match score {
        Score::Dot { scale } => dot_scores(query, keys, scale),
        Score::Additive { v } => additive_scores(query, keys, v, lengths),
    };
    let weights = masked_softmax(scores, lengths);
    (product(weights.clone(), values, false), weights)
}

/// `scale * (q . k)` for `query [B, U, D]` and `keys [B, T, D]`: `[B, U, T]`.
///
/// Sources: Luong et al., "Effective Approaches to Attention-based Neural Machine Translation" (2015);
/// with `scale = 1 / sqrt(D)`, Vaswani et al., "Attention Is All You Need" (2017).
///
/// # Panics
/// If the shapes do not fit together.
#[track_caller]
pub fn dot_scores(query: Tensor<3>, keys: Tensor<3>, scale: f64) -> Tensor<3> {
    let ([batch, _, width], [_, time, _]) = (query.dims(), keys.dims());
    expect("dot_scores", "keys", &keys.dims(), &[batch, time, width]);
    // The scale goes to the queries, which are fewer than the scores or about as many.
    let query = if scale == 1.0 { query } else { query * scale };
    product(query, keys, true)
}
