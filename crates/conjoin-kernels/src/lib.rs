//! Fused training operations for the CPU, behind Burn's extension mechanism.
//!
//! Every operation takes and returns Burn tensors and is differentiable. On the Flex device it runs
//! one hand-written forward and backward pass; on any other device the same function runs Burn's own
//! operations.

// What a kernel calls must be inlined into it, or it is compiled without the wide instructions.
#![allow(clippy::inline_always)]

pub mod activation;
pub mod attention;
pub mod batch_norm;
mod bf16;
pub mod binary_loss;
pub mod blas;
mod buffer;
pub mod conv;
pub mod dropout;
pub mod embedding;
pub mod flex;
pub mod group_norm;
pub mod layer_norm;
pub mod linear;
pub mod loss;
pub mod optim;
pub mod pool;
pub mod precision;
mod prepared;
mod reduce;
pub mod rnn;
pub mod rotary;
mod scratch;
mod shapes;
pub mod simd;
pub mod sparse;
pub mod threads;

pub use precision::Precision;
