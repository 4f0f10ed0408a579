//! The optimisers and their constants.

use super::slices::{self, AdamStep, RmsPropStep, SgdStep};

/// An optimiser and its constants; the learning rate comes with every step, for schedules.
///
/// With parameter `p`, gradient `g` (clipped) and step `t`, counted from 1. Weight decay of [`Rule::AdamW`]
/// is decoupled (`p -= lr · decay · p`); elsewhere it is the L2 term `g += decay · p` before all else, as in
/// PyTorch. What is remembered begins with 0; Sgd's `b` with the first `g`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Rule {
    /// `torch.optim.SGD`: Robbins and Monro (1951); momentum after Polyak (1964), Nesterov's as in Sutskever
    /// et al. (2013): `b = momentum b + (1 - dampening) g`, `p -= lr b`, or `p -= lr (g + momentum b)` with
    /// `nesterov`; `p -= lr g` without momentum.
    Sgd {
        momentum: f64,
        dampening: f64,
        nesterov: bool,
        weight_decay: f64,
    },
    /// `torch.optim.Adam`: Kingma and Ba, "Adam: A Method for Stochastic Optimization" (2015), algorithm 1:
    /// `m = β1 m + (1 - β1) g`, `v = β2 v + (1 - β2) g²`,
    /// `p -= lr · m / (1 - β1^t) / (sqrt(v / (1 - β2^t)) + eps)`.
    Adam {
        betas: [f64; 2],
        eps: f64,
        weight_decay: f64,
    },
    /// `torch.optim.AdamW`: Loshchilov and Hutter, "Decoupled Weight Decay Regularization" (2019): first
    /// `p -= lr · decay · p`, then as [`Rule::Adam`] without the L2 term.
    AdamW {
        betas: [f64; 2],
        eps: f64,
        weight_decay: f64,
    },
    /// `torch.optim.RMSprop`: Tieleman and Hinton, lecture 6.5 of "Neural Networks for Machine Learning"
    /// (2012): `s = α s + (1 - α) g²`, `p -= lr · g / (sqrt(s) + eps)`; with momentum
    /// `b = momentum b + g / (sqrt(s) + eps)`, `p -= lr b`. `centered` after Graves, "Generating Sequences
    /// With Recurrent Neural Networks" (2013): `a = α a + (1 - α) g`, and `s - a²` in the place of `s` in the
    /// root.
    RmsProp {
        alpha: f64,
        eps: f64,
        momentum: f64,
        centered: bool,
        weight_decay: f64,
    },
}

impl Rule {
    /// Names of the tensors that the rule remembers, as PyTorch calls them.
    pub fn slots(&self) -> &'static [&'static str] {
        match *self {
            Self::Sgd { momentum: 0.0, .. } => &[],
            Self::Sgd { .. } => &["momentum_buffer"],
            Self::Adam { .. } | Self::AdamW { .. } => &["exp_avg", "exp_avg_sq"],
            Self::RmsProp {
                momentum, centered, ..
            } => match (centered, momentum == 0.0) {
                (false, true) => &["square_avg"],
                (true, true) => &["square_avg", "grad_avg"],
                (false, false) => &["square_avg", "momentum_buffer"],
                (true, false) => &["square_avg", "grad_avg", "momentum_buffer"],
            },
        }
    }

    /// The constants of Adam's step number `step`, counted from 1.
    fn adam_step(
        betas: [f64; 2],
        eps: f64,
        decay: f64,
        decoupled: bool,
        step: u64,
        lr: f64,
        clip: f64,
    ) -> AdamStep {
        let corrections = betas.map(|beta| 1.0 - beta.powf(step as f64));
        AdamStep {
            clip: clip as f32,
            l2: if decoupled { 0.0 } else { decay as f32 },
            shrink: if decoupled {
                (1.0 - lr * decay) as f32
            } else {
                1.0
            },
            beta1: betas[0] as f32,
            rest1: (1.0 - betas[0]) as f32,
            beta2: betas[1] as f32,
            rest2: (1.0 - betas[1]) as f32,
            eps: eps as f32,
            step_size: (lr / corrections[0]) as f32,
            root_correction: corrections[1].sqrt() as f32,
        }
    }

    /// One step on slices; `slots` in the order of [`Rule::slots`].
    pub(super) fn on_slices(
        &self,
        p: &mut [f32],
        g: &[f32],
        slots: &mut [&mut [f32]],
        step: u64,
        lr: f64,
        clip: f64,
    ) {
        match (*self, slots) {
            (Self::Sgd { weight_decay, .. }, []) => {
                let constants = SgdStep {
                    clip: clip as f32,
                    l2: weight_decay as f32,
                    lr: lr as f32,
                    ..SgdStep::default()
                };
                slices::sgd(p, g, &mut [], &constants);
            }
            (
                Self::Sgd {
                    momentum,
                    dampening,
                    nesterov,
                    weight_decay,
                },
                [buffer],
            ) => {
                let constants = SgdStep {
                    clip: clip as f32,
                    l2: weight_decay as f32,
                    lr: lr as f32,
                    momentum: momentum as f32,
                    // The first step stores the gradient whole; the buffer holds zeros then.
                    take: if step == 1 {
                        1.0
                    } else {
                        (1.0 - dampening) as f32
                    },
                    nesterov,
                };
                slices::sgd(p, g, buffer, &constants);
            }
            (
                Self::Adam {
                    betas,
                    eps,
                    weight_decay,
                },
                [m, v],
            ) => {
                slices::adam(
                    p,
                    g,
                    m,
                    v,
                    &Self::adam_step(betas, eps, weight_decay, false, step, lr, clip),
                );
            }
            (
                Self::AdamW {
                    betas,
                    eps,
                    weight_decay,
                },
                [m, v],
            ) => {
                slices::adam(
                    p,
                    g,
                    m,
                    v,
                    &Self::adam_step(betas, eps, weight_decay, true, step, lr, clip),
                );
            }
            (
                Self::RmsProp {
                    alpha,
                    eps,
                    momentum,
                    centered,
                    weight_decay,
                },
                [square, rest @ ..],
            ) => {
                let constants = RmsPropStep {
                    clip: clip as f32,
                    l2: weight_decay as f32,
                    lr: lr as f32,
                    alpha: alpha as f32,
                    rest: (1.0 - alpha) as f32,
                    eps: eps as f32,
                    momentum: momentum as f32,
                };
                let (mean, buffer): (&mut [f32], &mut [f32]) = match (rest, centered) {
                    ([mean, buffer], _) => (mean, buffer),
                    ([mean], true) => (mean, &mut []),
                    ([buffer], false) => (&mut [], buffer),
                    _ => (&mut [], &mut []),
                };
                slices::rmsprop(p, g, square, mean, buffer, &constants);
            }
            (rule, slots) => debug_assert!(false, "{rule:?} has no {} slots", slots.len()),
        }
    }
}
