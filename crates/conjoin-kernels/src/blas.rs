//! Matrix products on slices, safe and the same for every number of threads.
//!
//! Shapes: `C [m, n] = beta * C + A [m, k] * B [k, n]`. A matrix is a slice with a stride for rows and
//! one for columns; a transpose swaps them and copies nothing.
//!
//! Threads share out tiles of C; the sum over `k` of one element is always one thread's work in one
//! order, so the result does not depend on how many there are.

use crate::bf16;
use crate::buffer::build_with;
use crate::precision::Precision;
use gemm::Parallelism;
use std::mem::MaybeUninit;

/// A read-only matrix: element `(i, j)` is `data[i * row_stride + j * col_stride]`.
#[derive(Clone, Copy, Debug)]
pub struct Mat<'a> {
    pub(crate) data: &'a [f32],
    pub(crate) rows: usize,
    pub(crate) cols: usize,
    pub(crate) row_stride: usize,
    pub(crate) col_stride: usize,
}

/// A matrix to write to, addressed like [`Mat`]; its elements never overlap.
#[derive(Debug)]
pub struct MatMut<'a> {
    pub(crate) data: &'a mut [f32],
    pub(crate) rows: usize,
    pub(crate) cols: usize,
    pub(crate) row_stride: usize,
    pub(crate) col_stride: usize,
}

/// One past the largest index that a matrix reaches.
fn extent(rows: usize, cols: usize, row_stride: usize, col_stride: usize) -> usize {
    if rows == 0 || cols == 0 {
        0
    } else {
        (rows - 1) * row_stride + (cols - 1) * col_stride + 1
    }
}

impl<'a> Mat<'a> {
    /// A row-major matrix without gaps.
    ///
    /// # Panics
    /// If `data` is shorter than `rows * cols`.
    pub fn new(data: &'a [f32], rows: usize, cols: usize) -> Self {
        Self::strided(data, rows, cols, cols, 1)
    }

    /// A matrix with any strides.
    ///
    /// # Panics
    /// If an element lies beyond `data`.
    pub fn strided(
        data: &'a [f32],
        rows: usize,
        cols: usize,
        row_stride: usize,
        col_stride: usize,
    ) -> Self {
        assert!(
            extent(rows, cols, row_stride, col_stride) <= data.len(),
            "the matrix exceeds its slice"
        );
        Self {
            data,
            rows,
            cols,
            row_stride,
            col_stride,
        }
    }

    /// The transpose, without a copy.
    pub fn t(self) -> Self {
        Self {
            rows: self.cols,
            cols: self.rows,
            row_stride: self.col_stride,
            col_stride: self.row_stride,
            ..self
        }
    }
}

impl<'a> MatMut<'a> {
    /// A row-major matrix without gaps.
    ///
    /// # Panics
    /// If `data` is shorter than `rows * cols`.
    pub fn new(data: &'a mut [f32], rows: usize, cols: usize) -> Self {
        Self::strided(data, rows, cols, cols)
    }

    /// A row-major matrix whose rows begin `row_stride >= cols` apart (a block of columns of a wider one).
    ///
    /// # Panics
    /// If rows overlap or an element lies beyond `data`.
    pub fn strided(data: &'a mut [f32], rows: usize, cols: usize, row_stride: usize) -> Self {
        assert!(row_stride >= cols, "the rows overlap");
        assert!(
            extent(rows, cols, row_stride, 1) <= data.len(),
            "the matrix exceeds its slice"
        );
        Self {
            data,
            rows,
            cols,
            row_stride,
            col_stride: 1,
        }
    }

    /// The transpose, without a copy.
    pub fn t(self) -> Self {
        Self {
            rows: self.cols,
            cols: self.rows,
            row_stride: self.col_stride,
            col_stride: self.row_stride,
            ..self
        }
    }
}

/// Whether a product may use the thread pool, or runs inside a task that already does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Threads {
    /// The calling thread only.
    One,
    /// All threads of the pool, if the product is large enough to gain.
    All,
}

/// `C = beta * C + A * B` in a precision: that of A and B, never that of C. With `beta == 0` the old
/// content of C is not read.
///
/// # Panics
/// If the shapes do not fit together.
pub fn gemm(
    precision: Precision,
    c: MatMut<'_>,
    beta: f32,
    a: Mat<'_>,
    b: Mat<'_>,
    threads: Threads,
) {
    assert_eq!((a.rows, a.cols), (c.rows, b.rows), "A does not fit");
    assert_eq!(b.cols, c.cols, "B does not fit");
    if c.rows == 0 || c.cols == 0 {
        return;
    }
    let to = (c.data.as_mut_ptr(), [c.row_stride, c.col_stride]);
    // SAFETY: the constructor has checked that every element of C lies within its slice and that none
    // overlap; the borrow rules keep C apart from A and B.
    unsafe { multiply(precision, to, beta, [a, b], threads) }
}

/// The row-major `A * B [m, n]`, into memory that nobody clears first; as [`gemm`] otherwise.
///
/// # Panics
/// If the shapes do not fit together.
pub(crate) fn product(precision: Precision, a: Mat<'_>, b: Mat<'_>, threads: Threads) -> Vec<f32> {
    assert_eq!(a.cols, b.rows, "B does not fit");
    let (rows, cols) = (a.rows, b.cols);
    if rows * cols == 0 {
        return Vec::new();
    }
    // SAFETY: the product writes all `rows * cols` values, which lie row by row, and reads none.
    unsafe {
        build_with(rows * cols, |c: &mut [MaybeUninit<f32>]| {
            let to = (c.as_mut_ptr().cast(), [cols, 1]);
            multiply(precision, to, 0.0, [a, b], threads);
        })
    }
}

/// [`gemm`] at an address, with strides of rows and columns; with `beta == 0`, C is only written.
///
/// # Safety
/// A's columns are B's rows, and neither side of C is 0. Every element of C lies in memory that is this call's
/// alone, and no two overlap.
unsafe fn multiply(
    precision: Precision,
    (c, strides): (*mut f32, [usize; 2]),
    beta: f32,
    [a, b]: [Mat<'_>; 2],
    threads: Threads,
) {
    if precision == Precision::F32 || a.cols == 0 {
        // SAFETY: by the caller.
        return unsafe { single(c, strides, beta, a, b, threads) };
    }
    #[cfg(target_arch = "x86_64")]
    if crate::simd::has_bf16() {
        let engine = bf16::Engine::best();
        // SAFETY: by the caller; the processor has the engine, and no side is 0.
        return unsafe { bf16::multiply(engine, c, strides, beta, [a, b], threads) };
    }
    let copies = [a, b].map(|mat| bf16::RoundedMatrix::new(mat, threads));
    let [a, b] = copies.each_ref().map(bf16::RoundedMatrix::mat);
    // SAFETY: by the caller.
    unsafe { single(c, strides, beta, a, b, threads) }
}

/// The product of rounded operands in single precision, as it is made without an instruction for it.
#[cfg(test)]
pub(crate) fn emulated(c: MatMut<'_>, beta: f32, a: Mat<'_>, b: Mat<'_>, threads: Threads) {
    let copies = [a, b].map(|mat| bf16::RoundedMatrix::new(mat, threads));
    let [a, b] = copies.each_ref().map(bf16::RoundedMatrix::mat);
    gemm(Precision::F32, c, beta, a, b, threads);
}

/// [`multiply`] in single precision.
///
/// # Safety
/// As for [`multiply`].
unsafe fn single(
    c: *mut f32,
    [row_stride, col_stride]: [usize; 2],
    beta: f32,
    a: Mat<'_>,
    b: Mat<'_>,
    threads: Threads,
) {
    let parallelism = match threads {
        Threads::One => Parallelism::None,
        Threads::All => Parallelism::Rayon(rayon::current_num_threads()),
    };
    // SAFETY: C by the caller; the constructors have checked A and B.
    unsafe {
        gemm::gemm(
            a.rows,
            b.cols,
            a.cols,
            c,
            col_stride as isize,
            row_stride as isize,
            beta != 0.0,
            a.data.as_ptr(),
            a.col_stride as isize,
            a.row_stride as isize,
            b.data.as_ptr(),
            b.col_stride as isize,
            b.row_stride as isize,
            beta,
            1.0,
            false,
            false,
            false,
            parallelism,
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbers(n: usize, seed: u32) -> Vec<f32> {
        (0..n as u32)
            .map(|i| ((i.wrapping_mul(2_654_435_761) ^ seed) % 2003) as f32 / 1000.0 - 1.0)
            .collect()
    }

    #[test]
    fn agrees_with_the_definition_for_transposes_blocks_and_beta() {
        let (m, n, k) = (37, 29, 53);
        let (a, b, c0) = (
            numbers(m * k, 1),
            numbers(n * k, 2),
            numbers(m * (n + 3), 3),
        );
        for beta in [0.0, 1.0, 0.5] {
            let mut c = c0.clone();
            // A is stored transposed, B too, and C is a block of wider rows.
            gemm(
                Precision::F32,
                MatMut::strided(&mut c, m, n, n + 3),
                beta,
                Mat::new(&a, k, m).t(),
                Mat::new(&b, n, k).t(),
                Threads::All,
            );
            for i in 0..m {
                for j in 0..n + 3 {
                    let old = c0[i * (n + 3) + j];
                    let product = || (0..k).map(|p| a[p * m + i] * b[j * k + p]).sum::<f32>();
                    let want = if j < n { beta * old + product() } else { old };
                    assert!((c[i * (n + 3) + j] - want).abs() < 1e-4);
                }
            }
        }
    }

    #[test]
    fn an_empty_sum_scales_c() {
        let mut c = [2.0, 4.0];
        gemm(
            Precision::F32,
            MatMut::new(&mut c, 1, 2),
            0.5,
            Mat::new(&[], 1, 0),
            Mat::new(&[], 0, 2),
            Threads::All,
        );
        assert_eq!(c, [1.0, 2.0]);
        gemm(
            Precision::F32,
            MatMut::new(&mut c, 1, 2),
            0.0,
            Mat::new(&[], 1, 0),
            Mat::new(&[], 0, 2),
            Threads::All,
        );
        assert_eq!(c, [0.0, 0.0]);
    }

    #[test]
    fn the_number_of_threads_does_not_change_a_bit() {
        for (m, n, k) in [
            (256, 300, 700),
            (1, 1000, 900),
            (1000, 1, 900),
            (130, 17, 4097),
        ] {
            let (a, b) = (numbers(m * k, 4), numbers(k * n, 5));
            let product = |threads: usize| {
                let mut c = vec![0.0; m * n];
                let task = || {
                    gemm(
                        Precision::F32,
                        MatMut::new(&mut c, m, n),
                        0.0,
                        Mat::new(&a, m, k),
                        Mat::new(&b, k, n),
                        Threads::All,
                    );
                };
                let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build();
                pool.expect("a pool").install(task);
                c
            };
            let one = product(1);
            for threads in [2, 3, 7] {
                assert!(
                    one.iter()
                        .zip(product(threads))
                        .all(|(x, y)| x.to_bits() == y.to_bits())
                );
            }
        }
    }
}
