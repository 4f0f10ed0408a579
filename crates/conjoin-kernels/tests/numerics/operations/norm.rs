//! Batch, layer and group normalisation.

use super::law::{Law, few};
use conjoin_kernels::batch_norm::{self, batch_norm, batch_norm_eval};
use conjoin_kernels::group_norm::{self, group_norm};
use conjoin_kernels::layer_norm::{self, layer_norm, layer_norm_residual};
use proptest::prelude::*;

/// Large enough that channels of few numbers, whose variance is noise, do not drown in it.
const EPS: f64 = 1e-2;

/// By the statistics of the batch, or by given ones.
fn batch(x: [usize; 4], training: bool, residual: bool, relu: bool) -> Law {
    let name = format!("batch_norm {x:?}, {training}, residual {residual}, relu {relu}");
    Law::new(name, move |pass| {
        let line = [x[3]];
        let (input, gamma, beta) = (pass.leaf(x) + 0.5, pass.leaf(line), pass.leaf(line));
        let residual = residual.then(|| pass.leaf(x));
        if training {
            let run = if pass.fused {
                batch_norm
            } else {
                batch_norm::reference
            };
            let (y, mean, variance) = run(input, gamma, beta, EPS, residual, relu);
            pass.give(y);
            pass.show(mean);
            pass.show(variance);
        } else {
            let run = if pass.fused {
                batch_norm_eval
            } else {
                batch_norm::eval_reference
            };
            let (mean, variance) = (pass.constant(line), pass.constant(line).abs() + 0.1);
            pass.give(run(input, mean, variance, gamma, beta, EPS, residual, relu));
        }
    })
}

/// On what it normalises the rows of: `x`, or the sum of `x` and a residual.
fn layer(x: [usize; 3], residual: bool) -> Law {
    Law::new(
        format!("layer_norm {x:?}, residual {residual}"),
        move |pass| {
            let line = [x[2]];
            let (input, weight, bias) = (pass.leaf(x), pass.leaf(line), pass.leaf(line));
            if residual {
                let run = if pass.fused {
                    layer_norm_residual
                } else {
                    layer_norm::residual_reference
                };
                let (y, sum) = run(input, pass.leaf(x), weight, bias, EPS);
                pass.give(y);
                pass.give(sum);
            } else {
                let run = if pass.fused {
                    layer_norm
                } else {
                    layer_norm::reference
                };
                pass.give(run(input, weight, bias, EPS));
            }
        },
    )
}

fn group(x: [usize; 4], groups: usize) -> Law {
    Law::new(format!("group_norm {x:?} in {groups}"), move |pass| {
        let run = if pass.fused {
            group_norm
        } else {
            group_norm::reference
        };
        let (input, weight, bias) = (pass.leaf(x), pass.leaf([x[3]]), pass.leaf([x[3]]));
        pass.give(run(input, groups, weight, bias, EPS));
    })
}

proptest! {
    #![proptest_config(few())]

    #[test]
    fn batch_normalisation_is_lawful(
        x in [1..5_usize, 1..8, 1..8, 1..40], training in any::<bool>(), residual in any::<bool>(),
        relu in any::<bool>(),
    ) {
        batch(x, training, residual, relu).holds();
    }

    #[test]
    fn layer_and_group_normalisation_are_lawful(
        x in [1..5_usize, 1..8, 1..8], groups in 1..4_usize, members in 1..20_usize,
        residual in any::<bool>(),
    ) {
        let [images, height, width] = x;
        group([images, height, width, groups * members], groups).holds();
        layer([images, height * width, groups * members], residual).holds();
    }
}

#[test]
fn ones_primes_and_several_blocks() {
    for training in [true, false] {
        batch([1, 1, 1, 1], training, true, true).holds();
        batch([2, 1, 1, 1], training, false, false).holds();
        for (residual, relu) in [(false, false), (false, true), (true, false), (true, true)] {
            // More than 2^14 numbers, and a last block that is not whole.
            batch([7, 31, 29, 13], training, residual, relu).holds();
        }
        batch([3, 61, 59, 2], training, true, true).holds();
    }
    for residual in [true, false] {
        layer([1, 1, 1], residual).holds();
        layer([5, 127, 67], residual).holds();
    }
    group([1, 1, 1, 1], 1).holds();
    group([3, 31, 29, 14], 7).holds();
}

#[test]
fn an_empty_batch_is_lawful() {
    for (residual, relu) in [(false, true), (true, false)] {
        let x: &[usize] = &[0, 5, 3, 7];
        batch([0, 5, 3, 7], true, residual, relu).holds_for_nothing(&[x, &[7], &[7]]);
        batch([0, 5, 3, 7], false, residual, relu).holds_for_nothing(&[x]);
    }
    layer([0, 3, 5], false).holds_for_nothing(&[&[0, 3, 5]]);
    layer([0, 3, 5], true).holds_for_nothing(&[&[0, 3, 5], &[0, 3, 5]]);
    layer([2, 0, 5], true).holds_for_nothing(&[&[2, 0, 5], &[2, 0, 5]]);
    group([0, 3, 2, 6], 3).holds_for_nothing(&[&[0, 3, 2, 6]]);
}
