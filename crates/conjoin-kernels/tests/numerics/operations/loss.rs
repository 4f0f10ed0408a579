//! The losses.

use super::law::{Law, few};
use crate::support::tracked::integers;
use conjoin_kernels::binary_loss::{self, BinaryLoss, binary_loss};
use conjoin_kernels::loss::{
    reference, softmax_cross_entropy, weighted_reference, weighted_softmax_cross_entropy,
};
use proptest::prelude::*;

fn cross_entropy([rows, classes]: [usize; 2], ignore: Option<i64>, smoothing: f64) -> Law {
    let name = format!("softmax_cross_entropy {rows} x {classes}, {ignore:?}, {smoothing}");
    Law::new(name, move |pass| {
        let run = if pass.fused {
            softmax_cross_entropy
        } else {
            reference
        };
        let logits = pass.leaf([rows, classes]) * 5.0;
        let targets = integers([rows], classes, 7);
        pass.give(run(logits, targets, ignore, smoothing));
    })
}

fn weighted([rows, classes]: [usize; 2], ignore: Option<i64>, smoothing: f64) -> Law {
    let name =
        format!("weighted_softmax_cross_entropy {rows} x {classes}, {ignore:?}, {smoothing}");
    Law::new(name, move |pass| {
        let run = if pass.fused {
            weighted_softmax_cross_entropy
        } else {
            weighted_reference
        };
        let logits = pass.leaf([rows, classes]) * 5.0;
        let weights = pass.constant([classes]).abs() + 0.1;
        let targets = integers([rows], classes, 7);
        pass.give(run(logits, targets, weights, ignore, smoothing));
    })
}

fn binary(elements: usize, weighted: bool, loss: BinaryLoss) -> Law {
    let name = format!("binary_loss of {elements}, weighted {weighted}, {loss:?}");
    Law::new(name, move |pass| {
        let run = if pass.fused {
            binary_loss
        } else {
            binary_loss::reference
        };
        let logits = pass.leaf([elements]) * 4.0;
        let targets = pass.constant([elements]).abs();
        let weights = weighted.then(|| pass.constant([elements]).abs());
        pass.give(run(logits, targets, weights, loss));
    })
}

const BINARY: [BinaryLoss; 2] = [
    BinaryLoss::CrossEntropy {
        positive_weight: 2.0,
    },
    BinaryLoss::Focal {
        alpha: 2.0,
        beta: 4.0,
    },
];

proptest! {
    #![proptest_config(few())]

    #[test]
    fn losses_are_lawful(
        sizes in [1..60_usize, 1..60], ignored in any::<bool>(),
        smoothing in prop::sample::select(vec![0.0, 0.1]),
    ) {
        let ignore = ignored.then_some(sizes[1] as i64 / 2);
        cross_entropy(sizes, ignore, smoothing).holds();
        weighted(sizes, ignore, smoothing).holds();
        for loss in BINARY {
            binary(sizes[0] * sizes[1], ignored, loss).holds();
        }
    }
}

#[test]
fn ones_primes_and_several_tasks() {
    for smoothing in [0.0, 0.1] {
        for (sizes, ignore) in [([1, 1], None), ([1, 2], Some(1)), ([311, 211], Some(3))] {
            cross_entropy(sizes, ignore, smoothing).holds();
            weighted(sizes, ignore, smoothing).holds();
        }
    }
    for loss in BINARY {
        binary(1, false, loss).holds();
        binary(50_021, true, loss).holds();
    }
}

#[test]
fn a_loss_of_nothing_is_zero() {
    for smoothing in [0.0, 0.1] {
        cross_entropy([0, 5], None, smoothing).holds_for_nothing(&[&[1]]);
        weighted([0, 5], None, smoothing).holds_for_nothing(&[&[1]]);
    }
    for loss in BINARY {
        binary(0, true, loss).holds_for_nothing(&[&[1]]);
    }
}
