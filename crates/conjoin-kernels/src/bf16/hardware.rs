//! The blocked product where the processor multiplies bfloat16 ([`Engine`]).
//!
//! The right operand is packed whole, in panels of 32 columns and blocks of 256 steps of `k`, so that a
//! panel of a block (16 KiB) stays in the first-level cache; blocks of up to 112 or 128 rows of the left one
//! are packed by the task that needs them and stay in the second-level cache.
//!
//! An element is summed over the pairs of a block in order, and blocks are added in order. Neither
//! the tile, the task nor the thread that an element belongs to changes a bit of it.

use super::block::{SIDE, Strided, load};
use super::engine::Engine;
use super::tile::Tile;
use crate::blas::{Mat, Threads};
use rayon::prelude::*;
use std::arch::x86_64::_mm512_store_si512;
use std::cell::Cell;
use std::ops::Range;

/// Steps of `k` in a block.
const DEPTH: usize = 256;
/// Columns of a panel.
const PANEL: usize = 2 * SIDE;
/// Most rows of a block, of any engine.
const BLOCK_ROWS: usize = 128;
/// Lines that a row of the packed left operand takes: an odd number, so that the rows of a tile do not compete for
/// the same place in the cache.
const LEFT_LINES: usize = DEPTH / 2 / SIDE + 1;
/// Words of 16 packed rows of the left operand.
pub const LEFT_GROUP: usize = SIDE * LEFT_LINES * SIDE;
/// Words from one of these rows to the next where rows lie side by side.
pub const LEFT_STRIDE: usize = LEFT_LINES * SIDE;
/// Products too small to gain from threads.
const SMALL: usize = 1 << 20;

/// Sixteen words of packed pairs: one cache line.
#[derive(Clone, Copy, Debug)]
#[repr(C, align(64))]
pub struct Line([u32; SIDE]);

const CLEAR: Line = Line([0; SIDE]);

/// A packed right operand `[depth, cols]`: blocks of [`DEPTH`] steps, in them panels of [`PANEL`]
/// columns, in them one line for every pair and 16 columns.
#[derive(Debug)]
pub struct Packed {
    lines: Vec<Line>,
    depth: usize,
    cols: usize,
    engine: Engine,
}

thread_local! {
    /// Buffers that a thread keeps between products. They are taken out while they are in use: a thread
    /// that waits for others may begin another product meanwhile.
    static LEFT: Cell<Vec<Line>> = const { Cell::new(Vec::new()) };
    static RIGHT: Cell<Vec<Line>> = const { Cell::new(Vec::new()) };
}

/// Grows a buffer to `len` lines at least; what they hold is left open.
fn grow(lines: &mut Vec<Line>, len: usize) {
    if lines.len() < len {
        lines.resize(len, CLEAR);
    }
}

/// A pointer that tasks share, each for its own part.
#[derive(Clone, Copy)]
struct Shared<T>(*mut T);

// SAFETY: whoever dereferences it says why no two tasks touch the same element.
unsafe impl<T> Send for Shared<T> {}
// SAFETY: as above.
unsafe impl<T> Sync for Shared<T> {}

impl<T> Shared<T> {
    fn get(self) -> *mut T {
        self.0
    }
}

impl Packed {
    /// Packs a right operand of `Precision::Bf16`.
    pub fn new(right: Mat<'_>, threads: Threads) -> Self {
        Self::reusing(Vec::new(), Engine::best(), right, threads)
    }

    fn reusing(mut lines: Vec<Line>, engine: Engine, right: Mat<'_>, threads: Threads) -> Self {
        let (depth, cols) = (right.rows, right.cols);
        let across = cols.div_ceil(SIDE);
        let len = depth.div_ceil(2).next_multiple_of(engine.pairs()) * across;
        grow(&mut lines, len);
        let mut tasks = Vec::new();
        for (block, lines) in lines[..len]
            .chunks_mut((DEPTH / 2 * across).max(1))
            .enumerate()
        {
            let pairs = lines.len() / across;
            let panels = lines.chunks_mut(2 * pairs).enumerate();
            tasks.extend(panels.map(|(panel, lines)| (block * DEPTH, panel * PANEL, lines)));
        }
        let source = Operand(right);
        let pack = |(k, col, lines): (usize, usize, &mut [Line])| {
            let steps = DEPTH.min(depth - k);
            // SAFETY: the panel lies within the matrix, and this code runs only where the processor
            // has what it needs (see `gemm`).
            unsafe { pack_panel(source, [k, steps], [col, PANEL.min(cols - col)], lines) };
        };
        match threads {
            Threads::All if depth * cols > SMALL / 8 => {
                tasks.into_par_iter().with_min_len(4).for_each(pack);
            }
            _ => tasks.into_iter().for_each(pack),
        }
        Self {
            lines,
            depth,
            cols,
            engine,
        }
    }

    /// Pairs of the block that begins at step `k`.
    fn pairs(&self, k: usize) -> usize {
        let pairs = DEPTH.min(self.depth - k).div_ceil(2);
        pairs.next_multiple_of(self.engine.pairs())
    }

    /// The lines of a panel of a block that begins at step `k` and has so many pairs.
    fn panel(&self, k: usize, pairs: usize, panel: usize) -> *const Line {
        let at = k / 2 * self.cols.div_ceil(SIDE) + 2 * panel * pairs;
        self.lines[at..].as_ptr()
    }
}

/// A right operand, as tasks share it.
#[derive(Clone, Copy)]
struct Operand<'a>(Mat<'a>);

impl Operand<'_> {
    /// The part that begins at a lane (column) and a step.
    fn from(self, k: usize, col: usize) -> Strided {
        let Self(mat) = self;
        Strided {
            data: mat.data[k * mat.row_stride + col * mat.col_stride..].as_ptr(),
            lane_stride: mat.col_stride,
            k_stride: mat.row_stride,
        }
    }
}

/// Packs some steps (first, count) of some columns (first, count; at most [`PANEL`]).
///
/// # Safety
/// They lie within the matrix; the processor has AVX-512 with BF16.
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,avx512bf16")]
unsafe fn pack_panel(
    from: Operand<'_>,
    [k, steps]: [usize; 2],
    [col, cols]: [usize; 2],
    lines: &mut [Line],
) {
    let across = cols.div_ceil(SIDE);
    for first in (0..steps).step_by(2 * SIDE) {
        for half in 0..across {
            let lanes = SIDE.min(cols - half * SIDE);
            let part = from.from(k + first, col + half * SIDE);
            // SAFETY: by the caller.
            let block = unsafe { load::<false>(part, lanes, (2 * SIDE).min(steps - first)) };
            let lines = lines[first / 2 * across..].iter_mut().skip(half);
            for (line, pair) in lines.step_by(across).zip(block) {
                // SAFETY: a line has 64 bytes, aligned.
                unsafe { _mm512_store_si512(line.0.as_mut_ptr().cast(), pair) };
            }
        }
    }
}

/// A left operand.
pub trait Left: Sync {
    /// Where some rows (at most 16) begin, from a step on.
    fn rows(&self, first: usize, k: usize) -> Rows<'_>;
}

/// Rows of a left operand.
pub enum Rows<'a> {
    /// At a fixed distance.
    Even(Strided),
    /// Each where its offset says, its steps side by side.
    At(&'a [f32], &'a [(usize, usize)]),
}

impl Left for Mat<'_> {
    fn rows(&self, first: usize, k: usize) -> Rows<'_> {
        Rows::Even(Strided {
            data: self.data[first * self.row_stride + k * self.col_stride..].as_ptr(),
            lane_stride: self.row_stride,
            k_stride: self.col_stride,
        })
    }
}

/// Rows gathered by offsets, the first number of each pair.
struct Gathered<'a> {
    data: &'a [f32],
    rows: &'a [(usize, usize)],
}

impl Left for Gathered<'_> {
    fn rows(&self, first: usize, k: usize) -> Rows<'_> {
        Rows::At(&self.data[k..], &self.rows[first..])
    }
}

/// Packs some steps (first, count) of some rows: for [`Engine::Pairs`] row after row, for [`Engine::Tiles`] tile
/// after tile, 16 rows by 16 pairs each.
///
/// # Safety
/// They lie within the operand; the processor has AVX-512 with BF16.
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,avx512bf16")]
unsafe fn pack_left(
    from: &impl Left,
    rows: Range<usize>,
    [k, steps]: [usize; 2],
    engine: Engine,
    lines: &mut [Line],
) {
    let [next_row, next_step] = match engine {
        Engine::Pairs => [LEFT_LINES, 1],
        Engine::Tiles => [1, SIDE],
    };
    let groups = lines.chunks_mut(LEFT_GROUP / SIDE);
    for (group, lines) in rows.clone().step_by(SIDE).zip(groups) {
        let lanes = SIDE.min(rows.end - group);
        for first in (0..steps).step_by(2 * SIDE) {
            let count = (2 * SIDE).min(steps - first);
            // SAFETY: rows and steps are within the operand, and a line has 64 aligned bytes.
            unsafe {
                let block = match from.rows(group, k + first) {
                    Rows::Even(part) => load::<true>(part, lanes, count),
                    Rows::At(data, offsets) => {
                        let mut block = [std::mem::zeroed(); SIDE];
                        for (row, (offset, _)) in block.iter_mut().zip(&offsets[..lanes]) {
                            *row = super::block::convert(data[*offset..].as_ptr(), count);
                        }
                        block
                    }
                };
                let lines = lines[first / (2 * SIDE) * next_step..]
                    .iter_mut()
                    .step_by(next_row);
                for (line, pairs) in lines.zip(&block[..lanes]) {
                    _mm512_store_si512(line.0.as_mut_ptr().cast(), *pairs);
                }
            }
        }
    }
}

/// Some rows (at most [`Engine::block_rows`]) times some panels, written to `c`, where `to` says where a row
/// begins.
///
/// # Safety
/// The rows lie within the left operand, which is as deep as the right one; their parts of `c` may be
/// written; the processor has AVX-512 with BF16.
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,avx512bf16")]
unsafe fn block(
    left: &impl Left,
    right: &Packed,
    rows: Range<usize>,
    panels: Range<usize>,
    (c, to): (*mut f32, &impl Fn(usize) -> usize),
    beta: f32,
) {
    let mut scratch = LEFT.take();
    grow(&mut scratch, BLOCK_ROWS / SIDE * LEFT_GROUP / SIDE);
    let mut offsets = [0; BLOCK_ROWS];
    for (offset, row) in offsets.iter_mut().zip(rows.clone()) {
        *offset = to(row);
    }
    let offsets = &offsets[..rows.len()];
    let engine = right.engine;
    let tiles = rows.len().div_ceil(engine.rows());
    let even = rows
        .len()
        .div_ceil(tiles)
        .next_multiple_of(engine.row_step());
    let cut = |tile: usize| rows.len().min(tile * even);
    // SAFETY: by the caller.
    let _configured = unsafe { engine.begin() };
    for k in (0..right.depth).step_by(DEPTH) {
        let steps = DEPTH.min(right.depth - k);
        let pairs = right.pairs(k);
        // SAFETY: by the caller; tiles and panels cover the rows and columns exactly.
        unsafe {
            pack_left(left, rows.clone(), [k, steps], engine, &mut scratch);
            for panel in panels.clone() {
                let first = panel * PANEL;
                for tile in 0..tiles {
                    let tile = Tile {
                        left: scratch.as_ptr().cast::<u32>().add(cut(tile) * LEFT_STRIDE),
                        right: right.panel(k, pairs, panel),
                        pairs,
                        c: c.add(first),
                        to: &offsets[cut(tile)..cut(tile + 1)],
                        columns: PANEL.min(right.cols - first),
                        beta: if k == 0 { beta } else { 1.0 },
                    };
                    engine.run(tile);
                }
            }
        }
    }
    LEFT.set(scratch);
}

/// `C = beta * C + A * B` at an address, with strides of rows and columns, one of them 1, operands rounded; with
/// `beta == 0`, C is only written.
///
/// # Safety
/// The processor has the engine; A's columns are B's rows, and neither they nor a side of C are 0; every element
/// of C lies in memory that is this call's alone, and no two overlap.
pub unsafe fn multiply(
    engine: Engine,
    c: *mut f32,
    [row_stride, col_stride]: [usize; 2],
    beta: f32,
    [a, b]: [Mat<'_>; 2],
    threads: Threads,
) {
    debug_assert!(crate::simd::has_pairs() && a.cols > 0);
    if col_stride != 1 {
        let turned = [b.t(), a.t()];
        // SAFETY: by the caller; the transpose of C is the same memory.
        return unsafe { multiply(engine, c, [col_stride, row_stride], beta, turned, threads) };
    }
    let threads = if a.rows * a.cols * b.cols < SMALL {
        Threads::One
    } else {
        threads
    };
    let right = Packed::reusing(RIGHT.take(), engine, b, threads);
    let blocks = a.rows.div_ceil(engine.block_rows());
    let height = a.rows.div_ceil(blocks).next_multiple_of(engine.row_step());
    let (blocks, panels) = (a.rows.div_ceil(height), b.cols.div_ceil(PANEL));
    let splits = match threads {
        Threads::One => 1,
        Threads::All => (2 * rayon::current_num_threads())
            .div_ceil(blocks)
            .min(panels),
    };
    let to = Shared(c);
    let task = |task: usize| {
        let (block_at, split) = (task / splits, task % splits);
        let rows = block_at * height..a.rows.min((block_at + 1) * height);
        let panels = split * panels / splits..(split + 1) * panels / splits;
        // SAFETY: blocks and splits cut C, which the caller vouches for, into parts that do not overlap; A's
        // constructor has checked its rows.
        unsafe {
            block(
                &a,
                &right,
                rows,
                panels,
                (to.get(), &|row| row * row_stride),
                beta,
            );
        }
    };
    match threads {
        Threads::One => (0..blocks * splits).for_each(task),
        Threads::All => (0..blocks * splits).into_par_iter().for_each(task),
    }
    RIGHT.set(right.lines);
}

/// Multiplies gathered rows of `input` into rows of `output`; pairs of offsets say which. With `add`, the
/// product is added.
///
/// `simd::has_bf16` holds, which is what the caller has packed for.
///
/// # Panics
/// If a row lies beyond its slice.
pub fn multiply_rows(
    right: &Packed,
    input: &[f32],
    output: &mut [f32],
    rows: &[(usize, usize)],
    add: bool,
) {
    debug_assert!(crate::simd::has_pairs());
    let fits = |&(from, to): &(usize, usize)| {
        from + right.depth <= input.len() && to + right.cols <= output.len()
    };
    assert!(rows.iter().all(fits), "a row lies beyond its slice");
    if right.depth == 0 {
        return;
    }
    let left = Gathered { data: input, rows };
    let panels = 0..right.cols.div_ceil(PANEL);
    let beta = if add { 1.0 } else { 0.0 };
    let height = right.engine.block_rows();
    for first in (0..rows.len()).step_by(height) {
        let part = first..rows.len().min(first + height);
        let c = (output.as_mut_ptr(), &|row: usize| rows[row].1);
        // SAFETY: all rows have just been checked, and this is the only task that writes to `output`.
        unsafe { block(&left, right, part, panels.clone(), c, beta) };
    }
}
