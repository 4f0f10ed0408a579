//! A recurrent layer that looks at a memory before each step and reads what it found.
//!
//! Shapes: `B` rows of up to `U` steps, `H` hidden units, `G` gates (4 of an LSTM, 3 of a GRU); a memory
//! of `T` positions of `M` numbers, compared through keys of `A` numbers.
//!
//! Bahdanau, Cho and Bengio 2015: `a_t = softmax(score(h_{t-1}, memory))`, `c_t = a_t · memory`, and the
//! cell reads `[x_t; c_t]`. The part of its sums that comes from `x` does not depend on the state, and
//! is an input here: `pre = x W_xᵀ + b_ih`.

mod operation;
pub mod reference;
mod row;
mod task;

use crate::flex::{self, all_supported};
use crate::precision::Precision;
use crate::rnn::sizes::part;
use burn::tensor::Tensor;
use operation::{Attentive, Lengths, Sizes};

/// The recurrence. Gates are stacked as in PyTorch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cell {
    /// Input, forget, cell and output gate.
    Lstm,
    /// Reset, update and candidate; the reset gate acts after the product with the state, as in PyTorch.
    Gru,
}

impl Cell {
    /// Matrices stacked in one weight.
    pub fn gates(self) -> usize {
        match self {
            Self::Lstm => 4,
            Self::Gru => 3,
        }
    }
}

/// The weights of [`attentive`].
#[derive(Clone, Debug)]
pub struct Weights {
    /// `[G H, M]`: the columns of the input's weight that read the context.
    pub context: Tensor<2>,
    /// `[G H, H]`
    pub state: Tensor<2>,
    /// `[G H]`: PyTorch's `b_hh`.
    pub bias: Tensor<1>,
}

/// How a state and a position are compared.
#[derive(Clone, Debug)]
#[allow(clippy::large_enum_variant)] // one exists at a time, and a box would burden the caller
pub enum Score {
    /// `scale * (h . k)`, with `A = H` (Luong et al. 2015; Vaswani et al. 2017).
    Dot {
        /// The factor.
        scale: f64,
    },
    /// `(W h) . k` (Luong et al. 2015, "general"), with `W [A, H]`.
    General {
        /// `W`
        query: Tensor<2>,
    },
    /// `v . tanh(W h + k)` (Bahdanau et al. 2015), with `W [A, H]` and `v [A]`; a bias belongs to the keys.
    Additive {
        /// `W`
        query: Tensor<2>,
        /// `v`
        v: Tensor<1>,
    },
}

/// What the layer looks at.
#[derive(Clone, Debug)]
pub struct Memory<'a> {
    /// `[B, T, A]`: what states are compared with; may be `values`.
    pub keys: Tensor<3>,
    /// `[B, T, M]`: what the context is made of.
    pub values: Tensor<3>,
    /// Valid positions of each row.
    pub lengths: &'a [usize],
}

/// What comes out; 0 at and beyond a row's length.
#[derive(Clone, Debug)]
pub struct Attended {
    /// `[B, U, H]`: the state after each step.
    pub states: Tensor<3>,
    /// `[B, U, M]`: what each step has read.
    pub contexts: Tensor<3>,
    /// `[B, U, T]`: the share of each position, 0 beyond the memory's length.
    pub weights: Tensor<3>,
}

/// The layer over whole sequences, by the formulas of [`lstm`](super::lstm) and [`gru`](super::gru) (whose
/// reset gate acts after the product) with `W [x; c]` in the place of `W x`: `pre [B, U, G H]`, `h0 [B, H]`, `c0 [B, H]` for an LSTM, and
/// `lengths`, the valid steps of each row.
///
/// A row whose memory is empty reads zeros. Gradients reach every tensor. Products are in the current
/// [`Precision`], but for those of one state with its row's memory, which are always in single precision.
///
/// # Panics
/// If shapes do not fit together or a length exceeds its tensor.
#[allow(clippy::too_many_arguments)] // the operation has this many operands
#[track_caller]
pub fn attentive(
    cell: Cell,
    pre: Tensor<3>,
    h0: Tensor<2>,
    c0: Option<Tensor<2>>,
    memory: Memory<'_>,
    score: Score,
    weights: Weights,
    lengths: &[usize],
) -> Attended {
    let sizes = Sizes::check(cell, &pre, &h0, c0.as_ref(), &memory, &score, &weights);
    check_lengths("lengths", lengths, sizes.batch, sizes.steps);
    check_lengths("memory lengths", memory.lengths, sizes.batch, sizes.time);
    let Weights {
        context,
        state,
        bias,
    } = &weights;
    let (query, v) = match &score {
        Score::Dot { .. } => (None, None),
        Score::General { query } => (Some(query), None),
        Score::Additive { query, v } => (Some(query), Some(v)),
    };
    let (keys, values) = (&memory.keys, &memory.values);
    let fits = all_supported(&[
        &pre, &h0, &c0, keys, values, context, state, bias, &query, &v,
    ]);
    if !fits {
        return reference::attentive(cell, pre, h0, c0, memory, score, weights, lengths);
    }
    let none = || Tensor::<1>::zeros([1], &pre.device()).into_dispatch();
    let additive = matches!(score, Score::Additive { .. });
    let (scale, query, v) = match score {
        Score::Dot { scale } => (Some(scale as f32), none(), none()),
        Score::General { query } => (None, query.into_dispatch(), none()),
        Score::Additive { query, v } => (None, query.into_dispatch(), v.into_dispatch()),
    };
    let c0 = c0.map_or_else(none, Tensor::into_dispatch);
    let operation = Attentive {
        sizes,
        scale,
        additive,
        lengths: Lengths {
            steps: lengths.into(),
            memory: memory.lengths.into(),
        },
        precision: Precision::current(),
    };
    let inputs = [
        pre.into_dispatch(),
        h0.into_dispatch(),
        c0,
        memory.keys.into_dispatch(),
        memory.values.into_dispatch(),
        weights.context.into_dispatch(),
        weights.state.into_dispatch(),
        weights.bias.into_dispatch(),
        query,
        v,
    ];
    let all: Tensor<3> = flex::apply(operation, inputs);
    let Sizes {
        hidden,
        values,
        time,
        ..
    } = sizes;
    Attended {
        states: part(all.clone(), 0, hidden),
        contexts: part(all.clone(), hidden, values),
        weights: part(all, hidden + values, time),
    }
}

#[track_caller]
fn check_lengths(name: &str, lengths: &[usize], rows: usize, most: usize) {
    assert!(
        lengths.len() == rows && lengths.iter().all(|&length| length <= most),
        "attentive: {name} are {lengths:?}, expected {rows} of at most {most}"
    );
}
