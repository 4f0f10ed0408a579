//! Softmax cross-entropy with label smoothing, an ignored target and weights of classes, fused.
//!
//! Shapes: `N` rows (positions of all sequences), `V` classes (the vocabulary).

use crate::buffer::build_one;
use crate::flex::{self, Dense, Fused, all_supported};
use crate::reduce;
use crate::shapes::expect;
use crate::simd::{self, Isa, Kernel, exp};
use burn::backend::flex::FlexTensor;
use burn::tensor::activation::log_softmax;
use burn::tensor::{Int, Tensor};
use rayon::prelude::*;
use std::sync::Arc;

/// Numbers of logits that a task takes at least.
const TASK: usize = 1 << 14;

/// The mean cross-entropy, in nats, between `softmax(logits [N, V])` and `targets [N]`, `[1]`: of a row with
/// `log p = logits - log Σ_c e^logits_c` and target `y` it is `(1 - e) (-log p_y) + e / V Σ_c (-log p_c)`.
///
/// As PyTorch's `cross_entropy` with `label_smoothing` `e` (`smoothing`) and `ignore_index`: rows whose
/// target is `ignore` do not count; where none counts, the loss and its gradient are 0. The targets are
/// checked on the host: on a device with memory of its own that costs reading them back.
///
/// Sources: Bridle, "Probabilistic Interpretation of Feedforward Classification Network Outputs" (1990);
/// smoothing: Szegedy et al., "Rethinking the Inception Architecture for Computer Vision" (2016), section 7.
///
/// # Panics
/// If there is not one target a row, or one that counts is not a class.
#[track_caller]
pub fn softmax_cross_entropy(
    logits: Tensor<2>,
    targets: Tensor<1, Int>,
    ignore: Option<i64>,
    smoothing: f64,
) -> Tensor<1> {
    cross_entropy(
        "softmax_cross_entropy",
        logits,
        targets,
        None,
        ignore,
        smoothing,
    )
}

/// [`softmax_cross_entropy`] of `logits [N, V]` and `targets [N]` with a weight for each class, `weights [V]`:
/// the loss of a row is `(1 - e) w_y (-log p_y) + e / V Σ_c w_c (-log p_c)`, and the result, `[1]`, the sum
/// of losses over the sum of `w_y`, of the rows that count. The weights get no gradient. Where they sum to
/// 0 the loss is 0.
///
/// Source: the weighted mean as PyTorch defines it, `cross_entropy` with `weight` and `reduction="mean"`.
///
/// # Panics
/// As [`softmax_cross_entropy`], and if there is not one weight a class.
#[track_caller]
pub fn weighted_softmax_cross_entropy(
    logits: Tensor<2>,
    targets: Tensor<1, Int>,
    weights: Tensor<1>,
    ignore: Option<i64>,
    smoothing: f64,
) -> Tensor<1> {
    cross_entropy(
        "weighted_softmax_cross_entropy",
        logits,
        targets,
        Some(weights),
        ignore,
        smoothing,
    )
}

#[track_caller]
fn cross_entropy(
    name: &str,
    logits: Tensor<2>,
    targets: Tensor<1, Int>,
    weights: Option<Tensor<1>>,
    ignore: Option<i64>,
    smoothing: f64,
) -> Tensor<1> {
    let [rows, classes] = logits.dims();
    expect(name, "targets", &targets.dims(), &[rows]);
    if let Some(weights) = &weights {
        expect(name, "weights", &weights.dims(), &[classes]);
    }
    let mut checked = Vec::with_capacity(rows);
    for target in targets.clone().into_data().iter::<i64>() {
        if ignore == Some(target) {
            checked.push(None);
            continue;
        }
        let class = usize::try_from(target).ok();
        let class = class.filter(|class| *class < classes);
        assert!(
            class.is_some(),
            "{name}: target {target} is none of {classes} classes"
        );
        checked.push(class);
    }
    if !all_supported(&[&logits, &weights]) {
        return match weights {
            Some(weights) => weighted_reference(logits, targets, weights, ignore, smoothing),
            None => reference(logits, targets, ignore, smoothing),
        };
    }
    let targets = checked;
    let weights = weights.map(|weights| Arc::new(flex::host(weights).values().to_vec()));
    let counted = targets.iter().flatten();
    let total: f64 = match &weights {
        None => counted.count() as f64,
        Some(weights) => counted.map(|class| f64::from(weights[*class])).sum(),
    };
    let operation = CrossEntropy {
        scale: if total == 0.0 { 0.0 } else { 1.0 / total },
        targets: Arc::new(targets),
        sum: weights.as_ref().map_or(0.0, |weights| {
            weights.iter().map(|weight| f64::from(*weight)).sum::<f64>() as f32
        }),
        weights,
        smoothing: smoothing as f32,
    };
    flex::apply(operation, [logits.into_dispatch()])
}

/// [`softmax_cross_entropy`] on Burn's own operations.
pub fn reference(
    logits: Tensor<2>,
    targets: Tensor<1, Int>,
    ignore: Option<i64>,
    smoothing: f64,
) -> Tensor<1> {
    let ([rows, classes], dtype) = (logits.dims(), logits.dtype());
    let ignored = match ignore {
        Some(ignore) => targets.clone().equal_elem(ignore),
        None => targets.clone().not_equal(targets.clone()),
    };
    let targets = targets.mask_fill(ignored.clone(), 0).reshape([rows, 1]);
    let counted = ignored.clone().bool_not().float().sum().cast(dtype);
    let log_p = log_softmax(logits, 1);
    let on_target = log_p.clone().gather(1, targets).reshape([rows]);
    let spread = log_p.sum_dim(1).reshape([rows]) * (smoothing / classes as f64);
    let losses = -(on_target * (1.0 - smoothing) + spread);
    losses.mask_fill(ignored, 0.0).sum() / counted.clamp_min(1.0)
}

/// [`weighted_softmax_cross_entropy`] on Burn's own operations.
pub fn weighted_reference(
    logits: Tensor<2>,
    targets: Tensor<1, Int>,
    weights: Tensor<1>,
    ignore: Option<i64>,
    smoothing: f64,
) -> Tensor<1> {
    let [rows, classes] = logits.dims();
    let weights = weights.detach();
    let ignored = match ignore {
        Some(ignore) => targets.clone().equal_elem(ignore),
        None => targets.clone().not_equal(targets.clone()),
    };
    let targets = targets.mask_fill(ignored.clone(), 0);
    let of_target = weights.clone().select(0, targets.clone());
    let of_target = of_target.mask_fill(ignored.clone(), 0.0);
    let log_p = log_softmax(logits, 1);
    let on_target = log_p.clone().gather(1, targets.reshape([rows, 1]));
    let on_target = on_target.reshape([rows]) * of_target.clone();
    let spread = (log_p * weights.unsqueeze()).sum_dim(1).reshape([rows]);
    let spread = spread * (smoothing / classes as f64);
    let losses = -(on_target * (1.0 - smoothing) + spread).mask_fill(ignored, 0.0);
    let total = of_target.sum();
    let nothing = total.clone().equal_elem(0.0);
    losses.sum().mask_fill(nothing.clone(), 0.0) / total.mask_fill(nothing, 1.0)
}

#[derive(Clone, Debug)]
struct CrossEntropy {
    /// The class of each row; none where the row is ignored.
    targets: Arc<Vec<Option<usize>>>,
    /// A weight for each class, and their sum.
    weights: Option<Arc<Vec<f32>>>,
    sum: f32,
    /// One over the rows that count, or over the sum of their weights; 0 if that is 0.
    scale: f64,
    smoothing: f32,
}

impl Fused<1> for CrossEntropy {
    /// The logits, and the logarithm of the sum of exponentials of each row.
    type Saved = (Dense, Arc<Vec<f32>>);

    fn forward(&self, [logits]: &[Dense; 1]) -> (FlexTensor, Self::Saved) {
        let [rows, classes] = logits.dims();
        let mut normalisers = vec![0.0; rows];
        let mut losses = vec![0.0; rows];
        let task = (TASK / classes.max(1)).max(1);
        normalisers
            .par_chunks_mut(task)
            .zip(losses.par_chunks_mut(task))
            .zip(self.targets.par_chunks(task))
            .zip(logits.values().par_chunks(task * classes.max(1)))
            .for_each(|(((normalisers, losses), targets), logits)| {
                simd::run(Losses {
                    logits,
                    classes,
                    targets,
                    weights: self
                        .weights
                        .as_ref()
                        .map(|weights| (&weights[..], self.sum)),
                    smoothing: self.smoothing,
                    normalisers,
                    results: losses,
                });
            });
        // In double precision and in order, so that neither size nor threads matter.
        let total: f64 = losses.iter().copied().map(f64::from).sum();
        let loss = (total * self.scale) as f32;
        (
            flex::tensor(vec![loss], [1]),
            (logits.clone(), Arc::new(normalisers)),
        )
    }

    fn backward(
        &self,
        (logits, normalisers): Self::Saved,
        gradient: Dense,
        [wanted]: [bool; 1],
    ) -> [Option<FlexTensor>; 1] {
        if !wanted {
            return [None];
        }
        let [rows, classes] = logits.dims();
        let scale = self.scale as f32 * gradient.values().iter().sum::<f32>();
        let (width, values) = (classes.max(1), logits.values());
        let task = (TASK / width).max(1) * width;
        let d_logits = build_one(rows * classes, task, |first, d_logits| {
            let tasks = first / width..(first + d_logits.len()) / width;
            simd::run(Gradients {
                logits: &values[first..][..d_logits.len()],
                classes,
                targets: &self.targets[tasks.clone()],
                weights: self
                    .weights
                    .as_ref()
                    .map(|weights| (&weights[..], self.sum)),
                smoothing: self.smoothing,
                normalisers: &normalisers[tasks],
                scale,
                d_logits,
            });
        });
        [Some(flex::tensor(d_logits, [rows, classes]))]
    }
}

/// The losses of some rows.
struct Losses<'a> {
    logits: &'a [f32],
    classes: usize,
    targets: &'a [Option<usize>],
    /// Weights of the classes, and their sum.
    weights: Option<(&'a [f32], f32)>,
    smoothing: f32,
    normalisers: &'a mut [f32],
    results: &'a mut [f32],
}

impl Kernel for Losses<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Isa>(self, isa: S) {
        let rows = self.logits.chunks_exact(self.classes).zip(self.targets);
        let results = self.normalisers.iter_mut().zip(self.results);
        for ((logits, target), (normaliser, loss)) in rows.zip(results) {
            let Some(target) = *target else { continue };
            let most = reduce::max(logits);
            let sum = reduce::sum(
                logits,
                #[inline(always)]
                |x| exp(isa, x - most),
            );
            *normaliser = most + sum.ln();
            // Without smoothing the other logits stay out: they may be minus infinity.
            let smooth = self.smoothing > 0.0;
            match self.weights {
                None => {
                    let mut wanted = logits[target];
                    if smooth {
                        let spread = reduce::sum(logits, |x| x) / self.classes as f32;
                        wanted += self.smoothing * (spread - wanted);
                    }
                    *loss = *normaliser - wanted;
                }
                Some((weights, sum)) => {
                    *loss = weights[target] * (*normaliser - logits[target]);
                    if smooth {
                        let spread = sum * *normaliser - reduce::dot(weights, logits);
                        let spread = spread / self.classes as f32;
                        *loss += self.smoothing * (spread - *loss);
                    }
                }
            }
        }
    }
}

/// The gradients of some rows.
struct Gradients<'a> {
    logits: &'a [f32],
    classes: usize,
    targets: &'a [Option<usize>],
    /// Weights of the classes, and their sum.
    weights: Option<(&'a [f32], f32)>,
    smoothing: f32,
    normalisers: &'a [f32],
    scale: f32,
    d_logits: &'a mut [f32],
}

impl Kernel for Gradients<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Isa>(self, isa: S) {
        let everywhere = self.smoothing / self.classes as f32;
        let rows = self.logits.chunks_exact(self.classes).zip(self.targets);
        let results = self
            .normalisers
            .iter()
            .zip(self.d_logits.chunks_exact_mut(self.classes));
        for ((logits, target), (normaliser, d_logits)) in rows.zip(results) {
            let Some(target) = *target else { continue };
            match self.weights {
                None => {
                    for (d_logit, logit) in d_logits.iter_mut().zip(logits) {
                        *d_logit = self.scale * (exp(isa, logit - normaliser) - everywhere);
                    }
                    d_logits[target] -= self.scale * (1.0 - self.smoothing);
                }
                Some((weights, sum)) => {
                    // With wanted[c] = (1 - e) w_y [c = y] + e / V w_c the slope is p Σ wanted - wanted.
                    let wanted = self.scale * (1.0 - self.smoothing) * weights[target];
                    let all = wanted + self.scale * everywhere * sum;
                    for c in 0..self.classes {
                        let p = exp(isa, logits[c] - normaliser);
                        d_logits[c] = all * p - self.scale * everywhere * weights[c];
                    }
                    d_logits[target] -= wanted;
                }
            }
        }
    }
}
