//! Weights in the layout of a kernel, kept from one call to the next.
//!
//! Packing a weight matrix or transforming a convolution's kernel costs as much as multiplying some tens
//! of rows by it. Where weights do not change between calls, a module keeps the result in a [`Prepared`].
//! It holds on to the tensors that it was made from, so that their memory can be neither changed in place
//! nor given to others: the same address means the same numbers.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::flex::Dense;

/// What a kernel has made of some tensors, or nothing yet.
///
/// A clone begins with nothing, so that a copy of a module, whose weights may go their own way, holds no
/// memory of the original's.
pub struct Prepared<T> {
    kept: Mutex<Option<Kept<T>>>,
}

struct Kept<T> {
    sources: Vec<Dense>,
    value: Arc<T>,
}

impl<T> Prepared<T> {
    /// What is kept, if it is of these very tensors and `fits`; else what `make` makes, which is kept.
    pub(crate) fn get(
        &self,
        sources: &[Dense],
        fits: impl FnOnce(&T) -> bool,
        make: impl FnOnce() -> T,
    ) -> Arc<T> {
        if let Some(kept) = self.lock().as_ref()
            && kept.sources.len() == sources.len()
            && kept.sources.iter().zip(sources).all(|(a, b)| same(a, b))
            && fits(&kept.value)
        {
            return Arc::clone(&kept.value);
        }
        // Not under the lock: a thread that waits for parts of this work may begin another task that
        // wants the same.
        let value = Arc::new(make());
        *self.lock() = Some(Kept {
            sources: sources.to_vec(),
            value: Arc::clone(&value),
        });
        value
    }

    /// Forgets what is kept, and lets go of the tensors.
    pub(crate) fn clear(&self) {
        *self.lock() = None;
    }

    fn lock(&self) -> MutexGuard<'_, Option<Kept<T>>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether two tensors that both live are the same numbers in memory.
fn same(a: &Dense, b: &Dense) -> bool {
    std::ptr::eq(a.values(), b.values())
}

impl<T> Default for Prepared<T> {
    fn default() -> Self {
        Self {
            kept: Mutex::new(None),
        }
    }
}

impl<T> Clone for Prepared<T> {
    fn clone(&self) -> Self {
        Self::default()
    }
}

impl<T> std::fmt::Debug for Prepared<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let state = if self.lock().is_some() {
            "full"
        } else {
            "empty"
        };
        write!(f, "Prepared({state})")
    }
}

#[cfg(test)]
mod tests {
    use super::Prepared;
    use crate::flex::Dense;

    #[test]
    fn is_made_anew_for_other_tensors_only() {
        let prepared = Prepared::default();
        let sum = |of: &Dense| {
            let sources = [of.clone()];
            *prepared.get(&sources, |_| true, || of.values().iter().sum::<f32>())
        };
        let first = Dense::from_vec(vec![1.0, 2.0], [2]);
        assert_eq!(sum(&first), 3.0);
        let again = *prepared.get(std::slice::from_ref(&first), |_| true, || unreachable!());
        assert_eq!(again, 3.0);
        assert_eq!(
            *prepared.get(std::slice::from_ref(&first), |_| false, || 4.0),
            4.0
        );
        // Its memory is still held, so another tensor cannot be taken for it.
        drop(first);
        for i in 0..100 {
            assert_eq!(
                sum(&Dense::from_vec(vec![i as f32, 1.0], [2])),
                i as f32 + 1.0
            );
        }
        assert_eq!(format!("{:?}", prepared.clone()), "Prepared(empty)");
        prepared.clear();
        assert_eq!(format!("{prepared:?}"), "Prepared(empty)");
    }
}
