//! How long one training pass of a recurrent layer takes: forward, and backward to all inputs.
//!
//! `cargo run --release --example rnn_speed [RUNS]` prints one line a layer: its name, then medians of
//! forward and backward in milliseconds. `rnn_speed.py` beside this file times PyTorch on the same work
//! and, given this program, alternates with it and prints the ratios.

use burn::tensor::{Device, Distribution, Tensor};
use conjoin_kernels::rnn;
use std::time::Instant;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Batch, steps, inputs, hidden units, directions.
const SIZES: [[usize; 5]; 7] = [
    [128, 10, 64, 256, 1],
    [32, 100, 256, 256, 1],
    [64, 20, 128, 128, 1],
    [64, 8, 64, 128, 2],
    [32, 30, 100, 150, 2],
    [32, 100, 256, 256, 2],
    [64, 1, 256, 256, 1],
];

/// The parameters of a layer with so many gates.
struct Layer {
    w_ih: Tensor<2>,
    w_hh: Tensor<2>,
    b_ih: Tensor<1>,
    b_hh: Tensor<1>,
}

impl Layer {
    fn new(gates: usize, inputs: usize, hidden: usize) -> Self {
        Self {
            w_ih: leaf([gates * hidden, inputs]),
            w_hh: leaf([gates * hidden, hidden]),
            b_ih: leaf([gates * hidden]),
            b_hh: leaf([gates * hidden]),
        }
    }
}

fn main() {
    let runs = std::env::args()
        .nth(1)
        .and_then(|runs| runs.parse().ok())
        .unwrap_or(50);
    for [batch, time, inputs, hidden, directions] in SIZES {
        let x = leaf([batch, time, inputs]);
        let (h0, c0) = (leaf([batch, hidden]), leaf([batch, hidden]));
        let lengths = vec![time; batch];
        let size =
            format!("batch {batch}, {time} steps, {inputs}-{hidden}, directions {directions}");
        let both = |one: &dyn Fn(usize) -> Tensor<3>| {
            let mut outputs: Vec<_> = (0..directions).map(one).collect();
            if directions == 1 {
                outputs.remove(0)
            } else {
                Tensor::cat(outputs, 2)
            }
        };
        let layers = [(); 2].map(|()| Layer::new(4, inputs, hidden));
        report(&format!("lstm, {size}"), runs, || {
            both(&|direction| {
                let Layer {
                    w_ih,
                    w_hh,
                    b_ih,
                    b_hh,
                } = &layers[direction];
                let (x, h0, c0) = (x.clone(), h0.clone(), c0.clone());
                let bias = b_ih.clone() + b_hh.clone();
                let (w_ih, w_hh) = (w_ih.clone(), w_hh.clone());
                rnn::lstm(x, h0, c0, w_ih, w_hh, bias, &lengths, direction == 1)
            })
        });
        let layers = [(); 2].map(|()| Layer::new(3, inputs, hidden));
        report(&format!("gru, {size}"), runs, || {
            both(&|direction| {
                let Layer {
                    w_ih,
                    w_hh,
                    b_ih,
                    b_hh,
                } = &layers[direction];
                let (x, h0, w_ih, w_hh) = (x.clone(), h0.clone(), w_ih.clone(), w_hh.clone());
                let (b_ih, b_hh) = (b_ih.clone(), b_hh.clone());
                rnn::gru(
                    x,
                    h0,
                    w_ih,
                    w_hh,
                    b_ih,
                    b_hh,
                    &lengths,
                    direction == 1,
                    true,
                )
            })
        });
    }
}

/// A small random tensor whose gradient is wanted.
fn leaf<const D: usize>(shape: [usize; D]) -> Tensor<D> {
    let device = Device::flex().autodiff();
    Tensor::random(shape, Distribution::Uniform(-0.06, 0.06), &device).require_grad()
}

/// Prints the median time of a forward pass and of its backward pass.
fn report(name: &str, runs: usize, forward: impl Fn() -> Tensor<3>) {
    let mut times: Vec<[f64; 2]> = (0..runs + 5)
        .map(|_| {
            let start = Instant::now();
            let output = forward();
            let middle = Instant::now();
            let gradients = output.sum().backward();
            let end = Instant::now();
            drop(gradients);
            [middle - start, end - middle].map(|time| time.as_secs_f64() * 1e3)
        })
        .skip(5)
        .collect();
    times.sort_by(|a, b| (a[0] + a[1]).total_cmp(&(b[0] + b[1])));
    let [forward, backward] = times[times.len() / 2];
    println!("{name}\t{forward:.3}\t{backward:.3}");
}
