//! Softmax cross-entropy with label smoothing and an ignored target, fused.
//!
//! Shapes: `N` rows (positions of all sequences), `V` classes (the vocabulary).

use crate::flex::{self, Dense, Fused};
use crate::reduce;
use crate::simd::{self, Isa, Kernel, exp};
use burn::backend::flex::FlexTensor;
use burn::tensor::activation::log_softmax;
use burn::tensor::{Int, Tensor};
use rayon::prelude::*;
use std::sync::Arc;

/// Numbers of logits that a task takes at least.
const TASK: usize = 1 << 14;

/// The mean cross-entropy, in nats, between `softmax(logits [N, V])` and `targets [N]`.
///
/// Rows whose target is `ignore` do not count; where none counts, the loss and its gradient are 0.
/// With `smoothing` `e`, the wanted distribution is `1 - e` on the target plus `e / V` on every class
/// (Szegedy et al. 2016), as in PyTorch. The result is `[1]`.
///
/// # Panics
/// If a target that counts is not a class.
pub fn softmax_cross_entropy(
    logits: Tensor<2>,
    targets: Tensor<1, Int>,
    ignore: Option<i64>,
    smoothing: f64,
) -> Tensor<1> {
    let [rows, classes] = logits.dims();
    assert_eq!(targets.dims(), [rows], "one target a row");
    if !flex::supported(&logits) {
        return reference(logits, targets, ignore, smoothing);
    }
    let targets: Vec<Option<usize>> = targets
        .into_data()
        .iter::<i64>()
        .map(|target| {
            if ignore == Some(target) {
                return None;
            }
            let class = usize::try_from(target)
                .ok()
                .filter(|class| *class < classes);
            assert!(
                class.is_some(),
                "target {target} is none of {classes} classes"
            );
            class
        })
        .collect();
    let operation = CrossEntropy {
        targets: Arc::new(targets),
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
    let [rows, classes] = logits.dims();
    let ignored = match ignore {
        Some(ignore) => targets.clone().equal_elem(ignore),
        None => targets.clone().not_equal(targets.clone()),
    };
    let targets = targets.mask_fill(ignored.clone(), 0).reshape([rows, 1]);
    let counted = ignored.clone().bool_not().float().sum();
    let log_p = log_softmax(logits, 1);
    let on_target = log_p.clone().gather(1, targets).reshape([rows]);
    let spread = log_p.sum_dim(1).reshape([rows]) * (smoothing / classes as f64);
    let losses = -(on_target * (1.0 - smoothing) + spread);
    losses.mask_fill(ignored, 0.0).sum() / counted.clamp_min(1.0)
}

#[derive(Clone, Debug)]
struct CrossEntropy {
    /// The class of each row; none where the row is ignored.
    targets: Arc<Vec<Option<usize>>>,
    smoothing: f32,
}

impl CrossEntropy {
    /// One over the rows that count; 0 if none does.
    fn scale(&self) -> f32 {
        match self.targets.iter().flatten().count() {
            0 => 0.0,
            counted => 1.0 / counted as f32,
        }
    }
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
                    smoothing: self.smoothing,
                    normalisers,
                    results: losses,
                });
            });
        // In double precision and in order, so that neither size nor threads matter.
        let total: f64 = losses.iter().copied().map(f64::from).sum();
        let loss = (total * f64::from(self.scale())) as f32;
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
        let scale = self.scale() * gradient.values().iter().sum::<f32>();
        let mut d_logits = vec![0.0; rows * classes];
        let task = (TASK / classes.max(1)).max(1);
        d_logits
            .par_chunks_mut(task * classes.max(1))
            .zip(logits.values().par_chunks(task * classes.max(1)))
            .zip(self.targets.par_chunks(task))
            .zip(normalisers.par_chunks(task))
            .for_each(|(((d_logits, logits), targets), normalisers)| {
                simd::run(Gradients {
                    logits,
                    classes,
                    targets,
                    smoothing: self.smoothing,
                    normalisers,
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
            let mut wanted = logits[target];
            // Without smoothing the other logits stay out: they may be minus infinity.
            if self.smoothing > 0.0 {
                let spread = reduce::sum(logits, |x| x) / self.classes as f32;
                wanted += self.smoothing * (spread - wanted);
            }
            *loss = *normaliser - wanted;
        }
    }
}

/// The gradients of some rows.
struct Gradients<'a> {
    logits: &'a [f32],
    classes: usize,
    targets: &'a [Option<usize>],
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
            for (d_logit, logit) in d_logits.iter_mut().zip(logits) {
                *d_logit = self.scale * (exp(isa, logit - normaliser) - everywhere);
            }
            d_logits[target] -= self.scale * (1.0 - self.smoothing);
        }
    }
}
