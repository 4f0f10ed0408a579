//! Sums over gradients and parameters, in an order that depends on nothing but their sizes.

use burn::tensor::Tensor;
use rayon::prelude::*;

use super::Owned;
use crate::flex::supported;
use crate::simd::{Isa, Kernel, run};

/// Values of a block, and sums kept side by side within it.
const BLOCK: usize = 1 << 14;
const LANES: usize = 32;

/// `Σ x²` over a tensor of any shape, in double precision.
///
/// For clipping by the global norm: the norm of several gradients is the root of the sum of theirs, added
/// in a fixed order, and each is multiplied by `min(1, c / norm)`, with `c` the largest norm (the `clip` of
/// [`update`](super::update)).
///
/// Source: Pascanu, Mikolov and Bengio, "On the Difficulty of Training Recurrent Neural Networks" (2013),
/// algorithm 1.
///
/// The bits do not depend on threads or instruction set on Flex; elsewhere the device's sum decides.
pub fn squared_norm<const D: usize>(values: &Tensor<D>) -> f64 {
    total(values, true)
}

/// `Σ |x|` over a tensor of any shape, in double precision, as [`squared_norm`].
pub fn absolute_sum<const D: usize>(values: &Tensor<D>) -> f64 {
    total(values, false)
}

/// [`squared_norm`] of all slices together.
pub fn squared_norm_of_slices(slices: &[&[f32]]) -> f64 {
    slices.iter().map(|values| sum(values, true)).sum()
}

fn total<const D: usize>(values: &Tensor<D>, squares: bool) -> f64 {
    let values = values.clone().inner();
    if supported(&values) {
        return sum(Owned::new(values).values(), squares);
    }
    let single = if squares {
        values.clone() * values
    } else {
        values.abs()
    };
    f64::from(single.sum().into_scalar::<f32>())
}

fn sum(values: &[f32], squares: bool) -> f64 {
    let blocks: Vec<f64> = values
        .par_chunks(BLOCK)
        .map(|values| run(Sum { values, squares }))
        .collect();
    blocks.into_iter().sum()
}

struct Sum<'a> {
    values: &'a [f32],
    squares: bool,
}

impl Kernel for Sum<'_> {
    type Output = f64;

    #[inline(always)]
    fn run<S: Isa>(self, _: S) -> f64 {
        // A square of two single-precision numbers is exact in double precision, so a fused
        // multiply-add rounds like a product and a sum: every instruction set gives the same bits.
        let term = |x: f32| {
            let x = f64::from(x);
            if self.squares { x * x } else { x.abs() }
        };
        let mut lanes = [0.0f64; LANES];
        let (groups, rest) = self.values.as_chunks::<LANES>();
        for group in groups {
            for (lane, &x) in lanes.iter_mut().zip(group) {
                *lane += term(x);
            }
        }
        lanes.into_iter().sum::<f64>() + rest.iter().map(|&x| term(x)).sum::<f64>()
    }
}
