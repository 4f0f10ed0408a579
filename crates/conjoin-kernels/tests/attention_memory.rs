//! What multi-head attention holds in memory, counted by the allocator: it grows as the sequence does.
//!
//! One test, so that nothing else allocates meanwhile.

#[path = "numerics/support/mod.rs"]
mod support;

use burn::tensor::Tensor;
use conjoin_kernels::attention::{MultiHead, multi_head_attention, reference};
use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use support::tracked::leaf;

/// Bytes in use, and the most there have been.
static LIVE: AtomicUsize = AtomicUsize::new(0);
static MOST: AtomicUsize = AtomicUsize::new(0);

struct Counted;

// SAFETY: the system's allocator does the work; counting touches no memory of its.
unsafe impl GlobalAlloc for Counted {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let live = LIVE.fetch_add(layout.size(), Relaxed) + layout.size();
        MOST.fetch_max(live, Relaxed);
        // SAFETY: by the caller.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        LIVE.fetch_sub(layout.size(), Relaxed);
        // SAFETY: by the caller.
        unsafe { System.dealloc(at, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counted = Counted;

const HEADS: usize = 2;
const SIZE: usize = 16;

/// Bytes.
#[derive(Debug)]
struct Memory {
    /// Held between the passes, beyond the operands.
    between: usize,
    /// The most during both, beyond the operands.
    most: usize,
}

type Attention = fn(Tensor<3>, Tensor<3>, Tensor<3>, MultiHead) -> Tensor<3>;

fn measured(operation: Attention, time: usize) -> Memory {
    let [q, k, v] = [1, 2, 3].map(|seed| leaf([1, time, SIZE], seed));
    let before = LIVE.load(Relaxed);
    MOST.store(before, Relaxed);
    let options = MultiHead {
        causal: true,
        ..MultiHead::new(HEADS)
    };
    let y = operation(q.clone(), k.clone(), v.clone(), options);
    let between = LIVE.load(Relaxed) - before;
    let gradients = y.sum().backward();
    assert!(q.grad(&gradients).is_some());
    Memory {
        between,
        most: MOST.load(Relaxed) - before,
    }
}

#[test]
fn the_memory_of_attention_grows_linearly_with_the_sequence() {
    // What threads keep for themselves, and the pool, exist from here on.
    measured(multi_head_attention, 2048);
    let [short, long] = [1024, 2048].map(|time| measured(multi_head_attention, time));
    // The result and two numbers for every query and head, and some bookkeeping.
    let stated = |time: usize| 4 * time * (SIZE + 2 * HEADS);
    for (memory, time) in [(&short, 1024), (&long, 2048)] {
        let found = memory.between;
        assert!(
            found >= 4 * time * SIZE && found <= stated(time) + 8192,
            "{time} steps: {memory:?}, stated {}",
            stated(time)
        );
    }
    let grows = |short: usize, long: usize| long as f64 / short as f64;
    assert!(
        grows(short.most, long.most) < 2.1,
        "{short:?} became {long:?}"
    );
    // Burn's operations hold the weights: four times as much.
    let [short, long] = [256, 512].map(|time| measured(reference::multi_head_attention, time));
    assert!(
        grows(short.between, long.between) > 3.0,
        "{short:?} became {long:?}"
    );
}
