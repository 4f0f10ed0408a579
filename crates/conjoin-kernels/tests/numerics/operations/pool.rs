//! Pooling and upsampling.

use super::law::{Law, few};
use burn::tensor::Tensor;
use conjoin_kernels::pool::{self, avg_pool2d, avg_pool2d_inside, max_pool2d};
use proptest::prelude::*;

type Pool = fn(Tensor<4>, usize, usize, usize) -> Tensor<4>;

const POOLS: [(&str, [Pool; 2]); 3] = [
    ("max", [max_pool2d, pool::max_pool2d_reference]),
    ("average", [avg_pool2d, pool::avg_pool2d_reference]),
    (
        "average inside",
        [avg_pool2d_inside, pool::avg_pool2d_inside_reference],
    ),
];

fn windows(x: [usize; 4], kernel: usize, stride: usize, padding: usize) -> [Law; 3] {
    POOLS.map(|(name, [fused, reference])| {
        let name = format!("{name} of {x:?} by {kernel}, stride {stride}, padding {padding}");
        Law::new(name, move |pass| {
            let run = if pass.fused { fused } else { reference };
            let x = pass.leaf(x);
            pass.give(run(x, kernel, stride, padding));
        })
    })
}

fn whole(x: [usize; 4]) -> Law {
    Law::new(format!("global_avg_pool of {x:?}"), move |pass| {
        let run = if pass.fused {
            pool::global_avg_pool
        } else {
            pool::global_avg_pool_reference
        };
        let x = pass.leaf(x);
        pass.give(run(x));
    })
}

fn upsample(x: [usize; 4], factor: usize) -> Law {
    Law::new(
        format!("upsample_nearest2d of {x:?} by {factor}"),
        move |pass| {
            let run = if pass.fused {
                pool::upsample_nearest2d
            } else {
                pool::upsample_nearest2d_reference
            };
            let x = pass.leaf(x);
            pass.give(run(x, factor));
        },
    )
}

proptest! {
    #![proptest_config(few())]

    #[test]
    fn pools_are_lawful(
        x in [1..4_usize, 0..9, 0..9, 1..40],
        kernel in 1..6_usize,
        stride in 1..5_usize,
        padding in 0..3_usize,
        factor in 1..4_usize,
    ) {
        let padding = padding.min(kernel / 2);
        // The kernel fits the image.
        let x = [x[0], kernel + x[1], kernel + x[2], x[3]];
        for law in windows(x, kernel, stride, padding) {
            law.holds();
        }
        whole(x).holds();
        upsample(x, factor).holds();
    }
}

#[test]
fn ones_primes_and_several_tasks() {
    for law in windows([1, 1, 1, 1], 1, 1, 0) {
        law.holds();
    }
    for law in windows([5, 31, 29, 17], 2, 2, 0) {
        law.holds();
    }
    for law in windows([1, 61, 53, 19], 3, 2, 1) {
        law.holds();
    }
    whole([1, 1, 1, 1]).holds();
    whole([7, 31, 29, 17]).holds();
    upsample([1, 1, 1, 1], 1).holds();
    upsample([7, 13, 11, 17], 3).holds();
}

#[test]
fn an_empty_batch_is_lawful() {
    for law in windows([0, 6, 4, 3], 2, 2, 0) {
        law.holds_for_nothing(&[&[0, 3, 2, 3]]);
    }
    whole([0, 6, 4, 3]).holds_for_nothing(&[&[0, 3]]);
    upsample([0, 6, 4, 3], 2).holds_for_nothing(&[&[0, 12, 8, 3]]);
}
