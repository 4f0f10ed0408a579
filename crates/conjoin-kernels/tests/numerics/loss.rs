//! Cross-entropy: PyTorch's losses and gradients, ignored rows, extreme logits.

use crate::support::{Golden, close, random, same_bits, values};
use burn::tensor::{Device, Int, Tensor, TensorData};
use conjoin_kernels::loss::{reference, softmax_cross_entropy};

fn device() -> Device {
    Device::flex().autodiff()
}

fn classes(targets: &[i64]) -> Tensor<1, Int> {
    Tensor::from_data(
        TensorData::new(targets.to_vec(), [targets.len()]),
        &device(),
    )
}

#[test]
fn cross_entropy_equals_pytorch_forward_and_backward() {
    let golden = Golden::read("cross_entropy");
    for case in golden.cases() {
        for loss in [softmax_cross_entropy, reference] {
            let logits = golden.leaf::<2>(&case, "logits", &device());
            let targets = classes(golden.integers(&case, "targets"));
            let ignore = Some(golden.integers(&case, "ignore")[0]).filter(|index| *index != -1000);
            let smoothing = f64::from(golden.floats(&case, "smoothing")[0]);
            let loss = loss(logits.clone(), targets, ignore, smoothing);
            golden.check(&case, "output", loss.clone());
            let probe = golden.tensor::<1>(&case, "probe", &device());
            let gradients = (loss * probe).sum().backward();
            golden.check(
                &case,
                "d_logits",
                logits.grad(&gradients).expect("a gradient"),
            );
        }
    }
}

#[test]
fn ignored_rows_change_nothing_and_nothing_counted_is_zero() {
    let pass = |junk: f32, targets: &[i64]| {
        let mut logits = crate::support::numbers(4 * 6, 1);
        logits[6..12].fill(junk);
        let logits = TensorData::new(logits, [4, 6]);
        let logits = Tensor::<2>::from_data(logits, &device()).require_grad();
        let loss = softmax_cross_entropy(logits.clone(), classes(targets), Some(-1), 0.1);
        let gradients = loss.backward();
        (
            values(loss),
            values(logits.grad(&gradients).expect("a gradient")),
        )
    };
    let clean = pass(0.0, &[2, -1, 5, 0]);
    let dirty = pass(f32::NAN, &[2, -1, 5, 0]);
    same_bits("loss", &clean.0, &dirty.0);
    same_bits("gradient", &clean.1, &dirty.1);
    assert!(clean.1[6..12].iter().all(|x| *x == 0.0));

    let (loss, gradient) = pass(f32::NAN, &[-1; 4]);
    assert_eq!(loss, [0.0]);
    assert!(gradient.iter().all(|x| *x == 0.0));
}

#[test]
fn extreme_logits_stay_finite() {
    let logits =
        Tensor::<2>::from_data([[1e4, -1e4, 0.0], [f32::NEG_INFINITY, 3.0, 3.0]], &device());
    let logits = logits.require_grad();
    let loss = softmax_cross_entropy(logits.clone(), classes(&[1, 2]), None, 0.0);
    close(
        "loss",
        &values(loss.clone()),
        &[1e4 + 2_f32.ln() / 2.0],
        1e-6,
    );
    let gradient = values(logits.grad(&loss.backward()).expect("a gradient"));
    close(
        "gradient",
        &gradient,
        &[0.5, -0.5, 0.0, 0.0, 0.25, -0.25],
        1e-6,
    );
}

#[test]
fn the_number_of_threads_does_not_change_a_bit() {
    let pass = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build();
        pool.expect("a pool").install(|| {
            let logits = random([300, 211], 1, &device()).require_grad();
            let targets: Vec<i64> = (0..300).map(|row| row * 7 % 211).collect();
            let loss = softmax_cross_entropy(logits.clone(), classes(&targets), Some(0), 0.1);
            let gradients = loss.backward();
            (
                values(loss),
                values(logits.grad(&gradients).expect("a gradient")),
            )
        })
    };
    let one = pass(1);
    for threads in [2, 5] {
        let (loss, gradient) = pass(threads);
        same_bits("loss", &one.0, &loss);
        same_bits("gradient", &one.1, &gradient);
    }
}

#[test]
#[should_panic(expected = "softmax_cross_entropy: target 6 is none of 6 classes")]
fn a_target_that_is_no_class_is_named() {
    let logits = random([1, 6], 1, &device());
    let _ = softmax_cross_entropy(logits, classes(&[6]), None, 0.0);
}
