//! Gradients of weights and biases: sums over all valid steps of all rows.

use crate::blas::{self, Mat, MatMut, Threads};
use rayon::prelude::*;
use std::ops::Range;

/// Columns of one task of [`column_sums`].
const COLUMNS: usize = 64;

/// Gradients of pre-activations, `[steps, width]`, row-major.
#[derive(Clone, Copy)]
pub(crate) struct Deltas<'a> {
    pub values: &'a [f32],
    pub steps: usize,
    pub width: usize,
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
        let count = columns.len();
        if self.steps == 0 {
            return;
        }
        blas::gemm(
            MatMut::new(gradient, count, depth),
            0.0,
            Mat::strided(
                &self.values[columns.start..],
                self.steps,
                count,
                self.width,
                1,
            )
            .t(),
            Mat::strided(inputs, self.steps, depth, stride, 1),
            Threads::All,
        );
    }

    /// The sums of some columns: a bias's gradient.
    pub fn sums(self, columns: Range<usize>) -> Vec<f32> {
        let mut sums = vec![0.0; columns.len()];
        sums.par_chunks_mut(COLUMNS)
            .enumerate()
            .for_each(|(index, sums)| {
                let first = columns.start + index * COLUMNS;
                for row in self.values.chunks_exact(self.width) {
                    for (sum, delta) in sums.iter_mut().zip(&row[first..]) {
                        *sum += delta;
                    }
                }
            });
        sums
    }
}
