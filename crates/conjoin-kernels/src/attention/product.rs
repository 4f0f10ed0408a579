//! A product of matrices for every row of a batch.
//!
//! Shapes: `B` rows, `M` and `N` sides of the result, `K` summed.

use crate::blas::{Mat, MatMut, Threads, gemm};
use crate::flex::{Dense, Fused, all_supported, apply, tensor};
use crate::precision::Precision;
use burn::backend::flex::FlexTensor;
use burn::tensor::Tensor;
use rayon::prelude::*;

/// `a [B, M, K] · b [B, K, N]`, or `a · bᵀ` of `b [B, N, K]` where `turned`: `[B, M, N]`, in the current
/// [`Precision`].
pub fn product(a: Tensor<3>, b: Tensor<3>, turned: bool) -> Tensor<3> {
    let precision = Precision::current();
    let ([batch, m, k], [b_batch, rows, cols]) = (a.dims(), b.dims());
    let (b_k, n) = if turned { (cols, rows) } else { (rows, cols) };
    let fits = (b_batch, b_k) == (batch, k) && all_supported(&[&a, &b]);
    if precision == Precision::F32 || !fits {
        return a.matmul(if turned { b.swap_dims(1, 2) } else { b });
    }
    let product = Product {
        batch,
        sizes: [m, n, k],
        turned,
        precision,
    };
    apply(product, [a.into_dispatch(), b.into_dispatch()])
}

#[derive(Clone, Copy, Debug)]
struct Product {
    batch: usize,
    /// `M`, `N`, `K`.
    sizes: [usize; 3],
    turned: bool,
    precision: Precision,
}

/// An operand: its numbers, its rows and columns, and whether it is multiplied as it is or turned.
type Operand<'a> = (&'a [f32], [usize; 2], bool);

/// One row's matrix of an operand.
fn matrix((data, [rows, cols], turned): Operand<'_>, row: usize) -> Mat<'_> {
    let size = rows * cols;
    let mat = Mat::new(&data[row * size..][..size], rows, cols);
    if turned { mat.t() } else { mat }
}

impl Product {
    /// The product of each row, `[rows, cols]`.
    fn each(&self, [rows, cols]: [usize; 2], a: Operand<'_>, b: Operand<'_>) -> FlexTensor {
        let mut c = vec![0.0; self.batch * rows * cols];
        c.par_chunks_mut((rows * cols).max(1))
            .enumerate()
            .for_each(|(row, c)| {
                let to = MatMut::new(c, rows, cols);
                let (a, b) = (matrix(a, row), matrix(b, row));
                gemm(self.precision, to, 0.0, a, b, Threads::One);
            });
        tensor(c, [self.batch, rows, cols])
    }
}

impl Fused<2> for Product {
    type Saved = [Dense; 2];

    fn forward(&self, operands: &[Dense; 2]) -> (FlexTensor, Self::Saved) {
        let [m, n, k] = self.sizes;
        let [a, b] = operands.each_ref().map(Dense::values);
        let right = if self.turned { [n, k] } else { [k, n] };
        let c = self.each([m, n], (a, [m, k], false), (b, right, self.turned));
        (c, operands.clone())
    }

    fn backward(
        &self,
        saved: Self::Saved,
        gradient: Dense,
        [want_a, want_b]: [bool; 2],
    ) -> [Option<FlexTensor>; 2] {
        let [m, n, k] = self.sizes;
        let [a, b] = saved.each_ref().map(Dense::values);
        let dc = gradient.values();
        let right = if self.turned { [n, k] } else { [k, n] };
        [
            want_a.then(|| self.each([m, k], (dc, [m, n], false), (b, right, !self.turned))),
            want_b.then(|| {
                if self.turned {
                    self.each([n, k], (dc, [m, n], true), (a, [m, k], false))
                } else {
                    self.each([k, n], (a, [m, k], true), (dc, [m, n], false))
                }
            }),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::{Device, Distribution};

    #[test]
    fn rounds_both_ways_and_its_gradients_agree_with_the_full_product() {
        let device = Device::flex().autodiff();
        for turned in [false, true] {
            let dims = if turned { [3, 7, 37] } else { [3, 37, 7] };
            let random =
                |dims| Tensor::<3>::random(dims, Distribution::Uniform(-1.0, 1.0), &device);
            let (a, b) = (
                random([3, 5, 37]).require_grad(),
                random(dims).require_grad(),
            );
            let run = |precision: Precision| {
                let c = precision.scope(|| product(a.clone(), b.clone(), turned));
                let gradients = c.clone().powi_scalar(2).sum().backward();
                let values = |t: Tensor<3>| t.into_data().iter::<f32>().collect::<Vec<_>>();
                [
                    values(c.inner()),
                    a.grad(&gradients).map(values).unwrap_or_default(),
                    b.grad(&gradients).map(values).unwrap_or_default(),
                ]
            };
            for (full, half) in run(Precision::F32).iter().zip(run(Precision::Bf16)) {
                assert_eq!(full.len(), half.len());
                let largest = full.iter().fold(0.0f32, |most, x| most.max(x.abs()));
                let error = full.iter().zip(&half).map(|(x, y)| (x - y).abs());
                let error = error.fold(0.0, f32::max);
                assert!(error < 0.02 * largest, "{error} of {largest}");
                assert!(error > 1e-5 * largest, "nothing was rounded: {error}");
            }
        }
    }
}
