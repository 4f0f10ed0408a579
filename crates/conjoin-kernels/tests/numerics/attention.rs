//! Attention: PyTorch's outputs and gradients, padding.

use crate::support::{Golden, close, random, same_bits, values};
use burn::tensor::{Device, Tensor, TensorData};
use conjoin_kernels::attention::{Score, additive_scores, attention, masked_softmax, reference};

fn device() -> Device {
    Device::flex().autodiff()
}

#[test]
fn attention_equals_pytorch_forward_and_backward() {
    let golden = Golden::read("attention");
    for case in golden.cases() {
        let leaf = |name: &str| golden.leaf::<3>(&case, name, &device());
        let (query, keys, value) = (leaf("query"), leaf("keys"), leaf("values"));
        let v = golden.leaf::<1>(&case, "v", &device());
        let additive = case.ends_with("additive");
        let score = if additive {
            Score::Additive { v: v.clone() }
        } else {
            Score::Dot {
                scale: (query.dims()[2] as f64).powf(-0.5),
            }
        };
        let lengths = golden.lengths(&case);
        let (context, weights) =
            attention(score, query.clone(), keys.clone(), value.clone(), &lengths);
        let output = Tensor::cat(vec![context, weights], 2);
        golden.check(&case, "output", output.clone());
        let probe = golden.tensor::<3>(&case, "probe", &device());
        let gradients = (output * probe).sum().backward();
        for (name, leaf) in [("d_query", query), ("d_keys", keys), ("d_values", value)] {
            golden.check(&case, name, leaf.grad(&gradients).expect("a gradient"));
        }
        if additive {
            golden.check(&case, "d_v", v.grad(&gradients).expect("a gradient"));
        }
    }
}

#[test]
fn fused_equals_reference_with_empty_rows() {
    for (shape, lengths) in [([4, 3, 5], vec![0, 5, 1, 0]), ([2, 1, 40], vec![40, 17])] {
        let [batch, queries, time] = shape;
        let mut passes = Vec::new();
        for fused in [true, false] {
            let query = random([batch, queries, 21], 1, &device()).require_grad();
            let keys = random([batch, time, 21], 2, &device()).require_grad();
            let v = random([21], 3, &device()).require_grad();
            let scores = if fused {
                additive_scores
            } else {
                reference::additive_scores
            };
            let softmax = if fused {
                masked_softmax
            } else {
                reference::masked_softmax
            };
            let scores = scores(query.clone(), keys.clone(), v.clone(), &lengths);
            let weights = softmax(scores.clone(), &lengths);
            let probe = random(shape, 4, &device());
            let gradients = (weights.clone() * probe).sum().backward();
            passes.push([
                values(scores),
                values(weights),
                values(query.grad(&gradients).expect("a gradient")),
                values(keys.grad(&gradients).expect("a gradient")),
                values(v.grad(&gradients).expect("a gradient")),
            ]);
        }
        for (index, (got, want)) in passes[0].iter().zip(&passes[1]).enumerate() {
            close(&format!("{shape:?} {index}"), got, want, 1e-5);
        }
    }
}

#[test]
fn what_padding_holds_changes_nothing() {
    let lengths = [2, 0, 4];
    let pass = |junk: f32| {
        let mut keys = crate::support::numbers(3 * 4 * 5, 2);
        let mut scores = crate::support::numbers(3 * 2 * 4, 3);
        for (at, key) in keys.iter_mut().enumerate() {
            if at / 5 % 4 >= lengths[at / 20] {
                *key = junk;
            }
        }
        for (at, score) in scores.iter_mut().enumerate() {
            if at % 4 >= lengths[at / 8] {
                *score = junk;
            }
        }
        let tensor = |values: Vec<f32>, shape: [usize; 3]| {
            Tensor::<3>::from_data(TensorData::new(values, shape), &device()).require_grad()
        };
        let query = random([3, 2, 5], 1, &device()).require_grad();
        let (keys, scores) = (tensor(keys, [3, 4, 5]), tensor(scores, [3, 2, 4]));
        let v = random([5], 4, &device()).require_grad();
        let additive = additive_scores(query.clone(), keys.clone(), v.clone(), &lengths);
        let weights = masked_softmax(scores.clone(), &lengths);
        let probe = random([3, 2, 4], 5, &device());
        let sum = ((additive.clone() + weights.clone()) * probe).sum();
        let gradients = sum.backward();
        [
            values(additive),
            values(weights),
            values(query.grad(&gradients).expect("a gradient")),
            values(keys.grad(&gradients).expect("a gradient")),
            values(scores.grad(&gradients).expect("a gradient")),
            values(v.grad(&gradients).expect("a gradient")),
        ]
    };
    let clean = pass(0.0);
    for junk in [1e30, f32::NAN, f32::INFINITY] {
        for (index, (clean, dirty)) in clean.iter().zip(&pass(junk)).enumerate() {
            same_bits(&format!("{index}"), clean, dirty);
        }
    }
    assert!(
        clean[1][8..16].iter().all(|weight| *weight == 0.0),
        "a row of length 0"
    );
}

#[test]
fn large_scores_do_not_overflow() {
    let scores = Tensor::<3>::from_data([[[1e30, 1e30, -1e30]]], &device());
    assert_eq!(values(masked_softmax(scores, &[3])), [0.5, 0.5, 0.0]);
}
