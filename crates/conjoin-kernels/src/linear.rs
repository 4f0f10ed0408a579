//! A linear layer fused with its activation.
//!
//! Shape legend: `N` rows, `I` inputs, `O` outputs.

use std::sync::Arc;

use burn::backend::Flex;
use burn::backend::flex::FlexTensor;
use burn::tensor::Tensor;
use rayon::prelude::*;

use crate::activation::{self, activated, times_slope};
use crate::blas::{Mat, Threads, product};
use crate::conv::{Finish, Packed, column_sums, multiply_rows, pack_rows};
use crate::flex::{Dense, Fused, all_supported, apply, host, tensor};
use crate::precision::Precision;
use crate::prepared::Prepared;
use crate::shapes::expect;
use crate::simd::{Isa, Kernel, run};

pub use crate::activation::Activation;

/// `y [N, O] = activation(x [N, I] · w [O, I]ᵀ + bias [O])`, the weight as PyTorch stores it; products in
/// the current [`Precision`].
///
/// As PyTorch's `linear` with one of its activations, forward and backward in one pass over the result
/// after the product.
///
/// Sources: Rosenblatt, "The Perceptron" (1958); Rumelhart, Hinton and Williams, "Learning Representations
/// by Back-Propagating Errors" (1986); of the activations, beside them in [`Activation`].
///
/// # Panics
/// If the sizes do not fit together.
#[track_caller]
pub fn linear(
    x: Tensor<2>,
    w: Tensor<2>,
    bias: Option<Tensor<1>>,
    activation: Activation,
) -> Tensor<2> {
    let [rows, inputs] = x.dims();
    let [outputs, _] = w.dims();
    expect("linear", "w", &w.dims(), &[outputs, inputs]);
    if let Some(bias) = &bias {
        expect("linear", "bias", &bias.dims(), &[outputs]);
    }
    if !all_supported(&[&x, &w, &bias]) {
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

/// What [`linear_prepared`] keeps from one call to the next: the weights in the layout of its kernel. A
/// clone keeps nothing yet.
#[derive(Clone, Debug, Default)]
pub struct PreparedLinear(Prepared<Packed>);

/// [`linear`], for weights that stay the same from call to call.
///
/// Where nothing is tracked for a gradient, few rows are multiplied in single precision by weights that
/// are `prepared` at the first call. `prepared` may serve any tensors: it is made anew where they are
/// others than the last time.
///
/// # Panics
/// As [`linear`].
#[track_caller]
pub fn linear_prepared(
    x: Tensor<2>,
    w: Tensor<2>,
    bias: Option<Tensor<1>>,
    activation: Activation,
    prepared: &PreparedLinear,
) -> Tensor<2> {
    /// For more rows a product that packs both operands is the faster one.
    const FEW: usize = 256;
    let ([rows, inputs], [outputs, weight_inputs]) = (x.dims(), w.dims());
    let tracked =
        x.is_autodiff() || w.is_autodiff() || bias.as_ref().is_some_and(Tensor::is_autodiff);
    let fits = inputs == weight_inputs
        && inputs * outputs > 0
        && bias.as_ref().is_none_or(|bias| bias.dims() == [outputs])
        && all_supported(&[&x, &w, &bias]);
    if tracked || !fits || rows > FEW || Precision::current() != Precision::F32 {
        if tracked {
            // Whoever trains changes the weights: nothing is kept of them.
            prepared.0.clear();
        }
        return linear(x, w, bias, activation);
    }
    let mut sources = vec![host(w)];
    sources.extend(bias.map(host));
    let packed = prepared.0.get(
        &sources,
        |_| true,
        || {
            let bias = sources.get(1).map(Dense::values);
            pack_rows(sources[0].values(), [outputs, inputs], bias)
        },
    );
    let finish = Finish {
        residual: None,
        activation,
    };
    let y = multiply_rows(&packed, host(x).values(), rows, finish);
    Tensor::from_primitive::<Flex>(tensor(y, [rows, outputs]))
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
        let mut y = product(
            self.precision,
            Mat::new(x.values(), self.rows, self.inputs),
            Mat::new(w.values(), self.outputs, self.inputs).t(),
            Threads::All,
        );
        let dims = [self.rows, self.outputs];
        let (bias, of_input) = (bias.map(Dense::values), self.activation.slope_is_of_input());
        let activation = if of_input {
            Activation::None
        } else {
            self.activation
        };
        y.par_chunks_mut(self.block()).for_each(|values| {
            run(Finished {
                values,
                bias,
                activation,
                outputs: self.outputs,
            });
        });
        let (y, slope_of) = if of_input {
            let before = Dense::from_vec(y, dims);
            let y = activated(&before, self.activation);
            (tensor(y, dims), Some(before))
        } else {
            let y = tensor(y, dims);
            let after = (activation != Activation::None).then(|| Dense::new(y.clone()));
            (y, after)
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
            let c = product(self.precision, a, b, Threads::All);
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

/// Adds the bias to whole rows and activates.
struct Finished<'a> {
    values: &'a mut [f32],
    bias: Option<&'a [f32]>,
    activation: Activation,
    outputs: usize,
}

impl Kernel for Finished<'_> {
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
        self.activation.apply(isa, self.values);
    }
}
