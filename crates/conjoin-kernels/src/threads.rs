//! Where work runs that consists of many kernels.

use crate::precision::Precision;

/// Runs `work` on a thread of the kernels' pool, in the current [`Precision`], while this thread waits.
///
/// A kernel that is called from another thread hands itself over to the pool and waits to be woken, each
/// time: some ten microseconds, as much as a small product takes. Called from within the pool, a kernel
/// begins at once.
pub fn inside<R: Send>(work: impl FnOnce() -> R + Send) -> R {
    let precision = Precision::current();
    rayon::scope(|_| precision.scope(work))
}

#[cfg(test)]
mod tests {
    use super::inside;
    use crate::precision::Precision;

    #[test]
    fn work_runs_in_the_pool_and_keeps_its_precision() {
        let seen = || {
            (
                rayon::current_thread_index().is_some(),
                Precision::current(),
            )
        };
        assert_eq!(inside(seen), (true, Precision::F32));
        let within = Precision::Bf16.scope(|| inside(|| inside(seen)));
        assert_eq!(within, (true, Precision::Bf16));
        assert_eq!(Precision::current(), Precision::F32);
    }
}
