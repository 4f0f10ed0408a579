//! What golden files of odd little shapes cannot show: the same bits for any number of threads, NaN, ties, and dropout.

use crate::support::{random, same_bits, values};
use burn::tensor::{Device, Tensor};
use conjoin_kernels::batch_norm::batch_norm;
use conjoin_kernels::dropout::{self, dropout};
use conjoin_kernels::optim::squared_norm;
use conjoin_kernels::pool;

fn device() -> Device {
    Device::flex().autodiff()
}

fn noise<const D: usize>(shape: [usize; D], seed: u64) -> Tensor<D> {
    random(shape, seed, &device())
}

#[test]
fn the_bits_do_not_depend_on_the_number_of_threads() {
    let results = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(threads)
            .build()
            .unwrap();
        pool.install(|| {
            let mut all = Vec::new();
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
fn operations_run_without_autodiff() {
    let x = noise([2, 6, 6, 3], 1).inner();
    assert_eq!(pool::max_pool2d(x.clone(), 2, 2, 0).dims(), [2, 3, 3, 3]);
    assert_eq!(dropout(x.clone(), 0.5, 1).dims(), x.dims());
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
