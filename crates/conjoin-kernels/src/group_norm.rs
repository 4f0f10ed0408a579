//! Group normalisation of feature maps whose channels lie last.
//!
//! Source: Wu and He, "Group Normalization" (2018). Shape legend: `B` images, `P` pixels (the product of
//! the axes between), `C` channels in `G` groups of neighbours; the statistics of an image and group are
//! over its `P · C / G` numbers.
//!
//! Sums are taken a channel, which is how memory lies, over fixed blocks of pixels that are joined in
//! order; a group's statistics follow from its channels'.

use std::sync::Arc;

use burn::backend::flex::FlexTensor;
use burn::tensor::Tensor;
use rayon::prelude::*;

use crate::batch_norm::kernels::{InputGradient, Normalise, Sums, block_len};
use crate::buffer::{build, pieces};
use crate::flex::{Dense, Fused, all_supported, apply, tensor};
use crate::shapes::expect;
use crate::simd::run;

/// Normalises every group of `C / groups` neighbouring channels of each `x[b]`, for `x [B, ..., C]`
/// (for images `[B, H, W, C]`): `y = (x - mean) / sqrt(variance + eps) · weight [C] + bias [C]` with the
/// biased variance, as PyTorch's `group_norm` does on `[B, C, ...]`.
///
/// Source: Wu and He, "Group Normalization" (2018).
///
/// # Panics
/// If `groups` does not divide `C`, `weight` or `bias` is not `[C]`, or `D < 2`.
#[track_caller]
pub fn group_norm<const D: usize>(
    x: Tensor<D>,
    groups: usize,
    weight: Tensor<1>,
    bias: Tensor<1>,
    eps: f64,
) -> Tensor<D> {
    let dims = x.dims();
    assert!(
        D >= 2,
        "group_norm: x has {D} dimensions, expected at least 2"
    );
    let channels = dims[D - 1];
    assert!(
        groups > 0 && channels.is_multiple_of(groups),
        "group_norm: {groups} groups do not divide the {channels} channels of x {dims:?}"
    );
    for (argument, line) in [("weight", &weight), ("bias", &bias)] {
        expect("group_norm", argument, &line.dims(), &[channels]);
    }
    if !all_supported(&[&x, &weight, &bias]) {
        return reference(x, groups, weight, bias, eps);
    }
    let inputs = [
        x.into_dispatch(),
        weight.into_dispatch(),
        bias.into_dispatch(),
    ];
    apply(GroupNorm { dims, groups, eps }, inputs)
}

/// [`group_norm`] by Burn's own operations, for any device.
pub fn reference<const D: usize>(
    x: Tensor<D>,
    groups: usize,
    weight: Tensor<1>,
    bias: Tensor<1>,
    eps: f64,
) -> Tensor<D> {
    let dims = x.dims();
    let (images, channels) = (dims[0], dims[D - 1]);
    let pixels: usize = dims[1..D - 1].iter().product();
    if x.shape().num_elements() == 0 {
        return x * weight.unsqueeze() + bias.unsqueeze();
    }
    let x = x
        .reshape([images, pixels, groups, channels / groups])
        .swap_dims(1, 2)
        .reshape([images, groups, pixels * (channels / groups)]);
    let centred = x.clone() - x.mean_dim(2);
    let variance = centred.clone().powi_scalar(2).mean_dim(2);
    let normal = (centred / (variance + eps).sqrt())
        .reshape([images, groups, pixels, channels / groups])
        .swap_dims(1, 2)
        .reshape(dims);
    normal * weight.unsqueeze() + bias.unsqueeze()
}

#[derive(Clone, Debug)]
struct GroupNorm<const D: usize> {
    dims: [usize; D],
    groups: usize,
    eps: f64,
}

/// Operands, and of each image and channel the group's mean and `1 / sqrt(variance + eps)`: `[B, C]`.
#[derive(Clone, Debug)]
struct Saved {
    x: Dense,
    weight: Dense,
    mean: Arc<Vec<f32>>,
    inverse: Arc<Vec<f32>>,
}

/// A block of pixels of one image.
#[derive(Clone, Copy, Debug)]
struct Part {
    image: usize,
    first: usize,
    len: usize,
}

impl<const D: usize> GroupNorm<D> {
    fn channels(&self) -> usize {
        self.dims[D - 1]
    }

    /// Numbers of an image.
    fn image(&self) -> usize {
        self.dims[1..].iter().product()
    }

    fn parts(&self) -> Vec<Part> {
        let block = block_len(self.channels());
        let parts = |image| {
            pieces(self.image(), block)
                .enumerate()
                .map(move |(i, len)| Part {
                    image,
                    first: image * self.image() + i * block,
                    len,
                })
        };
        (0..self.dims[0]).flat_map(parts).collect()
    }

    /// Two sums of every image and channel (see [`Sums`]), `[B, C]` each.
    fn sums(
        &self,
        x: &[f32],
        other: &[f32],
        lines: impl Fn(usize) -> [usize; 2] + Sync,
        [means, scales]: [&[f32]; 2],
        squares: bool,
    ) -> [Vec<f64>; 2] {
        let channels = self.channels();
        let parts = self.parts();
        let partial: Vec<[Vec<f32>; 2]> = parts
            .par_iter()
            .map(|part| {
                let mut sums = [vec![0.0f32; channels], vec![0.0f32; channels]];
                let [first, second] = &mut sums;
                let [mean, scale] = lines(part.image);
                run(Sums {
                    x: &x[part.first..][..part.len],
                    other: &other[part.first..][..part.len],
                    mean: &means[mean..][..channels],
                    scale: &scales[scale..][..channels],
                    first,
                    second,
                    squares,
                });
                sums
            })
            .collect();
        let mut totals = [(); 2].map(|()| vec![0.0f64; self.dims[0] * channels]);
        for (part, partial) in parts.iter().zip(partial) {
            for (total, partial) in totals.iter_mut().zip(partial) {
                let total = &mut total[part.image * channels..][..channels];
                for (total, partial) in total.iter_mut().zip(partial) {
                    *total += f64::from(partial);
                }
            }
        }
        totals
    }

    /// Mean and `1 / sqrt(variance + eps)` of the groups, a value for each image and channel.
    fn statistics(&self, x: &[f32]) -> [Vec<f32>; 2] {
        let (channels, image) = (self.channels(), self.image());
        if x.is_empty() {
            return [(); 2].map(|()| vec![0.0; self.dims[0] * channels]);
        }
        // Distances from the image's first pixel, which keeps a large mean from swallowing the variance.
        let first_pixel = |b: usize| [b * image; 2];
        let [sums, squares] = self.sums(x, x, first_pixel, [x, x], true);
        let pixels = (image / channels) as f64;
        let members = channels / self.groups;
        let mut results = [(); 2].map(|()| Vec::with_capacity(sums.len()));
        for group in 0..self.dims[0] * self.groups {
            let range = group * members..(group + 1) * members;
            let pivot = (group / self.groups) * image + (group % self.groups) * members;
            let means = || {
                range
                    .clone()
                    .map(|c| f64::from(x[pivot + c - group * members]) + sums[c] / pixels)
            };
            let mean = means().sum::<f64>() / members as f64;
            let variance = range.clone().zip(means()).map(|(c, channel)| {
                let within = squares[c] / pixels - (sums[c] / pixels).powi(2);
                within.max(0.0) + (channel - mean).powi(2)
            });
            let inverse = 1.0 / (variance.sum::<f64>() / members as f64 + self.eps).sqrt();
            results[0].extend(std::iter::repeat_n(mean as f32, members));
            results[1].extend(std::iter::repeat_n(inverse as f32, members));
        }
        results
    }
}

impl<const D: usize> Fused<3> for GroupNorm<D> {
    type Saved = Saved;

    fn forward(&self, [x, weight, bias]: &[Dense; 3]) -> (FlexTensor, Saved) {
        let channels = self.channels();
        let [mean, inverse] = self.statistics(x.values());
        let scale: Vec<f32> = inverse
            .iter()
            .enumerate()
            .map(|(i, inverse)| inverse * weight.values()[i % channels])
            .collect();
        let parts = self.parts();
        let sizes: Vec<[usize; 1]> = parts.iter().map(|part| [part.len]).collect();
        let [y] = build(&sizes, |i, [y]| {
            let part = parts[i];
            let line = part.image * channels;
            y.copy_from_slice(&x.values()[part.first..][..part.len]);
            run(Normalise {
                mean: &mean[line..][..channels],
                scale: &scale[line..][..channels],
                beta: bias.values(),
                residual: None,
                relu: false,
                values: y,
            });
        });
        let saved = Saved {
            x: x.clone(),
            weight: weight.clone(),
            mean: Arc::new(mean),
            inverse: Arc::new(inverse),
        };
        (tensor(y, self.dims), saved)
    }

    fn backward(&self, saved: Saved, dy: Dense, wanted: [bool; 3]) -> [Option<FlexTensor>; 3] {
        let channels = self.channels();
        let (x, dy, weight) = (saved.x.values(), dy.values(), saved.weight.values());
        let (mean, inverse) = (&saved.mean[..], &saved.inverse[..]);
        let line = |image: usize| [image * channels; 2];
        // Σ dy and Σ dy · normalised x
        let sums = self.sums(x, dy, line, [mean, inverse], false);
        let dx = wanted[0].then(|| {
            let members = (channels / self.groups).max(1);
            let count = (self.image() / self.groups) as f64;
            let mut lines = [(); 3].map(|()| vec![0.0f32; mean.len()]);
            let [scale, slope, offset] = &mut lines;
            for (i, inverse) in inverse.iter().enumerate() {
                scale[i] = inverse * weight[i % channels];
            }
            for first in (0..mean.len()).step_by(members) {
                let group = first..first + members;
                // The means over the group of dy · weight and of dy · weight · normalised x.
                let [plain, normal] = sums.each_ref().map(|sums| {
                    let weighted = group
                        .clone()
                        .map(|i| sums[i] * f64::from(weight[i % channels]));
                    weighted.sum::<f64>() / count
                });
                let inverse = f64::from(inverse[first]);
                slope[group.clone()].fill((-inverse * inverse * normal) as f32);
                offset[group].fill((-inverse * plain) as f32);
            }
            let parts = self.parts();
            let sizes: Vec<[usize; 1]> = parts.iter().map(|part| [part.len]).collect();
            let [dx] = build(&sizes, |i, [dx]| {
                let part = parts[i];
                let line = part.image * channels;
                dx.copy_from_slice(&dy[part.first..][..part.len]);
                run(InputGradient {
                    x: &x[part.first..][..part.len],
                    mean: &mean[line..][..channels],
                    scale: &lines[0][line..][..channels],
                    slope: &lines[1][line..][..channels],
                    offset: &lines[2][line..][..channels],
                    values: dx,
                });
            });
            tensor(dx, self.dims)
        });
        let [bias, weight] = sums.map(|sums| {
            let mut total = vec![0.0f64; channels];
            for image in sums.chunks_exact(channels.max(1)) {
                for (total, sum) in total.iter_mut().zip(image) {
                    *total += sum;
                }
            }
            tensor(
                total.into_iter().map(|sum| sum as f32).collect(),
                [channels],
            )
        });
        [dx, wanted[1].then_some(weight), wanted[2].then_some(bias)]
    }
}
