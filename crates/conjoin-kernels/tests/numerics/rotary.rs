//! Rotary positions against PyTorch (`golden/rotary.py`) and Burn's own operations.

use crate::support::{Golden, close, random, same_bits, values};
use burn::tensor::{Device, Tensor};
use conjoin_kernels::rotary::{self, rotary};
use proptest::prelude::*;

const BASE: f64 = 10_000.0;

fn device() -> Device {
    Device::flex().autodiff()
}

#[test]
fn rotary_equals_pytorch() {
    let golden = Golden::read("rotary");
    assert_eq!(golden.cases().len(), 5);
    for operation in [rotary, rotary::reference] {
        for case in golden.cases() {
            let x = golden.leaf::<3>(&case, "x", &device());
            let option = |name| golden.integers(&case, name)[0] as usize;
            let y = operation(x.clone(), option("heads"), option("first"), BASE);
            golden.check(&case, "output", y.clone());
            let probe = golden.tensor::<3>(&case, "probe", &device());
            let gradients = (y * probe).sum().backward();
            golden.check(&case, "d_x", x.grad(&gradients).expect("a gradient"));
        }
    }
}

#[test]
fn strided_and_empty_inputs_are_taken() {
    let device = Device::flex();
    let x = random([5, 3, 8], 1, &device).swap_dims(0, 1);
    let expected = rotary::reference(x.clone(), 2, 3, BASE);
    close(
        "strided",
        &values(rotary(x, 2, 3, BASE)),
        &values(expected),
        2e-6,
    );
    for shape in [[0, 3, 8], [2, 0, 8]] {
        let empty = Tensor::<3>::zeros(shape, &device);
        assert_eq!(rotary(empty, 2, 0, BASE).dims(), shape);
    }
}

#[test]
fn results_do_not_depend_on_threads() {
    let device = Device::flex();
    let x: Tensor<3> = random([7, 61, 96], 2, &device);
    let on = |threads| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build();
        pool.expect("threads")
            .install(|| values(rotary(x.clone(), 3, 5, BASE)))
    };
    same_bits("rotary", &on(1), &on(3));
}

#[test]
#[should_panic(expected = "rotary: x has 6 numbers a step, which 2 heads do not share in pairs")]
fn odd_heads_are_refused() {
    rotary(random([1, 1, 6], 3, &Device::flex()), 2, 0, BASE);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Also: the product of a query and a key depends on their distance alone.
    #[test]
    fn rotary_equals_burn(
        rows in 1usize..4, time in 1usize..9, heads in 1usize..4, pairs in 1usize..20,
        first in 0usize..100, seed in any::<u64>(),
    ) {
        let device = Device::flex();
        let size = 2 * heads * pairs;
        let x: Tensor<3> = random([rows, time, size], seed, &device);
        let (found, expected) = (
            values(rotary(x.clone(), heads, first, BASE)),
            values(rotary::reference(x.clone(), heads, first, BASE)),
        );
        close("rotary", &found, &expected, 2e-6);
        let y: Tensor<3> = random([rows, time, size], seed ^ 1, &device);
        let product = |first, ahead| {
            let x = rotary(x.clone(), heads, first, BASE);
            values((x * rotary(y.clone(), heads, first + ahead, BASE)).sum())
        };
        let scale = (rows * time * size) as f32;
        let (here, there) = (product(first, 3), product(first + 17, 3));
        prop_assert!((here[0] - there[0]).abs() < 1e-5 * scale);
    }
}
