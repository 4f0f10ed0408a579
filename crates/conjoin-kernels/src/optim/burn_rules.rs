//! The rules by Burn's own operations, for devices without the fused pass.

use burn::tensor::Tensor;

use super::Rule;

/// One step; `slots` in the order of [`Rule::slots`], all tensors without autodiff.
pub fn update<const D: usize>(
    rule: &Rule,
    param: Tensor<D>,
    grad: Tensor<D>,
    slots: &mut [Tensor<1>],
    step: u64,
    lr: f64,
    clip: f64,
) -> Tensor<D> {
    let dims = param.dims();
    let size = param.shape().num_elements();
    let p = param.reshape([size]);
    let g = grad.reshape([size]) * clip;
    let l2 = |decay: f64| {
        if decay == 0.0 {
            g.clone()
        } else {
            g.clone() + p.clone() * decay
        }
    };
    let next = match (*rule, slots) {
        (Rule::Sgd { weight_decay, .. }, []) => p.clone() - l2(weight_decay) * lr,
        (
            Rule::Sgd {
                momentum,
                dampening,
                nesterov,
                weight_decay,
            },
            [buffer],
        ) => {
            let g = l2(weight_decay);
            let take = if step == 1 { 1.0 } else { 1.0 - dampening };
            *buffer = buffer.clone() * momentum + g.clone() * take;
            let direction = if nesterov {
                g + buffer.clone() * momentum
            } else {
                buffer.clone()
            };
            p.clone() - direction * lr
        }
        (
            Rule::Adam {
                betas,
                eps,
                weight_decay,
            },
            [m, v],
        ) => p.clone() - adam(l2(weight_decay), m, v, betas, eps, step) * lr,
        (
            Rule::AdamW {
                betas,
                eps,
                weight_decay,
            },
            [m, v],
        ) => p.clone() * (1.0 - lr * weight_decay) - adam(g, m, v, betas, eps, step) * lr,
        (
            Rule::RmsProp {
                alpha,
                eps,
                momentum,
                centered,
                weight_decay,
            },
            [square, rest @ ..],
        ) => {
            let g = l2(weight_decay);
            *square = square.clone() * alpha + g.clone() * g.clone() * (1.0 - alpha);
            let mut variance = square.clone();
            let (means, buffers) = rest.split_at_mut(usize::from(centered));
            for mean in means {
                *mean = mean.clone() + (g.clone() - mean.clone()) * (1.0 - alpha);
                variance = variance - mean.clone() * mean.clone();
            }
            let mut direction = g / (variance.sqrt() + eps);
            for buffer in buffers {
                *buffer = buffer.clone() * momentum + direction;
                direction = buffer.clone();
            }
            p.clone() - direction * lr
        }
        (rule, slots) => {
            debug_assert!(false, "{rule:?} has no {} slots", slots.len());
            p.clone()
        }
    };
    next.reshape(dims)
}

/// Moves the moments and returns the direction, to be multiplied by the learning rate.
fn adam(
    g: Tensor<1>,
    m: &mut Tensor<1>,
    v: &mut Tensor<1>,
    [beta1, beta2]: [f64; 2],
    eps: f64,
    step: u64,
) -> Tensor<1> {
    *m = m.clone() + (g.clone() - m.clone()) * (1.0 - beta1);
    *v = v.clone() * beta2 + g.clone() * g * (1.0 - beta2);
    let corrections = [beta1, beta2].map(|beta| 1.0 - beta.powf(step as f64));
    m.clone() / (v.clone().sqrt() / corrections[1].sqrt() + eps) / corrections[0]
}
