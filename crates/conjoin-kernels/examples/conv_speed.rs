//! How long a piece of a VGG-like network takes, forward and backward to every operand; then its
//! convolutions one by one, batch-norm with ReLU, max-pooling and a linear layer.
//!
//! `cargo run --release -p conjoin-kernels --example conv_speed [RUNS]` prints medians in
//! milliseconds. `conv_speed.py` beside this file times PyTorch on the same work.

use burn::tensor::{Device, Distribution, Tensor};
use conjoin_kernels::linear::{self, Activation};
use conjoin_kernels::{batch_norm, conv, pool};
use std::time::Instant;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const BATCH: usize = 128;

fn main() {
    let runs = std::env::args()
        .nth(1)
        .and_then(|runs| runs.parse().ok())
        .unwrap_or(30);
    let x = leaf([BATCH, 28, 28, 32]);
    let layers = [(32, 32), (32, 64), (64, 64)].map(|(channels, filters)| {
        (
            leaf([filters, 3, 3, channels])
                .mul_scalar(0.05)
                .detach()
                .require_grad(),
            leaf([filters]),
        )
    });
    report("conv 32-32, pool, conv 32-64, conv 64-64", runs, || {
        let mut y = x.clone();
        for (i, (w, bias)) in layers.iter().enumerate() {
            y = conv::conv2d(y, w.clone(), Some(bias.clone()), 1, 1);
            if i == 0 {
                y = pool::max_pool2d(y, 2, 2, 0);
            }
        }
        pool::global_avg_pool(y)
    });
    for (size, channels, filters) in [(28, 32, 32), (14, 32, 64), (14, 64, 64), (28, 1, 32)] {
        let x = leaf([BATCH, size, size, channels]);
        let w = leaf([filters, 3, 3, channels]);
        let bias = leaf([filters]);
        let name = format!("conv 3x3 {channels}-{filters} at {size}x{size}");
        report(&name, runs, || {
            conv::conv2d(x.clone(), w.clone(), Some(bias.clone()), 1, 1)
        });
    }
    let x = leaf([BATCH, 28, 28, 32]);
    let (gamma, beta) = (leaf([32]), leaf([32]));
    report("batch norm + relu 32 at 28x28", runs, || {
        let (gamma, beta) = (gamma.clone(), beta.clone());
        batch_norm::batch_norm(x.clone(), gamma, beta, 1e-5, None, true).0
    });
    report("max pool 2 32 at 28x28", runs, || {
        pool::max_pool2d(x.clone(), 2, 2, 0)
    });
    let (x, w, bias) = (leaf([BATCH, 3136]), leaf([128, 3136]), leaf([128]));
    let operands = || (x.clone(), w.clone(), Some(bias.clone()));
    report("linear 3136-128 + relu", runs, || {
        let (x, w, bias) = operands();
        linear::linear(x, w, bias, Activation::Relu)
    });
    report("the same by Burn", runs, || {
        let (x, w, bias) = operands();
        linear::reference(x, w, bias, Activation::Relu)
    });
}

/// A random tensor whose gradient is wanted.
fn leaf<const D: usize>(shape: [usize; D]) -> Tensor<D> {
    let device = Device::flex().autodiff();
    Tensor::random(shape, Distribution::Uniform(-1.0, 1.0), &device).require_grad()
}

/// Prints the median times of the forward and the backward pass.
fn report<const D: usize>(name: &str, runs: usize, forward: impl Fn() -> Tensor<D>) {
    let dy = leaf(forward().dims()).detach();
    let mut times: Vec<[f64; 3]> = (0..runs + 3)
        .map(|_| {
            let start = Instant::now();
            let y = forward();
            let middle = Instant::now();
            // A sum of products costs one pass and gives the output a dense gradient.
            let _gradients = (y * dy.clone()).sum().backward();
            let both = start.elapsed().as_secs_f64();
            let forward = (middle - start).as_secs_f64();
            [both, forward, both - forward].map(|seconds| seconds * 1e3)
        })
        .skip(3)
        .collect();
    times.sort_by(|left, right| left[0].total_cmp(&right[0]));
    let [both, forward, backward] = times[runs / 2];
    println!("{name}: {both:.1} ms ({forward:.1} forward, {backward:.1} backward)");
}
