//! 2-D convolution over NHWC images.
//!
//! Shape legend: `B` images, `H x W` pixels, `C` channels, `O` filters, `kh x kw` kernel, `Ho x Wo`
//! outputs.

pub mod direct;
mod op;
mod shape;
mod tile;
mod vector;
pub mod weight_grad;
mod wino_tile;
pub mod winograd;

pub use op::{conv2d, reference};
pub use shape::ConvShape;
