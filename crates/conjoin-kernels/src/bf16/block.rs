//! Blocks of operands in registers: from single precision to pairs of bfloat16 along `k`.
//!
//! A *lane* is a row of the left operand or a column of the right one. A block is 16 lanes by 16 pairs:
//! 32 steps of `k`, two in each 32-bit word, the lower one first.

use std::arch::x86_64::{
    __m512i, __mmask16, _mm512_cvtne2ps_pbh, _mm512_loadu_si512, _mm512_maskz_loadu_ps,
    _mm512_permutexvar_epi16, _mm512_setzero_si512, _mm512_shuffle_i32x4, _mm512_unpackhi_epi32,
    _mm512_unpackhi_epi64, _mm512_unpacklo_epi32, _mm512_unpacklo_epi64,
};

/// Lanes, and pairs, of a block.
pub const SIDE: usize = 16;

/// One of two things: word `p` of vector `i` is pair `p` of lane `i`, or pair `i` of lane `p`.
pub type Block = [__m512i; SIDE];

/// An operand: step `k` of lane `i` is `data[i * lane_stride + k * k_stride]`.
#[derive(Clone, Copy)]
pub struct Strided {
    pub data: *const f32,
    pub lane_stride: usize,
    pub k_stride: usize,
}

/// A mask of the first `n` of 16.
#[inline(always)]
pub fn first(n: usize) -> __mmask16 {
    if n >= 16 { 0xFFFF } else { (1 << n) - 1 }
}

/// Up to 32 numbers that lie side by side, rounded; 0 beyond `count`.
///
/// # Safety
/// `count` numbers can be read, and the processor has AVX-512 F, BW and BF16.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,avx512bf16")]
pub unsafe fn convert(from: *const f32, count: usize) -> __m512i {
    // SAFETY: masked lanes are not read; all types here are 512 bits without invalid patterns.
    unsafe {
        let low = _mm512_maskz_loadu_ps(first(count), from);
        let high = _mm512_maskz_loadu_ps(first(count.saturating_sub(16)), from.wrapping_add(16));
        std::mem::transmute(_mm512_cvtne2ps_pbh(high, low))
    }
}

/// The block of `lanes` lanes and `steps` steps (at most 16 and 32) that begins at `from.data`, lane by
/// lane where `BY_LANE`, otherwise pair by pair; 0 beyond.
///
/// # Safety
/// That much can be read, and the processor has AVX-512 F, BW and BF16.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,avx512bf16")]
pub unsafe fn load<const BY_LANE: bool>(from: Strided, lanes: usize, steps: usize) -> Block {
    // SAFETY: by the caller; lanes and steps beyond the given ones are not read.
    unsafe {
        let mut block = [_mm512_setzero_si512(); SIDE];
        if from.k_stride == 1 {
            for (i, lane) in block.iter_mut().enumerate().take(lanes) {
                *lane = convert(from.data.add(i * from.lane_stride), steps);
            }
            return if BY_LANE { block } else { turn(block) };
        }
        if from.lane_stride == 1 {
            let order = _mm512_loadu_si512(INTERLEAVED.as_ptr().cast());
            let mask = first(lanes);
            for (p, pair) in block.iter_mut().enumerate().take(steps.div_ceil(2)) {
                let low = from.data.add(2 * p * from.k_stride);
                let even = _mm512_maskz_loadu_ps(mask, low);
                let (high, mask) = match 2 * p + 1 < steps {
                    true => (low.add(from.k_stride), mask),
                    false => (low, 0),
                };
                let odd = _mm512_maskz_loadu_ps(mask, high);
                let both = std::mem::transmute::<_, __m512i>(_mm512_cvtne2ps_pbh(odd, even));
                *pair = _mm512_permutexvar_epi16(order, both);
            }
            return if BY_LANE { turn(block) } else { block };
        }
        let mut line = [0.0; 2 * SIDE];
        for (i, lane) in block.iter_mut().enumerate().take(lanes) {
            for (k, value) in line.iter_mut().enumerate().take(steps) {
                *value = *from.data.add(i * from.lane_stride + k * from.k_stride);
            }
            *lane = convert(line.as_ptr(), steps);
        }
        if BY_LANE { block } else { turn(block) }
    }
}

/// Puts halves that lie in the two halves of a register side by side: 0, 16, 1, 17, …
static INTERLEAVED: [u16; 32] = {
    let mut order = [0; 32];
    let mut i = 0;
    while i < 16 {
        order[2 * i as usize] = i;
        order[2 * i as usize + 1] = i + 16;
        i += 1;
    }
    order
};

/// Rows to columns.
#[inline]
#[target_feature(enable = "avx512f")]
fn turn(rows: Block) -> Block {
    let zero = _mm512_setzero_si512();
    // Pairs of rows, then fours: `fours[4 g + j]` has columns j, j + 4, j + 8, j + 12 of rows 4 g to
    // 4 g + 3, a quarter of the register each.
    let mut twos = [zero; SIDE];
    for i in (0..SIDE).step_by(2) {
        twos[i] = _mm512_unpacklo_epi32(rows[i], rows[i + 1]);
        twos[i + 1] = _mm512_unpackhi_epi32(rows[i], rows[i + 1]);
    }
    let mut fours = [zero; SIDE];
    for g in (0..SIDE).step_by(4) {
        fours[g] = _mm512_unpacklo_epi64(twos[g], twos[g + 2]);
        fours[g + 1] = _mm512_unpackhi_epi64(twos[g], twos[g + 2]);
        fours[g + 2] = _mm512_unpacklo_epi64(twos[g + 1], twos[g + 3]);
        fours[g + 3] = _mm512_unpackhi_epi64(twos[g + 1], twos[g + 3]);
    }
    // Then quarters of four registers that belong to one column.
    let mut columns = [zero; SIDE];
    for j in 0..4 {
        let upper_even = _mm512_shuffle_i32x4::<0x88>(fours[j], fours[4 + j]);
        let upper_odd = _mm512_shuffle_i32x4::<0xDD>(fours[j], fours[4 + j]);
        let lower_even = _mm512_shuffle_i32x4::<0x88>(fours[8 + j], fours[12 + j]);
        let lower_odd = _mm512_shuffle_i32x4::<0xDD>(fours[8 + j], fours[12 + j]);
        columns[j] = _mm512_shuffle_i32x4::<0x88>(upper_even, lower_even);
        columns[4 + j] = _mm512_shuffle_i32x4::<0x88>(upper_odd, lower_odd);
        columns[8 + j] = _mm512_shuffle_i32x4::<0xDD>(upper_even, lower_even);
        columns[12 + j] = _mm512_shuffle_i32x4::<0xDD>(upper_odd, lower_odd);
    }
    columns
}
