//! Weights of a convolution that have taken in a normalisation's factors, in the layout of a kernel.

use super::finish::Finish;
use super::packed::Packed;
use super::paths::{Path, path};
use super::shape::ConvShape;
use super::{depthwise, direct, winograd};
use crate::buffer::build_with;

/// Weights and bias with the factors of a normalisation.
#[derive(Debug)]
pub struct Folded {
    kernel: Kernel,
    bias: Vec<f32>,
}

/// Weights in the layout of each path.
#[derive(Debug)]
enum Kernel {
    Winograd(Vec<f32>),
    /// One a group.
    Direct(Vec<Packed>),
    Depthwise(Vec<f32>),
}

impl Folded {
    /// The kernel that the weights are laid out for.
    pub fn path(&self) -> Path {
        match self.kernel {
            Kernel::Winograd(_) => Path::Winograd,
            Kernel::Direct(_) => Path::Direct,
            Kernel::Depthwise(_) => Path::Depthwise,
        }
    }
}

/// Takes the normalisation into weights and bias, and lays the weights out.
pub fn fold(shape: ConvShape, [w, mean, variance, gamma, beta]: [&[f32]; 5], eps: f64) -> Folded {
    let scale = gamma.iter().zip(variance);
    let scale: Vec<f64> = scale
        .map(|(g, v)| f64::from(*g) / (f64::from(*v) + eps).sqrt())
        .collect();
    let shift = beta.iter().zip(mean).zip(&scale);
    let bias: Vec<f32> = shift
        .map(|((b, m), scale)| (f64::from(*b) - f64::from(*m) * scale) as f32)
        .collect();
    let mut weights = w.to_vec();
    let filter = shape.filter();
    for (weights, scale) in weights.chunks_exact_mut(filter.max(1)).zip(&scale) {
        for weight in weights {
            *weight = (f64::from(*weight) * scale) as f32;
        }
    }
    let kernel = match path(shape) {
        Path::Winograd => Kernel::Winograd(winograd::transformed(shape, &weights)),
        Path::Depthwise => Kernel::Depthwise(weights),
        Path::Direct => Kernel::Direct(direct::pack(shape, &weights, Some(&bias))),
    };
    Folded { kernel, bias }
}

/// The convolution and what follows it, one pass over the output.
pub fn convolve(shape: ConvShape, x: &[f32], folded: &Folded, finish: Finish<'_>) -> Vec<f32> {
    let bias = Some(folded.bias.as_slice());
    let len = shape.batch * shape.out_image();
    assert!(folded.path() == path(shape) && folded.bias.len() == shape.filters);
    // SAFETY: every kernel writes every output; see there.
    let mut y = unsafe {
        build_with(len, |y| match &folded.kernel {
            Kernel::Winograd(kernel) => winograd::convolve(shape, x, kernel, bias, finish, y),
            Kernel::Depthwise(w) => depthwise::forward(shape, x, w, bias, y),
            Kernel::Direct(packed) => direct::convolve(shape, x, packed, finish, y),
        })
    };
    if let Kernel::Depthwise(_) = folded.kernel {
        finish.apply(0, &mut y);
    }
    y
}
