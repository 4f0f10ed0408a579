//! Batch normalisation fused with a residual sum and ReLU.
//!
//! Source: Ioffe and Szegedy, "Batch Normalization" (2015). Shape legend: `C` channels, always the
//! last axis; `N` the product of the other axes; the statistics are over `N`.
//!
//! The statistics are gathered in one pass over `x` and the output in a second; the gradient takes
//! the same two. Sums run over fixed blocks of rows that are added in order, so that the bits do not
//! depend on the number of threads.

pub(crate) mod kernels;

use std::sync::Arc;

use burn::backend::flex::FlexTensor;
use burn::tensor::{Tensor, activation};

use crate::flex::{Dense, Fused, all_supported, apply, host, tensor};
use crate::shapes::expect;
use kernels::{backward_sums, input_gradient, normalise, rectified, statistics};

/// Normalises `x [..., C]` by the statistics of this batch:
/// `y = relu?((x - mean) / sqrt(variance + eps) * gamma + beta + residual?)`.
///
/// Returns `y`, the batch mean `[C]` and the unbiased variance `[C]` (divided by `N - 1`; by 1 where
/// `N = 1`), which is what PyTorch's running statistics take up. Both carry no gradient; normalising
/// itself uses the biased variance, and the gradient of `y` goes through the statistics.
///
/// Source: Ioffe and Szegedy, "Batch Normalization: Accelerating Deep Network Training by Reducing Internal
/// Covariate Shift" (2015), algorithm 1; the residual sum inside: He et al., "Deep Residual Learning for
/// Image Recognition" (2016).
///
/// # Panics
/// If `gamma`, `beta` or `residual` do not fit `x`.
#[track_caller]
pub fn batch_norm<const D: usize>(
    x: Tensor<D>,
    gamma: Tensor<1>,
    beta: Tensor<1>,
    eps: f64,
    residual: Option<Tensor<D>>,
    relu: bool,
) -> (Tensor<D>, Tensor<1>, Tensor<1>) {
    let lines = [("gamma", &gamma), ("beta", &beta)];
    check("batch_norm", &x, &lines, residual.as_ref());
    if !all_supported(&[&x, &gamma, &beta, &residual]) {
        return reference(x, gamma, beta, eps, residual, relu);
    }
    let device = x.clone().inner().device();
    let values = host(x.clone());
    let channels = gamma.dims()[0];
    let (mean, variance) = statistics(values.values(), channels);
    let count = values.values().len() / channels.max(1);
    let unbiased = variance
        .iter()
        .map(|v| v * count as f64 / count.saturating_sub(1).max(1) as f64);
    let unbiased: Vec<f32> = unbiased.map(|v| v as f32).collect();
    let inverse = variance
        .iter()
        .map(|v| (1.0 / (v + eps).sqrt()) as f32)
        .collect();
    let mean: Vec<f32> = mean.into_iter().map(|m| m as f32).collect();
    let statistics =
        [mean.clone(), unbiased].map(|v| Tensor::<1>::from_data(v.as_slice(), &device));
    let y = run_fused(
        BatchNorm {
            mean: Arc::new(mean),
            inverse: Arc::new(inverse),
            relu,
            batch: true,
        },
        x,
        gamma,
        beta,
        residual,
    );
    let [mean, variance] = statistics;
    (y, mean, variance)
}

/// Normalises `x [..., C]` by given statistics `mean [C]` and `variance [C]`, which count as
/// constants: evaluation, or training with frozen statistics. Otherwise as [`batch_norm`]:
/// `y = relu?((x - mean) / sqrt(variance + eps) * gamma + beta + residual?)`.
///
/// Source: Ioffe and Szegedy, "Batch Normalization" (2015), algorithm 2.
///
/// # Panics
/// If `mean`, `variance`, `gamma`, `beta` or `residual` do not fit `x`.
#[allow(clippy::too_many_arguments)] // the operation has this many operands
#[track_caller]
pub fn batch_norm_eval<const D: usize>(
    x: Tensor<D>,
    mean: Tensor<1>,
    variance: Tensor<1>,
    gamma: Tensor<1>,
    beta: Tensor<1>,
    eps: f64,
    residual: Option<Tensor<D>>,
    relu: bool,
) -> Tensor<D> {
    let lines = [
        ("mean", &mean),
        ("variance", &variance),
        ("gamma", &gamma),
        ("beta", &beta),
    ];
    check("batch_norm_eval", &x, &lines, residual.as_ref());
    if !all_supported(&[&x, &mean, &variance, &gamma, &beta, &residual]) {
        return eval_reference(x, mean, variance, gamma, beta, eps, residual, relu);
    }
    let inverse = host(variance)
        .values()
        .iter()
        .map(|v| (1.0 / (f64::from(*v) + eps).sqrt()) as f32)
        .collect();
    let mean = Arc::new(host(mean).values().to_vec());
    run_fused(
        BatchNorm {
            mean,
            inverse: Arc::new(inverse),
            relu,
            batch: false,
        },
        x,
        gamma,
        beta,
        residual,
    )
}

/// [`batch_norm`] by Burn's own operations, for any device.
pub fn reference<const D: usize>(
    x: Tensor<D>,
    gamma: Tensor<1>,
    beta: Tensor<1>,
    eps: f64,
    residual: Option<Tensor<D>>,
    relu: bool,
) -> (Tensor<D>, Tensor<1>, Tensor<1>) {
    let dims = x.dims();
    let channels = dims[D - 1];
    let count = x.shape().num_elements() / channels.max(1);
    let rows = x.reshape([count, channels]);
    let mean = rows.clone().mean_dim(0);
    let centred = rows - mean.clone();
    let variance = centred.clone().powi_scalar(2).mean_dim(0);
    let y = centred / (variance.clone() + eps).sqrt() * gamma.unsqueeze() + beta.unsqueeze();
    let unbiased = variance * (count as f64 / count.saturating_sub(1).max(1) as f64);
    let y = finish(y.reshape(dims), residual, relu);
    (
        y,
        mean.inner().reshape([channels]),
        unbiased.inner().reshape([channels]),
    )
}

/// [`batch_norm_eval`] by Burn's own operations, for any device.
#[allow(clippy::too_many_arguments)] // as the operation
pub fn eval_reference<const D: usize>(
    x: Tensor<D>,
    mean: Tensor<1>,
    variance: Tensor<1>,
    gamma: Tensor<1>,
    beta: Tensor<1>,
    eps: f64,
    residual: Option<Tensor<D>>,
    relu: bool,
) -> Tensor<D> {
    let y = (x - mean.inner().unsqueeze()) / (variance.inner() + eps).sqrt().unsqueeze();
    finish(y * gamma.unsqueeze() + beta.unsqueeze(), residual, relu)
}

/// The residual sum and ReLU.
fn finish<const D: usize>(y: Tensor<D>, residual: Option<Tensor<D>>, relu: bool) -> Tensor<D> {
    let y = match residual {
        Some(residual) => y + residual,
        None => y,
    };
    if relu { activation::relu(y) } else { y }
}

#[track_caller]
fn check<const D: usize>(
    name: &str,
    x: &Tensor<D>,
    lines: &[(&str, &Tensor<1>)],
    residual: Option<&Tensor<D>>,
) {
    let dims = x.dims();
    for (argument, line) in lines {
        expect(name, argument, &line.dims(), &dims[D - 1..]);
    }
    if let Some(residual) = residual {
        expect(name, "residual", &residual.dims(), &dims);
    }
}

fn run_fused<const D: usize>(
    operation: BatchNorm,
    x: Tensor<D>,
    gamma: Tensor<1>,
    beta: Tensor<1>,
    residual: Option<Tensor<D>>,
) -> Tensor<D> {
    let dims = x.dims();
    let (x, gamma, beta) = (
        x.into_dispatch(),
        gamma.into_dispatch(),
        beta.into_dispatch(),
    );
    match residual {
        Some(residual) => apply(
            Shaped { operation, dims },
            [x, gamma, beta, residual.into_dispatch()],
        ),
        None => apply(Shaped { operation, dims }, [x, gamma, beta]),
    }
}

/// The options and statistics of one call.
#[derive(Clone, Debug)]
struct BatchNorm {
    mean: Arc<Vec<f32>>,
    /// `1 / sqrt(variance + eps)`.
    inverse: Arc<Vec<f32>>,
    relu: bool,
    /// Whether the statistics are of `x` itself, so that the gradient goes through them.
    batch: bool,
}

#[derive(Clone, Debug)]
struct Shaped<const D: usize> {
    operation: BatchNorm,
    dims: [usize; D],
}

/// What the backward pass needs; the output only where its sign is the ReLU's mask.
#[derive(Clone, Debug)]
struct Saved {
    x: Dense,
    gamma: Dense,
    y: Option<Dense>,
}

impl<const D: usize> Shaped<D> {
    fn forward(
        &self,
        x: &Dense,
        gamma: &Dense,
        beta: &Dense,
        residual: Option<&Dense>,
    ) -> (FlexTensor, Saved) {
        let op = &self.operation;
        let scale: Vec<f32> = gamma
            .values()
            .iter()
            .zip(op.inverse.iter())
            .map(|(g, i)| g * i)
            .collect();
        let y = normalise(
            x.values(),
            &op.mean,
            &scale,
            beta.values(),
            residual.map(Dense::values),
            op.relu,
        );
        let y = tensor(y, self.dims);
        let kept = op.relu.then(|| Dense::new(y.clone()));
        (
            y,
            Saved {
                x: x.clone(),
                gamma: gamma.clone(),
                y: kept,
            },
        )
    }

    /// Gradients of `x`, `gamma`, `beta` and the residual.
    fn backward(&self, saved: Saved, dy: Dense, wanted: [bool; 4]) -> [Option<FlexTensor>; 4] {
        let op = &self.operation;
        let channels = op.mean.len();
        let x = saved.x.values();
        let dz = match saved.y {
            Some(y) => Dense::from_vec(rectified(dy.values(), y.values()), self.dims),
            None => dy,
        };
        let sums = backward_sums(x, dz.values(), &op.mean, &op.inverse);
        let dx = wanted[0].then(|| {
            let means = op.batch.then_some(&sums);
            let dx = input_gradient(
                x,
                dz.values(),
                saved.gamma.values(),
                &op.mean,
                &op.inverse,
                means,
            );
            tensor(dx, self.dims)
        });
        let [beta, gamma] =
            sums.map(|sums| sums.into_iter().map(|v| v as f32).collect::<Vec<f32>>());
        [
            dx,
            wanted[1].then(|| tensor(gamma, [channels])),
            wanted[2].then(|| tensor(beta, [channels])),
            wanted[3].then(|| dz.into_tensor()),
        ]
    }
}

impl<const D: usize> Fused<3> for Shaped<D> {
    type Saved = Saved;

    fn forward(&self, [x, gamma, beta]: &[Dense; 3]) -> (FlexTensor, Saved) {
        Shaped::forward(self, x, gamma, beta, None)
    }

    fn backward(
        &self,
        saved: Saved,
        dy: Dense,
        [x, gamma, beta]: [bool; 3],
    ) -> [Option<FlexTensor>; 3] {
        let [x, gamma, beta, _] = Shaped::backward(self, saved, dy, [x, gamma, beta, false]);
        [x, gamma, beta]
    }
}

impl<const D: usize> Fused<4> for Shaped<D> {
    type Saved = Saved;

    fn forward(&self, [x, gamma, beta, residual]: &[Dense; 4]) -> (FlexTensor, Saved) {
        Shaped::forward(self, x, gamma, beta, Some(residual))
    }

    fn backward(&self, saved: Saved, dy: Dense, wanted: [bool; 4]) -> [Option<FlexTensor>; 4] {
        Shaped::backward(self, saved, dy, wanted)
    }
}
