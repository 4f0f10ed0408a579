//! The optimisers against ten steps of PyTorch (`golden/vision.py`), in place and by Burn's operations.

use crate::support::{Golden, close, random, values};
use burn::tensor::{DType, Device, Tensor};
use conjoin_kernels::optim::{
    Rule, State, StateError, absolute_sum, average, squared_norm, update,
};

const CLIP: f64 = 0.7;
const STEPS: usize = 10;

fn noise(size: usize, seed: u64) -> Tensor<1> {
    random([size], seed, &Device::flex().autodiff())
}

fn sgd(momentum: f64, dampening: f64, nesterov: bool, weight_decay: f64) -> Rule {
    Rule::Sgd {
        momentum,
        dampening,
        nesterov,
        weight_decay,
    }
}

fn rmsprop(alpha: f64, momentum: f64, centered: bool, weight_decay: f64) -> Rule {
    Rule::RmsProp {
        alpha,
        eps: 1e-8,
        momentum,
        centered,
        weight_decay,
    }
}

fn rules() -> Vec<(&'static str, Rule, f64)> {
    let betas = [0.9, 0.999];
    vec![
        ("sgd", sgd(0.0, 0.0, false, 0.1), 0.05),
        ("momentum", sgd(0.9, 0.3, false, 0.01), 0.05),
        ("nesterov", sgd(0.8, 0.0, true, 0.0), 0.05),
        (
            "adam",
            Rule::Adam {
                betas,
                eps: 1e-8,
                weight_decay: 0.0,
            },
            0.01,
        ),
        (
            "adam_l2",
            Rule::Adam {
                betas: [0.8, 0.95],
                eps: 1e-6,
                weight_decay: 0.1,
            },
            0.01,
        ),
        (
            "adamw",
            Rule::AdamW {
                betas,
                eps: 1e-8,
                weight_decay: 0.1,
            },
            0.01,
        ),
        ("rmsprop", rmsprop(0.99, 0.0, false, 0.1), 0.01),
        ("rmsprop_momentum", rmsprop(0.99, 0.9, false, 0.0), 0.01),
        ("rmsprop_centered", rmsprop(0.9, 0.0, true, 0.0), 0.01),
        ("rmsprop_all", rmsprop(0.9, 0.5, true, 0.0), 0.01),
    ]
}

fn run<const D: usize>(golden: &Golden, index: &str, double: bool) {
    let device = Device::flex().autodiff();
    for (name, rule, lr) in rules() {
        let mut param = golden.tensor::<D>("start", index, &device);
        if double {
            // Fused operations take single precision only, so this runs Burn's operations.
            param = param.cast(DType::F64);
        }
        param = param.detach().require_grad();
        let mut state = State::new(&rule, &param);
        let size = param.shape().num_elements();
        let grads = golden.floats("grad", index);
        for step in 0..STEPS {
            let grad: Tensor<1> = Tensor::from_floats(&grads[step * size..][..size], &device);
            let grad = grad.reshape(param.dims()).cast(param.dtype());
            if step == 5 {
                // What a resumed run does.
                let saved: Vec<_> = state
                    .named()
                    .map(|(name, t)| (name, values(t.clone().cast(DType::F32))))
                    .collect();
                let read = |wanted: &str| {
                    saved
                        .iter()
                        .find(|(name, _)| *name == wanted)
                        .map(|(_, v)| v.clone())
                };
                if !double {
                    state = State::restore(&rule, &param, state.step(), read).unwrap();
                }
            }
            param = update(&rule, param, grad, &mut state, lr, CLIP);
        }
        assert!(param.is_require_grad() && state.step() == STEPS as u64);
        let found = values(param.cast(DType::F32));
        close(
            &format!("{name}.{index}"),
            &found,
            golden.floats(name, index),
            1e-6,
        );
    }
}

#[test]
fn ten_steps_in_place_equal_pytorch() {
    let golden = Golden::read("optim");
    run::<1>(&golden, "0", false);
    run::<2>(&golden, "1", false);
    run::<3>(&golden, "2", false);
}

#[test]
fn ten_steps_by_burn_equal_pytorch() {
    let golden = Golden::read("optim");
    run::<1>(&golden, "0", true);
    run::<3>(&golden, "2", true);
}

#[test]
fn a_large_parameter_is_updated_whole() {
    // Several blocks and a rest: every value moves by the learning rate in Adam's first step.
    let rule = Rule::Adam {
        betas: [0.9, 0.999],
        eps: 0.0,
        weight_decay: 0.0,
    };
    let param = noise(100_003, 1);
    let grad = noise(100_003, 2) + 2.0;
    let before = values(param.clone());
    let mut state = State::new(&rule, &param);
    let after = values(update(&rule, param, grad, &mut state, 0.125, 1.0));
    for (before, after) in before.iter().zip(&after) {
        assert!(
            (before - after - 0.125).abs() < 1e-6,
            "{before} became {after}"
        );
    }
}

#[test]
fn a_shared_parameter_is_copied_not_changed() {
    let rule = sgd(0.0, 0.0, false, 0.0);
    let param = noise(7, 1);
    let kept = param.clone();
    let before = values(kept.clone());
    let after = update(
        &rule,
        param.clone(),
        noise(7, 2),
        &mut State::new(&rule, &param),
        1.0,
        1.0,
    );
    assert_eq!(values(kept), before);
    assert_ne!(values(after), before);
}

#[test]
fn an_unshared_parameter_stays_where_it_is() {
    use burn::backend::Flex;
    let address = |t: &Tensor<1>| {
        t.clone()
            .inner()
            .try_into_primitive::<Flex>()
            .unwrap()
            .bytes()
            .as_ptr()
    };
    let rule = Rule::AdamW {
        betas: [0.9, 0.999],
        eps: 1e-8,
        weight_decay: 0.1,
    };
    let param = noise(1000, 1).require_grad();
    let before = address(&param);
    let mut state = State::new(&rule, &param);
    let param = update(&rule, param, noise(1000, 2), &mut state, 0.1, 1.0);
    assert_eq!(address(&param), before);
}

#[test]
fn norms_and_averages_are_right() {
    let x = noise(50_001, 3);
    let exact = |term: fn(f64) -> f64| {
        values(x.clone())
            .into_iter()
            .map(|v| term(f64::from(v)))
            .sum::<f64>()
    };
    let (squares, absolutes) = (exact(|v| v * v), exact(f64::abs));
    assert!((squared_norm(&x) - squares).abs() < 1e-9 * squares);
    assert!((absolute_sum(&x) - absolutes).abs() < 1e-9 * absolutes);
    let (old, new) = (noise(20, 4), noise(20, 5));
    let expected = values(old.clone() * 0.9 + new.clone() * 0.1);
    close("average", &values(average(old, new, 0.9)), &expected, 1e-6);
}

#[test]
fn a_saved_state_must_fit() {
    let rule = Rule::Adam {
        betas: [0.9, 0.999],
        eps: 1e-8,
        weight_decay: 0.0,
    };
    let param = noise(3, 1);
    let missing = State::restore(&rule, &param, 1, |name| {
        (name == "exp_avg").then(|| vec![0.0; 3])
    });
    assert_eq!(missing.unwrap_err(), StateError::Missing("exp_avg_sq"));
    let short = State::restore(&rule, &param, 1, |_| Some(vec![0.0; 2]));
    assert_eq!(
        short.unwrap_err(),
        StateError::Length {
            name: "exp_avg",
            found: 2,
            expected: 3
        }
    );
}
