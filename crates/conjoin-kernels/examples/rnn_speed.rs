//! How long one training pass of a recurrent layer takes: forward, and backward to all inputs.
//!
//! `cargo run --release -p conjoin-kernels --example rnn_speed [RUNS]` prints the median in
//! milliseconds. `rnn_speed.py` beside this file times PyTorch on the same work.

use burn::tensor::{Device, Distribution, Tensor};
use conjoin_kernels::rnn;
use std::time::Instant;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const BATCH: usize = 128;
const TIME: usize = 10;
const INPUTS: usize = 64;
const HIDDEN: usize = 256;

fn main() {
    let runs = std::env::args()
        .nth(1)
        .and_then(|runs| runs.parse().ok())
        .unwrap_or(50);
    let device = Device::flex().autodiff();
    let leaf = |shape: [usize; 2]| {
        Tensor::<2>::random(shape, Distribution::Uniform(-0.06, 0.06), &device).require_grad()
    };
    let bias = |count: usize| leaf([1, count]).reshape([count]);
    let x = leaf([BATCH * TIME, INPUTS]);
    let (h0, c0) = (leaf([BATCH, HIDDEN]), leaf([BATCH, HIDDEN]));
    let (lstm_ih, lstm_hh) = (leaf([4 * HIDDEN, INPUTS]), leaf([4 * HIDDEN, HIDDEN]));
    let (gru_ih, gru_hh) = (leaf([3 * HIDDEN, INPUTS]), leaf([3 * HIDDEN, HIDDEN]));
    let lengths = [TIME; BATCH];
    let rows = || x.clone().reshape([BATCH, TIME, INPUTS]);

    report("lstm", runs, || {
        let (w_ih, w_hh) = (lstm_ih.clone(), lstm_hh.clone());
        let bias = bias(4 * HIDDEN);
        rnn::lstm(
            rows(),
            h0.clone(),
            c0.clone(),
            w_ih,
            w_hh,
            bias,
            &lengths,
            false,
        )
    });
    for (name, after) in [("gru", true), ("gru, original", false)] {
        report(name, runs, || {
            let (w_ih, w_hh) = (gru_ih.clone(), gru_hh.clone());
            let (b_ih, b_hh) = (bias(3 * HIDDEN), bias(3 * HIDDEN));
            rnn::gru(
                rows(),
                h0.clone(),
                w_ih,
                w_hh,
                b_ih,
                b_hh,
                &lengths,
                false,
                after,
            )
        });
    }
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
            [
                (middle - start).as_secs_f64() * 1e3,
                (end - middle).as_secs_f64() * 1e3,
            ]
        })
        .skip(5)
        .collect();
    times.sort_by(|a, b| (a[0] + a[1]).total_cmp(&(b[0] + b[1])));
    let [forward, backward] = times[times.len() / 2];
    println!(
        "{name}: {:.1} ms ({forward:.1} forward, {backward:.1} backward)",
        forward + backward
    );
}
