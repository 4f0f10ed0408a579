//! The register tile: the one inner loop of every convolution kernel here.
//!
//! It computes `C[i, j] = start[i, j] + Σ_s Σ_k A[s, i, k] · B[s, k, j]` for up to [`Engine::rows`]
//! rows `i` and one or two registers of columns `j`. `A` is read value by value through strides, so
//! that an image in NHWC layout is used where it lies, with no im2col copy; `B` is read by registers.

use super::vector::{Portable, Vector};
use super::winograd::transform::{TransformFn, gradient_tile, input_tile, output_tile};
use crate::simd::{Level, level};

/// Operands of one register tile. Strides count f32 values.
#[derive(Clone, Copy)]
pub struct Tile {
    /// First value of `A`, its strides over rows `i`, over `k`, and over segments `s`; the stride
    /// over rows or over `k` is 1.
    pub a: *const f32,
    pub a_row: usize,
    pub a_k: usize,
    pub a_seg: usize,
    /// First value of `B`, its strides over `k` and over segments; columns are adjacent.
    pub b: *const f32,
    pub b_k: usize,
    pub b_seg: usize,
    /// Steps `k` in a segment, and segments.
    pub len: usize,
    pub segs: usize,
    /// What the sums start from: null for zeros, else rows `start_row` apart, full registers wide.
    pub start: *const f32,
    pub start_row: usize,
    /// Output, its stride over rows, and how many of the columns to write.
    pub c: *mut f32,
    pub c_row: usize,
    pub columns: usize,
}

/// Signature of the tile kernel: rows, registers of columns, operands.
type TileFn = unsafe fn(usize, usize, &Tile);

/// The kernels of one instruction set.
pub struct Engine {
    /// Lanes of a register.
    pub lanes: usize,
    /// Most rows of a tile; a tile is at most two registers wide.
    pub rows: usize,
    tile: TileFn,
    /// Transforms of the Winograd kernels.
    pub wino_input: TransformFn,
    pub wino_output: TransformFn,
    pub wino_gradient: TransformFn,
}

impl Engine {
    /// Runs one tile of `rows` rows and `registers` (1 or 2) registers of columns.
    ///
    /// # Safety
    /// All that [`Tile`] describes must be readable, and its output writable and not shared.
    #[inline]
    pub unsafe fn tile(&self, rows: usize, registers: usize, tile: &Tile) {
        debug_assert!(rows >= 1 && rows <= self.rows && (registers == 1 || registers == 2));
        // SAFETY: passed on to the caller; the instruction set was detected by `engine`.
        unsafe { (self.tile)(rows, registers, tile) }
    }

    /// Columns of the widest tile.
    pub fn columns(&self) -> usize {
        2 * self.lanes
    }

    /// `n` rounded up to whole registers.
    pub fn pad(&self, n: usize) -> usize {
        n.div_ceil(self.lanes) * self.lanes
    }
}

/// The kernels for the processor this runs on.
pub fn engine() -> &'static Engine {
    match level() {
        #[cfg(target_arch = "x86_64")]
        Level::Avx512 => &x86::AVX512,
        #[cfg(target_arch = "x86_64")]
        Level::Avx2 => &x86::AVX2,
        _ => &PORTABLE,
    }
}

static PORTABLE: Engine = Engine {
    lanes: Portable::N,
    rows: 4,
    tile: portable_tile,
    wino_input: input_tile::<Portable>,
    wino_output: output_tile::<Portable>,
    wino_gradient: gradient_tile::<Portable>,
};

unsafe fn portable_tile(rows: usize, registers: usize, t: &Tile) {
    // SAFETY: passed on to the caller.
    unsafe {
        match (rows, registers) {
            (1, 1) => tile::<Portable, 1, 1>(t),
            (2, 1) => tile::<Portable, 2, 1>(t),
            (3, 1) => tile::<Portable, 3, 1>(t),
            (_, 1) => tile::<Portable, 4, 1>(t),
            (1, _) => tile::<Portable, 1, 2>(t),
            (2, _) => tile::<Portable, 2, 2>(t),
            (3, _) => tile::<Portable, 3, 2>(t),
            (..) => tile::<Portable, 4, 2>(t),
        }
    }
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use super::super::vector::{Avx2, Avx512, Vector};
    use super::super::winograd::transform::{Transform, gradient_tile, input_tile, output_tile};
    use super::{Engine, Tile};

    /// One instruction set: a compiled copy of the tile per size, and of the transforms.
    macro_rules! engine {
        ($engine:ident, $module:ident, $vector:ident, $features:literal, $max:literal, [$($rows:literal)*]) => {
            pub static $engine: Engine = Engine {
                lanes: $vector::N,
                rows: $max,
                tile: $module::tile,
                wino_input: $module::input,
                wino_output: $module::output,
                wino_gradient: $module::gradient,
            };

            mod $module {
                use super::*;

                #[target_feature(enable = $features)]
                unsafe fn sized<const M: usize, const N: usize>(t: &Tile) {
                    // SAFETY: the features of `$vector` are enabled here; operands by the caller.
                    unsafe { super::super::tile::<$vector, M, N>(t) }
                }

                #[target_feature(enable = $features)]
                pub unsafe fn tile(rows: usize, registers: usize, t: &Tile) {
                    // SAFETY: passed on to the caller.
                    unsafe {
                        match (rows, registers) {
                            $(($rows, 1) => sized::<$rows, 1>(t),
                              ($rows, _) => sized::<$rows, 2>(t),)*
                            _ => debug_assert!(false, "no tile of {rows} rows"),
                        }
                    }
                }

                #[target_feature(enable = $features)]
                pub unsafe fn input(t: &Transform) {
                    // SAFETY: as in `sized`.
                    unsafe { input_tile::<$vector>(t) }
                }

                #[target_feature(enable = $features)]
                pub unsafe fn output(t: &Transform) {
                    // SAFETY: as in `sized`.
                    unsafe { output_tile::<$vector>(t) }
                }

                #[target_feature(enable = $features)]
                pub unsafe fn gradient(t: &Transform) {
                    // SAFETY: as in `sized`.
                    unsafe { gradient_tile::<$vector>(t) }
                }
            }
        };
    }

    engine!(AVX2, avx2, Avx2, "avx2,fma", 6, [1 2 3 4 5 6]);
    engine!(AVX512, avx512, Avx512, "avx512f,avx2,fma", 12, [1 2 3 4 5 6 7 8 9 10 11 12]);
}

/// Adds the products of one `k`: row `i` takes `a(i)` times the registers at `b`.
#[inline(always)]
unsafe fn accumulate<V: Vector, const M: usize, const N: usize>(
    acc: &mut [[V; N]; M],
    b: *const f32,
    a: impl Fn(usize) -> f32,
) {
    // SAFETY: by the caller.
    unsafe {
        let columns: [V; N] = std::array::from_fn(|j| V::load(b.add(j * V::N)));
        for (i, row) in acc.iter_mut().enumerate() {
            let x = V::splat(a(i));
            for (sum, column) in row.iter_mut().zip(columns) {
                *sum = x.mul_add(column, *sum);
            }
        }
    }
}

/// The tile itself: `M` rows, `N` registers, all sums in registers.
#[inline(always)]
unsafe fn tile<V: Vector, const M: usize, const N: usize>(t: &Tile) {
    // SAFETY: every address below is one that the caller of `Engine::tile` vouches for.
    unsafe {
        let mut acc = [[V::zero(); N]; M];
        if !t.start.is_null() {
            for (i, row) in acc.iter_mut().enumerate() {
                for (j, sum) in row.iter_mut().enumerate() {
                    *sum = V::load(t.start.add(i * t.start_row + j * V::N));
                }
            }
        }
        // The two ways `A` is walked, apart, so that addresses need no arithmetic in the loop.
        for s in 0..t.segs {
            let a = t.a.add(s * t.a_seg);
            let mut b = t.b.add(s * t.b_seg);
            if t.a_k == 1 {
                let lines: [*const f32; M] = std::array::from_fn(|i| a.add(i * t.a_row));
                for k in 0..t.len {
                    accumulate(&mut acc, b, |i| *lines[i].add(k));
                    b = b.add(t.b_k);
                }
            } else {
                debug_assert_eq!(t.a_row, 1, "rows or products lie side by side");
                let mut a = a;
                for _ in 0..t.len {
                    accumulate(&mut acc, b, |i| *a.add(i));
                    a = a.add(t.a_k);
                    b = b.add(t.b_k);
                }
            }
        }
        if t.columns == N * V::N {
            for (i, row) in acc.iter().enumerate() {
                for (j, sum) in row.iter().enumerate() {
                    sum.store(t.c.add(i * t.c_row + j * V::N));
                }
            }
        } else {
            // The last panel of an odd channel count: through a buffer, so as not to write past it.
            let mut line = [0.0f32; 32];
            for (i, row) in acc.iter().enumerate() {
                for (j, sum) in row.iter().enumerate() {
                    sum.store(line.as_mut_ptr().add(j * V::N));
                }
                t.c.add(i * t.c_row)
                    .copy_from_nonoverlapping(line.as_ptr(), t.columns);
            }
        }
    }
}
