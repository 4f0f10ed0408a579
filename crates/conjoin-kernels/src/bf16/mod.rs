//! Matrix products of bfloat16 operands with sums in single precision.
//!
//! [`round`] gives the numbers; [`hardware`] multiplies them two at a time, or a tile at a time, where the
//! processor can.

#[cfg(target_arch = "x86_64")]
mod amx;
#[cfg(target_arch = "x86_64")]
mod block;
#[cfg(target_arch = "x86_64")]
mod engine;
#[cfg(target_arch = "x86_64")]
mod hardware;
#[cfg(test)]
mod tests;
#[cfg(target_arch = "x86_64")]
mod tile;

use crate::blas::{Mat, Threads};
use crate::buffer::{BLOCK, build_from, build_with};
use crate::precision::Precision;
use crate::simd::{Isa, Kernel, run};
use rayon::prelude::*;
use std::borrow::Cow;
use std::mem::MaybeUninit;

#[cfg(target_arch = "x86_64")]
pub(crate) use {
    engine::Engine,
    hardware::{Packed, multiply, multiply_rows},
};

/// A number rounded to bfloat16: to nearest, ties to even. Infinities stay, NaN stays NaN.
#[inline(always)]
pub fn round(x: f32) -> f32 {
    let bits = x.to_bits();
    let even = (bits >> 16) & 1;
    let rounded = bits.wrapping_add(0x7FFF + even);
    let quiet = bits | 0x0040_0000;
    let chosen = if x.is_nan() { quiet } else { rounded };
    f32::from_bits(chosen & 0xFFFF_0000)
}

/// [`round`] of every number, in place.
pub(crate) fn round_all(values: &mut [f32]) {
    run(RoundAll(values));
}

struct RoundAll<'a>(&'a mut [f32]);

impl Kernel for RoundAll<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Isa>(self, _: S) {
        for value in self.0 {
            *value = round(*value);
        }
    }
}

/// Numbers as an operation of this precision multiplies them.
pub(crate) fn rounded(precision: Precision, values: &[f32]) -> Cow<'_, [f32]> {
    match precision {
        Precision::F32 => Cow::Borrowed(values),
        Precision::Bf16 => Cow::Owned(build_from(values, 1, |_, values| round_all(values))),
    }
}

/// Rows of a matrix from `first` on, rounded into memory without gaps.
struct RoundRows<'a> {
    matrix: Mat<'a>,
    first: usize,
    to: &'a mut [MaybeUninit<f32>],
}

impl Kernel for RoundRows<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Isa>(self, _: S) {
        let Mat {
            data,
            cols,
            row_stride,
            col_stride,
            ..
        } = self.matrix;
        for (row, to) in (self.first..).zip(self.to.chunks_exact_mut(cols)) {
            let from = &data[row * row_stride..];
            if col_stride == 1 {
                for (to, from) in to.iter_mut().zip(&from[..cols]) {
                    to.write(round(*from));
                }
            } else {
                for (to, from) in to.iter_mut().zip(from.iter().step_by(col_stride)) {
                    to.write(round(*from));
                }
            }
        }
    }
}

/// A rounded copy of a matrix, without gaps.
pub(crate) struct RoundedMatrix {
    copy: Vec<f32>,
    rows: usize,
    cols: usize,
    /// Whether the copy holds column after column, as the original does.
    by_columns: bool,
}

impl RoundedMatrix {
    /// The copy of a matrix whose sides are not 0.
    pub fn new(matrix: Mat<'_>, threads: Threads) -> Self {
        let by_columns = matrix.col_stride != 1 && matrix.row_stride == 1;
        let m = if by_columns { matrix.t() } else { matrix };
        let rows = match threads {
            Threads::One => m.rows,
            Threads::All => (BLOCK / m.cols).max(1),
        };
        let fill = |(task, to): (usize, &mut [MaybeUninit<f32>])| {
            run(RoundRows {
                matrix: m,
                first: task * rows,
                to,
            });
        };
        // SAFETY: the pieces are all rows, and of each all columns are written: the constructor of `Mat` has
        // checked that its slice has them.
        let copy = unsafe {
            build_with(m.rows * m.cols, |values: &mut [MaybeUninit<f32>]| {
                values
                    .par_chunks_mut(rows * m.cols)
                    .enumerate()
                    .for_each(fill);
            })
        };
        Self {
            copy,
            rows: m.rows,
            cols: m.cols,
            by_columns,
        }
    }

    pub fn mat(&self) -> Mat<'_> {
        let mat = Mat::new(&self.copy, self.rows, self.cols);
        if self.by_columns { mat.t() } else { mat }
    }
}
