//! What golden files of odd little shapes cannot show: fused against Burn's operations on larger ones,
//! the same bits for any number of threads, and dropout.

mod support;

use burn::tensor::{Device, Tensor};
use conjoin_kernels::batch_norm::batch_norm;
use conjoin_kernels::dropout::{self, dropout};
use conjoin_kernels::optim::squared_norm;
use conjoin_kernels::{conv, pool};
use support::{close, random, same_bits, values};

fn device() -> Device {
    Device::flex().autodiff()
}

fn noise<const D: usize>(shape: [usize; D], seed: u64) -> Tensor<D> {
    random(shape, seed, &device())
}

/// Output and gradients of a convolution whose output is weighted by noise.
fn conv_results(
    operation: fn(Tensor<4>, Tensor<4>, Option<Tensor<1>>, usize, usize) -> Tensor<4>,
    [b, h, w, c, o, k, stride, padding]: [usize; 8],
) -> [Vec<f32>; 4] {
    let x = noise([b, h, w, c], 1).require_grad();
    let weight = noise([o, k, k, c], 2).require_grad();
    let bias = noise([o], 3).require_grad();
    let y = operation(
        x.clone(),
        weight.clone(),
        Some(bias.clone()),
        stride,
        padding,
    );
    let gradients = (y.clone() * noise(y.dims(), 4)).sum().backward();
    [
        values(y),
        values(x.grad(&gradients).unwrap()),
        values(weight.grad(&gradients).unwrap()),
        values(bias.grad(&gradients).unwrap()),
    ]
}

const SHAPES: [[usize; 8]; 7] = [
    // B, H, W, C, O, kernel, stride, padding: Winograd, then direct
    [5, 13, 18, 32, 48, 3, 1, 1],
    [3, 9, 9, 16, 80, 3, 1, 2],
    [40, 4, 5, 48, 16, 3, 1, 1],
    [19, 15, 15, 3, 33, 3, 1, 1],
    [4, 16, 13, 24, 40, 3, 2, 1],
    [2, 12, 12, 64, 20, 1, 2, 0],
    [1, 30, 31, 1, 7, 5, 1, 2],
];

#[test]
fn convolution_equals_burn_on_larger_shapes() {
    for shape in SHAPES {
        let found = conv_results(conv::conv2d, shape);
        let expected = conv_results(conv::reference, shape);
        for (name, (found, expected)) in ["y", "dx", "dw", "db"]
            .iter()
            .zip(found.iter().zip(&expected))
        {
            close(&format!("{name} of {shape:?}"), found, expected, 5e-5);
        }
    }
}

#[test]
fn the_bits_do_not_depend_on_the_number_of_threads() {
    let results = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(threads)
            .build()
            .unwrap();
        pool.install(|| {
            let mut all: Vec<Vec<f32>> = SHAPES
                .iter()
                .flat_map(|&shape| conv_results(conv::conv2d, shape))
                .collect();
            let x = noise([13, 9, 11, 24], 5).require_grad();
            let gamma = noise([24], 6).require_grad();
            let (y, mean, var) =
                batch_norm(x.clone(), gamma.clone(), noise([24], 7), 1e-5, None, true);
            let gradients = (y.clone() * noise(y.dims(), 8)).sum().backward();
            all.extend([y, x.grad(&gradients).unwrap()].map(values));
            all.extend([mean, var, gamma.grad(&gradients).unwrap()].map(values));
            all.push(values(dropout(noise([100_000], 9), 0.3, 11)));
            all.push(vec![squared_norm(&noise([300_000], 10)) as f32]);
            all
        })
    };
    let one = results(1);
    for threads in [2, 5] {
        for (index, (one, many)) in one.iter().zip(&results(threads)).enumerate() {
            same_bits(&format!("result {index} of {threads} threads"), one, many);
        }
    }
}

#[test]
fn an_untracked_image_gets_no_gradient_and_the_weight_does() {
    let x = noise([2, 6, 6, 16], 1);
    let w = noise([16, 3, 3, 16], 2).require_grad();
    let gradients = conv::conv2d(x.clone(), w.clone(), None, 1, 1)
        .sum()
        .backward();
    assert!(x.grad(&gradients).is_none() && w.grad(&gradients).is_some());
}

#[test]
fn operations_run_without_autodiff() {
    let x = noise([2, 6, 6, 3], 1).inner();
    let y = conv::conv2d(x.clone(), noise([4, 3, 3, 3], 2).inner(), None, 1, 1);
    assert!(!y.is_autodiff() && y.dims() == [2, 6, 6, 4]);
    assert_eq!(pool::max_pool2d(x.clone(), 2, 2, 0).dims(), [2, 3, 3, 3]);
    assert_eq!(dropout(x.clone(), 0.5, 1).dims(), x.dims());
}

#[test]
fn strided_inputs_are_read_in_their_order() {
    let x = noise([2, 3, 7, 5], 1);
    let w = noise([4, 3, 3, 3], 2);
    let viewed = conv::conv2d(x.clone().permute([0, 2, 3, 1]), w.clone(), None, 1, 1);
    let expected = conv::reference(x.permute([0, 2, 3, 1]), w, None, 1, 1);
    close("strided", &values(viewed), &values(expected), 2e-6);
}

#[test]
fn max_pooling_passes_nan_on_and_rewards_the_first_of_equals() {
    let x: Tensor<4> =
        Tensor::from_floats([[[[1.0], [1.0]], [[1.0], [0.0]]]], &device()).require_grad();
    let gradients = pool::max_pool2d(x.clone(), 2, 2, 0).sum().backward();
    assert_eq!(values(x.grad(&gradients).unwrap()), [1.0, 0.0, 0.0, 0.0]);
    let x: Tensor<4> = Tensor::from_floats([[[[1.0], [f32::NAN]], [[3.0], [0.0]]]], &device());
    assert!(values(pool::max_pool2d(x, 2, 2, 0))[0].is_nan());
}

#[test]
fn dropout_keeps_the_right_share_and_its_gradient_is_its_mask() {
    let (n, p) = (200_000, 0.3);
    let x = (noise([n], 1) + 3.0).require_grad();
    let y = dropout(x.clone(), p, 42);
    let found = values(y.clone());
    let dropped = found.iter().filter(|v| **v == 0.0).count() as f64 / n as f64;
    // Five standard deviations of a binomial share.
    assert!(
        (dropped - p).abs() < 5.0 * (p * (1.0 - p) / n as f64).sqrt(),
        "{dropped} dropped"
    );
    let scale = (1.0 / (1.0 - p)) as f32;
    let gradient = values(x.grad(&y.sum().backward()).unwrap());
    for ((y, d), x) in found.iter().zip(&gradient).zip(values(x.clone())) {
        assert!((*y == 0.0 && *d == 0.0) || (*d == scale && *y == x * scale));
    }
    let neighbours = found
        .windows(2)
        .filter(|w| w[0] == 0.0 && w[1] == 0.0)
        .count() as f64
        / n as f64;
    assert!(
        (neighbours - p * p).abs() < 0.005,
        "neighbours are dropped together: {neighbours}"
    );
}

#[test]
fn dropout_depends_on_the_seed_alone() {
    let x = noise([70_000], 1) + 3.0;
    let first = values(dropout(x.clone(), 0.5, 1));
    assert_eq!(first, values(dropout(x.clone(), 0.5, 1)));
    assert_eq!(first, values(dropout::reference(x.clone(), 0.5, 1)));
    let other = values(dropout(x, 0.5, 2));
    let same = first
        .iter()
        .zip(&other)
        .filter(|(a, b)| (**a == 0.0) == (**b == 0.0))
        .count();
    assert!(
        (same as f64 / 70_000.0 - 0.5).abs() < 0.02,
        "seeds share {same} of 70000"
    );
}
