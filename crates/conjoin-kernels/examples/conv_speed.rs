//! How long convolutions and pooling take, forward and backward to every operand: the layers of a small
//! CNN (batch 64), of ResNet-18 in its form for small images (batch 32), and some others.
//!
//! `cargo run --release --example conv_speed [RUNS]` prints one line a layer: its name, then medians of
//! forward and backward in milliseconds. `conv_speed.py` beside this file times PyTorch on the same work
//! and, given this program, alternates with it and prints the ratios.

use burn::tensor::{Device, Distribution, Tensor};
use conjoin_kernels::conv::{ConvOptions, conv_transpose2d, conv1d, conv2d};
use conjoin_kernels::pool;
use std::time::Instant;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Batch, size, channels, filters, kernel, stride, groups; the padding is half the kernel, and images
/// of up to 3 channels want no gradient.
const LAYERS: [[usize; 7]; 17] = [
    [64, 32, 3, 32, 3, 1, 1],
    [64, 16, 32, 64, 3, 1, 1],
    [128, 28, 1, 32, 3, 1, 1],
    [128, 14, 32, 64, 3, 1, 1],
    [32, 32, 3, 64, 3, 1, 1],
    [32, 32, 64, 64, 3, 1, 1],
    [32, 32, 64, 128, 3, 2, 1],
    [32, 32, 64, 128, 1, 2, 1],
    [32, 16, 128, 128, 3, 1, 1],
    [32, 16, 128, 256, 3, 2, 1],
    [32, 8, 256, 256, 3, 1, 1],
    [32, 8, 256, 512, 3, 2, 1],
    [32, 8, 256, 512, 1, 2, 1],
    [32, 4, 512, 512, 3, 1, 1],
    [32, 7, 96, 96, 5, 1, 1],
    [32, 16, 96, 96, 1, 1, 1],
    [32, 32, 64, 64, 3, 1, 64],
];

fn main() {
    let runs = std::env::args()
        .nth(1)
        .and_then(|runs| runs.parse().ok())
        .unwrap_or(30);
    for [batch, size, channels, filters, kernel, stride, groups] in LAYERS {
        let x = noise([batch, size, size, channels]);
        let x = if channels > 3 { x.require_grad() } else { x };
        let w = leaf([filters, kernel, kernel, channels / groups]);
        let bias = leaf([filters]);
        let name = format!(
            "conv {kernel}x{kernel} {channels}-{filters} at {size}, stride {stride}, groups {groups}, batch {batch}"
        );
        let options = ConvOptions::new(stride, kernel / 2).groups(groups);
        report(&name, runs, || {
            conv2d(x.clone(), w.clone(), Some(bias.clone()), options)
        });
    }
    let (x, w) = (leaf([32, 100, 128]), leaf([128, 5, 128]));
    report("conv1d 5 128-128 at 100, batch 32", runs, || {
        conv1d(x.clone(), w.clone(), None, ConvOptions::new(1, 2))
    });
    let (x, w) = (leaf([16, 16, 16, 64]), leaf([64, 4, 4, 32]));
    report(
        "conv_transpose2d 4x4 64-32 at 16, stride 2, batch 16",
        runs,
        || conv_transpose2d(x.clone(), w.clone(), None, ConvOptions::new(2, 1), [0, 0]),
    );
    for [batch, size, channels, kernel, padding] in [
        [64, 32, 32, 2, 0],
        [64, 16, 64, 2, 0],
        [128, 28, 32, 2, 0],
        [32, 32, 64, 3, 1],
    ] {
        let x = leaf([batch, size, size, channels]);
        let name = format!("max pool {kernel} of {channels} at {size}, batch {batch}");
        report(&name, runs, || {
            pool::max_pool2d(x.clone(), kernel, 2, padding)
        });
        let name = format!("average pool {kernel} of {channels} at {size}, batch {batch}");
        report(&name, runs, || {
            pool::avg_pool2d(x.clone(), kernel, 2, padding)
        });
    }
}

/// A random tensor.
fn noise<const D: usize>(shape: [usize; D]) -> Tensor<D> {
    let device = Device::flex().autodiff();
    Tensor::random(shape, Distribution::Uniform(-1.0, 1.0), &device)
}

/// A random tensor whose gradient is wanted.
fn leaf<const D: usize>(shape: [usize; D]) -> Tensor<D> {
    noise(shape).require_grad()
}

/// Prints the median times of the forward and the backward pass.
fn report<const D: usize>(name: &str, runs: usize, forward: impl Fn() -> Tensor<D>) {
    let mut times: Vec<[f64; 3]> = (0..runs + 3)
        .map(|_| {
            let start = Instant::now();
            let y = forward();
            let middle = Instant::now();
            // The gradient of the output is ones.
            let _gradients = y.backward();
            let both = start.elapsed().as_secs_f64();
            let forward = (middle - start).as_secs_f64();
            [both, forward, both - forward].map(|seconds| seconds * 1e3)
        })
        .skip(3)
        .collect();
    times.sort_by(|left, right| left[0].total_cmp(&right[0]));
    let [_, forward, backward] = times[runs / 2];
    println!("{name}\t{forward:.3}\t{backward:.3}");
}
