//! Small matrix products in registers, on operands that lie in the cache, and the packing for them.
//!
//! `B` and `C` have rows of whole registers ([`pad`]); what lies in the padding is never used. `A` is
//! read value by value, so it needs neither padding nor a certain order.

// Indices of constant range name registers; iterators would hide which.
#![allow(clippy::needless_range_loop)]

use crate::blas::{Mat, MatMut, Threads, gemm};
use crate::precision::Precision;
use crate::simd::{Isa, Kernel, run};

/// Widths are padded to this many numbers, the widest register.
const REGISTER: usize = 16;

/// `n` rounded up to whole registers.
pub fn pad(n: usize) -> usize {
    n.next_multiple_of(REGISTER)
}

/// A matrix in a slice whose rows begin `stride` apart.
#[derive(Clone, Copy)]
pub struct Rows<'a> {
    pub data: &'a [f32],
    pub stride: usize,
}

/// `C [m, n] = A [m, k] · B [k, n]`, or `C += …` with `ADD`; `A` is stored as `[k, m]` with `TURNED`.
/// Columns up to `pad(n)` are written.
///
/// # Panics
/// If an operand is smaller than that.
pub fn multiply<const TURNED: bool, const ADD: bool>(
    precision: Precision,
    [m, n, k]: [usize; 3],
    a: Rows<'_>,
    b: Rows<'_>,
    c: &mut [f32],
    c_stride: usize,
) {
    let n = pad(n);
    let reach = |rows: usize, stride: usize, width: usize| match rows {
        0 => 0,
        _ => (rows - 1) * stride + width,
    };
    let (a_rows, a_width) = if TURNED { (k, m) } else { (m, k) };
    assert!(
        reach(a_rows, a.stride, a_width) <= a.data.len()
            && reach(k, b.stride, n) <= b.data.len()
            && reach(m, c_stride, n) <= c.len()
            && n <= c_stride,
        "an operand of a product is too small"
    );
    if precision != Precision::F32 {
        let left = Mat::strided(a.data, a_rows, a_width, a.stride, 1);
        let left = if TURNED { left.t() } else { left };
        let right = Mat::strided(b.data, k, n, b.stride, 1);
        let (to, beta) = (MatMut::strided(c, m, n, c_stride), f32::from(u8::from(ADD)));
        return gemm(precision, to, beta, left, right, Threads::One);
    }
    // A kernel of its own: inlined into its callers it would be compiled many times over.
    run(Product::<TURNED> {
        a: a.data.as_ptr(),
        a_stride: a.stride,
        b: b.data.as_ptr(),
        b_stride: b.stride,
        c: c.as_mut_ptr(),
        c_stride,
        add: ADD,
        sizes: [m, n, k],
    });
}

/// The operands of [`multiply`], which are as large as it has checked, and `n` whole registers; strides
/// count numbers.
struct Product<const TURNED: bool> {
    a: *const f32,
    a_stride: usize,
    b: *const f32,
    b_stride: usize,
    c: *mut f32,
    c_stride: usize,
    add: bool,
    sizes: [usize; 3],
}

impl<const TURNED: bool> Kernel for Product<TURNED> {
    type Output = ();

    #[inline(always)]
    fn run<S: Isa>(self, isa: S) {
        let m = self.sizes[0];
        let mut row = 0;
        // SAFETY: the rows are below `m`.
        unsafe {
            // Six rows at a time make enough independent sums to hide the latency of a multiply-add and
            // leave registers for the operands. `B` is read again for each six, and stays in the cache.
            while row + 6 <= m {
                strip::<S, TURNED, 6>(isa, &self, row);
                row += 6;
            }
            if row + 4 <= m {
                strip::<S, TURNED, 4>(isa, &self, row);
                row += 4;
            }
            while row < m {
                strip::<S, TURNED, 1>(isa, &self, row);
                row += 1;
            }
        }
    }
}

/// `M` rows of the product.
///
/// # Safety
/// The rows lie within the operands.
#[inline(always)]
unsafe fn strip<S: Isa, const TURNED: bool, const M: usize>(
    isa: S,
    product: &Product<TURNED>,
    row: usize,
) {
    let n = product.sizes[1];
    let mut column = 0;
    // SAFETY: the rows by the caller; the columns are below `n`, whole registers at a time.
    unsafe {
        if S::ACCUMULATORS >= 24 {
            while column + 4 * S::LANES <= n {
                tile::<S, TURNED, M, 4>(isa, product, row, column);
                column += 4 * S::LANES;
            }
        }
        if S::ACCUMULATORS >= 12 {
            while column + 2 * S::LANES <= n {
                tile::<S, TURNED, M, 2>(isa, product, row, column);
                column += 2 * S::LANES;
            }
        }
        while column < n {
            tile::<S, TURNED, M, 1>(isa, product, row, column);
            column += S::LANES;
        }
    }
}

/// `M` rows and `N` registers of the product, summed in registers.
///
/// # Safety
/// They lie within the operands.
#[inline(always)]
unsafe fn tile<S: Isa, const TURNED: bool, const M: usize, const N: usize>(
    isa: S,
    product: &Product<TURNED>,
    row: usize,
    column: usize,
) {
    let mut sums = [[isa.splat(0.0); N]; M];
    // SAFETY: every access is to a row below `row + M`, a step below `k` and columns below
    // `column + N * LANES`, which the caller vouches for.
    unsafe {
        let c = product.c.add(row * product.c_stride + column);
        if product.add {
            for i in 0..M {
                for j in 0..N {
                    let c = c.add(i * product.c_stride + j * S::LANES);
                    sums[i][j] = isa.load(std::slice::from_raw_parts(c, S::LANES));
                }
            }
        }
        // Addresses that share an index, or lie side by side: no chain of sums between them.
        let (a_row, a_k) = if TURNED {
            (1, product.a_stride)
        } else {
            (product.a_stride, 1)
        };
        let mut a = [product.a; M];
        for i in 0..M {
            a[i] = product.a.add((row + i) * a_row);
        }
        let mut b = product.b.add(column);
        for p in 0..product.sizes[2] {
            let mut right = [isa.splat(0.0); N];
            for j in 0..N {
                right[j] = isa.load(std::slice::from_raw_parts(b.add(j * S::LANES), S::LANES));
            }
            for i in 0..M {
                let left = isa.splat(*a[i].add(p * a_k));
                for j in 0..N {
                    sums[i][j] = isa.mul_add(left, right[j], sums[i][j]);
                }
            }
            b = b.wrapping_add(product.b_stride);
        }
        for i in 0..M {
            for j in 0..N {
                let c = c.add(i * product.c_stride + j * S::LANES);
                isa.store(sums[i][j], std::slice::from_raw_parts_mut(c, S::LANES));
            }
        }
    }
}

/// Copies rows of `width` numbers, scaled, to rows of `pad(width)`; the padding is cleared.
#[inline(always)]
pub fn pack(from: Rows<'_>, width: usize, scale: f32, to: &mut [f32]) {
    let padded = pad(width);
    for (to, row) in to.chunks_exact_mut(padded).zip(0..) {
        let from = &from.data[row * from.stride..][..width];
        let (to, padding) = to.split_at_mut(width);
        for (to, from) in to.iter_mut().zip(from) {
            *to = from * scale;
        }
        padding.fill(0.0);
    }
}

/// Turns `rows` rows of `width` numbers into `width` rows that begin `stride` apart; columns up to
/// `pad(rows)` are cleared.
#[inline(always)]
pub fn turn<S: Isa>(
    isa: S,
    from: Rows<'_>,
    rows: usize,
    width: usize,
    to: &mut [f32],
    stride: usize,
) {
    const SIDE: usize = 8;
    let mut row = 0;
    while row + SIDE <= rows {
        let lines: [&[f32]; SIDE] =
            std::array::from_fn(|i| &from.data[(row + i) * from.stride..][..width]);
        let mut column = 0;
        while column + SIDE <= width {
            let to = &mut to[column * stride + row..];
            isa.turn8(lines.map(|line| &line[column..]), to, stride);
            column += SIDE;
        }
        for column in column..width {
            for (to, line) in to[column * stride + row..].iter_mut().zip(lines) {
                *to = line[column];
            }
        }
        row += SIDE;
    }
    for (column, to) in to.chunks_mut(stride).take(width).enumerate() {
        for row in row..rows {
            to[row] = from.data[row * from.stride + column];
        }
        to[rows..pad(rows)].fill(0.0);
    }
}
