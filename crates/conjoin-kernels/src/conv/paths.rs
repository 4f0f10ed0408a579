//! Which kernel computes what.

use super::shape::ConvShape;
use super::{depthwise, direct, input_grad, weight_grad, winograd};
use crate::buffer::build_with;

/// The kernels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Path {
    Winograd,
    Depthwise,
    Direct,
}

/// The kernel that serves a shape.
pub fn path(shape: ConvShape) -> Path {
    if winograd::fits(shape) {
        Path::Winograd
    } else if depthwise::fits(shape) {
        Path::Depthwise
    } else {
        Path::Direct
    }
}

/// `y [B, Ho, Wo, O]` from `x [B, H, W, C]`, `w [O, kh, kw, C / groups]` and `bias [O]`.
pub fn forward(shape: ConvShape, x: &[f32], w: &[f32], bias: Option<&[f32]>) -> Vec<f32> {
    assert!(bias.is_none_or(|bias| bias.len() == shape.filters));
    // SAFETY: every kernel writes every output; see there.
    unsafe {
        build_with(shape.batch * shape.out_image(), |y| match path(shape) {
            Path::Winograd => winograd::forward(shape, x, w, bias, y),
            Path::Depthwise => depthwise::forward(shape, x, w, bias, y),
            Path::Direct => direct::forward(shape, x, w, bias, y),
        })
    }
}

/// `dx [B, H, W, C]` from `dy [B, Ho, Wo, O]` and `w`; `bias [C]` is added, if there is one.
pub fn input_gradient(shape: ConvShape, dy: &[f32], w: &[f32], bias: Option<&[f32]>) -> Vec<f32> {
    assert!(bias.is_none_or(|bias| bias.len() == shape.channels));
    // SAFETY: every kernel writes every input's gradient; see there.
    unsafe {
        build_with(shape.batch * shape.image(), |dx| match path(shape) {
            Path::Winograd => winograd::input_gradient(shape, dy, w, bias, dx),
            Path::Depthwise => depthwise::input_gradient(shape, dy, w, bias, dx),
            Path::Direct => input_grad::input_gradient(shape, dy, w, bias, dx),
        })
    }
}

/// `dw [O, kh, kw, C / groups]` from `x` and `dy`.
pub fn weight_gradient(shape: ConvShape, x: &[f32], dy: &[f32]) -> Vec<f32> {
    match path(shape) {
        Path::Winograd => winograd::weight_gradient(shape, x, dy),
        Path::Depthwise => depthwise::weight_gradient(shape, x, dy),
        Path::Direct => weight_grad::weight_gradient(shape, x, dy),
    }
}
