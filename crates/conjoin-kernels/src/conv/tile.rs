//! The register tile: the one inner loop of every convolution kernel here.
//!
//! It computes `C[i, j] = start + Σ_s Σ_k A[s, i, k] · B[s, k, j]` for up to [`Engine::rows`] rows `i`
//! and one or two registers of columns `j`. `A` is read value by value where it lies in an NHWC image,
//! each row from its own offset, so that there is no im2col copy and a tile may span lines of the
//! image; `B` is read by registers.

use super::depthwise::lines::{Gradient, GradientFn, Line, LineFn, gradient_line, line};
use super::vector::{Portable, Vector};
use super::winograd::transform::{
    TransformFn, gradient_tile, input_tile, kernel_gradient_tile, kernel_tile, output_tile,
};
use crate::simd::{Level, level};

/// Where one row of a tile reads and writes, in f32 values from the tile's first.
#[derive(Clone, Copy, Debug)]
pub struct Row {
    pub from: usize,
    pub to: usize,
}

/// What the sums of a tile start from.
#[derive(Clone, Copy)]
pub enum Start {
    Zeros,
    /// The same registers for every row.
    Line(*const f32),
    /// What the output holds; the columns must fill their registers.
    Output,
}

/// Operands of one register tile. Strides count f32 values.
#[derive(Clone, Copy)]
pub struct Tile<'a> {
    /// The rows.
    pub rows: &'a [Row],
    /// First value of `A`, its stride over `k`, and its strides over the two levels of segments.
    pub a: *const f32,
    pub a_k: usize,
    pub a_segs: [usize; 2],
    /// First value of `B`, its strides over `k` and over segments; columns are adjacent.
    pub b: *const f32,
    pub b_k: usize,
    pub b_seg: usize,
    /// How far behind each line of `B` another one lies that is needed soon, and is fetched meanwhile.
    pub ahead: Option<usize>,
    /// Steps `k` in a segment, and segments of both levels.
    pub len: usize,
    pub segs: [usize; 2],
    pub start: Start,
    /// Output, and how many of the columns to write.
    pub c: *mut f32,
    pub columns: usize,
}

/// Signature of the tile kernel: registers of columns, operands.
type TileFn = unsafe fn(usize, &Tile);

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
    pub wino_kernel: TransformFn,
    pub wino_kernel_gradient: TransformFn,
    /// The two loops of the depthwise kernels.
    pub depthwise_line: LineFn,
    pub depthwise_gradient: GradientFn,
}

impl Engine {
    /// Runs one tile of `registers` (1 or 2) registers of columns.
    ///
    /// # Safety
    /// All that [`Tile`] describes must be readable, and its output writable and not shared.
    #[inline]
    pub unsafe fn tile(&self, registers: usize, tile: &Tile) {
        debug_assert!(!tile.rows.is_empty() && tile.rows.len() <= self.rows);
        debug_assert!(registers == 1 || registers == 2);
        // SAFETY: passed on to the caller; the instruction set was detected by `engine`.
        unsafe { (self.tile)(registers, tile) }
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
    wino_kernel: kernel_tile::<Portable>,
    wino_kernel_gradient: kernel_gradient_tile::<Portable>,
    depthwise_line: line::<Portable>,
    depthwise_gradient: gradient_line::<Portable>,
};

unsafe fn portable_tile(registers: usize, t: &Tile) {
    // SAFETY: passed on to the caller.
    unsafe {
        match (t.rows.len(), registers) {
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
    use super::super::winograd::transform::{
        Transform, gradient_tile, input_tile, kernel_gradient_tile, kernel_tile, output_tile,
    };
    use super::{Engine, Gradient, Line, Tile, gradient_line, line};

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
                wino_kernel: $module::kernel,
                wino_kernel_gradient: $module::kernel_gradient,
                depthwise_line: $module::depthwise_line,
                depthwise_gradient: $module::depthwise_gradient,
            };

            mod $module {
                use super::*;

                #[target_feature(enable = $features)]
                unsafe fn sized<const M: usize, const N: usize>(t: &Tile) {
                    // SAFETY: the features of `$vector` are enabled here; operands by the caller.
                    unsafe { super::super::tile::<$vector, M, N>(t) }
                }

                #[target_feature(enable = $features)]
                pub unsafe fn tile(registers: usize, t: &Tile) {
                    // SAFETY: passed on to the caller.
                    unsafe {
                        match (t.rows.len(), registers) {
                            $(($rows, 1) => sized::<$rows, 1>(t),
                              ($rows, _) => sized::<$rows, 2>(t),)*
                            _ => debug_assert!(false, "no tile of {} rows", t.rows.len()),
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

                #[target_feature(enable = $features)]
                pub unsafe fn kernel(t: &Transform) {
                    // SAFETY: as in `sized`.
                    unsafe { kernel_tile::<$vector>(t) }
                }

                #[target_feature(enable = $features)]
                pub unsafe fn kernel_gradient(t: &Transform) {
                    // SAFETY: as in `sized`.
                    unsafe { kernel_gradient_tile::<$vector>(t) }
                }

                #[target_feature(enable = $features)]
                pub unsafe fn depthwise_line(t: &Line) {
                    // SAFETY: as in `sized`.
                    unsafe { line::<$vector>(t) }
                }

                #[target_feature(enable = $features)]
                pub unsafe fn depthwise_gradient(t: &Gradient) {
                    // SAFETY: as in `sized`.
                    unsafe { gradient_line::<$vector>(t) }
                }
            }
        };
    }

    engine!(AVX2, avx2, Avx2, "avx2,fma", 6, [1 2 3 4 5 6]);
    engine!(AVX512, avx512, Avx512, "avx512f,avx2,fma", 12, [1 2 3 4 5 6 7 8 9 10 11 12]);
}

/// The tile itself: `M` rows, `N` registers, all sums in registers.
#[inline(always)]
unsafe fn tile<V: Vector, const M: usize, const N: usize>(t: &Tile) {
    // SAFETY: every address below is one that the caller of `Engine::tile` vouches for.
    unsafe {
        let rows: &[Row; M] = &*t.rows.as_ptr().cast();
        let mut acc = [[V::zero(); N]; M];
        for (row, sums) in rows.iter().zip(&mut acc) {
            let line = match t.start {
                Start::Zeros => continue,
                Start::Line(line) => line,
                Start::Output => t.c.add(row.to).cast_const(),
            };
            for (j, sum) in sums.iter_mut().enumerate() {
                *sum = V::load(line.add(j * V::N));
            }
        }
        let mut b = t.b;
        // Rows side by side need one address, which leaves registers to the others.
        let adjacent =
            M > 1 && t.ahead.is_none() && (0..M).all(|i| rows[i].from == rows[0].from + i);
        for outer in 0..t.segs[0] {
            for inner in 0..t.segs[1] {
                let a = t.a.add(outer * t.a_segs[0] + inner * t.a_segs[1]);
                if adjacent {
                    let lines = std::array::from_fn(|i| a.add(rows[0].from + i));
                    products::<V, M, N>(&mut acc, lines, t.a_k, b, t.b_k, t.len, |_| {});
                    b = b.add(t.b_seg);
                    continue;
                }
                let lines: [*const f32; M] = std::array::from_fn(|i| a.add(rows[i].from));
                match t.ahead {
                    Some(ahead) => {
                        let fetch = |line: *const f32| V::prefetch(line.wrapping_add(ahead));
                        products::<V, M, N>(&mut acc, lines, t.a_k, b, t.b_k, t.len, fetch);
                    }
                    None if t.a_k == 1 => {
                        products::<V, M, N>(&mut acc, lines, 1, b, t.b_k, t.len, |_| {});
                    }
                    None => products::<V, M, N>(&mut acc, lines, t.a_k, b, t.b_k, t.len, |_| {}),
                }
                b = b.add(t.b_seg);
            }
        }
        if t.columns == N * V::N {
            for (row, sums) in rows.iter().zip(&acc) {
                for (j, sum) in sums.iter().enumerate() {
                    sum.store(t.c.add(row.to + j * V::N));
                }
            }
        } else {
            // The last panel of an odd channel count.
            for (row, sums) in rows.iter().zip(&acc) {
                for (j, sum) in sums.iter().enumerate() {
                    let count = t.columns.saturating_sub(j * V::N).min(V::N);
                    sum.store_first(t.c.wrapping_add(row.to + j * V::N), count);
                }
            }
        }
    }
}

/// Values of a line of the cache.
const LINE: usize = 16;

/// Adds the products of one segment; `fetch` hears of each line of `B`.
#[inline(always)]
unsafe fn products<V: Vector, const M: usize, const N: usize>(
    acc: &mut [[V; N]; M],
    lines: [*const f32; M],
    a_k: usize,
    mut b: *const f32,
    b_k: usize,
    len: usize,
    fetch: impl Fn(*const f32),
) {
    // SAFETY: by the caller.
    unsafe {
        let mut at = 0;
        for _ in 0..len {
            for column in (0..N * V::N).step_by(LINE) {
                fetch(b.wrapping_add(column));
            }
            let columns: [V; N] = std::array::from_fn(|j| V::load(b.add(j * V::N)));
            for (line, sums) in lines.iter().zip(acc.iter_mut()) {
                let x = V::splat(*line.add(at));
                for (sum, column) in sums.iter_mut().zip(columns) {
                    *sum = x.mul_add(column, *sum);
                }
            }
            at += a_k;
            b = b.add(b_k);
        }
    }
}
