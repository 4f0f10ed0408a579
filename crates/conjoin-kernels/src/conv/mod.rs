//! 1-D and 2-D convolution and transposed convolution, channels last.
//!
//! Shape legend: `B` images, `H x W` pixels, `C` channels, `O` filters, `kh x kw` kernel, `Ho x Wo`
//! outputs; `T` and `To` steps of a sequence, `k` taps along it.

mod depthwise;
mod direct;
mod finish;
mod folded;
mod frame;
mod input_grad;
mod op;
mod options;
mod packed;
mod pass;
mod paths;
mod phase;
mod prepared;
pub mod reference;
mod rows;
mod shape;
mod shared;
mod tile;
mod vector;
mod weight_grad;
mod winograd;

pub(crate) use finish::Finish;
pub use op::{conv_transpose1d, conv_transpose2d, conv1d, conv2d};
pub use options::ConvOptions;
pub(crate) use packed::Packed;
pub use prepared::{Norm, PreparedConv, conv2d_norm};
pub(crate) use rows::{multiply_rows, pack_rows};
pub(crate) use weight_grad::column_sums;
