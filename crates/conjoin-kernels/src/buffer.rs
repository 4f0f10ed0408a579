//! Large results without a pass over memory that clears them first, which would cost as much as many a
//! kernel.
//!
//! Memory comes from [`unwritten`] and becomes numbers in [`written`], here and nowhere else. Where a
//! kernel writes everything itself, [`build_with`] hands it the bare memory; else a result is split into
//! pieces, each of which one task clears and fills while it lies in the cache.

use rayon::prelude::*;
use std::marker::PhantomData;
use std::mem::{ManuallyDrop, MaybeUninit, take};

/// Memory for `len` values, as it comes.
fn unwritten<T>(len: usize) -> Vec<MaybeUninit<T>> {
    let mut values = Vec::with_capacity(len);
    // SAFETY: the capacity is there, and memory that may be unwritten needs no writing.
    unsafe { values.set_len(len) };
    values
}

/// The same memory as values.
///
/// # Safety
/// Every value has been written.
unsafe fn written<T>(values: Vec<MaybeUninit<T>>) -> Vec<T> {
    let mut values = ManuallyDrop::new(values);
    let (first, len, capacity) = (values.as_mut_ptr(), values.len(), values.capacity());
    // SAFETY: the parts of a vector that is not used again; `MaybeUninit<T>` is laid out as `T`, and the
    // caller vouches for the values.
    unsafe { Vec::from_raw_parts(first.cast(), len, capacity) }
}

/// A vector of `len` values that `write` fills.
///
/// # Safety
/// `write` must write every value of the slice.
pub(crate) unsafe fn build_with<T: Copy>(
    len: usize,
    write: impl FnOnce(&mut [MaybeUninit<T>]),
) -> Vec<T> {
    let mut values = unwritten(len);
    write(&mut values);
    // SAFETY: by the caller.
    unsafe { written(values) }
}

/// Values of a task where rows or elements are independent.
pub(crate) const BLOCK: usize = 1 << 14;

/// The sizes of the pieces of `len` values, `piece` each but for the last.
pub(crate) fn pieces(len: usize, piece: usize) -> impl ExactSizeIterator<Item = usize> {
    let piece = piece.max(1);
    (0..len.div_ceil(piece)).map(move |i| piece.min(len - i * piece))
}

/// Makes `N` vectors at once: `sizes[i]` holds the lengths of what task `i` fills in each; it gets
/// them cleared to 0.
pub(crate) fn build<const N: usize>(
    sizes: &[[usize; N]],
    fill: impl Fn(usize, [&mut [f32]; N]) + Sync,
) -> [Vec<f32>; N] {
    let lens: [usize; N] = std::array::from_fn(|n| sizes.iter().map(|size| size[n]).sum());
    let mut vectors = lens.map(unwritten::<f32>);
    let mut rests = vectors.each_mut().map(Vec::as_mut_slice);
    let tasks: Vec<[&mut [MaybeUninit<f32>]; N]> = sizes
        .iter()
        .map(|size| {
            std::array::from_fn(|n| {
                let (piece, rest) = take(&mut rests[n]).split_at_mut(size[n]);
                rests[n] = rest;
                piece
            })
        })
        .collect();
    tasks
        .into_par_iter()
        .enumerate()
        .for_each(|(i, pieces)| fill(i, pieces.map(cleared)));
    // SAFETY: the pieces are all values, and every one has been cleared.
    vectors.map(|vector| unsafe { written(vector) })
}

/// [`build`] of one vector of `len` values in pieces of `piece`; tasks get the index of their first.
pub(crate) fn build_one(
    len: usize,
    piece: usize,
    fill: impl Fn(usize, &mut [f32]) + Sync,
) -> Vec<f32> {
    build_one_with(len, piece, || (), |(), first, values| fill(first, values))
}

/// [`build_one`] with `scratch`, which makes what a thread keeps between tasks.
pub(crate) fn build_one_with<T>(
    len: usize,
    piece: usize,
    scratch: impl Fn() -> T + Sync + Send,
    fill: impl Fn(&mut T, usize, &mut [f32]) + Sync,
) -> Vec<f32> {
    let piece = piece.max(1);
    let mut values = unwritten::<f32>(len);
    values
        .par_chunks_mut(piece)
        .enumerate()
        .for_each_init(scratch, |scratch, (i, values)| {
            fill(scratch, i * piece, cleared(values));
        });
    // SAFETY: the pieces are all values, and every one has been cleared.
    unsafe { written(values) }
}

/// A copy of `from`, which has rows of `row` values, changed in place: `change` gets the index of the first
/// of each stretch of whole rows, which lies in the nearest cache.
pub(crate) fn build_from(
    from: &[f32],
    row: usize,
    change: impl Fn(usize, &mut [f32]) + Sync,
) -> Vec<f32> {
    const STRETCH: usize = 1 << 11;
    let row = row.max(1);
    let stretch = (STRETCH / row).max(1) * row;
    let block = BLOCK.div_ceil(stretch) * stretch;
    let mut values = unwritten::<f32>(from.len());
    values
        .par_chunks_mut(block)
        .enumerate()
        .for_each(|(i, values)| {
            for (j, values) in values.chunks_mut(stretch).enumerate() {
                let first = i * block + j * stretch;
                let from = &from[first..][..values.len()];
                change(first, values.write_copy_of_slice(from));
            }
        });
    // SAFETY: the stretches are all values, and every one has been written.
    unsafe { written(values) }
}

/// Writes 0 everywhere.
fn cleared(values: &mut [MaybeUninit<f32>]) -> &mut [f32] {
    for value in values.iter_mut() {
        value.write(0.0);
    }
    // SAFETY: every value has just been written.
    unsafe { values.assume_init_mut() }
}

/// A block of columns of some rows of a matrix, owned by one task.
#[derive(Debug)]
pub(crate) struct Columns<'a> {
    first: *mut f32,
    rows: usize,
    stride: usize,
    width: usize,
    matrix: PhantomData<&'a mut [f32]>,
}

// SAFETY: a `Columns` is the only access to its elements, like the slices that it hands out.
unsafe impl Send for Columns<'_> {}

impl Columns<'_> {
    /// The block's part of a row.
    ///
    /// # Panics
    /// If there is no such row.
    #[inline(always)]
    pub(crate) fn row(&mut self, row: usize) -> &mut [f32] {
        assert!(row < self.rows, "row {row} of {}", self.rows);
        // SAFETY: `grid` gives every block its own columns of its own rows, within the allocation and
        // cleared; the borrow of `self` keeps two slices from living at once.
        unsafe { std::slice::from_raw_parts_mut(self.first.add(row * self.stride), self.width) }
    }

    fn clear(&mut self) {
        for row in 0..self.rows {
            // SAFETY: as in `row`; raw writes do not ask for initialised memory.
            unsafe { self.first.add(row * self.stride).write_bytes(0, self.width) };
        }
    }
}

/// Makes `N` row-major matrices at once, split into pieces of rows and `groups` blocks of columns.
///
/// Matrix `n` has blocks of `widths[n]` columns, and `rows[i][n]` rows in piece `i`. Task
/// `i * groups + g` fills block `g` of piece `i` of each, which it gets cleared to 0; `scratch` makes
/// what a thread keeps between tasks.
pub(crate) fn build_grid<const N: usize, T>(
    widths: [usize; N],
    rows: &[[usize; N]],
    groups: usize,
    scratch: impl Fn() -> T + Sync + Send,
    fill: impl Fn(&mut T, usize, [Columns<'_>; N]) + Sync,
) -> [Vec<f32>; N] {
    let lens: [usize; N] = std::array::from_fn(|n| {
        rows.iter().map(|rows| rows[n]).sum::<usize>() * groups * widths[n]
    });
    let mut matrices = lens.map(unwritten::<f32>);
    let mut tasks: Vec<[Columns<'_>; N]> = Vec::with_capacity(rows.len() * groups);
    let mut firsts = matrices.each_mut().map(|m| m.as_mut_ptr().cast::<f32>());
    for rows in rows {
        for group in 0..groups {
            tasks.push(std::array::from_fn(|n| Columns {
                // SAFETY: within the allocation: `group < groups`, and the pieces before this one
                // have been passed.
                first: unsafe { firsts[n].add(group * widths[n]) },
                rows: rows[n],
                stride: groups * widths[n],
                width: widths[n],
                matrix: PhantomData,
            }));
        }
        for n in 0..N {
            // SAFETY: at most one past the end, after the last piece.
            firsts[n] = unsafe { firsts[n].add(rows[n] * groups * widths[n]) };
        }
    }
    tasks
        .into_par_iter()
        .enumerate()
        .for_each_init(scratch, |scratch, (i, mut columns)| {
            columns.iter_mut().for_each(Columns::clear);
            fill(scratch, i, columns);
        });
    // SAFETY: the blocks of all tasks together are the whole matrix, and each has been cleared.
    matrices.map(|matrix| unsafe { written(matrix) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_fill_every_value_and_are_cleared() {
        assert_eq!(pieces(7, 3).collect::<Vec<_>>(), [3, 3, 1]);
        assert_eq!(pieces(0, 3).count(), 0);
        let values = build_one(7, 3, |first, values| {
            assert!(values.iter().all(|v| *v == 0.0));
            for (i, value) in values.iter_mut().enumerate().skip(1) {
                *value = (first + i) as f32;
            }
        });
        assert_eq!(values, [0.0, 1.0, 2.0, 0.0, 4.0, 5.0, 0.0]);
        let [a, b] = build(&[[1, 0], [2, 3]], |i, [a, b]| {
            a.fill(i as f32 + 1.0);
            b.fill(9.0);
        });
        assert_eq!((a, b), (vec![1.0, 2.0, 2.0], vec![9.0; 3]));
    }

    #[test]
    fn bare_memory_becomes_what_was_written() {
        for len in [0, 1, 1000] {
            // SAFETY: every value is written.
            let values = unsafe {
                build_with(len, |values: &mut [MaybeUninit<u16>]| {
                    for (value, i) in values.iter_mut().zip(0..) {
                        value.write(i);
                    }
                })
            };
            assert!(values.iter().copied().eq(0..len as u16));
            let mut longer = values.clone();
            longer.extend_from_slice(&values);
            assert_eq!(longer.len(), 2 * len);
        }
    }

    #[test]
    fn copies_are_changed_in_place_everywhere() {
        let from: Vec<f32> = (0..40_001_u16).map(f32::from).collect();
        for row in [0, 1, 7, 48, 5000] {
            let values = build_from(&from, row, |first, values| {
                assert!(first % row.max(1) == 0);
                for (i, value) in values.iter_mut().enumerate() {
                    *value += (first + i) as f32;
                }
            });
            assert!(from.iter().zip(&values).all(|(x, y)| 2.0 * x == *y));
            assert_eq!(values.len(), from.len());
        }
    }

    #[test]
    fn blocks_of_columns_cover_the_matrix() {
        let [a, b] = build_grid(
            [2, 1],
            &[[1, 2], [2, 0]],
            2,
            || (),
            |(), task, [mut a, mut b]| {
                for row in 0..a.rows {
                    a.row(row)[0] = (10 * task + row + 1) as f32;
                }
                for row in 0..b.rows {
                    b.row(row).fill(task as f32 + 5.0);
                }
            },
        );
        assert_eq!(
            a,
            [
                1.0, 0.0, 11.0, 0.0, 21.0, 0.0, 31.0, 0.0, 22.0, 0.0, 32.0, 0.0
            ]
        );
        assert_eq!(b, [5.0, 6.0, 5.0, 6.0]);
    }
}
