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
mod rule;
mod state;
mod sums;

use burn::backend::Flex;
use burn::backend::flex::FlexTensor;
use burn::tensor::Tensor;

pub use rule::Rule;
pub use slices::{AdamStep, RmsPropStep, SgdStep};
pub use state::{State, StateError};
pub use sums::{absolute_sum, squared_norm, squared_norm_of_slices};

use crate::flex::{all_supported, raw, supported};
use crate::shapes::expect;

/// One step of `rule` for one parameter: `param` and `grad` of one shape, any; every tensor of `state` has as
/// many numbers. The gradient `g` is first multiplied by `clip` (1 for no clipping; see [`squared_norm`]);
/// the formulas and their sources are those of the [`Rule`], with the learning rate `lr`.
///
/// The parameter comes back on its device, requiring a gradient if it did. On Flex it is updated in
/// place, without a copy if no other handle to it exists; elsewhere by Burn's own operations.
///
/// # Panics
/// If `grad` does not have the parameter's shape, or `state` was made for another rule or size.
#[track_caller]
pub fn update<const D: usize>(
    rule: &Rule,
    param: Tensor<D>,
    grad: Tensor<D>,
    state: &mut State,
    lr: f64,
    clip: f64,
) -> Tensor<D> {
    expect("update", "grad", &grad.dims(), &param.dims());
    assert!(
        state.names == rule.slots(),
        "update: state has {:?}, expected {:?} for {rule:?}",
        state.names,
        rule.slots()
    );
    let size = param.shape().num_elements();
    for (name, slot) in state.named() {
        expect("update", name, &slot.dims(), &[size]);
    }
    state.step += 1;
    let (tracked, autodiff) = (param.is_require_grad(), param.is_autodiff());
    let (param, grad) = (param.inner(), grad.inner());
    let slots = state.slots.iter().all(supported);
    let param = if slots && all_supported(&[&param, &grad]) {
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
#[track_caller]
pub fn average<const D: usize>(average: Tensor<D>, param: Tensor<D>, decay: f64) -> Tensor<D> {
    expect("average", "param", &param.dims(), &average.dims());
    let (average, param) = (average.inner(), param.inner());
    if all_supported(&[&average, &param]) {
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
        let tensor = raw(tensor);
        if whole(&tensor) {
            Self(tensor)
        } else {
            Self(tensor.to_contiguous())
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
