//! Gradients of weights and biases: sums over all valid steps of all rows.

use crate::blas::{self, Mat, MatMut, Threads};
use crate::precision::Precision;
use crate::simd::{Isa, Kernel, run};
use rayon::prelude::*;
use std::ops::Range;

/// Columns of one task of [`Deltas::sums`], and rows of a weight's gradient of one of
/// [`Deltas::weights`]: fixed, so that the bits do not depend on the threads.
const COLUMNS: usize = 64;
const ROWS: usize = 128;

/// Gradients of pre-activations, `[steps, width]`, row-major.
#[derive(Clone, Copy)]
pub(crate) struct Deltas<'a> {
    pub values: &'a [f32],
    pub steps: usize,
    pub width: usize,
    /// Of the weights' gradients; the biases' are sums.
    pub precision: Precision,
}

impl Deltas<'_> {
    /// A weight's gradient, `deltas[:, columns]^T * inputs`, written to `gradient`.
    ///
    /// `inputs` is `[steps, depth]` with rows `stride` apart; `gradient` is `[columns, depth]`.
    pub fn weights(
        self,
        columns: Range<usize>,
        inputs: &[f32],
        stride: usize,
        gradient: &mut [f32],
        depth: usize,
    ) {
        debug_assert_eq!(gradient.len(), columns.len() * depth);
        if self.steps == 0 || depth == 0 {
            return;
        }
        let inputs = Mat::strided(inputs, self.steps, depth, stride, 1);
        gradient
            .par_chunks_mut(ROWS * depth)
            .enumerate()
            .for_each(|(task, gradient)| {
                let (first, count) = (columns.start + task * ROWS, gradient.len() / depth);
                let deltas = &self.values[first..];
                blas::gemm(
                    self.precision,
                    MatMut::new(gradient, count, depth),
                    0.0,
                    Mat::strided(deltas, self.steps, count, self.width, 1).t(),
                    inputs,
                    Threads::One,
                );
            });
    }

    /// The sums of some columns: a bias's gradient.
    pub fn sums(self, columns: Range<usize>) -> Vec<f32> {
        let mut sums = vec![0.0; columns.len()];
        sums.par_chunks_mut(COLUMNS)
            .enumerate()
            .for_each(|(task, sums)| {
                let first = columns.start + task * COLUMNS;
                run(Sums {
                    deltas: self,
                    first,
                    to: sums,
                });
            });
        sums
    }
}

/// The sums of as many columns as there are, from `first` on.
struct Sums<'a> {
    deltas: Deltas<'a>,
    first: usize,
    to: &'a mut [f32],
}

impl Kernel for Sums<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Isa>(self, _: S) {
        for row in self.deltas.values.chunks_exact(self.deltas.width) {
            for (sum, delta) in self.to.iter_mut().zip(&row[self.first..]) {
                *sum += delta;
            }
        }
    }
}
