//! Rounding, and products of rounded operands: with the instruction where there is one, and without.

use super::*;
use crate::blas::{self, MatMut, Threads};

/// Numbers in [-1, 1] without a pattern that sums could hide behind.
fn numbers(n: usize, seed: u64) -> Vec<f32> {
    let number = |i: u64| {
        let bits = (i ^ seed.wrapping_mul(0x9E37_79B9)).wrapping_mul(0x2545_F491_4F6C_DD1D);
        (bits >> 40) as f32 / (1u32 << 23) as f32 - 1.0
    };
    (0..n as u64).map(number).collect()
}

/// Stores a matrix `[rows, cols]` in one of several ways, all with the same elements.
#[derive(Clone, Copy, Debug)]
enum Storage {
    Rows,
    Columns,
    /// Rows of a wider matrix.
    Part,
    /// Every third number.
    Spread,
}

const STORAGES: [Storage; 4] = [
    Storage::Rows,
    Storage::Columns,
    Storage::Part,
    Storage::Spread,
];

/// Where row `i` and column `j` of so many rows and columns lie.
type Place = fn(usize, usize, usize, usize) -> usize;

fn stored(values: &[f32], [rows, cols]: [usize; 2], storage: Storage) -> Vec<f32> {
    let (len, at): (usize, Place) = match storage {
        Storage::Rows => (rows * cols, |i, j, _, cols| i * cols + j),
        Storage::Columns => (rows * cols, |i, j, rows, _| j * rows + i),
        Storage::Part => (rows * (cols + 5), |i, j, _, cols| i * (cols + 5) + j),
        Storage::Spread => (3 * rows * cols, |i, j, _, cols| 3 * (i * cols + j)),
    };
    // What lies between must not be touched: it would spoil every sum.
    let mut data = vec![f32::NAN; len];
    for i in 0..rows {
        for j in 0..cols {
            data[at(i, j, rows, cols)] = values[i * cols + j];
        }
    }
    data
}

fn mat(data: &[f32], [rows, cols]: [usize; 2], storage: Storage) -> Mat<'_> {
    match storage {
        Storage::Rows => Mat::new(data, rows, cols),
        Storage::Columns => Mat::new(data, cols, rows).t(),
        Storage::Part => Mat::strided(data, rows, cols, cols + 5, 1),
        Storage::Spread => Mat::strided(data, rows, cols, 3 * cols, 3),
    }
}

type Product = fn(MatMut<'_>, f32, Mat<'_>, Mat<'_>, Threads);

#[cfg(target_arch = "x86_64")]
fn by(engine: Engine, c: MatMut<'_>, beta: f32, a: Mat<'_>, b: Mat<'_>, threads: Threads) {
    let strides = [c.row_stride, c.col_stride];
    assert_eq!([a.rows, a.cols, b.cols], [c.rows, b.rows, c.cols]);
    // SAFETY: the matrix vouches for its elements, and `products` for the engine.
    unsafe { multiply(engine, c.data.as_mut_ptr(), strides, beta, [a, b], threads) }
}

/// The products by each engine that the processor has, and the one without.
fn products() -> Vec<Product> {
    let mut products: Vec<Product> = vec![blas::emulated];
    #[cfg(target_arch = "x86_64")]
    products.extend(Engine::all().into_iter().map(|engine| -> Product {
        match engine {
            Engine::Pairs => |c, beta, a, b, threads| by(Engine::Pairs, c, beta, a, b, threads),
            Engine::Tiles => |c, beta, a, b, threads| by(Engine::Tiles, c, beta, a, b, threads),
        }
    }));
    products
}

/// The sum of products of rounded operands in double precision, and that of their magnitudes.
fn exact(a: &[f32], b: &[f32], [n, k]: [usize; 2], i: usize, j: usize) -> (f64, f64) {
    let product = |p| f64::from(round(a[i * k + p])) * f64::from(round(b[p * n + j]));
    (0..k)
        .map(product)
        .fold((0.0, 0.0), |(sum, size), x| (sum + x, size + x.abs()))
}

#[test]
fn rounds_to_nearest_and_ties_to_even() {
    let bits = |x: u32| round(f32::from_bits(x)).to_bits();
    assert_eq!(bits(0x3F80_7FFF), 0x3F80_0000);
    assert_eq!(bits(0x3F80_8000), 0x3F80_0000, "a tie, even below");
    assert_eq!(bits(0x3F81_8000), 0x3F82_0000, "a tie, even above");
    assert_eq!(bits(0x3F80_8001), 0x3F81_0000);
    assert_eq!(bits(0xBF80_8001), 0xBF81_0000);
    assert_eq!(round(f32::MAX), f32::INFINITY);
    assert_eq!(round(f32::NEG_INFINITY), f32::NEG_INFINITY);
    assert_eq!(bits(0x8000_0000), 0x8000_0000);
    assert!(round(f32::from_bits(0x7F80_0001)).is_nan() && round(f32::NAN).is_nan());
}

#[test]
fn agrees_with_double_precision_for_every_storage_and_remainder() {
    for [m, n, k] in [
        [1, 1, 1],
        [1, 33, 2],
        [14, 32, 64],
        [15, 17, 31],
        [13, 49, 257],
        [113, 5, 3],
        [7, 64, 519],
        [3, 2, 4099],
        [131, 97, 100],
    ] {
        let (a, b, c0) = (numbers(m * k, 1), numbers(k * n, 2), numbers(m * n, 3));
        for (turn, left) in STORAGES.into_iter().enumerate() {
            let right = STORAGES[(turn + m) % STORAGES.len()];
            let stored_a = stored(&a, [m, k], left);
            let stored_b = stored(&b, [k, n], right);
            for product in products() {
                for beta in [0.0, 1.0, 0.5] {
                    let mut c = if beta == 0.0 {
                        vec![f32::NAN; m * n]
                    } else {
                        c0.clone()
                    };
                    let (a_mat, b_mat) =
                        (mat(&stored_a, [m, k], left), mat(&stored_b, [k, n], right));
                    product(MatMut::new(&mut c, m, n), beta, a_mat, b_mat, Threads::All);
                    for (at, found) in c.iter().enumerate() {
                        let (sum, size) = exact(&a, &b, [n, k], at / n, at % n);
                        let want = f64::from(beta) * f64::from(c0[at]) + sum;
                        assert!(
                            (f64::from(*found) - want).abs() < 1e-6 * (size + 1.0),
                            "[{m}, {n}, {k}] {left:?} {right:?}: {found} for {want} at {at}"
                        );
                    }
                }
            }
        }
    }
}

#[test]
fn writes_to_a_block_of_columns_and_to_a_transpose() {
    let [m, n, k] = [19, 35, 70];
    let (a, b) = (numbers(m * k, 4), numbers(k * n, 5));
    for product in products() {
        let (mut block, mut turned) = (vec![9.0; m * (n + 4)], vec![9.0; m * n]);
        let (a_mat, b_mat) = (Mat::new(&a, m, k), Mat::new(&b, k, n));
        product(
            MatMut::strided(&mut block, m, n, n + 4),
            0.0,
            a_mat,
            b_mat,
            Threads::All,
        );
        product(
            MatMut::new(&mut turned, n, m).t(),
            0.0,
            a_mat,
            b_mat,
            Threads::All,
        );
        for i in 0..m {
            for j in 0..n {
                let (want, _) = exact(&a, &b, [n, k], i, j);
                assert!((f64::from(block[i * (n + 4) + j]) - want).abs() < 1e-4);
                assert!((f64::from(turned[j * m + i]) - want).abs() < 1e-4);
            }
            assert_eq!(block[i * (n + 4) + n..][..4], [9.0; 4]);
        }
    }
}

#[test]
fn empty_operands_scale_or_leave_the_result() {
    let mut c = [2.0, 4.0];
    let product = |c: &mut [f32], rows, k, beta| {
        blas::gemm(
            Precision::Bf16,
            MatMut::new(c, rows, 2),
            beta,
            Mat::new(&[], rows, k),
            Mat::new(&[1.0; 6], k, 2),
            Threads::All,
        );
    };
    product(&mut c, 1, 0, 0.5);
    assert_eq!(c, [1.0, 2.0]);
    product(&mut c, 0, 3, 0.0);
    assert_eq!(c, [1.0, 2.0]);
}

#[test]
fn numbers_that_are_not_finite_arrive() {
    for product in products() {
        let mut c = [0.0; 3];
        let a = [1.0, f32::INFINITY, f32::NAN, 1.0, f32::MAX, 1.0];
        product(
            MatMut::new(&mut c, 3, 1),
            0.0,
            Mat::new(&a, 3, 2),
            Mat::new(&[1.0, 1.0], 2, 1),
            Threads::One,
        );
        assert_eq!((c[0], c[2]), (f32::INFINITY, f32::INFINITY));
        assert!(c[1].is_nan());
    }
}

#[test]
fn the_number_of_threads_does_not_change_a_bit() {
    for [m, n, k] in [
        [256, 300, 700],
        [1, 1000, 900],
        [1000, 1, 900],
        [130, 170, 4097],
    ] {
        let (a, b) = (numbers(m * k, 6), numbers(k * n, 7));
        for product in products() {
            let run = |threads: usize, asked: Threads| {
                let mut c = vec![0.0; m * n];
                let (a, b) = (Mat::new(&a, m, k), Mat::new(&b, k, n));
                let task = || product(MatMut::new(&mut c, m, n), 0.0, a, b, asked);
                let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build();
                pool.expect("a pool").install(task);
                c.into_iter().map(f32::to_bits).collect::<Vec<_>>()
            };
            let one = run(1, Threads::All);
            for threads in [2, 3, 7] {
                assert!(one == run(threads, Threads::All), "{threads} threads");
            }
            assert!(one == run(2, Threads::One), "inside a task");
        }
    }
}
