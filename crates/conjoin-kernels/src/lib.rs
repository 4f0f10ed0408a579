//! Fused training operations for the CPU, behind Burn's extension mechanism.
//!
//! Every operation takes and returns Burn tensors and is differentiable. On the Flex device it runs
//! one hand-written forward and backward pass; on any other device the same function runs Burn's own
//! operations.

pub mod blas;
pub mod flex;
pub mod conv;
pub mod rnn;
pub mod simd;
