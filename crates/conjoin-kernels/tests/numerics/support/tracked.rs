//! Random tensors on a device that tracks gradients.

use super::{numbers, random};
use burn::tensor::{Device, Int, Tensor, TensorData};

/// A device whose tensors are tracked.
pub fn device() -> Device {
    Device::flex().autodiff()
}

/// Random numbers that get a gradient.
pub fn leaf<const D: usize>(shape: [usize; D], seed: u64) -> Tensor<D> {
    random(shape, seed, &device()).require_grad()
}

/// Random numbers that get none.
pub fn noise<const D: usize>(shape: [usize; D], seed: u64) -> Tensor<D> {
    random(shape, seed, &device())
}

/// Random indices below a bound.
pub fn integers<const D: usize>(shape: [usize; D], below: usize, seed: u64) -> Tensor<D, Int> {
    let numbers = numbers(shape.iter().product(), seed);
    let index = |x: f32| ((x.abs() * below as f32) as usize).min(below - 1) as i64;
    let numbers: Vec<i64> = numbers.into_iter().map(index).collect();
    Tensor::from_data(TensorData::new(numbers, shape), &device())
}
