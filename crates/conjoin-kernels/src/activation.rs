//! Activations of any tensor, element by element, forward and backward in one pass each.

use burn::backend::flex::FlexTensor;
use burn::tensor::{Tensor, activation as burn_activation};

use crate::buffer::build_from;
use crate::flex::{Dense, Fused, apply, supported, tensor};
use crate::simd::{self, Isa, Kernel, mul_add, run};

/// What follows a linear map.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Activation {
    /// Nothing.
    #[default]
    None,
    /// `max(z, 0)`; Nair and Hinton, "Rectified Linear Units Improve Restricted Boltzmann Machines" (2010).
    Relu,
    /// `tanh z = (e^z - e^-z) / (e^z + e^-z)`; LeCun, Bottou, Orr and Müller, "Efficient BackProp" (1998),
    /// section 4.4.
    Tanh,
    /// `1 / (1 + e^-z)`; Rumelhart, Hinton and Williams, "Learning Representations by Back-Propagating
    /// Errors" (1986).
    Sigmoid,
    /// `z Φ(z)` with the normal distribution function Φ, as PyTorch's default; Hendrycks and Gimpel
    /// (2016).
    Gelu,
    /// `z / 2 · (1 + tanh(sqrt(2/π) (z + 0.044715 z³)))`, the approximation of [`Activation::Gelu`] that
    /// PyTorch calls `tanh`.
    GeluTanh,
    /// `z / (1 + e^-z)`; Elfwing, Uchibe and Doya (2017).
    Silu,
}

/// `max(x, 0)` of every element, any shape, as PyTorch's `relu`; the gradient at 0 is 0. NaN stays NaN.
///
/// Source: Nair and Hinton, "Rectified Linear Units Improve Restricted Boltzmann Machines" (2010).
pub fn relu<const D: usize>(x: Tensor<D>) -> Tensor<D> {
    activate(x, Activation::Relu)
}

/// `x Φ(x)` of every element, any shape, with the normal distribution function Φ, as PyTorch's `gelu`.
///
/// Source: Hendrycks and Gimpel, "Gaussian Error Linear Units" (2016).
pub fn gelu<const D: usize>(x: Tensor<D>) -> Tensor<D> {
    activate(x, Activation::Gelu)
}

/// `x / (1 + e^-x)` of every element, any shape, as PyTorch's `silu` (also called swish).
///
/// Source: Elfwing, Uchibe and Doya, "Sigmoid-Weighted Linear Units" (2017).
pub fn silu<const D: usize>(x: Tensor<D>) -> Tensor<D> {
    activate(x, Activation::Silu)
}

/// `y = f(x)` of every element, any shape, for any [`Activation`] `f`: formulas and sources stand beside them.
pub fn activate<const D: usize>(x: Tensor<D>, activation: Activation) -> Tensor<D> {
    if activation == Activation::None {
        x
    } else if supported(&x) {
        let dims = x.dims();
        apply(Pointwise { dims, activation }, [x.into_dispatch()])
    } else {
        reference(x, activation)
    }
}

/// [`activate`] by Burn's own operations, for any device.
pub fn reference<const D: usize>(x: Tensor<D>, activation: Activation) -> Tensor<D> {
    match activation {
        Activation::None => x,
        Activation::Relu => burn_activation::relu(x),
        Activation::Tanh => burn_activation::tanh(x),
        Activation::Sigmoid => burn_activation::sigmoid(x),
        Activation::Gelu => burn_activation::gelu(x),
        Activation::GeluTanh => burn_activation::gelu_approximate(x),
        Activation::Silu => x.clone() * burn_activation::sigmoid(x),
    }
}

#[derive(Clone, Copy, Debug)]
struct Pointwise<const D: usize> {
    dims: [usize; D],
    activation: Activation,
}

impl<const D: usize> Fused<1> for Pointwise<D> {
    /// What the slope is computed from.
    type Saved = Dense;

    fn forward(&self, [x]: &[Dense; 1]) -> (FlexTensor, Dense) {
        let y = tensor(activated(x, self.activation), self.dims);
        let saved = if self.activation.slope_is_of_input() {
            x.clone()
        } else {
            Dense::new(y.clone())
        };
        (y, saved)
    }

    fn backward(&self, of: Dense, dy: Dense, [wanted]: [bool; 1]) -> [Option<FlexTensor>; 1] {
        [wanted.then(|| {
            let dx = times_slope(&dy, &of, self.activation);
            tensor(dx, self.dims)
        })]
    }
}

/// The activations of `x`.
pub(crate) fn activated(x: &Dense, activation: Activation) -> Vec<f32> {
    build_from(x.values(), 1, |_, values| {
        run(Activate { values, activation });
    })
}

/// The gradient `dy` times the slope at `of` (see [`Activation::slope_is_of_input`]).
pub(crate) fn times_slope(dy: &Dense, of: &Dense, activation: Activation) -> Vec<f32> {
    let of = of.values();
    build_from(dy.values(), 1, |first, dz| {
        let of = &of[first..][..dz.len()];
        run(Slope { dz, of, activation });
    })
}

/// Replaces values by their activations.
struct Activate<'a> {
    values: &'a mut [f32],
    activation: Activation,
}

impl Kernel for Activate<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Isa>(self, isa: S) {
        self.activation.apply(isa, self.values);
    }
}

impl Activation {
    /// Whether the slope is computed from what went in; from what came out otherwise.
    pub(crate) fn slope_is_of_input(self) -> bool {
        matches!(self, Self::Gelu | Self::GeluTanh | Self::Silu)
    }

    /// Replaces values by their activations.
    #[inline(always)]
    pub(crate) fn apply<S: Isa>(self, isa: S, values: &mut [f32]) {
        match self {
            Self::None => {}
            Self::Relu => {
                for value in values {
                    // A comparison that NaN fails, so that it stays.
                    *value = if *value < 0.0 { 0.0 } else { *value };
                }
            }
            Self::Tanh => {
                for value in values {
                    *value = simd::tanh(isa, *value);
                }
            }
            Self::Sigmoid => {
                for value in values {
                    *value = simd::sigmoid(isa, *value);
                }
            }
            Self::Gelu => {
                for value in values {
                    *value *= normal_distribution(isa, *value);
                }
            }
            Self::GeluTanh => {
                for value in values {
                    *value *= tanh_distribution(isa, *value).0;
                }
            }
            Self::Silu => {
                for value in values {
                    *value *= simd::sigmoid(isa, *value);
                }
            }
        }
    }
}

/// Multiplies a gradient by the activation's slope.
struct Slope<'a> {
    dz: &'a mut [f32],
    /// The output, or the input where the slope is computed from it.
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
            Activation::Gelu => {
                for (dz, z) in pairs {
                    // 1 / sqrt(2π)
                    const DENSITY: f32 = 0.398_942_3;
                    let density = DENSITY * simd::exp(isa, -0.5 * z * z);
                    *dz *= mul_add(isa, *z, density, normal_distribution(isa, *z));
                }
            }
            Activation::GeluTanh => {
                for (dz, z) in pairs {
                    let (share, slope) = tanh_distribution(isa, *z);
                    *dz *= mul_add(isa, *z, slope, share);
                }
            }
            Activation::Silu => {
                for (dz, z) in pairs {
                    let share = simd::sigmoid(isa, *z);
                    *dz *= share * mul_add(isa, *z, 1.0 - share, 1.0);
                }
            }
        }
    }
}

/// `(1 + tanh u) / 2` with `u = sqrt(2/π) (z + 0.044715 z³)`, and its slope in `z`.
#[inline(always)]
fn tanh_distribution<S: Isa>(isa: S, z: f32) -> (f32, f32) {
    // 2 sqrt(2/π), for (1 + tanh u) / 2 = sigmoid 2u
    const DOUBLE: f32 = 1.595_769;
    const CUBIC: f32 = 0.044_715;
    let square = z * z;
    let share = simd::sigmoid(isa, DOUBLE * z * mul_add(isa, square, CUBIC, 1.0));
    let inner = DOUBLE * mul_add(isa, square, 3.0 * CUBIC, 1.0);
    (share, share * (1.0 - share) * inner)
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
