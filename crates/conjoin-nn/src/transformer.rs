//! What transformer encoders and decoders have in common: sizes, behaviour, cost.

use crate::activation::Activation;
use crate::init::Init;
use crate::layer_norm::LayerNorm;
use crate::linear::Linear;
use crate::multi_head::{MultiHeadAttention, MultiHeadOptions};
use crate::position::PositionKind;
use crate::residual::NormOrder;

/// The shape and behaviour of a stack of transformer layers.
#[derive(Debug, Clone, PartialEq)]
pub struct TransformerOptions {
    /// Features of every position; a multiple of `heads`.
    pub size: usize,
    pub layers: usize,
    pub heads: usize,
    /// Features inside the feed-forward sub-layer.
    pub hidden: usize,
    /// Of the feed-forward sub-layer.
    pub activation: Activation,
    pub order: NormOrder,
    /// Normalise what comes out of the last layer.
    pub final_norm: bool,
    /// Normalise the inputs with their positions, before the first layer.
    pub embedding_norm: bool,
    /// What every normalisation adds to the variance.
    pub norm_epsilon: f64,
    /// Probability of dropping, in training, an element of the input with its positions, a weight
    /// of attention, an element inside the feed-forward sub-layer, an element of a sub-layer's
    /// output.
    pub dropout: f64,
    pub positions: PositionKind,
    /// Positions that there are, where they are learned.
    pub max_length: usize,
}

impl TransformerOptions {
    /// A normalisation under a name.
    pub(crate) fn norm(&self, init: &Init, name: &str) -> LayerNorm {
        LayerNorm::with_epsilon(&init.child(name), self.size, self.norm_epsilon)
    }

    /// Attention over a memory with these features.
    pub(crate) fn attention(&self, memory: usize) -> MultiHeadOptions {
        MultiHeadOptions {
            size: self.size,
            memory,
            heads: self.heads,
            dropout: self.dropout,
        }
    }

    /// Multiply-adds for one sample, times two: `positions` of a sequence that see `own` pairs of
    /// each other and, where there is one, all of a memory's positions with so many features.
    pub fn flops(&self, positions: f64, own: f64, memory: Option<(f64, usize)>) -> f64 {
        let attention = |memory: usize, length, pairs| {
            MultiHeadAttention::flops(&self.attention(memory), positions, length, pairs)
        };
        let across = memory.map_or(0.0, |(length, size)| {
            attention(size, length, positions * length)
        });
        let forward = 2.0 * positions * Linear::flops(self.size, self.hidden);
        self.layers as f64 * (attention(self.size, positions, own) + across + forward)
    }
}
