//! Matrix products of bfloat16 operands with sums in single precision.
//!
//! [`round`] gives the numbers; [`hardware`] multiplies them two at a time where the processor can.

#[cfg(target_arch = "x86_64")]
mod block;
#[cfg(target_arch = "x86_64")]
mod hardware;
#[cfg(test)]
mod tests;
#[cfg(target_arch = "x86_64")]
mod tile;

use crate::blas::Mat;
use crate::precision::Precision;
use crate::simd::{Isa, Kernel, run};
use rayon::prelude::*;
use std::borrow::Cow;

#[cfg(target_arch = "x86_64")]
pub(crate) use hardware::{Packed, gemm, multiply_rows};

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

/// [`round`] of every number of `from`, written to the start of `to`.
pub(crate) fn round_to(from: &[f32], to: &mut [f32]) {
    run(RoundTo { from, to });
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

struct RoundTo<'a> {
    from: &'a [f32],
    to: &'a mut [f32],
}

impl Kernel for RoundTo<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Isa>(self, _: S) {
        for (to, from) in self.to.iter_mut().zip(self.from) {
            *to = round(*from);
        }
    }
}

/// Numbers as an operation of this precision multiplies them.
pub(crate) fn rounded(precision: Precision, values: &[f32]) -> Cow<'_, [f32]> {
    const BLOCK: usize = 1 << 14;
    match precision {
        Precision::F32 => Cow::Borrowed(values),
        Precision::Bf16 => {
            let mut copy = vec![0.0; values.len()];
            copy.par_chunks_mut(BLOCK)
                .zip(values.par_chunks(BLOCK))
                .for_each(|(to, from)| round_to(from, to));
            Cow::Owned(copy)
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
    pub fn new(matrix: Mat<'_>) -> Self {
        let by_columns = matrix.col_stride != 1 && matrix.row_stride == 1;
        let m = if by_columns { matrix.t() } else { matrix };
        let mut copy = vec![0.0; m.rows * m.cols];
        for (row, to) in copy.chunks_exact_mut(m.cols.max(1)).enumerate() {
            let from = &m.data[row * m.row_stride..];
            if m.col_stride == 1 {
                round_to(&from[..m.cols], to);
            } else {
                for (to, from) in to.iter_mut().zip(from.iter().step_by(m.col_stride)) {
                    *to = round(*from);
                }
            }
        }
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
