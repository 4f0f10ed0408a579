//! A linear layer fused with its activation.
//!
//! Shape legend: `N` rows, `I` inputs, `O` outputs.

use std::sync::Arc;

use burn::backend::flex::FlexTensor;
use burn::tensor::{Tensor, activation as burn_activation};
use rayon::prelude::*;

use crate::blas::{Mat, MatMut, Threads, gemm};
use crate::conv::column_sums;
use crate::flex::{Dense, Fused, apply, supported, tensor};
use crate::simd::{self, Isa, Kernel, mul_add, run};

/// What follows a linear map.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Activation {
    /// Nothing.
    #[default]
    None,
    /// `max(z, 0)`.
    Relu,
    /// `tanh z`.
    Tanh,
    /// `1 / (1 + e^-z)`.
    Sigmoid,
    /// `z Φ(z)` with the normal distribution function Φ, as PyTorch's default; Hendrycks and Gimpel
    /// (2016).
    Gelu,
}

/// `y [N, O] = activation(x [N, I] · w [O, I]ᵀ + bias [O])`, the weight as PyTorch stores it.
///
/// # Panics
/// If the sizes do not fit together.
pub fn linear(
    x: Tensor<2>,
    w: Tensor<2>,
    bias: Option<Tensor<1>>,
    activation: Activation,
) -> Tensor<2> {
    let [rows, inputs] = x.dims();
    let [outputs, weight_inputs] = w.dims();
    assert_eq!(
        inputs, weight_inputs,
        "linear: the weight has other inputs than the rows"
    );
    if let Some(bias) = &bias {
        assert_eq!(bias.dims(), [outputs], "linear: one bias an output");
    }
    if !(supported(&x) && supported(&w)) {
        return reference(x, w, bias, activation);
    }
    let linear = Linear {
        rows,
        inputs,
        outputs,
        activation,
    };
    match bias {
        Some(bias) => apply(
            linear,
            [x.into_dispatch(), w.into_dispatch(), bias.into_dispatch()],
        ),
        None => apply(linear, [x.into_dispatch(), w.into_dispatch()]),
    }
}

/// [`linear`] by Burn's own operations, for any device.
pub fn reference(
    x: Tensor<2>,
    w: Tensor<2>,
    bias: Option<Tensor<1>>,
    activation: Activation,
) -> Tensor<2> {
    let z = x.matmul(w.transpose());
    let z = match bias {
        Some(bias) => z + bias.unsqueeze(),
        None => z,
    };
    match activation {
        Activation::None => z,
        Activation::Relu => burn_activation::relu(z),
        Activation::Tanh => burn_activation::tanh(z),
        Activation::Sigmoid => burn_activation::sigmoid(z),
        Activation::Gelu => burn_activation::gelu(z),
    }
}

#[derive(Clone, Copy, Debug)]
struct Linear {
    rows: usize,
    inputs: usize,
    outputs: usize,
    activation: Activation,
}

/// What the backward pass needs.
#[derive(Clone, Debug)]
struct Saved {
    x: Dense,
    w: Dense,
    /// What the activation's slope is computed from: the output, or for GELU its input.
    slope_of: Option<Dense>,
}

impl Linear {
    fn forward(&self, x: &Dense, w: &Dense, bias: Option<&Dense>) -> (FlexTensor, Saved) {
        let mut y = vec![0.0f32; self.rows * self.outputs];
        gemm(
            MatMut::new(&mut y, self.rows, self.outputs),
            0.0,
            Mat::new(x.values(), self.rows, self.inputs),
            Mat::new(w.values(), self.outputs, self.inputs).t(),
            Threads::All,
        );
        let dims = [self.rows, self.outputs];
        let activation = self.activation;
        let block = self.block();
        let mut before = Vec::new();
        if activation == Activation::Gelu {
            before = vec![0.0f32; y.len()];
        }
        let befores: Vec<&mut [f32]> = blocks(&mut before, block, y.len().div_ceil(block));
        let bias = bias.map(Dense::values);
        y.par_chunks_mut(block)
            .zip(befores)
            .for_each(|(values, before)| {
                run(Finish {
                    values,
                    before,
                    bias,
                    activation,
                    outputs: self.outputs,
                });
            });
        let y = tensor(y, dims);
        let slope_of = match activation {
            Activation::None => None,
            Activation::Gelu => Some(Dense::from_vec(before, dims)),
            _ => Some(Dense::new(y.clone())),
        };
        let (x, w) = (x.clone(), w.clone());
        (y, Saved { x, w, slope_of })
    }

    /// Values of a task: whole rows, about 16 thousand.
    fn block(&self) -> usize {
        let outputs = self.outputs.max(1);
        ((1 << 14) / outputs).max(1) * outputs
    }

    fn backward(&self, saved: Saved, dy: Dense, wanted: [bool; 3]) -> [Option<FlexTensor>; 3] {
        let activation = self.activation;
        let dz = match saved.slope_of {
            None => dy,
            Some(of) => {
                let mut dz = dy.values().to_vec();
                let block = self.block();
                dz.par_chunks_mut(block)
                    .zip(of.values().par_chunks(block))
                    .for_each(|(dz, of)| run(Slope { dz, of, activation }));
                Dense::from_vec(dz, [self.rows, self.outputs])
            }
        };
        let gradient = Mat::new(dz.values(), self.rows, self.outputs);
        let product = |rows: usize, columns: usize, a: Mat<'_>, b: Mat<'_>| {
            let mut c = vec![0.0f32; rows * columns];
            gemm(MatMut::new(&mut c, rows, columns), 0.0, a, b, Threads::All);
            tensor(c, [rows, columns])
        };
        let w = Mat::new(saved.w.values(), self.outputs, self.inputs);
        let x = Mat::new(saved.x.values(), self.rows, self.inputs);
        [
            wanted[0].then(|| product(self.rows, self.inputs, gradient, w)),
            wanted[1].then(|| product(self.outputs, self.inputs, gradient.t(), x)),
            wanted[2].then(|| tensor(column_sums(dz.values(), self.outputs), [self.outputs])),
        ]
    }
}

impl Fused<2> for Linear {
    type Saved = Arc<Saved>;

    fn forward(&self, [x, w]: &[Dense; 2]) -> (FlexTensor, Self::Saved) {
        let (y, saved) = Linear::forward(self, x, w, None);
        (y, Arc::new(saved))
    }

    fn backward(
        &self,
        saved: Self::Saved,
        dy: Dense,
        [x, w]: [bool; 2],
    ) -> [Option<FlexTensor>; 2] {
        let [x, w, _] = Linear::backward(self, Arc::unwrap_or_clone(saved), dy, [x, w, false]);
        [x, w]
    }
}

impl Fused<3> for Linear {
    type Saved = Arc<Saved>;

    fn forward(&self, [x, w, bias]: &[Dense; 3]) -> (FlexTensor, Self::Saved) {
        let (y, saved) = Linear::forward(self, x, w, Some(bias));
        (y, Arc::new(saved))
    }

    fn backward(
        &self,
        saved: Self::Saved,
        dy: Dense,
        wanted: [bool; 3],
    ) -> [Option<FlexTensor>; 3] {
        Linear::backward(self, Arc::unwrap_or_clone(saved), dy, wanted)
    }
}

/// The blocks of a slice, or `count` empty ones if it is empty.
fn blocks(slice: &mut [f32], block: usize, count: usize) -> Vec<&mut [f32]> {
    if slice.is_empty() {
        (0..count).map(|_| Default::default()).collect()
    } else {
        slice.chunks_mut(block).collect()
    }
}

/// Adds the bias to whole rows, keeps the sum where `before` is not empty, and activates.
struct Finish<'a> {
    values: &'a mut [f32],
    before: &'a mut [f32],
    bias: Option<&'a [f32]>,
    activation: Activation,
    outputs: usize,
}

impl Kernel for Finish<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Isa>(self, isa: S) {
        if let Some(bias) = self.bias {
            for row in self.values.chunks_exact_mut(self.outputs) {
                for (value, bias) in row.iter_mut().zip(bias) {
                    *value += bias;
                }
            }
        }
        if !self.before.is_empty() {
            self.before.copy_from_slice(self.values);
        }
        match self.activation {
            Activation::None => {}
            Activation::Relu => {
                for value in self.values {
                    // A comparison that NaN fails, so that it stays.
                    *value = if *value < 0.0 { 0.0 } else { *value };
                }
            }
            Activation::Tanh => {
                for value in self.values {
                    *value = simd::tanh(isa, *value);
                }
            }
            Activation::Sigmoid => {
                for value in self.values {
                    *value = simd::sigmoid(isa, *value);
                }
            }
            Activation::Gelu => {
                for value in self.values {
                    *value *= normal_distribution(isa, *value);
                }
            }
        }
    }
}

/// Multiplies a gradient by the activation's slope.
struct Slope<'a> {
    dz: &'a mut [f32],
    /// The output, or for GELU the input.
    of: &'a [f32],
    activation: Activation,
}

impl Kernel for Slope<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Isa>(self, isa: S) {
        let pairs = self.dz.iter_mut().zip(self.of);
        match self.activation {
            Activation::None => {}
            Activation::Relu => pairs.for_each(|(dz, y)| *dz = if *y > 0.0 { *dz } else { 0.0 }),
            Activation::Tanh => pairs.for_each(|(dz, y)| *dz *= mul_add(isa, -y, *y, 1.0)),
            Activation::Sigmoid => pairs.for_each(|(dz, y)| *dz *= y * (1.0 - y)),
            Activation::Gelu => pairs.for_each(|(dz, z)| {
                // 1 / sqrt(2π)
                const DENSITY: f32 = 0.398_942_3;
                let density = DENSITY * simd::exp(isa, -0.5 * z * z);
                *dz *= mul_add(isa, *z, density, normal_distribution(isa, *z));
            }),
        }
    }
}

/// The standard normal distribution function, within 1e-7.
///
/// Source: Abramowitz and Stegun, "Handbook of Mathematical Functions", 7.1.26, for the error function
/// of `|z| / sqrt 2`.
#[inline(always)]
fn normal_distribution<S: Isa>(isa: S, z: f32) -> f32 {
    let x = z.abs() * std::f32::consts::FRAC_1_SQRT_2;
    let t = 1.0 / mul_add(isa, x, 0.327_591_1, 1.0);
    let mut series = 1.061_405_4;
    for coefficient in [-1.453_152_1, 1.421_413_8, -0.284_496_72, 0.254_829_6] {
        series = mul_add(isa, series, t, coefficient);
    }
    let tail = 0.5 * series * t * simd::exp(isa, -x * x);
    if z < 0.0 { tail } else { 1.0 - tail }
}
