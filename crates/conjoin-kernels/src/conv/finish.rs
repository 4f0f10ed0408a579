//! What follows a product while its result lies in the nearest cache.

use crate::activation::Activation;
use crate::simd::{Isa, Kernel, run};

/// A sum with other values, then an activation.
#[derive(Clone, Copy, Default)]
pub struct Finish<'a> {
    /// As many values as the result has.
    pub residual: Option<&'a [f32]>,
    pub activation: Activation,
}

impl Finish<'_> {
    /// Whether results stay as they are.
    pub fn is_nothing(&self) -> bool {
        self.residual.is_none() && self.activation == Activation::None
    }

    /// Finishes the values of the result from `at` on.
    ///
    /// # Panics
    /// If the residual has no such values.
    pub fn apply(&self, at: usize, values: &mut [f32]) {
        if !self.is_nothing() {
            let residual = self.residual.map(|all| &all[at..][..values.len()]);
            let activation = self.activation;
            run(Sum {
                to: values,
                residual,
                activation,
            });
        }
    }
}

struct Sum<'a> {
    to: &'a mut [f32],
    residual: Option<&'a [f32]>,
    activation: Activation,
}

impl Kernel for Sum<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Isa>(self, isa: S) {
        if let Some(residual) = self.residual {
            for (value, residual) in self.to.iter_mut().zip(residual) {
                *value += residual;
            }
        }
        self.activation.apply(isa, self.to);
    }
}
