//! Working memory that a thread keeps between kernels, so that it is cleared and faulted in once.

use std::cell::Cell;

thread_local! {
    static KEPT: Cell<Vec<f32>> = const { Cell::new(Vec::new()) };
}

/// Hands `len` numbers of working memory to `work`. What they hold is left over from earlier work: every
/// number must be written before it is read.
pub(crate) fn with_scratch<R>(len: usize, work: impl FnOnce(&mut [f32]) -> R) -> R {
    // Taken out rather than borrowed: a thread that waits inside `work` may begin another task here.
    let mut memory = KEPT.take();
    if memory.len() < len {
        memory.resize(len, 0.0);
    }
    let result = work(&mut memory[..len]);
    KEPT.with(|kept| {
        let other = kept.take();
        kept.set(if other.len() > memory.len() {
            other
        } else {
            memory
        });
    });
    result
}

#[cfg(test)]
mod tests {
    use super::with_scratch;

    #[test]
    fn nested_work_has_memory_of_its_own() {
        with_scratch(4, |outer| {
            outer.fill(1.0);
            with_scratch(6, |inner| {
                assert_eq!(inner.len(), 6);
                inner.fill(2.0);
            });
            assert_eq!(outer, [1.0; 4]);
        });
        // The larger of the two was kept.
        with_scratch(6, |memory| assert_eq!(memory, [2.0; 6]));
    }
}
