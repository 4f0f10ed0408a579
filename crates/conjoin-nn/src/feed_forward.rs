//! The position-wise feed-forward sub-layer of a transformer.
//!
//! Shapes: x `[B, T, D]`, hidden `[B, T, F]`, output `[B, T, D]`.

use crate::activation::Activation;
use crate::init::{Fill, Init};
use crate::linear::Linear;
use crate::mode::Mode;
use crate::transformer::TransformerOptions;
use burn::tensor::Tensor;

/// `linear1` with its activation, and `linear2`, which a layer holds under these names. Weights
/// begin as Xavier's rule wants them, as in `torch.nn.Transformer`.
pub(crate) fn linears(init: &Init, options: &TransformerOptions) -> [Linear; 2] {
    let linear = |name, fan_in, fan_out, activation| {
        let fill = Fill::XavierUniform { fan_in, fan_out };
        Linear::filled(&init.child(name), fan_in, fan_out, true, activation, fill)
    };
    let TransformerOptions { size, hidden, .. } = *options;
    [
        linear("linear1", size, hidden, options.activation),
        linear("linear2", hidden, size, Activation::None),
    ]
}

/// `f(x W1ᵀ + b1) W2ᵀ + b2` (Vaswani et al. 2017, section 3.3), with dropout behind each map.
pub(crate) fn feed_forward(
    [linear1, linear2]: [&Linear; 2],
    x: Tensor<3>,
    dropout: f64,
    mode: &mut Mode,
) -> Tensor<3> {
    let hidden = mode.dropout(linear1.forward(x), dropout);
    mode.dropout(linear2.forward(hidden), dropout)
}
