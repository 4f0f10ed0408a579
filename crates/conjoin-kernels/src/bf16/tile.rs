//! The tile in registers of AVX-512: up to 14 rows by 32 columns of the result.

use super::block::first;
use super::hardware::{LEFT_STRIDE, Line};
use std::arch::x86_64::{
    __m512, __m512bh, __m512i, _mm512_add_ps, _mm512_dpbf16_ps, _mm512_load_si512,
    _mm512_mask_storeu_ps, _mm512_maskz_loadu_ps, _mm512_mul_ps, _mm512_set1_epi32, _mm512_set1_ps,
    _mm512_setzero_ps,
};
use std::mem::transmute;

/// Rows of the largest tile: 28 sums, two registers of the right operand, and two to spare.
pub const ROWS: usize = 14;

/// What a tile reads and writes.
#[derive(Clone, Copy)]
pub struct Tile<'a> {
    /// The tile's first row of packed pairs; rows lie `LEFT_STRIDE` words apart.
    pub left: *const u32,
    /// A panel of the right operand: one or two lines a pair.
    pub right: *const Line,
    pub pairs: usize,
    /// The panel's first column of row 0 of the result, and where each row lies from there.
    pub c: *mut f32,
    pub to: &'a [usize],
    /// Columns to write, at most 32; more than 16 where the panel has two lines a pair.
    pub columns: usize,
    /// What the old result is multiplied with; it is not read if this is 0.
    pub beta: f32,
}

impl Tile<'_> {
    /// Computes the tile, of as many rows as `to` has.
    ///
    /// # Safety
    /// The operands are as large as this says, `to` has 1 to [`ROWS`] rows, all of which can be
    /// written, and the processor has AVX-512 F and BF16.
    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,avx512bf16")]
    pub unsafe fn run(self) {
        macro_rules! by_rows {
            ($($rows:literal)*) => {
                match (self.to.len(), self.columns > 16) {
                    // SAFETY: the sizes are those of the tile.
                    $(($rows, true) => unsafe { self.sized::<$rows, 2>() },
                    // SAFETY: as above.
                    ($rows, false) => unsafe { self.sized::<$rows, 1>() },)*
                    _ => {}
                }
            };
        }
        by_rows!(1 2 3 4 5 6 7 8 9 10 11 12 13 14);
    }

    /// The tile of `R` rows and `N` registers.
    ///
    /// # Safety
    /// As for [`Tile::run`].
    #[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,avx512bf16")]
    unsafe fn sized<const R: usize, const N: usize>(self) {
        let mut sums = [[_mm512_setzero_ps(); N]; R];
        // SAFETY: operands and result by the caller; masked columns are neither read nor written.
        unsafe {
            for p in 0..self.pairs {
                let mut right = [std::mem::zeroed::<__m512bh>(); N];
                for (j, right) in right.iter_mut().enumerate() {
                    let line = self.right.add(p * N + j);
                    *right = transmute::<__m512i, __m512bh>(_mm512_load_si512(line.cast()));
                }
                for (i, sums) in sums.iter_mut().enumerate() {
                    let pair = *self.left.add(i * LEFT_STRIDE + p);
                    let left = transmute::<__m512i, __m512bh>(_mm512_set1_epi32(pair as i32));
                    for (sum, right) in sums.iter_mut().zip(right) {
                        *sum = _mm512_dpbf16_ps(*sum, left, right);
                    }
                }
            }
            for (sums, to) in sums.iter().zip(self.to) {
                for (j, sum) in sums.iter().enumerate() {
                    let c = self.c.add(to + 16 * j);
                    finish(*sum, c, self.columns - 16 * j, self.beta);
                }
            }
        }
    }
}

/// Writes the sums of at most 16 columns of a row, `beta` times the old result added.
///
/// # Safety
/// The columns can be written, and read if `beta` is not 0; the processor has AVX-512 F.
#[inline]
#[target_feature(enable = "avx512f")]
pub unsafe fn finish(mut sum: __m512, c: *mut f32, columns: usize, beta: f32) {
    let mask = first(columns);
    // SAFETY: by the caller; masked columns are neither read nor written.
    unsafe {
        if beta == 1.0 {
            sum = _mm512_add_ps(_mm512_maskz_loadu_ps(mask, c), sum);
        } else if beta != 0.0 {
            let old = _mm512_maskz_loadu_ps(mask, c);
            sum = _mm512_add_ps(_mm512_mul_ps(old, _mm512_set1_ps(beta)), sum);
        }
        _mm512_mask_storeu_ps(c, mask, sum);
    }
}
