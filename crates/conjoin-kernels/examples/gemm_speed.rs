//! How many products a second the matrix product makes in single precision and in bfloat16.
//!
//! `cargo run --release --example gemm_speed [RUNS]` prints a line a shape: medians in GFLOP/s (two a
//! product) of both, and how many times faster bfloat16 is. Runs of the two take turns. `N`, `T` say
//! how the operands are stored: as they are multiplied, or transposed.

use conjoin_kernels::Precision;
use conjoin_kernels::blas::{Mat, MatMut, Threads, gemm};
use std::time::Instant;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// What a shape is from, `M`, `N`, `K`, and whether A and B are stored transposed.
const SHAPES: [(&str, [usize; 3], [bool; 2]); 22] = [
    ("square", [64, 64, 64], [false, false]),
    ("square", [128, 128, 128], [false, false]),
    ("square", [256, 256, 256], [false, false]),
    ("square", [512, 512, 512], [false, false]),
    ("square", [1024, 1024, 1024], [false, false]),
    ("square", [2048, 2048, 2048], [false, false]),
    ("linear forward", [1280, 256, 512], [false, true]),
    ("linear, input's gradient", [1280, 512, 256], [false, false]),
    ("linear, weight's gradient", [256, 512, 1280], [true, false]),
    ("vocabulary forward", [1280, 41, 256], [false, true]),
    (
        "vocabulary, input's gradient",
        [1280, 256, 41],
        [false, false],
    ),
    (
        "vocabulary, weight's gradient",
        [41, 256, 1280],
        [true, false],
    ),
    ("gates, weight's gradient", [1024, 256, 1150], [true, false]),
    ("transformer, forward", [2304, 1024, 256], [false, true]),
    (
        "transformer, input's gradient",
        [2304, 256, 1024],
        [false, false],
    ),
    (
        "transformer, weight's gradient",
        [1024, 256, 2304],
        [true, false],
    ),
    ("classifier forward", [128, 10, 1152], [false, true]),
    (
        "classifier, weight's gradient",
        [10, 1152, 128],
        [true, false],
    ),
    ("few rows", [8, 1024, 256], [false, true]),
    ("one row", [1, 1024, 256], [false, true]),
    ("a head's scores", [64, 64, 32], [false, true]),
    ("a head's context", [64, 32, 64], [false, false]),
];

fn main() {
    let runs = std::env::args()
        .nth(1)
        .and_then(|runs| runs.parse().ok())
        .unwrap_or(30);
    let instruction = conjoin_kernels::simd::has_bf16();
    println!(
        "threads {}, bfloat16 instruction {instruction}",
        rayon::current_num_threads()
    );
    for (name, [m, n, k], [turn_a, turn_b]) in SHAPES {
        let numbers =
            |n: usize| -> Vec<f32> { (0..n).map(|i| (i * 37 % 101) as f32 / 50.0 - 1.0).collect() };
        let (a, b, mut c) = (numbers(m * k), numbers(k * n), vec![0.0; m * n]);
        let a = match turn_a {
            true => Mat::new(&a, k, m).t(),
            false => Mat::new(&a, m, k),
        };
        let b = match turn_b {
            true => Mat::new(&b, n, k).t(),
            false => Mat::new(&b, k, n),
        };
        // Small products several times, so that the clock sees them.
        let work = (m * n * k) as f64;
        let repeats = (2e7 / work).ceil().max(1.0) as usize;
        let mut time = |precision| {
            let begun = Instant::now();
            for _ in 0..repeats {
                gemm(
                    precision,
                    MatMut::new(&mut c, m, n),
                    0.0,
                    a,
                    b,
                    Threads::All,
                );
            }
            begun.elapsed().as_secs_f64() / repeats as f64
        };
        let mut times = [Vec::new(), Vec::new()];
        for run in 0..runs + 3 {
            let pair = [time(Precision::F32), time(Precision::Bf16)];
            for (times, time) in times.iter_mut().zip(pair).filter(|_| run >= 3) {
                times.push(time);
            }
        }
        let [single, half] = times.map(|mut times| {
            times.sort_by(f64::total_cmp);
            2e-9 * work / times[times.len() / 2]
        });
        let stored = |turned| if turned { 'T' } else { 'N' };
        println!(
            "{name:<32} {m:>5} {n:>5} {k:>5} {}{}  f32 {single:>7.1}  bf16 {half:>7.1}  {:>5.2}",
            stored(turn_a),
            stored(turn_b),
            half / single
        );
    }
}
