//! Differentiable modules: embedding, linear, recurrent, attention, transformer, convolution.
//!
//! Modules know Burn, the kernels and the solver of quadratic programs, and nothing of graphs, recipes or data. All of them follow the
//! same three habits:
//!
//! - Parameters are lazy; their values follow from a seed and their path alone ([`init`]).
//! - A forward pass is pure: randomness comes from, and new running statistics go to, the [`Mode`]
//!   that the caller hands in.
//! - Parameter names and layouts are PyTorch's, so that its checkpoints map one to one (convolutions
//!   alone differ: their weights are `[out, height, width, in]`).

pub mod activation;
pub mod attention;
pub mod attentive;
pub mod birds_eye;
pub mod boxes;
pub mod cache;
pub mod conv;
pub mod conv_decoder;
pub mod conv_encoder;
pub mod driving;
pub mod embedding;
mod feed_forward;
pub mod grid_head;
pub mod init;
pub mod layer_norm;
pub mod linear;
pub mod mode;
pub mod multi_head;
pub mod patch_embedding;
pub mod position;
pub mod qp_planner;
pub mod recurrent;
pub mod residual;
pub mod rng;
pub mod sequence;
pub mod transformer;
pub mod transformer_decoder;
pub mod transformer_encoder;
mod vanilla;

pub use activation::Activation;
pub use attention::{Attended, Attention, AttentionOptions, Score};
pub use attentive::{
    AttentiveCell, AttentiveDecoder, AttentiveMemory, AttentiveOptions, AttentiveOutput,
};
pub use birds_eye::{BirdsEyeView, Camera, Depths, Grid, ViewToBev, ViewToBevOptions};
pub use boxes::{BoxOptions, decode_boxes};
pub use conv::{BatchNorm, ConvNorm, Window};
pub use conv_decoder::{ConvDecoder, ConvDecoderOptions};
pub use conv_encoder::{ConvEncoder, ConvEncoderOptions, Reduce};
pub use embedding::Embedding;
pub use grid_head::{GridHead, GridHeadOptions};
pub use init::{Fill, Init};
pub use layer_norm::LayerNorm;
pub use linear::Linear;
pub use mode::{Mode, Statistic};
pub use multi_head::{KeysValues, MultiHeadAttention, MultiHeadOptions, Visible};
pub use patch_embedding::{PatchEmbedding, PatchOptions};
pub use position::{PositionKind, Positions};
pub use recurrent::{Cell, Recurrent, RecurrentOptions, RecurrentState};
pub use residual::{NormOrder, Residual};
pub use transformer::TransformerOptions;
pub use transformer_decoder::{Decoded, DecoderLayerState, Memory, TransformerDecoder};
pub use transformer_encoder::TransformerEncoder;
