//! The tile of AMX_BF16: up to 32 rows by 32 columns of the result, in four tile registers of 16 by 16.
//!
//! The instructions stand in assembly, because their intrinsics are not stable; a tile is one piece of it, so that
//! no register is in use between two.
//!
//! Source: Intel, "Intrinsics Guide" (`_tile_dpbf16ps`); "Optimization Reference Manual", chapter 20.

use super::hardware::LEFT_GROUP;
use super::tile::{Tile, finish};
use std::arch::asm;
use std::arch::x86_64::_mm512_load_ps;
use std::marker::PhantomData;
use std::mem::MaybeUninit;

/// Rows, columns and pairs of a tile register.
pub const SIDE: usize = 16;
/// Rows of the largest tile.
pub const ROWS: usize = 2 * SIDE;
/// Columns of the largest tile.
const COLUMNS: usize = 2 * SIDE;

/// The operand of `ldtilecfg`.
#[repr(C, align(64))]
struct Config {
    palette: u8,
    start_row: u8,
    reserved: [u8; 14],
    row_bytes: [u16; 16],
    rows: [u8; 16],
}

/// All eight registers with 16 rows of 64 bytes.
static WHOLE: Config = {
    let (mut row_bytes, mut rows) = ([0; 16], [0; 16]);
    let mut i = 0;
    while i < 8 {
        row_bytes[i] = 64;
        rows[i] = 16;
        i += 1;
    }
    Config {
        palette: 1,
        start_row: 0,
        reserved: [0; 14],
        row_bytes,
        rows,
    }
};

/// While this lives, the thread's tile registers are configured. It stays on its thread.
#[derive(Debug)]
pub struct Configured(PhantomData<*const ()>);

impl Configured {
    /// # Safety
    /// The processor has AMX, and the system lets the process use it.
    pub unsafe fn new() -> Self {
        // SAFETY: by the caller; the operand has 64 bytes.
        unsafe { asm!("ldtilecfg [{}]", in(reg) &raw const WHOLE, options(nostack, readonly)) };
        Self(PhantomData)
    }
}

impl Drop for Configured {
    fn drop(&mut self) {
        // SAFETY: who made this has AMX. A thread without tiles in use has less to save when it is interrupted.
        unsafe { asm!("tilerelease", options(nostack, nomem)) };
    }
}

/// The sums of a tile, row by row.
#[repr(C, align(64))]
struct Sums([[f32; COLUMNS]; ROWS]);

/// Sums a tile's products into memory: clears registers, does some work for each 16 pairs, and stores. Registers
/// 0 to 3 sum, 4 and 5 hold rows of the left operand, 6 and 7 columns of the right one.
macro_rules! sum {
    ($tile:ident, $sums:ident, $lines:literal, $clear:literal, $work:literal, $store:literal) => {
        asm!(
            $clear,
            "2:",
            $work,
            "add {a}, {tile}",
            "add {b}, {step}",
            "dec {count}",
            "jnz 2b",
            $store,
            a = inout(reg) $tile.left => _,
            tile = const 64 * SIDE,
            line = in(reg) 64_usize,
            below = const 4 * LEFT_GROUP,
            b = inout(reg) $tile.right => _,
            b_row = in(reg) 64_usize * $lines,
            step = const 64 * $lines * SIDE,
            count = inout(reg) $tile.pairs / SIDE => _,
            c = in(reg) $sums,
            c_row = in(reg) 4 * COLUMNS,
            c_below = const 4 * COLUMNS * SIDE,
            options(nostack),
        )
    };
}

/// Computes a tile.
///
/// # Safety
/// As for [`super::engine::Engine::run`]; the tile has whole sixteens of pairs, at least one.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,avx512bf16")]
pub unsafe fn run(tile: Tile<'_>) {
    debug_assert!(tile.pairs > 0 && tile.pairs.is_multiple_of(SIDE));
    let mut sums = MaybeUninit::<Sums>::uninit();
    let sums = sums.as_mut_ptr();
    // SAFETY: the operands have the rows and lines that are read, by the caller; `sums` has room for four registers,
    // and a 16 of rows or columns is read back only where it has been stored.
    unsafe {
        match (tile.to.len() > SIDE, tile.columns > SIDE) {
            (true, true) => sum!(
                tile,
                sums,
                2,
                "tilezero tmm0
                tilezero tmm1
                tilezero tmm2
                tilezero tmm3",
                "tileloadd tmm6, [{b} + {b_row}]
                tileloadd tmm4, [{a} + {line}]
                tileloadd tmm7, [{b} + {b_row} + 64]
                tdpbf16ps tmm0, tmm4, tmm6
                tileloadd tmm5, [{a} + {line} + {below}]
                tdpbf16ps tmm1, tmm4, tmm7
                tdpbf16ps tmm2, tmm5, tmm6
                tdpbf16ps tmm3, tmm5, tmm7",
                "tilestored [{c} + {c_row}], tmm0
                tilestored [{c} + {c_row} + 64], tmm1
                tilestored [{c} + {c_row} + {c_below}], tmm2
                tilestored [{c} + {c_row} + {c_below} + 64], tmm3"
            ),
            (true, false) => sum!(
                tile,
                sums,
                1,
                "tilezero tmm0
                tilezero tmm2",
                "tileloadd tmm6, [{b} + {b_row}]
                tileloadd tmm4, [{a} + {line}]
                tdpbf16ps tmm0, tmm4, tmm6
                tileloadd tmm5, [{a} + {line} + {below}]
                tdpbf16ps tmm2, tmm5, tmm6",
                "tilestored [{c} + {c_row}], tmm0
                tilestored [{c} + {c_row} + {c_below}], tmm2"
            ),
            (false, true) => sum!(
                tile,
                sums,
                2,
                "tilezero tmm0
                tilezero tmm1
                /* {below} {c_below} */",
                "tileloadd tmm6, [{b} + {b_row}]
                tileloadd tmm4, [{a} + {line}]
                tileloadd tmm7, [{b} + {b_row} + 64]
                tdpbf16ps tmm0, tmm4, tmm6
                tdpbf16ps tmm1, tmm4, tmm7",
                "tilestored [{c} + {c_row}], tmm0
                tilestored [{c} + {c_row} + 64], tmm1"
            ),
            (false, false) => sum!(
                tile,
                sums,
                1,
                "tilezero tmm0
                /* {below} {c_below} */",
                "tileloadd tmm6, [{b} + {b_row}]
                tileloadd tmm4, [{a} + {line}]
                tdpbf16ps tmm0, tmm4, tmm6",
                "tilestored [{c} + {c_row}], tmm0"
            ),
        }
        for (row, to) in tile.to.iter().enumerate() {
            for first in (0..tile.columns).step_by(SIDE) {
                let sum = _mm512_load_ps(sums.cast::<f32>().add(row * COLUMNS + first));
                finish(sum, tile.c.add(to + first), tile.columns - first, tile.beta);
            }
        }
    }
}
