//! Attention from queries over a memory, and its merging with the queries.
//!
//! Shapes: queries `[B, U, Q]`, memory `[B, T, M]` padded at the end of T with a length a row,
//! weights `[B, U, T]` (zero behind the length), attended `[B, U, size]` or `[B, U, M]`.
//!
//! The context is `c = sum_t a_t m_t` with `a = softmax(score(q, m_t))`.

use crate::activation::Activation;
use crate::init::{Fill, Init};
use crate::linear::Linear;
use burn::module::{Module, Param};
use burn::tensor::Tensor;
use conjoin_kernels::attention as kernel;
use conjoin_kernels::rnn::attentive;

/// How well a query `q` and a memory position `m` match.
#[derive(
    Debug,
    Clone,
    Copy,
    Default,
    PartialEq,
    Eq,
    serde::Serialize,
    serde::Deserialize,
    schemars::JsonSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum Score {
    /// `q · m`; both have the same size (Luong et al. 2015).
    Dot,
    /// `q · m / sqrt(size)`; both have the same size (Vaswani et al. 2017).
    ScaledDot,
    /// `q W m` (Luong et al. 2015).
    #[default]
    General,
    /// `v · tanh(W q + U m + b)` (Bahdanau et al. 2015).
    Additive,
}

/// Sizes and behaviour of an [`Attention`].
#[derive(Debug, Clone, PartialEq)]
pub struct AttentionOptions {
    pub score: Score,
    /// Features of a query.
    pub query: usize,
    /// Features of the memory.
    pub memory: usize,
    /// Features of the common space of the additive score.
    pub common: usize,
    /// `tanh(W [c; q])` of this size (Luong et al. 2015, equation 5); without it the context
    /// itself comes out.
    pub merge: Option<usize>,
}

/// The parameters of the additive score.
#[derive(Module, Debug)]
struct Additive {
    query: Linear,
    memory: Linear,
    /// `[common]`
    vector: Param<Tensor<1>>,
}

/// Attention with one of the [`Score`]s.
#[derive(Module, Debug)]
pub struct Attention {
    /// Into the memory's space, for the general score.
    query: Option<Linear>,
    additive: Option<Additive>,
    merge: Option<Linear>,
    /// Factor of the dot product.
    scale: f64,
}

/// What attention makes of its inputs.
#[derive(Debug, Clone)]
pub struct Attended {
    /// `[B, U, size]`, or `[B, U, M]` without merging.
    pub attended: Tensor<3>,
    /// `[B, U, T]`
    pub weights: Tensor<3>,
}

impl Attention {
    pub fn new(init: &Init, options: &AttentionOptions) -> Self {
        let AttentionOptions {
            query,
            memory,
            common,
            ..
        } = *options;
        let linear = |name: &str, input, output, bias, activation| {
            Linear::new(&init.child(name), input, output, bias, activation)
        };
        let general = options.score == Score::General;
        let additive = (options.score == Score::Additive).then(|| {
            let init = init.child("additive");
            let linear = |name, input, bias| {
                Linear::new(&init.child(name), input, common, bias, Activation::None)
            };
            let fill = Fill::XavierUniform {
                fan_in: common,
                fan_out: 1,
            };
            Additive {
                query: linear("query", query, true),
                memory: linear("memory", memory, false),
                vector: init.param("vector", [common], fill),
            }
        });
        Self {
            query: general.then(|| linear("query", query, memory, false, Activation::None)),
            additive,
            merge: options
                .merge
                .map(|size| linear("merge", memory + query, size, false, Activation::Tanh)),
            scale: match options.score {
                Score::ScaledDot => (query as f64).sqrt().recip(),
                _ => 1.0,
            },
        }
    }

    /// What the score needs of the memory, `[B, T, common]`: the same for every query, so that a
    /// decoder computes it once. `None` where the score reads the memory itself.
    pub fn keys(&self, memory: &Tensor<3>) -> Option<Tensor<3>> {
        let additive = self.additive.as_ref()?;
        Some(additive.memory.forward(memory.clone()))
    }

    /// Attends over the valid positions of the memory; `keys` are those of [`Attention::keys`].
    pub fn forward(
        &self,
        queries: Tensor<3>,
        memory: Tensor<3>,
        keys: Option<Tensor<3>>,
        lengths: &[usize],
    ) -> Attended {
        let (context, weights) = self.look(queries.clone(), memory, keys, lengths);
        let attended = self.merge(context, queries);
        Attended { attended, weights }
    }

    /// [`Attention::forward`] without merging: contexts `[B, U, M]` and weights.
    pub(crate) fn look(
        &self,
        queries: Tensor<3>,
        memory: Tensor<3>,
        keys: Option<Tensor<3>>,
        lengths: &[usize],
    ) -> (Tensor<3>, Tensor<3>) {
        let (score, projected, keys) = if let Some(additive) = &self.additive {
            let keys = keys.unwrap_or_else(|| additive.memory.forward(memory.clone()));
            let v = additive.vector.val();
            let projected = additive.query.forward(queries);
            (kernel::Score::Additive { v }, projected, keys)
        } else {
            let projected = match &self.query {
                Some(query) => query.forward(queries),
                None => queries,
            };
            let scale = self.scale;
            (kernel::Score::Dot { scale }, projected, memory.clone())
        };
        kernel::attention(score, projected, keys, memory, lengths)
    }

    /// Contexts as they come out: with the queries, if they are merged with them.
    pub(crate) fn merge(&self, context: Tensor<3>, queries: Tensor<3>) -> Tensor<3> {
        match &self.merge {
            Some(merge) => merge.forward(Tensor::cat(vec![context, queries], 2)),
            None => context,
        }
    }

    /// The score as a layer that attends before each of its steps takes it, and the keys for the memory.
    pub(crate) fn before_steps(&self, memory: &Tensor<3>) -> (attentive::Score, Tensor<3>) {
        if let Some(additive) = &self.additive {
            let (query, bias) = additive.query.parameters();
            let keys = additive.memory.forward(memory.clone());
            let keys = match bias {
                Some(bias) => keys + bias.unsqueeze(),
                None => keys,
            };
            let v = additive.vector.val();
            return (attentive::Score::Additive { query, v }, keys);
        }
        let score = match &self.query {
            Some(query) => attentive::Score::General {
                query: query.parameters().0,
            },
            None => attentive::Score::Dot { scale: self.scale },
        };
        (score, memory.clone())
    }

    /// Multiply-adds for `queries` by `memory` positions of one sample, times two: projections,
    /// scores, context, merging.
    pub fn flops(options: &AttentionOptions, queries: f64, memory: f64) -> f64 {
        let (q, m) = (options.query as f64, options.memory as f64);
        let common = options.common as f64;
        let pairs = queries * memory;
        let scores = match options.score {
            Score::Dot | Score::ScaledDot => pairs * m,
            Score::General => queries * q * m + pairs * m,
            Score::Additive => (queries * q + memory * m + pairs) * common,
        };
        let merge = options.merge.unwrap_or(0) as f64 * (m + q) * queries;
        2.0 * (scores + pairs * m + merge)
    }
}
