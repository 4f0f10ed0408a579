//! Transformer encoder: every position attends to every other.
//!
//! Shapes: x and output `[B, T, D]`, padded at the end of T with a length a row.
//!
//! Vaswani et al. 2017, section 3.1. Names and layouts of parameters are those of
//! `torch.nn.TransformerEncoder`.

use crate::feed_forward::{feed_forward, linears};
use crate::init::Init;
use crate::layer_norm::{LayerNorm, normed};
use crate::linear::Linear;
use crate::mode::Mode;
use crate::multi_head::{MultiHeadAttention, Visible};
use crate::position::Positions;
use crate::residual::{NormOrder, Residual};
use crate::sequence::clear_padding;
use crate::transformer::TransformerOptions;
use burn::module::Module;
use burn::tensor::Tensor;

/// Self-attention, then feed-forward.
#[derive(Module, Debug)]
struct Layer {
    self_attn: MultiHeadAttention,
    linear1: Linear,
    linear2: Linear,
    norm1: LayerNorm,
    norm2: LayerNorm,
    dropout: f64,
}

impl Layer {
    fn new(init: &Init, options: &TransformerOptions) -> Self {
        let attention = options.attention(options.size);
        let norm = |name| options.norm(init, name);
        let [linear1, linear2] = linears(init, options);
        Self {
            self_attn: MultiHeadAttention::new(&init.child("self_attn"), &attention),
            linear1,
            linear2,
            norm1: norm("norm1"),
            norm2: norm("norm2"),
            dropout: options.dropout,
        }
    }

    fn forward(
        &self,
        x: &mut Residual,
        positions: &Positions,
        visible: Visible<'_>,
        mode: &mut Mode,
    ) {
        x.sublayer(&self.norm1, |x| {
            let attention = &self.self_attn;
            let queries = positions.rotate(attention.queries(x.clone()), 0);
            let mut memory = attention.keys_values(x);
            memory.keys = positions.rotate(memory.keys, 0);
            let y = attention.forward(queries, memory, visible, mode);
            mode.dropout(y, self.dropout)
        });
        x.sublayer(&self.norm2, |x| {
            feed_forward([&self.linear1, &self.linear2], x, self.dropout, mode)
        });
    }
}

/// A stack of encoder layers.
#[derive(Module, Debug)]
pub struct TransformerEncoder {
    positions: Positions,
    layers: Vec<Layer>,
    norm: Option<LayerNorm>,
    /// Of the inputs with their positions, as in BERT.
    embedding_norm: Option<LayerNorm>,
    dropout: f64,
    #[module(skip)]
    order: NormOrder,
}

impl TransformerEncoder {
    pub fn new(init: &Init, options: &TransformerOptions) -> Self {
        let layers = init.child("layers");
        Self {
            positions: Positions::new(&init.child("positions"), options),
            layers: (0..options.layers)
                .map(|index| Layer::new(&layers.child(&index.to_string()), options))
                .collect(),
            norm: options.final_norm.then(|| options.norm(init, "norm")),
            embedding_norm: options
                .embedding_norm
                .then(|| options.norm(init, "embedding_norm")),
            dropout: options.dropout,
            order: options.order,
        }
    }

    /// Positions that a sequence may have, where their number is limited.
    pub fn limit(&self) -> Option<usize> {
        self.positions.limit()
    }

    /// `[B, T, D]` to `[B, T, D]`, zero behind each row's length.
    pub fn forward(&self, x: Tensor<3>, lengths: &[usize], mode: &mut Mode) -> Tensor<3> {
        let visible = Visible {
            lengths,
            causal: false,
            mask: None,
        };
        self.seeing(x, visible, mode)
    }

    /// [`TransformerEncoder::forward`] where the caller says what sees what.
    pub fn seeing(&self, x: Tensor<3>, visible: Visible<'_>, mode: &mut Mode) -> Tensor<3> {
        let x = normed(self.embedding_norm.as_ref(), self.positions.add(x, 0));
        let x = mode.dropout(x, self.dropout);
        let mut x = Residual::new(self.order, x);
        for layer in &self.layers {
            layer.forward(&mut x, &self.positions, visible, mode);
        }
        clear_padding(x.finish(self.norm.as_ref()), visible.lengths)
    }
}
