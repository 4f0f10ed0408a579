//! The optimisers: in place against Burn's operations in double precision, for any number of threads.

use super::law::few;
use crate::support::{close, random, same_bits, values};
use burn::tensor::{DType, Device, Tensor};
use conjoin_kernels::optim::{Rule, State, average, update};
use proptest::prelude::*;
use rayon::ThreadPoolBuilder;

const STEPS: u64 = 4;

/// The parameter and the state after some steps.
fn steps<const D: usize>(
    rule: &Rule,
    shape: [usize; D],
    clip: f64,
    kind: DType,
    view: bool,
) -> Vec<Vec<f32>> {
    let device = Device::flex().autodiff();
    let numbers = |seed: u64| {
        let mut stored = shape;
        if view {
            stored.reverse();
        }
        let tensor: Tensor<D> = random(stored, seed, &device).cast(kind);
        let axes: [isize; D] = std::array::from_fn(|axis| (D - 1 - axis) as isize);
        if view { tensor.permute(axes) } else { tensor }
    };
    let mut param = numbers(1).detach().require_grad();
    let mut state = State::new(rule, &param);
    for step in 0..STEPS {
        param = update(rule, param, numbers(10 + step), &mut state, 0.03, clip);
    }
    assert_eq!(state.step(), STEPS);
    let single = |x: Tensor<1>| values(x.cast(DType::F32));
    let mut all = vec![values(param.cast(DType::F32))];
    all.extend(state.named().map(|(_, slot)| single(slot.clone())));
    all
}

fn rules() -> impl Strategy<Value = Rule> {
    let share = || 0.0..0.99_f64;
    let sometimes = |x: f64, on: bool| if on { x } else { 0.0 };
    let sgd = (share(), share(), any::<[bool; 3]>(), 0.0..0.2_f64).prop_map(
        move |(momentum, dampening, [moves, nesterov, decays], decay)| Rule::Sgd {
            momentum: sometimes(momentum, moves),
            dampening: sometimes(dampening, !nesterov),
            nesterov,
            weight_decay: sometimes(decay, decays),
        },
    );
    let adam = (share(), share(), any::<bool>(), 0.0..0.2_f64).prop_map(
        |(first, second, decoupled, weight_decay)| {
            let (betas, eps) = ([first, second], 1e-4);
            if decoupled {
                Rule::AdamW {
                    betas,
                    eps,
                    weight_decay,
                }
            } else {
                Rule::Adam {
                    betas,
                    eps,
                    weight_decay,
                }
            }
        },
    );
    // Of a variance around a mean, a share near 0 leaves noise alone.
    let rmsprop = (0.5..0.99_f64, share(), any::<[bool; 2]>(), 0.0..0.2_f64).prop_map(
        move |(alpha, momentum, [moves, centered], weight_decay)| Rule::RmsProp {
            alpha,
            eps: 1e-2,
            momentum: sometimes(momentum, moves),
            centered,
            weight_decay,
        },
    );
    prop_oneof![sgd, adam, rmsprop]
}

/// The reference takes the second factor on the gradient.
fn lawful<const D: usize>(rule: &Rule, shape: [usize; D], [clip, expected]: [f64; 2]) {
    let on = |threads: usize| {
        let pool = ThreadPoolBuilder::new().num_threads(threads).build();
        let run = || steps(rule, shape, clip, DType::F32, false);
        pool.expect("a pool").install(run)
    };
    let (one, three) = (on(1), on(3));
    let name = format!("{rule:?} of {shape:?}");
    // Double precision runs Burn's operations.
    let by_burn = steps(rule, shape, expected, DType::F64, false);
    let (view, of_view) = (
        steps(rule, shape, clip, DType::F32, true),
        steps(rule, shape, expected, DType::F64, true),
    );
    assert_eq!(one.len(), by_burn.len());
    for i in 0..one.len() {
        same_bits(&format!("{name}: {i}, threads"), &one[i], &three[i]);
        close(&format!("{name}: {i}"), &one[i], &by_burn[i], 2e-5);
        close(
            &format!("{name}: {i} of a view"),
            &view[i],
            &of_view[i],
            2e-5,
        );
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..few() })]

    #[test]
    fn optimisers_are_lawful(rule in rules(), shape in [1..9_usize, 1..9], clip in 0.1..1.0_f64) {
        lawful(&rule, shape, [clip; 2]);
    }
}

#[test]
fn ones_primes_several_blocks_and_nothing() {
    let adam = Rule::Adam {
        betas: [0.9, 0.99],
        eps: 1e-4,
        weight_decay: 0.1,
    };
    let rmsprop = Rule::RmsProp {
        alpha: 0.9,
        eps: 1e-2,
        momentum: 0.5,
        centered: true,
        weight_decay: 0.0,
    };
    let sgd = Rule::Sgd {
        momentum: 0.9,
        dampening: 0.1,
        nesterov: false,
        weight_decay: 0.1,
    };
    for rule in [adam, rmsprop, sgd] {
        lawful(&rule, [1], [1.0; 2]);
        lawful(&rule, [131, 257], [0.5; 2]);
        lawful(&rule, [0, 3], [1.0; 2]);
    }
}

#[test]
#[should_panic(expected = "nesterov: true, weight_decay: 0.0 } of [3, 5]: 0[")]
fn another_step_is_found() {
    let rule = Rule::Sgd {
        momentum: 0.9,
        dampening: 0.0,
        nesterov: true,
        weight_decay: 0.0,
    };
    lawful(&rule, [3, 5], [0.5, 0.505]);
}

#[test]
fn averages_are_lawful() {
    let device = Device::flex();
    let (old, new): (Tensor<2>, Tensor<2>) = (
        random([257, 131], 1, &device),
        random([257, 131], 2, &device),
    );
    let on = |threads: usize| {
        let pool = ThreadPoolBuilder::new().num_threads(threads).build();
        pool.expect("a pool")
            .install(|| values(average(old.clone(), new.clone(), 0.9)))
    };
    same_bits("threads", &on(1), &on(3));
    let double = average(
        old.clone().cast(DType::F64),
        new.clone().cast(DType::F64),
        0.9,
    );
    close("average", &on(1), &values(double.cast(DType::F32)), 1e-6);
    let view = average(old.clone().transpose(), new.clone().transpose(), 0.9);
    same_bits("a view", &values(view.transpose()), &on(1));
}
