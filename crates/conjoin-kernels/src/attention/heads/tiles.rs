//! Small matrix products in registers, on operands that lie in the cache, and the packing for them.
//!
//! `B` and `C` have rows of whole registers ([`pad`]); what lies in the padding is never used. `A` is
//! read value by value, so it needs neither padding nor a certain order.

use crate::simd::Isa;

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
#[inline(always)]
pub fn multiply<S: Isa, const TURNED: bool, const ADD: bool>(
    isa: S,
    [m, n, k]: [usize; 3],
    a: Rows<'_>,
    b: Rows<'_>,
    c: &mut [f32],
    c_stride: usize,
) {
    let n = pad(n);
    let mut column = 0;
    // Four rows: enough independent sums to hide the latency of a multiply-add.
    if S::ACCUMULATORS >= 16 {
        while column + 4 * S::LANES <= n {
            strip::<S, TURNED, ADD, 4>(isa, [m, k, column], a, b, c, c_stride);
            column += 4 * S::LANES;
        }
    }
    if S::ACCUMULATORS >= 8 {
        while column + 2 * S::LANES <= n {
            strip::<S, TURNED, ADD, 2>(isa, [m, k, column], a, b, c, c_stride);
            column += 2 * S::LANES;
        }
    }
    while column < n {
        strip::<S, TURNED, ADD, 1>(isa, [m, k, column], a, b, c, c_stride);
        column += S::LANES;
    }
}

/// `N` registers of columns of the product.
#[inline(always)]
fn strip<S: Isa, const TURNED: bool, const ADD: bool, const N: usize>(
    isa: S,
    [m, k, column]: [usize; 3],
    a: Rows<'_>,
    b: Rows<'_>,
    c: &mut [f32],
    c_stride: usize,
) {
    let mut row = 0;
    while row + 4 <= m {
        tile::<S, TURNED, ADD, 4, N>(isa, [row, column, k], a, b, c, c_stride);
        row += 4;
    }
    while row < m {
        tile::<S, TURNED, ADD, 1, N>(isa, [row, column, k], a, b, c, c_stride);
        row += 1;
    }
}

/// `M` rows and `N` registers of the product, summed in registers.
#[inline(always)]
fn tile<S: Isa, const TURNED: bool, const ADD: bool, const M: usize, const N: usize>(
    isa: S,
    [row, column, k]: [usize; 3],
    a: Rows<'_>,
    b: Rows<'_>,
    c: &mut [f32],
    c_stride: usize,
) {
    let mut sums = [[isa.splat(0.0); N]; M];
    if ADD {
        for i in 0..M {
            let c = &c[(row + i) * c_stride + column..][..N * S::LANES];
            for j in 0..N {
                sums[i][j] = isa.load(&c[j * S::LANES..]);
            }
        }
    }
    let lines: [&[f32]; M] = std::array::from_fn(|i| {
        if TURNED {
            &a.data[..0]
        } else {
            &a.data[(row + i) * a.stride..][..k]
        }
    });
    for p in 0..k {
        let b = &b.data[p * b.stride + column..][..N * S::LANES];
        let b: [S::Vector; N] = std::array::from_fn(
            #[inline(always)]
            |j| isa.load(&b[j * S::LANES..]),
        );
        let turned = if TURNED {
            &a.data[p * a.stride + row..][..M]
        } else {
            &[]
        };
        for i in 0..M {
            let a = isa.splat(if TURNED { turned[i] } else { lines[i][p] });
            for j in 0..N {
                sums[i][j] = isa.mul_add(a, b[j], sums[i][j]);
            }
        }
    }
    for i in 0..M {
        let c = &mut c[(row + i) * c_stride + column..][..N * S::LANES];
        for j in 0..N {
            isa.store(sums[i][j], &mut c[j * S::LANES..]);
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
pub fn turn(from: Rows<'_>, rows: usize, width: usize, to: &mut [f32], stride: usize) {
    const SIDE: usize = 8;
    let mut row = 0;
    while row + SIDE <= rows {
        let lines: [&[f32]; SIDE] =
            std::array::from_fn(|i| &from.data[(row + i) * from.stride..][..width]);
        for (column, to) in to.chunks_mut(stride).take(width).enumerate() {
            let to = &mut to[row..][..SIDE];
            for i in 0..SIDE {
                to[i] = lines[i][column];
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
