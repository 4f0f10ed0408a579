//! Layer normalisation, alone and fused with the residual sum before it.
//!
//! Source: Ba, Kiros and Hinton, "Layer Normalization" (2016). Shape legend: `C` numbers a row, always
//! the last axis; `N` rows, the product of the other axes; the statistics are over `C`.
//!
//! One pass over memory forward and one backward: a row lies in the cache while it is read again. The
//! gradients of weight and bias are summed over fixed blocks of rows, and the blocks in order.

mod kernels;

use std::sync::{Arc, Mutex, PoisonError};

use burn::backend::flex::FlexTensor;
use burn::tensor::Tensor;

use crate::flex::{Dense, Fused, all_supported, apply, host, tensor};
use crate::shapes::expect;
use kernels::{Normalised, gradients, normalise};

/// Normalises every row of `x [..., C]`: `y = (x - mean) / sqrt(variance + eps) · weight [C] + bias [C]`
/// with the row's mean and biased variance, as PyTorch's `layer_norm` over the last dimension.
///
/// Source: Ba, Kiros and Hinton, "Layer Normalization" (2016).
///
/// # Panics
/// If `weight` or `bias` is not `[C]`, or `C` is 0.
#[track_caller]
pub fn layer_norm<const D: usize>(
    x: Tensor<D>,
    weight: Tensor<1>,
    bias: Tensor<1>,
    eps: f64,
) -> Tensor<D> {
    check("layer_norm", &x.dims(), &weight, &bias);
    if !all_supported(&[&x, &weight, &bias]) {
        return reference(x, weight, bias, eps);
    }
    let operation = LayerNorm {
        dims: x.dims(),
        eps,
        ready: None,
    };
    let inputs = [
        x.into_dispatch(),
        weight.into_dispatch(),
        bias.into_dispatch(),
    ];
    apply(operation, inputs)
}

/// The sum `s = x + residual` and its [`layer_norm`], as `(normalised, s)`, all `[..., C]`, in one pass.
///
/// A post-norm block goes on with `normalised` and drops `s`; a pre-norm block computes its next branch
/// from `normalised` and hands `s` on as the residual stream. The sum's gradient reaches `x` and
/// `residual` as one shared buffer.
///
/// Sources: Ba, Kiros and Hinton, "Layer Normalization" (2016); of the two kinds of block, Xiong et al., "On
/// Layer Normalization in the Transformer Architecture" (2020).
///
/// # Panics
/// If `residual` has another shape than `x`, `weight` or `bias` is not `[C]`, or `C` is 0.
#[track_caller]
pub fn layer_norm_residual<const D: usize>(
    x: Tensor<D>,
    residual: Tensor<D>,
    weight: Tensor<1>,
    bias: Tensor<1>,
    eps: f64,
) -> (Tensor<D>, Tensor<D>) {
    const NAME: &str = "layer_norm_residual";
    check(NAME, &x.dims(), &weight, &bias);
    let dims = x.dims();
    expect(NAME, "residual", &residual.dims(), &dims);
    if !all_supported(&[&x, &residual, &weight, &bias]) {
        return residual_reference(x, residual, weight, bias, eps);
    }
    let (line, offset) = (host(weight.clone()), host(bias.clone()));
    let pass = normalise(
        host(x.clone()).values(),
        Some(host(residual.clone()).values()),
        [line.values(), offset.values()],
        eps,
    );
    let sum = apply(
        Sum(Ready::new(tensor(pass.sum, dims))),
        [x.into_dispatch(), residual.into_dispatch()],
    );
    let operation = LayerNorm {
        dims,
        eps,
        ready: Some((
            Ready::new(tensor(pass.output, dims)),
            Arc::new(pass.statistics),
        )),
    };
    let inputs = [
        Tensor::<D>::clone(&sum).into_dispatch(),
        weight.into_dispatch(),
        bias.into_dispatch(),
    ];
    (apply(operation, inputs), sum)
}

/// [`layer_norm`] by Burn's own operations, for any device.
pub fn reference<const D: usize>(
    x: Tensor<D>,
    weight: Tensor<1>,
    bias: Tensor<1>,
    eps: f64,
) -> Tensor<D> {
    let centred = x.clone() - x.mean_dim(D - 1);
    let variance = centred.clone().powi_scalar(2).mean_dim(D - 1);
    centred / (variance + eps).sqrt() * weight.unsqueeze() + bias.unsqueeze()
}

/// [`layer_norm_residual`] by Burn's own operations, for any device.
pub fn residual_reference<const D: usize>(
    x: Tensor<D>,
    residual: Tensor<D>,
    weight: Tensor<1>,
    bias: Tensor<1>,
    eps: f64,
) -> (Tensor<D>, Tensor<D>) {
    let sum = x + residual;
    (reference(sum.clone(), weight, bias, eps), sum)
}

#[track_caller]
fn check(name: &str, dims: &[usize], weight: &Tensor<1>, bias: &Tensor<1>) {
    let size = dims.last().copied().unwrap_or(0);
    assert!(size > 0, "{name}: rows of x have no elements: {dims:?}");
    for (argument, line) in [("weight", weight), ("bias", bias)] {
        expect(name, argument, &line.dims(), &[size]);
    }
}

/// A result that was computed before its operation entered the graph; taken once.
#[derive(Clone, Debug)]
struct Ready(Arc<Mutex<Option<FlexTensor>>>);

impl Ready {
    fn new(tensor: FlexTensor) -> Self {
        Self(Arc::new(Mutex::new(Some(tensor))))
    }

    fn take(&self) -> Option<FlexTensor> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

/// The residual sum of [`layer_norm_residual`], which comes out of the normalising pass.
#[derive(Clone, Debug)]
struct Sum(Ready);

impl Fused<2> for Sum {
    type Saved = ();

    fn forward(&self, [x, residual]: &[Dense; 2]) -> (FlexTensor, ()) {
        // Taken already only if Burn ran the operation a second time.
        let sum = self.0.take().unwrap_or_else(|| {
            let pairs = x.values().iter().zip(residual.values());
            x.like(pairs.map(|(x, residual)| x + residual).collect())
        });
        (sum, ())
    }

    fn backward(&self, (): (), dy: Dense, wanted: [bool; 2]) -> [Option<FlexTensor>; 2] {
        wanted.map(|wanted| wanted.then(|| dy.tensor()))
    }
}

#[derive(Clone, Debug)]
struct LayerNorm<const D: usize> {
    dims: [usize; D],
    eps: f64,
    /// Output and statistics, where the pass over the rows has been made already.
    ready: Option<(Ready, Arc<Vec<f32>>)>,
}

/// What the backward pass needs: mean and `1 / sqrt(variance + eps)` of each row beside the operands.
#[derive(Clone, Debug)]
struct Saved {
    x: Dense,
    weight: Dense,
    statistics: Arc<Vec<f32>>,
}

impl<const D: usize> Fused<3> for LayerNorm<D> {
    type Saved = Saved;

    fn forward(&self, [x, weight, bias]: &[Dense; 3]) -> (FlexTensor, Saved) {
        let ready = self
            .ready
            .as_ref()
            .and_then(|(output, statistics)| Some((output.take()?, statistics.clone())));
        let (y, statistics) = ready.unwrap_or_else(|| {
            let lines = [weight.values(), bias.values()];
            let Normalised {
                output, statistics, ..
            } = normalise(x.values(), None, lines, self.eps);
            (tensor(output, self.dims), Arc::new(statistics))
        });
        let saved = Saved {
            x: x.clone(),
            weight: weight.clone(),
            statistics,
        };
        (y, saved)
    }

    fn backward(&self, saved: Saved, dy: Dense, wanted: [bool; 3]) -> [Option<FlexTensor>; 3] {
        let [dx, weight, bias] = gradients(
            saved.x.values(),
            dy.values(),
            saved.weight.values(),
            &saved.statistics,
        );
        let size = [weight.len()];
        [
            wanted[0].then(|| tensor(dx, self.dims)),
            wanted[1].then(|| tensor(weight, size)),
            wanted[2].then(|| tensor(bias, size)),
        ]
    }
}
