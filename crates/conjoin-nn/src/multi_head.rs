//! Attention of several heads, each over a projection of its own.
//!
//! Shapes: queries `[B, U, D]`, memory `[B, T, M]` padded at the end of T with a length a row; D is
//! split among the heads, side by side; projected queries `[B, U, D]`, keys and values `[B, T, D]`.
//!
//! Vaswani et al. 2017, section 3.2. Names and layouts of parameters are those of
//! `torch.nn.MultiheadAttention`.

use crate::activation::Activation;
use crate::init::{Fill, Init};
use crate::linear::Linear;
use crate::mode::Mode;
use burn::module::{Module, Param};
use burn::tensor::Tensor;
use conjoin_kernels::attention::{MultiHead, masked_softmax, multi_head_attention};
use conjoin_kernels::linear::{Activation as Function, PreparedLinear, linear_prepared};

/// Sizes and behaviour of a [`MultiHeadAttention`].
#[derive(Debug, Clone, PartialEq)]
pub struct MultiHeadOptions {
    /// Features of queries and outputs; a multiple of `heads`.
    pub size: usize,
    /// Features of the memory.
    pub memory: usize,
    pub heads: usize,
    /// Probability of dropping a weight in training.
    pub dropout: f64,
}

/// What heads look at: `keys` and `values` are both `[B, T, D]`.
#[derive(Debug, Clone)]
pub struct KeysValues {
    pub keys: Tensor<3>,
    pub values: Tensor<3>,
}

/// Which positions of the memory a query sees.
#[derive(Debug, Clone, Copy)]
pub struct Visible<'a> {
    /// Valid positions of each row.
    pub lengths: &'a [usize],
    /// The query at position `u` sees nothing behind position `u`.
    pub causal: bool,
    /// Added to the scores; each of its sizes is that of `[B, heads, U, T]` or 1. Minus infinity hides
    /// a position.
    pub mask: Option<&'a Tensor<4>>,
}

/// Attention of several heads.
#[derive(Module, Debug)]
pub struct MultiHeadAttention {
    /// `[3 D, D]`: projections of queries, keys and values, where the memory has the queries' size.
    in_proj_weight: Option<Param<Tensor<2>>>,
    /// `[D, D]`, `[D, M]` and `[D, M]`, where it has another.
    q_proj_weight: Option<Param<Tensor<2>>>,
    k_proj_weight: Option<Param<Tensor<2>>>,
    v_proj_weight: Option<Param<Tensor<2>>>,
    /// `[3 D]`
    in_proj_bias: Param<Tensor<1>>,
    out_proj: Linear,
    heads: usize,
    dropout: f64,
    /// Of queries, keys and values.
    #[module(skip)]
    prepared: [PreparedLinear; 3],
}

/// What is projected, in the order of the stacked weights.
#[derive(Debug, Clone, Copy)]
enum Part {
    Queries = 0,
    Keys = 1,
    Values = 2,
}

impl MultiHeadAttention {
    /// Weights begin as Xavier's rule wants them, with the fan of the stacked matrix where there is
    /// one, and biases with zeros: as in `torch.nn.Transformer`.
    pub fn new(init: &Init, options: &MultiHeadOptions) -> Self {
        let MultiHeadOptions { size, memory, .. } = *options;
        let xavier = |fan_in, fan_out| Fill::XavierUniform { fan_in, fan_out };
        let stacked = || init.param("in_proj_weight", [3 * size, size], xavier(size, 3 * size));
        let separate = |name, input| {
            (memory != size).then(|| init.param(name, [size, input], xavier(input, size)))
        };
        let out_proj = init.child("out_proj");
        Self {
            in_proj_weight: (memory == size).then(stacked),
            q_proj_weight: separate("q_proj_weight", size),
            k_proj_weight: separate("k_proj_weight", memory),
            v_proj_weight: separate("v_proj_weight", memory),
            in_proj_bias: init.param("in_proj_bias", [3 * size], Fill::Constant(0.0)),
            out_proj: Linear::new(&out_proj, size, size, true, Activation::None),
            heads: options.heads,
            dropout: options.dropout,
            prepared: Default::default(),
        }
    }

    /// `[B, U, D]` to projected queries, the same shape.
    pub fn queries(&self, x: Tensor<3>) -> Tensor<3> {
        self.project(Part::Queries, x)
    }

    /// `[B, T, M]` to keys and values: the same for every query, so that a decoder computes them
    /// once.
    pub fn keys_values(&self, memory: Tensor<3>) -> KeysValues {
        KeysValues {
            keys: self.project(Part::Keys, memory.clone()),
            values: self.project(Part::Values, memory),
        }
    }

    fn project(&self, part: Part, x: Tensor<3>) -> Tensor<3> {
        let [rows, time, input] = x.dims();
        let size = self.in_proj_bias.lazy_shape()[0] / 3;
        let first = part as usize * size;
        let separate = match part {
            Part::Queries => &self.q_proj_weight,
            Part::Keys => &self.k_proj_weight,
            Part::Values => &self.v_proj_weight,
        };
        let x = x.reshape([rows * time, input]);
        // Rows of a weight lie together: a slice of it is no copy, a slice of stacked outputs is.
        let weight = match (&self.in_proj_weight, separate) {
            (Some(stacked), _) => Some(stacked.val().narrow(0, first, size)),
            (None, separate) => separate.as_ref().map(Param::val),
        };
        let y = match weight {
            Some(weight) => {
                let bias = self.in_proj_bias.val().narrow(0, first, size);
                let prepared = &self.prepared[part as usize];
                linear_prepared(x, weight, Some(bias), Function::None, prepared)
            }
            None => x,
        };
        y.reshape([rows, time, size])
    }

    /// Attends with projected queries; gives `[B, U, D]`. A query that sees no position
    /// attends to zeros.
    pub fn forward(
        &self,
        queries: Tensor<3>,
        memory: KeysValues,
        visible: Visible<'_>,
        mode: &mut Mode,
    ) -> Tensor<3> {
        let options = MultiHead {
            causal: visible.causal,
            lengths: Some(visible.lengths.to_vec()),
            mask: visible.mask.cloned(),
            dropout: mode.draw(self.dropout).map(|seed| (self.dropout, seed)),
            ..MultiHead::new(self.heads)
        };
        let KeysValues { keys, values } = memory;
        let context = multi_head_attention(queries, keys, values, options);
        self.out_proj.forward(context)
    }

    /// The weights `[B, U, T]` with which queries attend over the valid positions, on average over
    /// the heads, for those who look at them: they carry no gradient.
    pub fn weights(&self, queries: Tensor<3>, memory: &KeysValues, lengths: &[usize]) -> Tensor<3> {
        let [rows, steps, size] = queries.dims();
        let [_, time, _] = memory.keys.dims();
        let (heads, width) = (self.heads, size / self.heads);
        let split = |x: Tensor<3>, time| x.detach().reshape([rows, time, heads, width]);
        let queries = split(queries, steps).swap_dims(1, 2) * (width as f64).sqrt().recip();
        let keys = split(memory.keys.clone(), time).permute([0, 2, 3, 1]);
        let scores = queries.matmul(keys).reshape([rows, heads * steps, time]);
        masked_softmax(scores, lengths)
            .reshape([rows, heads, steps, time])
            .mean_dim(1)
            .squeeze_dim(1)
    }

    /// Multiply-adds of projecting `queries` and `memory` positions of one sample and of attending
    /// with `pairs` of a query and a position that it sees, times two.
    pub fn flops(options: &MultiHeadOptions, queries: f64, memory: f64, pairs: f64) -> f64 {
        let size = options.size as f64;
        let projections = 2.0 * queries * size + 2.0 * memory * options.memory as f64;
        2.0 * size * (projections + 2.0 * pairs)
    }
}
