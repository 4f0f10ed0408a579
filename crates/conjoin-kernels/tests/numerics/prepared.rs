//! Evaluation with weights that are kept in a kernel's layout: against the operations that it replaces,
//! threads, weights that change.

use crate::support::{close, random, same_bits, values};
use burn::tensor::{Device, Tensor};
use conjoin_kernels::batch_norm::batch_norm_eval;
use conjoin_kernels::conv::{ConvOptions, Norm, PreparedConv, conv2d, conv2d_norm};
use conjoin_kernels::linear::{Activation, PreparedLinear, linear, linear_prepared};

fn device() -> Device {
    Device::flex()
}

fn norm(filters: usize) -> Norm {
    let line = |seed| random::<1>([filters], seed, &device());
    Norm {
        mean: line(11),
        variance: line(12).abs() + 0.1,
        gamma: line(13),
        beta: line(14),
        eps: 1e-5,
    }
}

/// Image, channels and filters, kernel, stride, groups.
type Case = ([usize; 3], [usize; 2], usize, usize, usize);

const CONVOLUTIONS: [Case; 10] = [
    // Winograd, with few tiles and with many.
    ([1, 16, 16], [32, 32], 3, 1, 1),
    ([3, 13, 9], [16, 48], 3, 1, 1),
    // Filters shared out, and outputs; a bare image; odd channels.
    ([1, 8, 8], [64, 96], 3, 2, 1),
    ([1, 4, 4], [256, 64], 3, 1, 1),
    ([1, 7, 5], [7, 19], 3, 1, 1),
    ([2, 14, 15], [5, 33], 3, 2, 1),
    ([1, 6, 6], [40, 24], 1, 1, 1),
    ([1, 9, 9], [12, 20], 1, 2, 1),
    // Groups, depthwise too.
    ([2, 8, 8], [8, 12], 3, 1, 4),
    ([2, 8, 8], [16, 16], 3, 1, 16),
];

fn convolution(case: Case, prepared: &PreparedConv, added: bool, folded: bool) -> Vec<f32> {
    let ([batch, height, width], [channels, filters], kernel, stride, groups) = case;
    let device = device();
    let x = random::<4>([batch, height, width, channels], 1, &device);
    let w = random::<4>([filters, kernel, kernel, channels / groups], 2, &device);
    let options = ConvOptions {
        groups,
        ..ConvOptions::new(stride, kernel / 2)
    };
    let y = conv2d(x.clone(), w.clone(), None, options);
    let residual = random::<4>(y.dims(), 3, &device);
    let residual = added.then_some(residual);
    let norm = norm(filters);
    if folded {
        return values(conv2d_norm(x, w, norm, residual, true, options, prepared));
    }
    let Norm {
        mean,
        variance,
        gamma,
        beta,
        eps,
    } = norm;
    values(batch_norm_eval(
        y, mean, variance, gamma, beta, eps, residual, true,
    ))
}

#[test]
fn a_folded_convolution_equals_both_passes() {
    for (case, added) in CONVOLUTIONS
        .into_iter()
        .zip([true, false].into_iter().cycle())
    {
        let prepared = PreparedConv::default();
        let want = convolution(case, &prepared, added, false);
        let name = format!("{case:?}");
        assert!(
            want.iter().any(|y| *y > 0.0) && want.contains(&0.0),
            "{name}"
        );
        // Other tensors each time: prepared anew.
        for _ in 0..2 {
            close(
                &name,
                &convolution(case, &prepared, added, true),
                &want,
                1e-5,
            );
        }
    }
}

#[test]
fn kept_weights_serve_other_inputs_and_follow_their_tensor() {
    let device = device();
    let (prepared, conv) = (PreparedLinear::default(), PreparedConv::default());
    let options = ConvOptions::new(1, 1);
    let (mut w, mut kernel) = (
        random::<2>([40, 24], 1, &device),
        random::<4>([16, 3, 3, 16], 2, &device),
    );
    for round in 0..4 {
        if round == 2 {
            // In place, if nobody held the numbers.
            (w, kernel) = (w * 2.0, kernel * 2.0);
        }
        let x = random::<2>([3, 24], 10 + round, &device);
        let got = linear_prepared(x.clone(), w.clone(), None, Activation::None, &prepared);
        let want = linear(x, w.clone(), None, Activation::None);
        close("linear", &values(got), &values(want), 1e-5);
        // Batches of a size that Winograd's tiles fill, and of one that they do not.
        for batch in [1, 4] {
            let x = random::<4>([batch, 8, 8, 16], 20 + round, &device);
            let Norm {
                mean,
                variance,
                gamma,
                beta,
                eps,
            } = norm(16);
            let y = conv2d(x.clone(), kernel.clone(), None, options);
            let want = batch_norm_eval(y, mean, variance, gamma, beta, eps, None, false);
            let got = conv2d_norm(x, kernel.clone(), norm(16), None, false, options, &conv);
            close("convolution", &values(got), &values(want), 1e-5);
        }
    }
}

#[test]
fn linear_of_every_size_and_activation_equals_the_plain_one() {
    let device = device();
    for [rows, inputs, outputs] in [
        [1, 1, 1],
        [1, 300, 700],
        [2, 513, 31],
        [13, 64, 48],
        [32, 256, 1000],
        [255, 40, 33],
        [300, 20, 10],
        [0, 5, 6],
    ] {
        for activation in [Activation::None, Activation::Relu, Activation::Gelu] {
            let x = random::<2>([rows, inputs], 1, &device);
            let w = random::<2>([outputs, inputs], 2, &device);
            let bias = (rows != 13).then(|| random::<1>([outputs], 3, &device));
            let prepared = PreparedLinear::default();
            let (a, b) = (x.clone(), w.clone());
            let got = linear_prepared(a, b, bias.clone(), activation, &prepared);
            let want = values(linear(x, w, bias, activation));
            close(
                &format!("{rows} {inputs} {outputs}"),
                &values(got),
                &want,
                1e-5,
            );
        }
    }
}

#[test]
fn the_number_of_threads_does_not_change_a_bit() {
    let all = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build();
        pool.expect("a pool").install(|| {
            let folded = |case| convolution(case, &PreparedConv::default(), true, true);
            let mut all: Vec<Vec<f32>> = CONVOLUTIONS.into_iter().map(folded).collect();
            for [rows, inputs, outputs] in [[1, 300, 700], [32, 600, 200], [100, 64, 100]] {
                let x = random::<2>([rows, inputs], 1, &device());
                let w = random::<2>([outputs, inputs], 2, &device());
                let prepared = PreparedLinear::default();
                all.push(values(linear_prepared(
                    x,
                    w,
                    None,
                    Activation::Gelu,
                    &prepared,
                )));
            }
            all
        })
    };
    let one = all(1);
    for threads in [2, 3, 7] {
        for (index, (left, right)) in one.iter().zip(all(threads)).enumerate() {
            same_bits(&format!("{index}"), left, &right);
        }
    }
}

#[test]
fn tracked_operands_take_the_path_with_a_gradient() {
    let device = device().autodiff();
    let prepared = PreparedLinear::default();
    let x = random::<2>([2, 3], 1, &device);
    let w = random::<2>([4, 3], 2, &device).require_grad();
    let y: Tensor<2> = linear_prepared(x, w.clone(), None, Activation::None, &prepared);
    assert!(w.grad(&y.sum().backward()).is_some());
    assert_eq!(format!("{prepared:?}"), "PreparedLinear(Prepared(empty))");
}
