//! Where the valid steps of padded rows lie when they are packed without the padding.

use std::ops::Range;

/// The most rows of a task: what they read in a step should stay in the second-level cache.
const LARGEST_BLOCK: usize = 128;

/// The packing of `B` rows of different lengths: row after row, each in processing order.
#[derive(Clone, Debug)]
pub(crate) struct Steps {
    /// Where each row starts, and at the end the number of all steps: `B + 1` numbers.
    starts: Vec<usize>,
    time: usize,
    reverse: bool,
}

impl Steps {
    /// The packing for rows padded to `time` steps; `reverse` runs each row from its end.
    /// No length may exceed `time`; the operations have checked it.
    pub fn new(lengths: &[usize], time: usize, reverse: bool) -> Self {
        let mut starts = Vec::with_capacity(lengths.len() + 1);
        let mut total = 0;
        starts.push(total);
        for &length in lengths {
            debug_assert!(length <= time);
            total += length;
            starts.push(total);
        }
        Self {
            starts,
            time,
            reverse,
        }
    }

    /// Rows.
    pub fn batch(&self) -> usize {
        self.starts.len() - 1
    }

    /// Steps with padding.
    pub fn time(&self) -> usize {
        self.time
    }

    /// Valid steps of all rows.
    pub fn total(&self) -> usize {
        self.starts[self.batch()]
    }

    /// Where a row's packed steps start.
    pub fn start(&self, row: usize) -> usize {
        self.starts[row]
    }

    /// Valid steps of a row.
    pub fn length(&self, row: usize) -> usize {
        self.starts[row + 1] - self.starts[row]
    }

    /// The position in time of the `step`-th processed step of a row.
    pub fn position(&self, row: usize, step: usize) -> usize {
        if self.reverse {
            self.length(row) - 1 - step
        } else {
            step
        }
    }

    /// The most valid steps of some rows.
    pub fn longest(&self, rows: &Range<usize>) -> usize {
        rows.clone().map(|row| self.length(row)).max().unwrap_or(0)
    }

    /// How much of a packed buffer, with `width` numbers a step, each block takes.
    pub fn sizes(&self, blocks: &[Range<usize>], width: usize) -> impl Iterator<Item = usize> {
        blocks
            .iter()
            .map(move |rows| (self.starts[rows.end] - self.starts[rows.start]) * width)
    }

    /// Groups of rows with about the same number of steps, for tasks that run side by side.
    pub fn blocks(&self) -> Vec<Range<usize>> {
        if self.batch() == 0 {
            return Vec::new();
        }
        let threads = rayon::current_num_threads();
        let count = self
            .batch()
            .div_ceil(LARGEST_BLOCK)
            .next_multiple_of(threads);
        let share = self.total().div_ceil(count).max(1);
        let mut blocks = Vec::with_capacity(count);
        let mut first = 0;
        for row in 0..self.batch() {
            let last = row + 1 == self.batch();
            if last || self.starts[row + 1] - self.starts[first] >= share {
                blocks.push(first..row + 1);
                first = row + 1;
            }
        }
        blocks
    }
}

/// Cuts a buffer into consecutive parts of the given sizes.
pub(crate) fn split(
    buffer: &mut [f32],
    sizes: impl Iterator<Item = usize>,
) -> impl Iterator<Item = &mut [f32]> {
    sizes.scan(buffer, |rest, size| {
        let (part, tail) = std::mem::take(rest).split_at_mut(size);
        *rest = tail;
        Some(part)
    })
}
