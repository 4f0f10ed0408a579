//! The two passes of layer normalisation over rows `[N, C]`.

use crate::buffer::{BLOCK, build, pieces};
use crate::simd::{Isa, Kernel, mul_add, run};

/// Partial sums of a row.
const LANES: usize = 16;

/// What the forward pass gives.
pub struct Normalised {
    /// `x + residual [N, C]`; empty without a residual.
    pub sum: Vec<f32>,
    /// `[N, C]`.
    pub output: Vec<f32>,
    /// Mean and `1 / sqrt(variance + eps)`: `[N, 2]`.
    pub statistics: Vec<f32>,
}

/// Rows of a task.
fn rows_of_task(size: usize) -> usize {
    (BLOCK / size).max(1)
}

/// Normalises the rows of `x` or of `x + residual`, with `lines = [weight, bias]`.
pub fn normalise(
    x: &[f32],
    residual: Option<&[f32]>,
    [weight, bias]: [&[f32]; 2],
    eps: f64,
) -> Normalised {
    let size = weight.len();
    let task = rows_of_task(size);
    let summed = usize::from(residual.is_some());
    let sizes: Vec<[usize; 3]> = pieces(x.len() / size, task)
        .map(|rows| [rows * size * summed, rows * size, rows * 2])
        .collect();
    let [sum, output, statistics] = build(&sizes, |i, [sum, y, statistics]| {
        let first = i * task * size;
        run(Normalise {
            x: &x[first..][..y.len()],
            residual: residual.map(|residual| &residual[first..][..y.len()]),
            weight,
            bias,
            eps: eps as f32,
            sum,
            y,
            statistics,
        });
    });
    Normalised {
        sum,
        output,
        statistics,
    }
}

struct Normalise<'a> {
    x: &'a [f32],
    residual: Option<&'a [f32]>,
    weight: &'a [f32],
    bias: &'a [f32],
    eps: f32,
    sum: &'a mut [f32],
    y: &'a mut [f32],
    statistics: &'a mut [f32],
}

impl Kernel for Normalise<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Isa>(self, isa: S) {
        let size = self.weight.len();
        let (weight, bias) = (&self.weight[..size], &self.bias[..size]);
        let rows = self
            .y
            .chunks_exact_mut(size)
            .zip(self.statistics.chunks_exact_mut(2));
        for (row, (y, statistics)) in rows.enumerate() {
            let at = row * size;
            let x = &self.x[at..][..size];
            let x = match self.residual {
                None => x,
                Some(residual) => {
                    let (sum, residual) = (&mut self.sum[at..][..size], &residual[at..][..size]);
                    for c in 0..size {
                        sum[c] = x[c] + residual[c];
                    }
                    sum
                }
            };
            let count = size as f32;
            let mean = lanes(x, |sum, x| sum + x) / count;
            let variance = lanes(
                x,
                #[inline(always)]
                |sum, x| mul_add(isa, x - mean, x - mean, sum),
            ) / count;
            let inverse = 1.0 / (variance + self.eps).sqrt();
            statistics.copy_from_slice(&[mean, inverse]);
            for c in 0..size {
                y[c] = mul_add(isa, (x[c] - mean) * inverse, weight[c], bias[c]);
            }
        }
    }
}

/// Folds a row into partial sums and joins them pairwise, the same way on every instruction set.
#[inline(always)]
fn lanes(x: &[f32], add: impl Fn(f32, f32) -> f32) -> f32 {
    let mut partial = [0.0f32; LANES];
    let (blocks, rest) = x.as_chunks::<LANES>();
    for block in blocks {
        for l in 0..LANES {
            partial[l] = add(partial[l], block[l]);
        }
    }
    for (sum, x) in partial.iter_mut().zip(rest) {
        *sum = add(*sum, *x);
    }
    joined(partial)
}

/// The sum of partial sums, halves onto halves.
#[inline(always)]
fn joined(mut partial: [f32; LANES]) -> f32 {
    for half in [8, 4, 2, 1] {
        for l in 0..half {
            partial[l] += partial[l + half];
        }
    }
    partial[0]
}

/// The gradients of `x [N, C]`, `weight [C]` and `bias [C]`.
pub fn gradients(x: &[f32], dy: &[f32], weight: &[f32], statistics: &[f32]) -> [Vec<f32>; 3] {
    let size = weight.len();
    let task = rows_of_task(size);
    let sizes: Vec<[usize; 3]> = pieces(x.len() / size, task)
        .map(|rows| [rows * size, size, size])
        .collect();
    let [dx, weights, biases] = build(&sizes, |i, [dx, d_weight, d_bias]| {
        let first = i * task * size;
        run(Gradients {
            x: &x[first..][..dx.len()],
            dy: &dy[first..][..dx.len()],
            weight,
            statistics: &statistics[i * task * 2..],
            dx,
            d_weight,
            d_bias,
        });
    });
    let total = |parts: Vec<f32>| {
        let mut total = vec![0.0f64; size];
        for part in parts.chunks_exact(size) {
            for (total, part) in total.iter_mut().zip(part) {
                *total += f64::from(*part);
            }
        }
        total.into_iter().map(|sum| sum as f32).collect()
    };
    [dx, total(weights), total(biases)]
}

/// The gradients of some rows; those of weight and bias begin at 0.
struct Gradients<'a> {
    x: &'a [f32],
    dy: &'a [f32],
    weight: &'a [f32],
    statistics: &'a [f32],
    dx: &'a mut [f32],
    d_weight: &'a mut [f32],
    d_bias: &'a mut [f32],
}

impl Kernel for Gradients<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Isa>(self, isa: S) {
        let size = self.weight.len();
        let weight = &self.weight[..size];
        let (d_weight, d_bias) = (&mut self.d_weight[..size], &mut self.d_bias[..size]);
        let rows = self.x.chunks_exact(size).zip(self.dy.chunks_exact(size));
        let results = self
            .dx
            .chunks_exact_mut(size)
            .zip(self.statistics.chunks_exact(2));
        for ((x, dy), (dx, statistics)) in rows.zip(results) {
            let (mean, inverse) = (statistics[0], statistics[1]);
            // With n = (x - mean) · inverse and g = dy · weight: Σ g and Σ g n.
            let (mut plain, mut normal) = ([0.0f32; LANES], [0.0f32; LANES]);
            let whole = size - size % LANES;
            for first in (0..whole).step_by(LANES) {
                let (x, dy) = (&x[first..][..LANES], &dy[first..][..LANES]);
                let weight = &weight[first..][..LANES];
                let d_weight = &mut d_weight[first..][..LANES];
                let d_bias = &mut d_bias[first..][..LANES];
                for l in 0..LANES {
                    let (n, g) = ((x[l] - mean) * inverse, dy[l] * weight[l]);
                    plain[l] += g;
                    normal[l] = mul_add(isa, g, n, normal[l]);
                    d_weight[l] = mul_add(isa, dy[l], n, d_weight[l]);
                    d_bias[l] += dy[l];
                }
            }
            for c in whole..size {
                let l = c - whole;
                let (n, g) = ((x[c] - mean) * inverse, dy[c] * weight[c]);
                plain[l] += g;
                normal[l] = mul_add(isa, g, n, normal[l]);
                d_weight[c] = mul_add(isa, dy[c], n, d_weight[c]);
                d_bias[c] += dy[c];
            }
            // dx = inverse (g - mean g - n mean(g n)) = dy · weight · inverse + (x - mean) · slope + offset
            let count = size as f32;
            let offset = -inverse * joined(plain) / count;
            let slope = -inverse * inverse * joined(normal) / count;
            for c in 0..size {
                let through = mul_add(isa, x[c] - mean, slope, offset);
                dx[c] = mul_add(isa, dy[c] * inverse, weight[c], through);
            }
        }
    }
}
