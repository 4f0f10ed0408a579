//! The passes of batch normalisation over rows `[N, C]`.

use rayon::prelude::*;

use crate::buffer::{BLOCK, build_from};
use crate::simd::{Isa, Kernel, mul_add, run};

/// Values of a block of whole rows, about [`BLOCK`].
pub fn block_len(channels: usize) -> usize {
    (BLOCK / channels.max(1)).max(1) * channels.max(1)
}

/// Two sums a channel: each block in single precision, the blocks in double, in order.
fn block_sums<'a>(
    channels: usize,
    parts: impl IndexedParallelIterator<Item = (&'a [f32], &'a [f32])>,
    mean: &[f32],
    scale: &[f32],
    squares: bool,
) -> [Vec<f64>; 2] {
    let parts: Vec<[Vec<f32>; 2]> = parts
        .map(|(x, other)| {
            let mut sums = [vec![0.0f32; channels], vec![0.0f32; channels]];
            let [first, second] = &mut sums;
            run(Sums {
                x,
                other,
                mean,
                scale,
                first,
                second,
                squares,
            });
            sums
        })
        .collect();
    let mut totals = [vec![0.0f64; channels], vec![0.0f64; channels]];
    for part in parts {
        for (total, part) in totals.iter_mut().zip(part) {
            total
                .iter_mut()
                .zip(part)
                .for_each(|(total, value)| *total += f64::from(value));
        }
    }
    totals
}

/// Adds up a block: with `squares`, `d` and `d²` for `d = x - mean`; otherwise `other` and
/// `other · (x - mean) · scale`.
pub struct Sums<'a> {
    pub x: &'a [f32],
    pub other: &'a [f32],
    pub mean: &'a [f32],
    pub scale: &'a [f32],
    pub first: &'a mut [f32],
    pub second: &'a mut [f32],
    pub squares: bool,
}

impl Kernel for Sums<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Isa>(self, isa: S) {
        let channels = self.mean.len();
        let (mean, scale) = (&self.mean[..channels], &self.scale[..channels]);
        let (first, second) = (&mut self.first[..channels], &mut self.second[..channels]);
        for (x, other) in self
            .x
            .chunks_exact(channels)
            .zip(self.other.chunks_exact(channels))
        {
            if self.squares {
                for c in 0..channels {
                    let d = x[c] - mean[c];
                    first[c] += d;
                    second[c] = mul_add(isa, d, d, second[c]);
                }
            } else {
                for c in 0..channels {
                    let normal = (x[c] - mean[c]) * scale[c];
                    first[c] += other[c];
                    second[c] = mul_add(isa, other[c], normal, second[c]);
                }
            }
        }
    }
}

/// Mean and biased variance of every channel of `x [N, C]`.
///
/// The sums are of distances from the first row, which keeps a large mean from swallowing the
/// variance.
pub fn statistics(x: &[f32], channels: usize) -> (Vec<f64>, Vec<f64>) {
    if x.is_empty() {
        return (vec![0.0; channels], vec![0.0; channels]);
    }
    let count = (x.len() / channels) as f64;
    let pivot = &x[..channels];
    let blocks = x.par_chunks(block_len(channels)).map(|x| (x, x));
    let [sums, squares] = block_sums(channels, blocks, pivot, pivot, true);
    let shift: Vec<f64> = sums.iter().map(|sum| sum / count).collect();
    let mean = shift
        .iter()
        .zip(pivot)
        .map(|(shift, pivot)| shift + f64::from(*pivot))
        .collect();
    let variance = squares
        .iter()
        .zip(&shift)
        .map(|(square, shift)| (square / count - shift * shift).max(0.0));
    (mean, variance.collect())
}

/// `[Σ dz, Σ dz · normalised x]` of every channel.
pub fn backward_sums(x: &[f32], dz: &[f32], mean: &[f32], inverse: &[f32]) -> [Vec<f64>; 2] {
    let len = block_len(mean.len());
    block_sums(
        mean.len(),
        x.par_chunks(len).zip(dz.par_chunks(len)),
        mean,
        inverse,
        false,
    )
}

/// `relu?((x - mean) · scale + beta + residual?)`.
pub fn normalise(
    x: &[f32],
    mean: &[f32],
    scale: &[f32],
    beta: &[f32],
    residual: Option<&[f32]>,
    relu: bool,
) -> Vec<f32> {
    build_from(x, mean.len(), |first, values| {
        run(Normalise {
            mean,
            scale,
            beta,
            residual: residual.map(|r| &r[first..][..values.len()]),
            relu,
            values,
        });
    })
}

/// A stretch of [`normalise`], in place.
pub struct Normalise<'a> {
    pub mean: &'a [f32],
    pub scale: &'a [f32],
    pub beta: &'a [f32],
    pub residual: Option<&'a [f32]>,
    pub relu: bool,
    pub values: &'a mut [f32],
}

impl Kernel for Normalise<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Isa>(self, isa: S) {
        let channels = self.mean.len();
        let (mean, scale, beta) = (self.mean, &self.scale[..channels], &self.beta[..channels]);
        // -∞ leaves every number as it is; one loop serves both.
        let floor = if self.relu { 0.0 } else { f32::NEG_INFINITY };
        // A NaN must stay one, so no `max`, which would drop it.
        let rectify = |v: f32| if v < floor { floor } else { v };
        for (i, row) in self.values.chunks_exact_mut(channels).enumerate() {
            if let Some(residual) = self.residual {
                let residual = &residual[i * channels..][..channels];
                for c in 0..channels {
                    row[c] =
                        rectify(mul_add(isa, row[c] - mean[c], scale[c], beta[c]) + residual[c]);
                }
            } else {
                for c in 0..channels {
                    row[c] = rectify(mul_add(isa, row[c] - mean[c], scale[c], beta[c]));
                }
            }
        }
    }
}

/// `dy` where `y > 0`, else 0.
pub fn rectified(dy: &[f32], y: &[f32]) -> Vec<f32> {
    build_from(dy, 1, |first, values| {
        let y = &y[first..][..values.len()];
        run(Rectified { y, values });
    })
}

struct Rectified<'a> {
    y: &'a [f32],
    values: &'a mut [f32],
}

impl Kernel for Rectified<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Isa>(self, _: S) {
        for (value, y) in self.values.iter_mut().zip(self.y) {
            *value = if *y > 0.0 { *value } else { 0.0 };
        }
    }
}

/// `dx = gamma · inverse · (dz - mean(dz) - normalised x · mean(dz · normalised x))`; without `sums`
/// the statistics are constants and the two means fall away.
pub fn input_gradient(
    x: &[f32],
    dz: &[f32],
    gamma: &[f32],
    mean: &[f32],
    inverse: &[f32],
    sums: Option<&[Vec<f64>; 2]>,
) -> Vec<f32> {
    let channels = mean.len();
    let count = (x.len() / channels.max(1)) as f64;
    // dx = dz · a + (x - mean) · b + c
    let scale: Vec<f32> = gamma.iter().zip(inverse).map(|(g, i)| g * i).collect();
    let (slope, offset): (Vec<f32>, Vec<f32>) = (0..channels)
        .map(|c| {
            let Some([plain, normal]) = sums else {
                return (0.0, 0.0);
            };
            let factor = -f64::from(scale[c]) / count;
            (
                (factor * normal[c] * f64::from(inverse[c])) as f32,
                (factor * plain[c]) as f32,
            )
        })
        .unzip();
    build_from(dz, channels, |first, values| {
        run(InputGradient {
            x: &x[first..][..values.len()],
            mean,
            scale: &scale,
            slope: &slope,
            offset: &offset,
            values,
        });
    })
}

/// A stretch of [`input_gradient`], in place of `dz`: `dz · scale + (x - mean) · slope + offset`.
pub struct InputGradient<'a> {
    pub x: &'a [f32],
    pub mean: &'a [f32],
    pub scale: &'a [f32],
    pub slope: &'a [f32],
    pub offset: &'a [f32],
    pub values: &'a mut [f32],
}

impl Kernel for InputGradient<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Isa>(self, isa: S) {
        let channels = self.mean.len();
        let (mean, scale) = (self.mean, &self.scale[..channels]);
        let (slope, offset) = (&self.slope[..channels], &self.offset[..channels]);
        let rows = self.values.chunks_exact_mut(channels);
        for (row, x) in rows.zip(self.x.chunks_exact(channels)) {
            for c in 0..channels {
                let centred = mul_add(isa, x[c] - mean[c], slope[c], offset[c]);
                row[c] = mul_add(isa, row[c], scale[c], centred);
            }
        }
    }
}
