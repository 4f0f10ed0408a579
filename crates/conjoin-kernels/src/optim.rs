//! Optimisers that update a parameter in one pass, in place: PyTorch's formulas to the bit of rounding.
//!
//! - [`Rule`]: SGD, Adam, AdamW or RMSprop with its constants;
//! - [`State`]: what a rule remembers of one parameter: a step count and named flat tensors;
//! - [`update`]: one step of one parameter, on any device;
//! - [`squared_norm`]: the norm for clipping, in an order that does not depend on threads;
//! - [`mod@slices`]: the same on plain slices; [`average`]: exponential moving averages of parameters.
//!
//! To save a state, write `step` and every tensor of [`State::named`]; to restore it, give the same to
//! [`State::restore`]: training then goes on with the same bits.

pub mod slices;

mod burn_rules;
mod sums;

use burn::backend::Flex;
use burn::backend::flex::FlexTensor;
use burn::tensor::{Tensor, TensorData};

pub use slices::{AdamStep, RmsPropStep, SgdStep};
pub use sums::{absolute_sum, squared_norm, squared_norm_of_slices};

use crate::flex::supported;

/// An optimiser and its constants; the learning rate comes with every step, for schedules.
///
/// Weight decay of [`Rule::AdamW`] is decoupled (`p -= lr · decay · p`); elsewhere it is the L2 term
/// `g += decay · p`, as in PyTorch.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Rule {
    /// `torch.optim.SGD`.
    Sgd {
        momentum: f64,
        dampening: f64,
        nesterov: bool,
        weight_decay: f64,
    },
    /// `torch.optim.Adam`: Kingma and Ba (2015).
    Adam {
        betas: [f64; 2],
        eps: f64,
        weight_decay: f64,
    },
    /// `torch.optim.AdamW`: Loshchilov and Hutter (2019).
    AdamW {
        betas: [f64; 2],
        eps: f64,
        weight_decay: f64,
    },
    /// `torch.optim.RMSprop`, `centered` after Graves (2013).
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
    pub(crate) fn adam_step(
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

    fn on_slices(
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

/// What an optimiser remembers of one parameter.
#[derive(Clone, Debug)]
pub struct State {
    step: u64,
    names: &'static [&'static str],
    /// Flat, one value a parameter value, without autodiff, on the parameter's device.
    slots: Vec<Tensor<1>>,
}

/// Why a saved state does not belong to a rule and parameter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StateError {
    /// A tensor that the rule needs is not there.
    Missing(&'static str),
    /// A tensor does not have one value for each of the parameter's.
    Length {
        name: &'static str,
        found: usize,
        expected: usize,
    },
}

impl std::fmt::Display for StateError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Missing(name) => write!(f, "the optimiser state lacks `{name}`"),
            Self::Length {
                name,
                found,
                expected,
            } => {
                write!(
                    f,
                    "the optimiser state `{name}` has {found} values, the parameter has {expected}"
                )
            }
        }
    }
}

impl std::error::Error for StateError {}

impl State {
    /// The state before the first step of `param`: zeros.
    pub fn new<const D: usize>(rule: &Rule, param: &Tensor<D>) -> Self {
        let device = param.clone().inner().device();
        let names = rule.slots();
        let size = param.shape().num_elements();
        Self {
            step: 0,
            names,
            slots: names
                .iter()
                .map(|_| Tensor::zeros([size], &device))
                .collect(),
        }
    }

    /// Steps taken so far.
    pub fn step(&self) -> u64 {
        self.step
    }

    /// The tensors to save, with their names.
    pub fn named(&self) -> impl Iterator<Item = (&'static str, &Tensor<1>)> {
        self.names.iter().copied().zip(&self.slots)
    }

    /// A state as it was after `step` steps; `read` gives the saved values of a name.
    pub fn restore<const D: usize>(
        rule: &Rule,
        param: &Tensor<D>,
        step: u64,
        mut read: impl FnMut(&str) -> Option<Vec<f32>>,
    ) -> Result<Self, StateError> {
        let device = param.clone().inner().device();
        let names = rule.slots();
        let expected = param.shape().num_elements();
        let slots = names.iter().map(|&name| {
            let values = read(name).ok_or(StateError::Missing(name))?;
            if values.len() != expected {
                return Err(StateError::Length {
                    name,
                    found: values.len(),
                    expected,
                });
            }
            Ok(Tensor::from_data(
                TensorData::new(values, [expected]),
                &device,
            ))
        });
        Ok(Self {
            step,
            names,
            slots: slots.collect::<Result<_, _>>()?,
        })
    }
}

/// One step of `rule` for one parameter: `param` and `grad` of one shape, the gradient multiplied by
/// `clip` first (1 for no clipping).
///
/// The parameter comes back on its device, requiring a gradient if it did. On Flex it is updated in
/// place, without a copy if no other handle to it exists; elsewhere by Burn's own operations.
///
/// # Panics
/// If `grad` does not have the parameter's shape, or `state` was made for another rule or size.
pub fn update<const D: usize>(
    rule: &Rule,
    param: Tensor<D>,
    grad: Tensor<D>,
    state: &mut State,
    lr: f64,
    clip: f64,
) -> Tensor<D> {
    assert_eq!(
        param.dims(),
        grad.dims(),
        "update: the gradient does not fit the parameter"
    );
    assert_eq!(
        state.names,
        rule.slots(),
        "update: the state is of another rule"
    );
    state.step += 1;
    let (tracked, autodiff) = (param.is_require_grad(), param.is_autodiff());
    let (param, grad) = (param.inner(), grad.inner());
    let param = if supported(&param) && supported(&grad) {
        let mut param = Owned::new(param);
        let grad = Owned::new(grad);
        let mut slots: Vec<Owned> = state.slots.drain(..).map(Owned::new).collect();
        let mut views: Vec<&mut [f32]> = slots.iter_mut().map(Owned::values_mut).collect();
        rule.on_slices(
            param.values_mut(),
            grad.values(),
            &mut views,
            state.step,
            lr,
            clip,
        );
        state.slots = slots.into_iter().map(Owned::into_tensor).collect();
        param.into_tensor()
    } else {
        burn_rules::update(rule, param, grad, &mut state.slots, state.step, lr, clip)
    };
    let param = if autodiff { param.autodiff() } else { param };
    if tracked { param.require_grad() } else { param }
}

/// `average = decay · average + (1 - decay) · param`: an exponential moving average of a parameter,
/// in place on Flex as [`update`]. Returns the average, without autodiff.
///
/// # Panics
/// If the shapes differ.
pub fn average<const D: usize>(average: Tensor<D>, param: Tensor<D>, decay: f64) -> Tensor<D> {
    assert_eq!(average.dims(), param.dims(), "average: the shapes differ");
    let (average, param) = (average.inner(), param.inner());
    if supported(&average) && supported(&param) {
        let mut average = Owned::new(average);
        slices::average(
            average.values_mut(),
            Owned::new(param).values(),
            decay as f32,
            (1.0 - decay) as f32,
        );
        average.into_tensor()
    } else {
        average.clone() + (param - average) * (1.0 - decay)
    }
}

/// A Flex tensor without autodiff whose values are one row-major run that can be written.
struct Owned(FlexTensor);

impl Owned {
    /// Takes a tensor that [`supported`] vouches for; copies it only if it is a view.
    fn new<const D: usize>(tensor: Tensor<D>) -> Self {
        match tensor.try_into_primitive::<Flex>() {
            Ok(tensor) if whole(&tensor) => Self(tensor),
            Ok(tensor) => Self(tensor.to_contiguous()),
            Err(error) => unreachable!("the tensor was found to be on Flex: {error:?}"),
        }
    }

    fn values(&self) -> &[f32] {
        self.0.storage::<f32>()
    }

    fn values_mut(&mut self) -> &mut [f32] {
        self.0.storage_mut::<f32>()
    }

    fn into_tensor<const D: usize>(self) -> Tensor<D> {
        Tensor::from_primitive::<Flex>(self.0)
    }
}

/// Whether a tensor covers its storage in row-major order.
fn whole(tensor: &FlexTensor) -> bool {
    tensor.layout().contiguous_offsets() == Some((0, tensor.storage::<f32>().len()))
}
