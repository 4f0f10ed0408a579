//! The bridge between Burn's tensors and the fused operations.
//!
//! An operation implements [`Fused`] on raw Flex tensors: a forward pass that may keep something, and
//! a backward pass that uses it. [`apply`] runs it on Burn tensors and enters it in Burn's graph.
//! Operations ask for [`supported`] operands first and run Burn's own operations elsewhere.

use burn::backend::autodiff::checkpoint::base::Checkpointer;
use burn::backend::autodiff::checkpoint::strategy::{
    BalancedCheckpointing, CheckpointStrategy, NoCheckpointing,
};
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
use burn::backend::flex::{FlexTensor, Layout};
use burn::backend::tensor::FloatTensor;
use burn::backend::{
    Autodiff, AutodiffBackend, BackendTensor, DispatchAutodiffContext, DispatchKindConversion,
    DispatchTensor, DispatchTensorKind, Flex, GradientCheckpointingStrategy, TensorMetadata,
};
use burn::tensor::{Bytes, DType, Shape, Tensor};
use std::fmt::Debug;
use std::marker::PhantomData;
use std::ops::Range;
use std::sync::OnceLock;

/// A single-precision Flex tensor whose numbers lie in one row-major run.
#[derive(Clone, Debug)]
pub struct Dense {
    tensor: FlexTensor,
    range: Range<usize>,
}

impl Dense {
    /// Wraps a tensor, copying it only if it is strided.
    pub fn new(tensor: FlexTensor) -> Self {
        if let Some((start, end)) = tensor.layout().contiguous_offsets() {
            return Self {
                tensor,
                range: start..end,
            };
        }
        let tensor = tensor.to_contiguous();
        let end = tensor.layout().num_elements();
        Self {
            tensor,
            range: 0..end,
        }
    }

    /// Takes over a vector in row-major order, without a copy.
    pub fn from_vec<const D: usize>(values: Vec<f32>, shape: [usize; D]) -> Self {
        let range = 0..values.len();
        Self {
            tensor: tensor(values, shape),
            range,
        }
    }

    /// Other numbers in the same shape, in row-major order.
    pub(crate) fn like(&self, values: Vec<f32>) -> FlexTensor {
        let layout = Layout::contiguous(self.tensor.layout().shape().clone());
        FlexTensor::new(Bytes::from_elems(values), layout, DType::F32)
    }

    /// The numbers in row-major order.
    pub fn values(&self) -> &[f32] {
        &self.tensor.storage::<f32>()[self.range.clone()]
    }

    /// The tensor itself, contiguous.
    pub fn into_tensor(self) -> FlexTensor {
        self.tensor
    }

    /// The tensor itself, as a new handle to the same numbers.
    pub fn tensor(&self) -> FlexTensor {
        self.tensor.clone()
    }

    /// The sizes of the dimensions.
    ///
    /// # Panics
    /// If the tensor does not have `D` dimensions.
    pub fn dims<const D: usize>(&self) -> [usize; D] {
        self.tensor.layout().shape().dims()
    }
}

/// A Flex tensor that takes over a vector in row-major order, without a copy.
pub fn tensor<const D: usize>(values: Vec<f32>, shape: [usize; D]) -> FlexTensor {
    debug_assert_eq!(values.len(), shape.iter().product::<usize>());
    let layout = Layout::contiguous(Shape::from(shape));
    FlexTensor::new(Bytes::from_elems(values), layout, DType::F32)
}

/// An operation with `N` float inputs, one float output and a hand-written gradient, on Flex.
///
/// The value itself carries the options (strides, lengths, constants).
pub trait Fused<const N: usize>: Clone + Debug + Send + 'static {
    /// What the forward pass keeps for the backward pass. Large buffers go behind an `Arc`.
    type Saved: Clone + Debug + Send + 'static;

    /// Computes the output and what the backward pass needs.
    fn forward(&self, inputs: &[Dense; N]) -> (FlexTensor, Self::Saved);

    /// Computes the output alone, for inputs that carry no gradient.
    fn infer(&self, inputs: &[Dense; N]) -> FlexTensor {
        self.forward(inputs).0
    }

    /// Turns the output's gradient into the gradient of every input that is `wanted`.
    fn backward(
        &self,
        saved: Self::Saved,
        gradient: Dense,
        wanted: [bool; N],
    ) -> [Option<FlexTensor>; N];
}

/// Whether a tensor is one that fused operations take: single precision, on the Flex device.
///
/// With `CONJOIN_KERNELS=burn` in the environment no tensor is, so that every operation runs as Burn's
/// own: what the fused ones are measured against, and a way to tell whether a fault is theirs.
pub fn supported<const D: usize>(tensor: &Tensor<D>) -> bool {
    fused() && on_flex(tensor)
}

/// What an operation computes with: a tensor, or one that may be left out.
pub(crate) trait Operand {
    /// Whether it is [`supported`]; what is left out stands in nobody's way.
    fn is_supported(&self) -> bool;
}

impl<const D: usize> Operand for Tensor<D> {
    fn is_supported(&self) -> bool {
        supported(self)
    }
}

impl<T: Operand> Operand for &T {
    fn is_supported(&self) -> bool {
        T::is_supported(self)
    }
}

impl<T: Operand> Operand for Option<T> {
    fn is_supported(&self) -> bool {
        self.as_ref().is_none_or(T::is_supported)
    }
}

/// Whether all operands are [`supported`]: one of another precision or device leaves the operation to Burn.
pub(crate) fn all_supported(operands: &[&dyn Operand]) -> bool {
    operands.iter().all(|operand| operand.is_supported())
}

/// Whether a tensor is in single precision on the Flex device, whose numbers are at hand.
pub fn on_flex<const D: usize>(tensor: &Tensor<D>) -> bool {
    // A clone of the handle; no number is copied.
    let tensor = tensor.clone().into_dispatch();
    tensor.dtype() == DType::F32 && is_flex(&tensor.kind)
}

/// Whether this process uses fused operations at all.
fn fused() -> bool {
    static FUSED: OnceLock<bool> = OnceLock::new();
    *FUSED.get_or_init(|| std::env::var("CONJOIN_KERNELS").as_deref() != Ok("burn"))
}

/// The Flex tensor behind a tensor that is [`supported`], outside of the graph.
pub(crate) fn raw<const D: usize>(x: Tensor<D>) -> FlexTensor {
    primitive::<Flex>(x.inner().into_dispatch())
}

/// The numbers of a tensor that is [`supported`], outside of the graph.
pub(crate) fn host<const D: usize>(x: Tensor<D>) -> Dense {
    Dense::new(raw(x))
}

#[allow(unreachable_patterns)] // other kinds exist only when Burn is built with other devices
fn is_flex(kind: &DispatchTensorKind) -> bool {
    match kind {
        DispatchTensorKind::Flex(_) => true,
        DispatchTensorKind::Autodiff(inner) => is_flex(inner),
        _ => false,
    }
}

/// Runs an operation on Burn tensors (from `Tensor::into_dispatch`), tracked where they are.
///
/// Inputs without autodiff count as constants, as in Burn's own operations.
///
/// # Panics
/// If an input is not a single-precision tensor on the Flex device (see [`supported`]).
pub fn apply<F: Fused<N>, const N: usize, const D: usize>(
    operation: F,
    inputs: [DispatchTensor; N],
) -> Tensor<D> {
    let disabled = DispatchAutodiffContext::Disabled;
    match inputs
        .iter()
        .fold(disabled, |context, input| context.merge(input.autodiff))
    {
        DispatchAutodiffContext::Disabled => {
            let inputs = inputs.map(|input| Dense::new(primitive::<Flex>(input)));
            Tensor::from_primitive::<Flex>(operation.infer(&inputs))
        }
        DispatchAutodiffContext::Enabled(GradientCheckpointingStrategy::Disabled) => {
            let output = tracked::<F, NoCheckpointing, N>(operation, inputs);
            Tensor::from_primitive::<Autodiff<Flex, NoCheckpointing>>(output)
        }
        DispatchAutodiffContext::Enabled(GradientCheckpointingStrategy::Balanced) => {
            let output = tracked::<F, BalancedCheckpointing, N>(operation, inputs);
            Tensor::from_primitive::<Autodiff<Flex, BalancedCheckpointing>>(output)
        }
    }
}

/// The float primitive of a tensor that is known to live on a backend.
///
/// The one place of this crate that panics by itself: operations ask [`supported`] first, and a type
/// cannot carry the answer, because Burn's tensors name their device at run time.
#[track_caller]
fn primitive<B: burn::backend::Backend>(tensor: DispatchTensor) -> FloatTensor<B>
where
    DispatchTensor: DispatchKindConversion<B>,
{
    let found = match DispatchTensor::try_into_backend(tensor) {
        Ok(BackendTensor::Float(tensor)) => return tensor,
        Ok(other) => other.name().to_owned(),
        Err(message) => message,
    };
    panic!("a fused operation takes float tensors on the Flex device: {found}")
}

/// Runs an operation and registers its backward step.
fn tracked<F: Fused<N>, C: CheckpointStrategy, const N: usize>(
    operation: F,
    inputs: [DispatchTensor; N],
) -> FloatTensor<Autodiff<Flex, C>>
where
    DispatchTensor: DispatchKindConversion<Autodiff<Flex, C>>,
{
    let parts = inputs.map(|input| {
        let input = match input.autodiff {
            DispatchAutodiffContext::Disabled => {
                <Autodiff<Flex, C> as AutodiffBackend>::from_inner(primitive::<Flex>(input))
            }
            DispatchAutodiffContext::Enabled(_) => primitive::<Autodiff<Flex, C>>(input),
        };
        input.into_parts()
    });
    let inputs = parts
        .each_ref()
        .map(|(tensor, _)| Dense::new(tensor.clone()));
    let guards = parts.map(|(_, guard)| guard);
    match Step::<F>(PhantomData)
        .prepare::<C>(guards)
        .compute_bound()
        .stateful()
    {
        OpsKind::Tracked(step) => {
            let (output, saved) = operation.forward(&inputs);
            step.finish((operation, saved), output)
        }
        OpsKind::UnTracked(step) => step.finish(operation.infer(&inputs)),
    }
}

/// The backward step of any [`Fused`] operation.
struct Step<F>(PhantomData<fn() -> F>);

impl<F> Debug for Step<F> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(std::any::type_name::<F>())
    }
}

impl<F: Fused<N>, const N: usize> Backward<Flex, N> for Step<F> {
    type State = (F, F::Saved);

    fn backward(
        self,
        ops: Ops<Self::State, N>,
        gradients: &mut Gradients,
        _checkpointer: &mut Checkpointer,
    ) {
        let gradient = Dense::new(gradients.consume::<Flex>(&ops.node));
        let (operation, saved) = ops.state;
        let wanted = ops.parents.each_ref().map(Option::is_some);
        let inputs = operation.backward(saved, gradient, wanted);
        for (parent, gradient) in ops.parents.into_iter().zip(inputs) {
            if let (Some(parent), Some(gradient)) = (parent, gradient) {
                gradients.register::<Flex>(parent.id, gradient);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{all_supported, fused};
    use burn::tensor::{DType, Device, Tensor};

    #[test]
    fn one_operand_of_another_precision_leaves_all_to_burn() {
        let single = Tensor::<2>::zeros([2, 3], &Device::flex());
        let tracked = Tensor::<1>::zeros([3], &Device::flex().autodiff());
        let double = single.clone().cast(DType::F64);
        let (some, none) = (Some(double.clone()), None::<Tensor<2>>);
        assert_eq!(all_supported(&[&single, &tracked, &none]), fused());
        assert!(!all_supported(&[&single, &double]));
        assert!(!all_supported(&[&single, &tracked, &some]));
        assert!(!all_supported(&[&single, &some.as_ref()]));
    }
}
