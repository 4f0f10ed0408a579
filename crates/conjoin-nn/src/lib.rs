//! Differentiable modules: embedding, linear, recurrent, attention, convolution.
//!
//! Modules know Burn and the kernels, and nothing of graphs, recipes or data. All of them follow the
//! same three habits:
//!
//! - Parameters are lazy; their values follow from a seed and their path alone ([`init`]).
//! - A forward pass is pure: randomness comes from, and new running statistics go to, the [`Mode`]
//!   that the caller hands in.
//! - Parameter names and layouts are PyTorch's, so that its checkpoints map one to one (convolutions
//!   alone differ: their weights are `[out, height, width, in]`).

pub mod activation;
pub mod attention;
pub mod conv;
pub mod conv_encoder;
pub mod embedding;
pub mod init;
pub mod linear;
pub mod mode;
pub mod recurrent;
pub mod rng;
pub mod sequence;

pub use activation::Activation;
pub use attention::{Attended, Attention, AttentionOptions, Score};
pub use conv::{BatchNorm, ConvNorm};
pub use conv_encoder::{ConvEncoder, ConvEncoderOptions, Reduce};
pub use embedding::Embedding;
pub use init::{Fill, Init};
pub use linear::Linear;
pub use mode::{Mode, Statistic};
pub use recurrent::{Cell, Recurrent, RecurrentOptions, RecurrentState};
