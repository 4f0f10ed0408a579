//! 2-D convolution over NHWC images.
//!
//! Shape legend: `B` images, `H x W` pixels, `C` channels, `O` filters, `kh x kw` kernel, `Ho x Wo`
//! outputs.

mod direct;
mod op;
mod shape;
mod tile;
mod vector;
mod weight_grad;
mod winograd;

pub use op::{conv2d, reference};
pub(crate) use weight_grad::column_sums;
