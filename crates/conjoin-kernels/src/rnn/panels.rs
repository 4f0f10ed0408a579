//! Products with a weight matrix that is packed once and used at every step.
//!
//! `out [rows, N] = (out +) rows [rows, K] * W [K, N]`. The weights lie in panels of two registers'
//! width, `[panel][k][2 * lanes]`, zero-padded on the right, so that a tile of the result stays in
//! registers while a panel streams from the nearest cache. Rows are gathered by their offsets.
//!
//! One element is always summed over `k` in ascending order in one register lane, in blocks of fixed
//! depth that are added in order. Which rows form a tile, and which thread computes it, never changes a
//! bit of the result.
//!
//! In bfloat16 the weights are rounded when they are packed and the rows when they are multiplied; where
//! the processor multiplies such pairs, [`bf16::Packed`] holds them instead.

use crate::bf16;
use crate::blas::{Mat, Threads};
use crate::precision::Precision;
use crate::simd::{self, Isa, Kernel};
use rayon::prelude::*;
use std::ops::Range;

/// Registers side by side in a tile.
const WIDTH: usize = 2;
/// Products and rows of a block.
const DEPTH: usize = 256;
const ROWS: usize = 192;

/// A packed `[K, N]` weight matrix.
#[derive(Debug)]
pub(crate) struct Panels {
    data: Vec<f32>,
    depth: usize,
    cols: usize,
    /// Columns of a panel.
    panel: usize,
    precision: Precision,
    /// Instead of `data`, where the processor has instructions for it.
    #[cfg(target_arch = "x86_64")]
    pairs: Option<bf16::Packed>,
}

/// A weight matrix to pack: element `(k, n)` is `data[k * depth_stride + n * col_stride]`.
#[derive(Clone, Copy)]
pub(crate) struct Weights<'a> {
    pub data: &'a [f32],
    pub depth: usize,
    pub cols: usize,
    pub depth_stride: usize,
    pub col_stride: usize,
}

impl<'a> Weights<'a> {
    /// `W^T` for a row-major `W [cols, depth]`: the forward direction of PyTorch's layout.
    pub fn transposed(data: &'a [f32], cols: usize, depth: usize) -> Self {
        Self {
            data,
            depth,
            cols,
            depth_stride: 1,
            col_stride: depth,
        }
    }

    /// A row-major `W [depth, cols]`: the backward direction of PyTorch's layout.
    pub fn plain(data: &'a [f32], depth: usize, cols: usize) -> Self {
        Self {
            data,
            depth,
            cols,
            depth_stride: cols,
            col_stride: 1,
        }
    }

    /// The same as an operand of other products.
    fn mat(self) -> Mat<'a> {
        let (rows, cols) = (self.depth, self.cols);
        Mat::strided(self.data, rows, cols, self.depth_stride, self.col_stride)
    }
}

/// The width of a register of the set in use.
struct Lanes;

impl Kernel for Lanes {
    type Output = usize;

    #[inline(always)]
    fn run<S: Isa>(self, _: S) -> usize {
        S::LANES
    }
}

impl Panels {
    /// Packs one matrix.
    pub fn pack(weights: Weights<'_>, precision: Precision) -> Self {
        #[cfg(target_arch = "x86_64")]
        if precision == Precision::Bf16 && simd::has_bf16() {
            return Self {
                data: Vec::new(),
                depth: weights.depth,
                cols: weights.cols,
                panel: 0,
                precision,
                pairs: Some(bf16::Packed::new(weights.mat(), Threads::All)),
            };
        }
        Self::single(weights, precision)
    }

    /// Packed in single precision, rounded if the precision is another.
    fn single(weights: Weights<'_>, precision: Precision) -> Self {
        let panel = WIDTH * simd::run(Lanes);
        let Weights { depth, cols, .. } = weights;
        let mut data = vec![0.0; cols.div_ceil(panel) * depth * panel];
        if depth > 0 {
            data.par_chunks_mut(depth * panel)
                .enumerate()
                .for_each(|(index, packed)| {
                    pack_panel(weights, index * panel, panel, packed);
                    if precision == Precision::Bf16 {
                        bf16::round_all(packed);
                    }
                });
        }
        Self {
            data,
            depth,
            cols,
            panel,
            precision,
            #[cfg(target_arch = "x86_64")]
            pairs: None,
        }
    }

    /// Multiplies rows of `input` into rows of `output`; pairs of offsets say which.
    ///
    /// A row of input has `K` numbers, a row of output `N`. With `add`, the product is added.
    pub fn multiply(&self, input: &[f32], output: &mut [f32], rows: &[(usize, usize)], add: bool) {
        #[cfg(target_arch = "x86_64")]
        if let Some(pairs) = &self.pairs {
            return bf16::multiply_rows(pairs, input, output, rows, add);
        }
        if self.precision == Precision::F32 {
            return self.multiply_as_is(input, output, rows, add);
        }
        let depth = self.depth;
        let mut rounded = Vec::with_capacity(rows.len().min(ROWS) * depth);
        let mut moved = Vec::with_capacity(ROWS);
        for rows in rows.chunks(ROWS) {
            rounded.clear();
            moved.clear();
            for (i, (from, to)) in rows.iter().enumerate() {
                rounded.extend_from_slice(&input[*from..][..depth]);
                moved.push((i * depth, *to));
            }
            bf16::round_all(&mut rounded);
            self.multiply_as_is(&rounded, output, &moved, add);
        }
    }

    fn multiply_as_is(
        &self,
        input: &[f32],
        output: &mut [f32],
        rows: &[(usize, usize)],
        add: bool,
    ) {
        simd::run(Multiply {
            panels: self,
            input,
            output,
            rows,
            add,
        });
    }
}

/// Fills one panel that starts at column `first`.
fn pack_panel(weights: Weights<'_>, first: usize, panel: usize, packed: &mut [f32]) {
    let Weights {
        data,
        depth,
        cols,
        depth_stride,
        col_stride,
    } = weights;
    let width = panel.min(cols - first);
    if col_stride == 1 {
        for (k, to) in packed.chunks_exact_mut(panel).enumerate() {
            to[..width].copy_from_slice(&data[k * depth_stride + first..][..width]);
        }
    } else {
        for column in 0..width {
            let from = &data[(first + column) * col_stride..];
            for k in 0..depth {
                packed[k * panel + column] = from[k * depth_stride];
            }
        }
    }
}

/// [`Panels::multiply`] for every instruction set.
struct Multiply<'a> {
    panels: &'a Panels,
    input: &'a [f32],
    output: &'a mut [f32],
    rows: &'a [(usize, usize)],
    add: bool,
}

impl Kernel for Multiply<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Isa>(mut self, isa: S) {
        let panels = self.panels;
        if panels.depth == 0 {
            return;
        }
        let (add, all) = (self.add, self.rows);
        for first in (0..panels.depth).step_by(DEPTH) {
            let depth = first..panels.depth.min(first + DEPTH);
            self.add = add || first > 0;
            for rows in all.chunks(ROWS) {
                self.block(isa, depth.clone(), rows);
            }
        }
    }
}

impl Multiply<'_> {
    /// Some of the products of some rows: their inputs stay in the second-level cache, a panel's weights
    /// in the first.
    #[inline(always)]
    fn block<S: Isa>(&mut self, isa: S, depth: Range<usize>, rows: &[(usize, usize)]) {
        let panels = self.panels;
        for (index, panel) in panels
            .data
            .chunks_exact(panels.depth * panels.panel)
            .enumerate()
        {
            let panel = &panel[depth.start * panels.panel..depth.end * panels.panel];
            let at = (index * panels.panel, depth.start);
            let mut rows = rows;
            // Thirty-two registers hold a tile of 12 by 2, sixteen one of 6 by 2.
            if S::LANES == 16 {
                rows = self.tiles::<S, 12>(isa, panel, at, rows);
            }
            rows = self.tiles::<S, 6>(isa, panel, at, rows);
            rows = self.tiles::<S, 4>(isa, panel, at, rows);
            rows = self.tiles::<S, 2>(isa, panel, at, rows);
            self.tiles::<S, 1>(isa, panel, at, rows);
        }
    }

    /// Multiplies as many groups of `R` rows as there are with a panel that begins at a column and a
    /// depth; returns the rows that remain.
    #[inline(always)]
    fn tiles<'r, S: Isa, const R: usize>(
        &mut self,
        isa: S,
        panel: &[f32],
        (first, depth): (usize, usize),
        rows: &'r [(usize, usize)],
    ) -> &'r [(usize, usize)] {
        let width = (self.panels.cols - first).min(WIDTH * S::LANES);
        let count = panel.len() / self.panels.panel;
        let mut groups = rows.chunks_exact(R);
        for group in &mut groups {
            let mut inputs: [&[f32]; R] = [&[]; R];
            for (input, (from, _)) in inputs.iter_mut().zip(group) {
                *input = &self.input[from + depth..][..count];
            }
            let tile = tile::<S, R>(isa, inputs, panel);
            for (sums, (_, to)) in tile.iter().zip(group) {
                let output = &mut self.output[to + first..][..width];
                write(isa, sums, output, self.add);
            }
        }
        groups.remainder()
    }
}

/// `R` rows times one panel, in registers.
#[inline(always)]
fn tile<S: Isa, const R: usize>(
    isa: S,
    rows: [&[f32]; R],
    panel: &[f32],
) -> [[S::Vector; WIDTH]; R] {
    let mut sums = [[isa.splat(0.0); WIDTH]; R];
    for (k, weights) in panel.chunks_exact(WIDTH * S::LANES).enumerate() {
        let left = isa.load(weights);
        let right = isa.load(&weights[S::LANES..]);
        for (sum, row) in sums.iter_mut().zip(&rows) {
            let x = isa.splat(row[k]);
            sum[0] = isa.mul_add(x, left, sum[0]);
            sum[1] = isa.mul_add(x, right, sum[1]);
        }
    }
    sums
}

/// Writes one row of a tile, or adds it, cut to the matrix at its right edge.
#[inline(always)]
fn write<S: Isa>(isa: S, sums: &[S::Vector; WIDTH], output: &mut [f32], add: bool) {
    if output.len() == WIDTH * S::LANES {
        for (sum, output) in sums.iter().zip(output.chunks_exact_mut(S::LANES)) {
            let old = if add {
                isa.load(output)
            } else {
                isa.splat(0.0)
            };
            isa.store(isa.mul_add(isa.splat(1.0), *sum, old), output);
        }
        return;
    }
    let mut row = [0.0; 32];
    for (sum, row) in sums.iter().zip(row.chunks_exact_mut(S::LANES)) {
        isa.store(*sum, row);
    }
    for (output, sum) in output.iter_mut().zip(row) {
        *output = sum + if add { *output } else { 0.0 };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn agrees_with_the_definition_for_every_remainder() {
        let number = |i: usize| (i * 37 % 101) as f32 / 50.0 - 1.0;
        for (rows, depth, cols) in [
            (1, 1, 1),
            (5, 3, 33),
            (29, 17, 16),
            (12, 40, 31),
            (7, 5, 64),
            (200, 261, 18),
        ] {
            let input: Vec<f32> = (0..rows * depth).map(number).collect();
            let weights: Vec<f32> = (0..depth * cols).map(|i| number(i + 7)).collect();
            let pairs: Vec<_> = (0..rows)
                .map(|r| ((rows - 1 - r) * depth, r * cols))
                .collect();
            for (panels, transposed) in [
                (
                    Panels::pack(Weights::plain(&weights, depth, cols), Precision::F32),
                    false,
                ),
                (
                    Panels::pack(Weights::transposed(&weights, cols, depth), Precision::F32),
                    true,
                ),
            ] {
                let mut output = vec![1.0; rows * cols];
                panels.multiply(&input, &mut output, &pairs, true);
                for (i, out) in output.iter().enumerate() {
                    let (r, n) = (rows - 1 - i / cols, i % cols);
                    let at = |k| {
                        if transposed {
                            n * depth + k
                        } else {
                            k * cols + n
                        }
                    };
                    let sum: f32 = (0..depth)
                        .map(|k| input[r * depth + k] * weights[at(k)])
                        .sum();
                    assert!((out - 1.0 - sum).abs() < 1e-3);
                }
            }
        }
    }

    #[test]
    fn bfloat16_agrees_with_products_of_rounded_numbers() {
        let number = |i: usize| (i * 37 % 101) as f32 / 50.0 - 1.0;
        for (rows, depth, cols) in [(1, 1, 1), (29, 17, 16), (12, 40, 31), (200, 517, 70)] {
            let input: Vec<f32> = (0..rows * depth).map(number).collect();
            let weights: Vec<f32> = (0..depth * cols).map(|i| number(i + 7)).collect();
            let pairs: Vec<_> = (0..rows)
                .map(|r| ((rows - 1 - r) * depth, r * cols))
                .collect();
            let packed = Weights::transposed(&weights, cols, depth);
            // With the processor's instruction where there is one, and always without.
            for panels in [
                Panels::pack(packed, Precision::Bf16),
                Panels::single(packed, Precision::Bf16),
            ] {
                let mut output = vec![1.0; rows * cols];
                panels.multiply(&input, &mut output, &pairs, true);
                for (i, out) in output.iter().enumerate() {
                    let (r, n) = (rows - 1 - i / cols, i % cols);
                    let product = |k| {
                        let (x, w) = (input[r * depth + k], weights[n * depth + k]);
                        f64::from(bf16::round(x)) * f64::from(bf16::round(w))
                    };
                    let sum: f64 = (0..depth).map(product).sum();
                    assert!((f64::from(*out) - 1.0 - sum).abs() < 1e-4);
                }
            }
        }
    }
}
