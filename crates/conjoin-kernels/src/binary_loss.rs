//! Losses of yes or no at every element, by logits, fused with their gradients.
//!
//! Shapes: `N` elements. With `p = 1 / (1 + e^-x)`, `-log p` is `softplus(-x)` and `-log (1 - p)` is
//! `softplus(x)`, which neither overflow nor lose the small ones.

use std::sync::Arc;

use burn::backend::flex::FlexTensor;
use burn::tensor::Tensor;
use burn::tensor::activation::{sigmoid, softplus};
use rayon::prelude::*;

use crate::buffer::BLOCK;
use crate::flex::{Dense, Fused, all_supported, apply, host, tensor};
use crate::reduce;
use crate::shapes::expect;
use crate::simd::{Isa, Kernel, exp_down, run};

/// Which loss of a logit `x` and a target `t` in `[0, 1]`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum BinaryLoss {
    /// `-w t log p - (1 - t) log (1 - p)`, as PyTorch's `binary_cross_entropy_with_logits` with
    /// `pos_weight` `w`.
    CrossEntropy { positive_weight: f32 },
    /// The penalty-reduced focal loss of heat maps (Law and Deng 2018, equation 1; Zhou et al. 2019):
    /// `-(1 - p)^alpha log p` where `t` is 1, `-(1 - t)^beta p^alpha log (1 - p)` elsewhere.
    Focal { alpha: f32, beta: f32 },
}

impl BinaryLoss {
    /// How much `-log p` and `-log (1 - p)` count for a target.
    #[inline(always)]
    fn shares(self, target: f32) -> [f32; 2] {
        let gone = 1.0 - target;
        match self {
            Self::CrossEntropy { positive_weight } => [positive_weight * target, gone],
            Self::Focal { .. } if target >= 1.0 => [1.0, 0.0],
            Self::Focal { beta: 4.0, .. } => [0.0, gone * gone * (gone * gone)],
            Self::Focal { beta, .. } => [0.0, gone.powf(beta)],
        }
    }

    /// The power of the probability of what is not wanted that each part is multiplied by.
    fn alpha(self) -> f32 {
        match self {
            Self::CrossEntropy { .. } => 0.0,
            Self::Focal { alpha, .. } => alpha,
        }
    }
}

/// The sum of a loss over all elements of `logits [N]` with `targets [N]`, each times its `weights [N]`
/// where there are any: `[1]`. Targets and weights get no gradient.
///
/// # Panics
/// If the three do not have the same number of elements.
#[track_caller]
pub fn binary_loss(
    logits: Tensor<1>,
    targets: Tensor<1>,
    weights: Option<Tensor<1>>,
    loss: BinaryLoss,
) -> Tensor<1> {
    let sizes = logits.dims();
    expect("binary_loss", "targets", &targets.dims(), &sizes);
    if let Some(weights) = &weights {
        expect("binary_loss", "weights", &weights.dims(), &sizes);
    }
    if !all_supported(&[&logits, &targets, &weights]) {
        return reference(logits, targets, weights, loss);
    }
    let operation = Sum {
        targets: host(targets),
        weights: weights.map(host),
        loss,
    };
    apply(operation, [logits.into_dispatch()])
}

/// [`binary_loss`] by Burn's own operations, for any device.
pub fn reference(
    logits: Tensor<1>,
    targets: Tensor<1>,
    weights: Option<Tensor<1>>,
    loss: BinaryLoss,
) -> Tensor<1> {
    let (yes, no) = (
        softplus(-logits.clone(), 1.0),
        softplus(logits.clone(), 1.0),
    );
    let gone = -targets.clone() + 1.0;
    let losses = match loss {
        BinaryLoss::CrossEntropy { positive_weight } => targets * yes * positive_weight + gone * no,
        BinaryLoss::Focal { alpha, beta } => {
            let is_center = targets.greater_equal_elem(1.0);
            let (p, q) = (sigmoid(logits.clone()), sigmoid(-logits));
            let there = q.powf_scalar(alpha) * yes;
            let elsewhere = gone.clamp_min(0.0).powf_scalar(beta) * p.powf_scalar(alpha) * no;
            elsewhere.mask_where(is_center, there)
        }
    };
    match weights {
        Some(weights) => (losses * weights).sum(),
        None => losses.sum(),
    }
}

#[derive(Clone, Debug)]
struct Sum {
    targets: Dense,
    weights: Option<Dense>,
    loss: BinaryLoss,
}

/// Elements whose losses are summed in single precision.
const STRETCH: usize = 512;

impl Sum {
    /// The sum; the derivative by every element takes the place of what stands in `slopes`.
    fn sum(&self, logits: &[f32], slopes: &mut [f32]) -> f32 {
        let sums: Vec<f64> = logits
            .par_chunks(BLOCK)
            .zip(slopes.par_chunks_mut(BLOCK))
            .enumerate()
            .map(|(block, (logits, slopes))| {
                let stretches = logits.chunks(STRETCH).zip(slopes.chunks_mut(STRETCH));
                let sums = stretches.enumerate().map(|(i, (logits, slopes))| {
                    run(Stretch {
                        sum: self,
                        first: block * BLOCK + i * STRETCH,
                        logits,
                        slopes,
                    })
                });
                sums.map(f64::from).sum()
            })
            .collect();
        // Blocks of a fixed size in their order: the same bits for any number of threads.
        sums.into_iter().sum::<f64>() as f32
    }
}

/// Neighbouring elements, from `first` on, [`STRETCH`] at most.
struct Stretch<'a> {
    sum: &'a Sum,
    first: usize,
    logits: &'a [f32],
    slopes: &'a mut [f32],
}

impl Kernel for Stretch<'_> {
    type Output = f32;

    #[inline(always)]
    fn run<S: Isa>(self, isa: S) -> f32 {
        let (len, loss) = (self.logits.len(), self.sum.loss);
        let mut shares = [[0.0; STRETCH]; 2];
        let [there, gone] = &mut shares;
        let (there, gone) = (&mut there[..len], &mut gone[..len]);
        let targets = &self.sum.targets.values()[self.first..][..len];
        for ((there, gone), target) in there.iter_mut().zip(gone.iter_mut()).zip(targets) {
            [*there, *gone] = loss.shares(*target);
        }
        if let Some(weights) = &self.sum.weights {
            let weights = &weights.values()[self.first..][..len];
            for ((there, gone), weight) in there.iter_mut().zip(gone.iter_mut()).zip(weights) {
                *there *= weight;
                *gone *= weight;
            }
        }
        let alpha = loss.alpha();
        let shares = there.iter_mut().zip(gone.iter());
        for ((slope, x), (there, gone)) in self.slopes.iter_mut().zip(self.logits).zip(shares) {
            let x = *x;
            // All from the exponential that does not overflow.
            let small = exp_down(isa, -x.abs());
            let (rest, near, far) = (log1p(small), 1.0 / (1.0 + small), small / (1.0 + small));
            let negative = if x < 0.0 { -x } else { 0.0 };
            let positive = if x > 0.0 { x } else { 0.0 };
            let (yes, no) = (negative + rest, positive + rest);
            let (p, q) = if x < 0.0 { (far, near) } else { (near, far) };
            let there_now = *there * exp_down(isa, -alpha * no);
            let gone_now = *gone * exp_down(isa, -alpha * yes);
            *slope = gone_now * (alpha * q * no + p) - there_now * (alpha * p * yes + q);
            // The loss takes the place of the share.
            *there = there_now * yes + gone_now * no;
        }
        reduce::sum(there, |loss| loss)
    }
}

/// `log (1 + x)` for `x` from 0 to 1, within 2 units in the last place: the series of the inverse
/// hyperbolic tangent at `x / (2 + x)`, which is a third at most.
#[inline(always)]
fn log1p(x: f32) -> f32 {
    let s = x / (2.0 + x);
    let w = s * s;
    let mut sum = 1.0 / 15.0;
    for n in [13.0, 11.0, 9.0, 7.0, 5.0, 3.0, 1.0] {
        sum = sum * w + 1.0 / n;
    }
    2.0 * s * sum
}

impl Fused<1> for Sum {
    /// The derivative by each logit.
    type Saved = Arc<Vec<f32>>;

    fn forward(&self, [logits]: &[Dense; 1]) -> (FlexTensor, Self::Saved) {
        let mut slopes = vec![0.0; logits.values().len()];
        let sum = self.sum(logits.values(), &mut slopes);
        (tensor(vec![sum], [1]), Arc::new(slopes))
    }

    fn backward(
        &self,
        slopes: Self::Saved,
        gradient: Dense,
        _: [bool; 1],
    ) -> [Option<FlexTensor>; 1] {
        let factor = gradient.values()[0];
        let dx: Vec<f32> = slopes.iter().map(|slope| slope * factor).collect();
        let size = dx.len();
        [Some(tensor(dx, [size]))]
    }
}

#[cfg(test)]
mod tests {
    use super::log1p;

    #[test]
    fn the_series_is_the_logarithm() {
        for i in 0..=10_000_u16 {
            for x in [f32::from(i) * 1e-4, f32::from(i) * 1e-9] {
                let wanted = f64::from(x).ln_1p();
                let error = (f64::from(log1p(x)) - wanted).abs();
                assert!(error <= 2.5e-7 * wanted, "{x}: {error}");
            }
        }
    }
}
