//! A result that tasks write to, each its own part.

/// A pointer that tasks share; each writes its own part.
#[derive(Clone, Copy)]
pub struct Shared(pub *mut f32);

impl Shared {
    /// The address of a value.
    ///
    /// # Safety
    /// `at` must lie in the allocation.
    pub unsafe fn at(self, at: usize) -> *mut f32 {
        // SAFETY: by the caller.
        unsafe { self.0.add(at) }
    }
}

// SAFETY: a plain address; what is written through it is disjoint, as every use explains.
unsafe impl Send for Shared {}
// SAFETY: as above.
unsafe impl Sync for Shared {}
