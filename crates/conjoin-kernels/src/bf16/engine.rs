//! What multiplies a tile of the result, and the sizes that it asks for.

use super::amx;
use super::tile::{self, Tile};
use crate::simd::has_amx;

/// Instructions that multiply bfloat16 numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Engine {
    /// AVX512_BF16: pairs, a register at a time.
    Pairs,
    /// AMX: 16 rows by 16 columns by 16 pairs at a time, about eight times as many.
    Tiles,
}

impl Engine {
    /// The best that the processor has; none without [`has_bf16`](crate::simd::has_bf16).
    pub fn best() -> Self {
        if has_amx() { Self::Tiles } else { Self::Pairs }
    }

    /// All that the processor has.
    #[cfg(test)]
    pub fn all() -> Vec<Self> {
        let there = [
            (Self::Pairs, crate::simd::has_pairs()),
            (Self::Tiles, has_amx()),
        ];
        let there = there.into_iter().filter(|(_, there)| *there);
        there.map(|(engine, _)| engine).collect()
    }

    /// Rows of the largest tile.
    pub fn rows(self) -> usize {
        match self {
            Self::Pairs => tile::ROWS,
            Self::Tiles => amx::ROWS,
        }
    }

    /// Most rows that are packed at once, whole tiles.
    pub fn block_rows(self) -> usize {
        match self {
            Self::Pairs => 8 * tile::ROWS,
            Self::Tiles => 4 * amx::ROWS,
        }
    }

    /// Blocks of rows begin at multiples of this: tiles that are not full cost as much as full ones.
    pub fn row_step(self) -> usize {
        match self {
            Self::Pairs => 1,
            Self::Tiles => amx::SIDE,
        }
    }

    /// Operands are packed with multiples of so many pairs along `k`, zeros at the end.
    pub fn pairs(self) -> usize {
        match self {
            Self::Pairs => 1,
            Self::Tiles => amx::SIDE,
        }
    }

    /// Makes the thread ready to multiply tiles until the result is dropped.
    ///
    /// # Safety
    /// The processor has this engine.
    pub unsafe fn begin(self) -> Option<amx::Configured> {
        // SAFETY: by the caller.
        (self == Self::Tiles).then(|| unsafe { amx::Configured::new() })
    }

    /// Computes a tile.
    ///
    /// # Safety
    /// The operands are as large as the tile says, it has 1 to [`Self::rows`] rows, all of which can be
    /// written, the processor has this engine, and [`Self::begin`] has been called on this thread. Of
    /// [`Self::Tiles`], the left operand has memory for whole sixteens of rows.
    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,avx512bf16")]
    pub unsafe fn run(self, tile: Tile<'_>) {
        match self {
            // SAFETY: by the caller.
            Self::Pairs => unsafe { tile.run() },
            // SAFETY: as above.
            Self::Tiles => unsafe { amx::run(tile) },
        }
    }
}
