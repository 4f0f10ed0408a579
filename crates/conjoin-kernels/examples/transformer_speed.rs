//! How long the operations of a transformer take, forward and backward to every operand.
//!
//! `cargo run --release --example transformer_speed [RUNS] [NAME]` prints medians in
//! milliseconds, of what has NAME in its name.
//! `transformer_speed.py` beside this file times PyTorch on the same work.

use burn::tensor::{Device, Distribution, Int, Tensor, TensorData};
use conjoin_kernels::attention::{self, MultiHead, multi_head_attention};
use conjoin_kernels::{activation, embedding, group_norm, layer_norm};
use std::time::Instant;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() {
    let runs = std::env::args()
        .nth(1)
        .and_then(|runs| runs.parse().ok())
        .unwrap_or(30);
    for (batch, time, causal) in [
        (32, 32, false),
        (32, 32, true),
        (8, 512, false),
        (8, 512, true),
    ] {
        let size = [batch, time, 256];
        let (q, k, v) = (leaf(size), leaf(size), leaf(size));
        let options = || MultiHead {
            causal,
            ..MultiHead::new(4)
        };
        let kind = if causal { ", causal" } else { "" };
        let name = format!("attention {batch}x4x{time}x64{kind}");
        report(&name, runs, || {
            multi_head_attention(q.clone(), k.clone(), v.clone(), options())
        });
        if time == 32 {
            report(&format!("{name}, by Burn"), runs, || {
                attention::reference::multi_head_attention(
                    q.clone(),
                    k.clone(),
                    v.clone(),
                    options(),
                )
            });
        }
    }
    let (x, weight, bias) = (leaf([1024, 256]), leaf([256]), leaf([256]));
    report("layer norm 1024x256", runs, || {
        layer_norm::layer_norm(x.clone(), weight.clone(), bias.clone(), 1e-5)
    });
    let residual = leaf([1024, 256]);
    report("layer norm 1024x256 of a sum", runs, || {
        let (weight, bias) = (weight.clone(), bias.clone());
        layer_norm::layer_norm_residual(x.clone(), residual.clone(), weight, bias, 1e-5).0
    });
    let (x, weight, bias) = (leaf([16, 64, 64, 64]), leaf([64]), leaf([64]));
    report("group norm 8 of 16x64x64x64", runs, || {
        group_norm::group_norm(x.clone(), 8, weight.clone(), bias.clone(), 1e-5)
    });
    let x = leaf([1024, 1024]);
    report("gelu 1024x1024", runs, || activation::gelu(x.clone()));
    report("silu 1024x1024", runs, || activation::silu(x.clone()));
    report("relu 1024x1024", runs, || activation::relu(x.clone()));
    let table = leaf([8000, 256]);
    let indices: Vec<i64> = (0..1024).map(|i| i * 7919 % 8000).collect();
    let indices: Tensor<2, Int> =
        Tensor::from_data(TensorData::new(indices, [32, 32]), &table.device());
    report("embedding 1024 of 8000x256", runs, || {
        embedding::embedding(table.clone(), indices.clone(), None)
    });
}

/// A random tensor whose gradient is wanted.
fn leaf<const D: usize>(shape: [usize; D]) -> Tensor<D> {
    let device = Device::flex().autodiff();
    Tensor::random(shape, Distribution::Uniform(-1.0, 1.0), &device).require_grad()
}

/// Prints the median times of the forward and the backward pass.
fn report<const D: usize>(name: &str, runs: usize, forward: impl Fn() -> Tensor<D>) {
    if std::env::args()
        .nth(2)
        .is_some_and(|wanted| !name.contains(&wanted))
    {
        return;
    }
    let mut times: Vec<[f64; 3]> = (0..runs + 3)
        .map(|_| {
            let start = Instant::now();
            let y = forward();
            let middle = Instant::now();
            // The gradient of the output is 1 everywhere.
            let _gradients = y.backward();
            let both = start.elapsed().as_secs_f64();
            let forward = (middle - start).as_secs_f64();
            [both, forward, both - forward].map(|seconds| seconds * 1e3)
        })
        .skip(3)
        .collect();
    times.sort_by(|left, right| left[0].total_cmp(&right[0]));
    let [both, forward, backward] = times[runs / 2];
    println!("{name}: {both:.2} ms ({forward:.2} forward, {backward:.2} backward)");
}
