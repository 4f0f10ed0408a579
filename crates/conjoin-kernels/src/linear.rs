//! A linear layer fused with its activation.
//!
//! Shape legend: `N` rows, `I` inputs, `O` outputs.

use std::sync::Arc;

use burn::backend::flex::FlexTensor;
use burn::tensor::Tensor;
use rayon::prelude::*;

use crate::activation::{self, times_slope};
use crate::blas::{Mat, MatMut, Threads, gemm};
use crate::conv::column_sums;
use crate::flex::{Dense, Fused, apply, supported, tensor};
use crate::precision::Precision;
use crate::simd::{Isa, Kernel, run};

pub use crate::activation::Activation;

/// `y [N, O] = activation(x [N, I] · w [O, I]ᵀ + bias [O])`, the weight as PyTorch stores it; products in
/// the current [`Precision`].
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
        precision: Precision::current(),
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
    activation::reference(z, activation)
}

#[derive(Clone, Copy, Debug)]
struct Linear {
    rows: usize,
    inputs: usize,
    outputs: usize,
    activation: Activation,
    precision: Precision,
}

/// What the backward pass needs.
#[derive(Clone, Debug)]
struct Saved {
    x: Dense,
    w: Dense,
    /// What the activation's slope is computed from: its output or its input.
    slope_of: Option<Dense>,
}

impl Linear {
    fn forward(&self, x: &Dense, w: &Dense, bias: Option<&Dense>) -> (FlexTensor, Saved) {
        let mut y = vec![0.0f32; self.rows * self.outputs];
        gemm(
            self.precision,
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
        if activation.slope_is_of_input() {
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
            _ if activation.slope_is_of_input() => Some(Dense::from_vec(before, dims)),
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
        let dz = match saved.slope_of {
            None => dy,
            Some(of) => {
                let dz = times_slope(&dy, &of, self.activation);
                Dense::from_vec(dz, [self.rows, self.outputs])
            }
        };
        let gradient = Mat::new(dz.values(), self.rows, self.outputs);
        let product = |rows: usize, columns: usize, a: Mat<'_>, b: Mat<'_>| {
            let mut c = vec![0.0f32; rows * columns];
            let to = MatMut::new(&mut c, rows, columns);
            gemm(self.precision, to, 0.0, a, b, Threads::All);
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
        self.activation.apply(isa, self.values);
    }
}
