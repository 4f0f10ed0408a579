//! The precision of products, and how it reaches the operations.
//!
//! [`Precision::scope`] sets it for the operations that the calling thread creates meanwhile. Each of
//! them takes [`Precision::current`] into its own value then, so that tasks on other threads and the
//! backward pass, whenever it runs, use the same.

use std::cell::Cell;

/// What the operands of matrix products are rounded to.
///
/// Products are those of linear layers, convolutions, recurrent layers and attention, and the products
/// of their backward passes. Sums are always in single precision, and so is everything else: weights,
/// normalisation, softmax, losses, optimisers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Precision {
    /// Single precision.
    #[default]
    F32,
    /// bfloat16 (8 bits of mantissa), rounded to nearest, ties to even.
    ///
    /// Where the processor has an instruction that is worth it ([`crate::simd::has_bf16`]), AMX_BF16
    /// multiplies tiles or AVX512_BF16 pairs; elsewhere, and in convolutions, operands are rounded to the
    /// same numbers and multiplied in single precision, so results agree up to the order of the sums (and to
    /// numbers below 1.2e-38, which the instructions take as 0).
    Bf16,
}

thread_local! {
    static CURRENT: Cell<Precision> = const { Cell::new(Precision::F32) };
}

impl Precision {
    /// What operations created on this thread take at the moment: single precision outside any
    /// [`Precision::scope`].
    pub fn current() -> Self {
        CURRENT.get()
    }

    /// Runs `work` with this precision for the operations that it creates on this thread.
    pub fn scope<T>(self, work: impl FnOnce() -> T) -> T {
        /// Sets back what was, also if `work` panics.
        struct Before(Precision);

        impl Drop for Before {
            fn drop(&mut self) {
                CURRENT.set(self.0);
            }
        }

        let _before = Before(CURRENT.replace(self));
        work()
    }
}

#[cfg(test)]
mod tests {
    use super::Precision::{self, Bf16, F32};

    #[test]
    fn scopes_nest_and_end_with_a_panic_too() {
        assert_eq!(Precision::current(), F32);
        let seen = Bf16.scope(|| {
            let inner = F32.scope(Precision::current);
            (inner, Precision::current())
        });
        assert_eq!(seen, (F32, Bf16));
        let panicked =
            std::panic::catch_unwind(|| Bf16.scope(|| std::panic::resume_unwind(Box::new(()))));
        assert!(panicked.is_err());
        assert_eq!(Precision::current(), F32);
    }

    #[test]
    fn other_threads_keep_their_own() {
        Bf16.scope(|| {
            let other = std::thread::spawn(Precision::current).join();
            assert_eq!(other.ok(), Some(F32));
        });
    }
}
