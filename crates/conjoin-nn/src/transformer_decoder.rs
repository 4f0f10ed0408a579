//! Transformer decoder: every position attends to those before it and, where there is a memory, to
//! all of that; whole sequences at once, or one position at a time.
//!
//! Shapes: x and output `[B, U, D]`, memory `[B, T, M]`, both padded at the end with a length a row;
//! weights `[B, U, T]`.
//!
//! Vaswani et al. 2017, section 3.1. Names and layouts of parameters are those of
//! `torch.nn.TransformerDecoder`; a decoder that is built without a memory has no `multihead_attn`
//! and no `norm2`.

use crate::cache::Cache;
use crate::feed_forward::{feed_forward, linears};
use crate::init::Init;
use crate::layer_norm::{LayerNorm, normed};
use crate::linear::Linear;
use crate::mode::Mode;
use crate::multi_head::{KeysValues, MultiHeadAttention, Visible};
use crate::position::Positions;
use crate::residual::{NormOrder, Residual};
use crate::sequence::clear_padding;
use crate::transformer::TransformerOptions;
use burn::module::Module;
use burn::tensor::Tensor;

/// A memory with the valid positions of each row.
#[derive(Debug, Clone, Copy)]
pub struct Memory<'a> {
    /// `[B, T, M]`
    pub states: &'a Tensor<3>,
    pub lengths: &'a [usize],
    /// Added to the scores of attention over it, as in [`Visible`].
    pub mask: Option<&'a Tensor<4>>,
}

/// What a decoder makes of its inputs.
#[derive(Debug, Clone)]
pub struct Decoded {
    /// `[B, U, D]`
    pub states: Tensor<3>,
    /// `[B, U, T]`: how the last layer attends over the memory, on average over its heads; where it
    /// was asked for and there is a memory.
    pub weights: Option<Tensor<3>>,
}

/// What the positions so far left behind in one layer.
#[derive(Debug, Clone)]
pub struct DecoderLayerState {
    /// Keys and values of the sequence.
    pub own: Cache,
    /// Keys and values of the memory, which are made once.
    pub memory: Option<KeysValues>,
}

/// Self-attention, attention over the memory, feed-forward.
#[derive(Module, Debug)]
struct Layer {
    self_attn: MultiHeadAttention,
    multihead_attn: Option<MultiHeadAttention>,
    linear1: Linear,
    linear2: Linear,
    norm1: LayerNorm,
    norm2: Option<LayerNorm>,
    norm3: LayerNorm,
    dropout: f64,
}

/// What is the same for all layers of a pass.
struct Pass<'a> {
    positions: &'a Positions,
    /// Of the first position in this pass.
    first: usize,
    visible: Visible<'a>,
    /// What is seen of the memory.
    memory: Visible<'a>,
    weights: bool,
}

impl Layer {
    fn new(init: &Init, options: &TransformerOptions, memory: Option<usize>) -> Self {
        let attention =
            |name, memory| MultiHeadAttention::new(&init.child(name), &options.attention(memory));
        let norm = |name| options.norm(init, name);
        let [linear1, linear2] = linears(init, options);
        Self {
            self_attn: attention("self_attn", options.size),
            multihead_attn: memory.map(|memory| attention("multihead_attn", memory)),
            linear1,
            linear2,
            norm1: norm("norm1"),
            norm2: memory.map(|_| norm("norm2")),
            norm3: norm("norm3"),
            dropout: options.dropout,
        }
    }

    /// Keys and values of the memory, if this layer reads one.
    fn memory(&self, memory: Option<Memory<'_>>) -> Option<KeysValues> {
        let attention = self.multihead_attn.as_ref()?;
        Some(attention.keys_values(memory?.states.clone()))
    }

    /// `extend` takes keys and values of the positions of this pass and gives those of all that they
    /// may see.
    fn forward(
        &self,
        x: &mut Residual,
        pass: &Pass<'_>,
        extend: impl FnOnce(KeysValues) -> KeysValues,
        memory: Option<KeysValues>,
        mode: &mut Mode,
    ) -> Option<Tensor<3>> {
        let Pass {
            positions, first, ..
        } = *pass;
        x.sublayer(&self.norm1, |x| {
            let attention = &self.self_attn;
            let queries = positions.rotate(attention.queries(x.clone()), first);
            let mut own = attention.keys_values(x);
            own.keys = positions.rotate(own.keys, first);
            let y = attention.forward(queries, extend(own), pass.visible, mode);
            mode.dropout(y, self.dropout)
        });
        let mut weights = None;
        if let (Some(attention), Some(norm), Some(memory)) =
            (&self.multihead_attn, &self.norm2, memory)
        {
            let visible = pass.memory;
            x.sublayer(norm, |x| {
                let queries = attention.queries(x);
                if pass.weights {
                    let queries = queries.clone();
                    weights = Some(attention.weights(queries, &memory, visible.lengths));
                }
                let y = attention.forward(queries, memory, visible, mode);
                mode.dropout(y, self.dropout)
            });
        }
        x.sublayer(&self.norm3, |x| {
            feed_forward([&self.linear1, &self.linear2], x, self.dropout, mode)
        });
        weights
    }
}

/// A stack of decoder layers.
#[derive(Module, Debug)]
pub struct TransformerDecoder {
    positions: Positions,
    layers: Vec<Layer>,
    norm: Option<LayerNorm>,
    /// Of the inputs with their positions, as in BERT.
    embedding_norm: Option<LayerNorm>,
    dropout: f64,
    #[module(skip)]
    order: NormOrder,
    /// Whether weights over the memory are asked for.
    weights: bool,
}

impl TransformerDecoder {
    /// `memory` is its number of features, where layers attend to one; `weights` asks for how they
    /// do.
    pub fn new(
        init: &Init,
        options: &TransformerOptions,
        memory: Option<usize>,
        weights: bool,
    ) -> Self {
        let layers = init.child("layers");
        Self {
            positions: Positions::new(&init.child("positions"), options),
            layers: (0..options.layers)
                .map(|index| Layer::new(&layers.child(&index.to_string()), options, memory))
                .collect(),
            norm: options.final_norm.then(|| options.norm(init, "norm")),
            embedding_norm: options
                .embedding_norm
                .then(|| options.norm(init, "embedding_norm")),
            dropout: options.dropout,
            order: options.order,
            weights,
        }
    }

    /// Positions that a sequence may have, where their number is limited.
    pub fn limit(&self) -> Option<usize> {
        self.positions.limit()
    }

    /// Runs whole sequences `[B, U, D]`; states are zero behind each row's length. Without a memory
    /// the layers' attention over it is left out: a language model.
    pub fn forward(
        &self,
        x: Tensor<3>,
        lengths: &[usize],
        memory: Option<Memory<'_>>,
        mode: &mut Mode,
    ) -> Decoded {
        let visible = Visible {
            lengths,
            causal: true,
            mask: None,
        };
        self.seeing(x, visible, memory, mode)
    }

    /// [`TransformerDecoder::forward`] where the caller says what the positions see of each other: all of
    /// it where nothing is produced one by one, such as queries (Carion et al. 2020).
    pub fn seeing(
        &self,
        x: Tensor<3>,
        visible: Visible<'_>,
        memory: Option<Memory<'_>>,
        mode: &mut Mode,
    ) -> Decoded {
        let pass = self.pass(0, visible, memory);
        let mut x = self.begin(x, 0, mode);
        let mut weights = None;
        for layer in &self.layers {
            let memory = layer.memory(memory);
            weights = layer.forward(&mut x, &pass, |own| own, memory, mode);
        }
        Decoded {
            states: clear_padding(x.finish(self.norm.as_ref()), visible.lengths),
            weights,
        }
    }

    /// Runs one more position, `[B, 1, D]`, of all rows; `state` has an entry a layer from the first
    /// position on and is empty before. `U` steps equal one forward pass in evaluation.
    pub fn step(
        &self,
        x: Tensor<3>,
        state: &mut Vec<DecoderLayerState>,
        memory: Option<Memory<'_>>,
        mode: &mut Mode,
    ) -> Decoded {
        let [rows, steps, _] = x.dims();
        let first = position(state);
        let lengths = vec![first + steps; rows];
        let visible = Visible {
            lengths: &lengths,
            causal: false,
            mask: None,
        };
        let pass = self.pass(first, visible, memory);
        let mut before = std::mem::take(state).into_iter();
        let mut x = self.begin(x, first, mode);
        let mut weights = None;
        for layer in &self.layers {
            let (mut own, mut kept) = (None, None);
            if let Some(before) = before.next() {
                (own, kept) = (Some(before.own), before.memory);
            }
            let kept = kept.or_else(|| layer.memory(memory));
            let extend = |new| {
                let cache = Cache::append(own.take(), new);
                let all = cache.content.clone();
                own = Some(cache);
                all
            };
            weights = layer.forward(&mut x, &pass, extend, kept.clone(), mode);
            state.extend(own.map(|own| DecoderLayerState { own, memory: kept }));
        }
        Decoded {
            states: x.finish(self.norm.as_ref()),
            weights,
        }
    }

    fn pass<'a>(
        &'a self,
        first: usize,
        visible: Visible<'a>,
        memory: Option<Memory<'a>>,
    ) -> Pass<'a> {
        Pass {
            positions: &self.positions,
            first,
            visible,
            memory: Visible {
                lengths: memory.map_or(&[], |memory| memory.lengths),
                causal: false,
                mask: memory.and_then(|memory| memory.mask),
            },
            weights: self.weights,
        }
    }

    fn begin(&self, x: Tensor<3>, first: usize, mode: &mut Mode) -> Residual {
        let x = normed(self.embedding_norm.as_ref(), self.positions.add(x, first));
        let x = mode.dropout(x, self.dropout);
        Residual::new(self.order, x)
    }
}

/// Positions that a decoder has seen.
pub fn position(state: &[DecoderLayerState]) -> usize {
    state.first().map_or(0, |layer| layer.own.length)
}
