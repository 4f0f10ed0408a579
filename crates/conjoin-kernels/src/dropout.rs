//! Dropout whose mask is a function of a seed and the element's index.
//!
//! The mask is computed again in the backward pass instead of being stored, and does not depend on
//! threads, blocks or the instruction set.

use burn::backend::flex::FlexTensor;
use burn::tensor::{Tensor, TensorData};
use rayon::prelude::*;

use crate::flex::{Dense, Fused, apply, supported, tensor};
use crate::simd::{Isa, Kernel, run};

/// Elements that share one key.
const BLOCK: usize = 1 << 14;

/// Zeroes each element of `x` (any shape) with probability `p` and multiplies the rest by
/// `1 / (1 - p)`, as PyTorch's `dropout` in training mode. Element `i` (row-major) is kept or dropped
/// by `seed` and `i` alone: give every call its own seed, for example `base + step * sites + site`.
///
/// Source: Srivastava et al., "Dropout: A Simple Way to Prevent Neural Networks from Overfitting" (2014).
///
/// # Panics
/// Unless `0 <= p < 1`.
#[track_caller]
pub fn dropout<const D: usize>(x: Tensor<D>, p: f64, seed: u64) -> Tensor<D> {
    assert!(
        (0.0..1.0).contains(&p),
        "dropout: the probability {p} is not in [0, 1)"
    );
    if p == 0.0 {
        return x;
    }
    if !supported(&x) {
        return reference(x, p, seed);
    }
    apply(Dropout::<D>::new(p, seed), [x.into_dispatch()])
}

/// [`dropout`] by Burn's own operations, for any device: the same mask, made on the host.
pub fn reference<const D: usize>(x: Tensor<D>, p: f64, seed: u64) -> Tensor<D> {
    let mut mask = vec![1.0f32; x.shape().num_elements()];
    Dropout::<D>::new(p, seed).scale(&mut mask);
    let mask = Tensor::from_data(TensorData::new(mask, x.dims()), (&x.device(), x.dtype()));
    x * mask
}

/// The operation: what to drop and by what to scale the rest.
#[derive(Clone, Debug)]
struct Dropout<const D: usize> {
    seed: u64,
    /// An element is dropped when its 32 random bits are below this.
    threshold: u32,
    scale: f32,
}

impl<const D: usize> Dropout<D> {
    fn new(p: f64, seed: u64) -> Self {
        let threshold = (p * 2f64.powi(32)).round().min(f64::from(u32::MAX)) as u32;
        Self {
            seed,
            threshold,
            scale: (1.0 / (1.0 - p)) as f32,
        }
    }

    /// Multiplies by the scaled mask, in place.
    fn scale(&self, values: &mut [f32]) {
        values
            .par_chunks_mut(BLOCK)
            .enumerate()
            .for_each(|(block, values)| {
                let key = mix64(self.seed ^ mix64(block as u64));
                let (threshold, scale) = (self.threshold, self.scale);
                run(Mask {
                    values,
                    keys: [key as u32, (key >> 32) as u32],
                    threshold,
                    scale,
                });
            });
    }

    fn masked(&self, x: &Dense) -> FlexTensor {
        let mut values = x.values().to_vec();
        self.scale(&mut values);
        tensor(values, x.dims::<D>())
    }
}

impl<const D: usize> Fused<1> for Dropout<D> {
    type Saved = ();

    fn forward(&self, [x]: &[Dense; 1]) -> (FlexTensor, ()) {
        (self.masked(x), ())
    }

    fn backward(&self, (): (), dy: Dense, _: [bool; 1]) -> [Option<FlexTensor>; 1] {
        [Some(self.masked(&dy))]
    }
}

/// Applies the mask to one block.
struct Mask<'a> {
    values: &'a mut [f32],
    keys: [u32; 2],
    threshold: u32,
    scale: f32,
}

impl Kernel for Mask<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Isa>(self, _: S) {
        for (i, value) in self.values.iter_mut().enumerate() {
            let bits = mix32(mix32(i as u32 ^ self.keys[0]).wrapping_add(self.keys[1]));
            *value = if bits < self.threshold {
                0.0
            } else {
                *value * self.scale
            };
        }
    }
}

/// A bijection of 32 bits that passes avalanche tests: Ellis, "lowbias32" (hash-prospector).
#[inline(always)]
pub(crate) fn mix32(mut x: u32) -> u32 {
    x = (x ^ (x >> 16)).wrapping_mul(0x7feb_352d);
    x = (x ^ (x >> 15)).wrapping_mul(0x846c_a68b);
    x ^ (x >> 16)
}

/// The output function of SplitMix64: Steele, Lea and Flood, "Fast Splittable Pseudorandom Number
/// Generators" (2014).
pub(crate) fn mix64(x: u64) -> u64 {
    let x = x.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}
