//! What an optimiser remembers, and how it is saved and restored.

use burn::tensor::{Tensor, TensorData};

use super::Rule;

/// What an optimiser remembers of one parameter.
#[derive(Clone, Debug)]
pub struct State {
    pub(super) step: u64,
    pub(super) names: &'static [&'static str],
    /// Flat, one value a parameter value, without autodiff, of the parameter's device and type.
    pub(super) slots: Vec<Tensor<1>>,
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
                .map(|_| Tensor::<1>::zeros([size], &device).cast(param.dtype()))
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
            let slot = Tensor::<1>::from_data(TensorData::new(values, [expected]), &device);
            Ok(slot.cast(param.dtype()))
        });
        Ok(Self {
            step,
            names,
            slots: slots.collect::<Result<_, _>>()?,
        })
    }
}
