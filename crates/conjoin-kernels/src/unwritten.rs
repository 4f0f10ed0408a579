//! Vectors that are written once, by a kernel, without being cleared first.

use std::mem::MaybeUninit;

/// A vector of `len` numbers that `write` fills. Clearing a large output first would cost as much
/// as many a kernel.
///
/// # Safety
/// `write` must write every number of the slice.
pub(crate) unsafe fn build<T: Copy>(
    len: usize,
    write: impl FnOnce(&mut [MaybeUninit<T>]),
) -> Vec<T> {
    let mut values = Vec::with_capacity(len);
    write(&mut values.spare_capacity_mut()[..len]);
    // SAFETY: the capacity is there, and the caller vouches that all of it is written.
    unsafe { values.set_len(len) };
    values
}
