//! The edges of the operations of transformers: queries that see nothing, numbers that are none, large
//! scores, dropout, views, empty batches, and the messages for shapes that do not fit.

use crate::support::tracked::{device, integers, leaf, noise};
use crate::support::{close, same_bits, values};
use burn::tensor::{Int, Tensor, TensorData};
use conjoin_kernels::activation::{self, Activation, activate};
use conjoin_kernels::attention::{MultiHead, multi_head_attention};
use conjoin_kernels::embedding::embedding;
use conjoin_kernels::group_norm::group_norm;
use conjoin_kernels::layer_norm::{layer_norm, layer_norm_residual};

/// The output and the gradients of the leaves of an output weighted by noise.
macro_rules! results {
    ($y:expr, $($leaf:expr),+) => {{
        let y = $y;
        let gradients = (y.clone() * noise(y.dims(), 99)).sum().backward();
        vec![values(y), $(values($leaf.grad(&gradients).expect("a gradient"))),+]
    }};
}

#[test]
fn a_query_that_sees_nothing_gives_zero_and_takes_no_gradient() {
    let (q, k, v) = (leaf([2, 3, 8], 1), leaf([2, 5, 8], 2), leaf([2, 5, 8], 3));
    // The first row of the batch has no keys; the mask hides all from query 1 of the second.
    let mut mask = vec![0.0; 2 * 3 * 5];
    mask[20..25].fill(f32::NEG_INFINITY);
    let mask = Tensor::<4>::from_data(TensorData::new(mask, [2, 1, 3, 5]), &device());
    let options = MultiHead {
        lengths: Some(vec![0, 5]),
        mask: Some(mask),
        ..MultiHead::new(2)
    };
    let y = multi_head_attention(q.clone(), k.clone(), v.clone(), options);
    let all = results!(y, q, k, v);
    for (result, width) in [(0, 3 * 8), (1, 3 * 8), (2, 5 * 8), (3, 5 * 8)] {
        assert!(all[result].iter().all(|x| x.is_finite()));
        assert!(all[result][..width].iter().all(|x| *x == 0.0));
        assert!(all[result][width..].iter().any(|x| *x != 0.0));
    }
    assert!(
        all[0][32..40]
            .iter()
            .chain(&all[1][32..40])
            .all(|x| *x == 0.0)
    );
}

#[test]
fn not_a_number_is_not_hidden() {
    let q = (leaf([1, 2, 4], 1) * f32::NAN).detach();
    let y = multi_head_attention(q, leaf([1, 3, 4], 2), leaf([1, 3, 4], 3), MultiHead::new(1));
    assert!(values(y).iter().all(|x| x.is_nan()));
    let x = Tensor::<2>::from_floats([[1.0, f32::NAN], [1.0, 2.0]], &device());
    for kind in [Activation::Relu, Activation::Gelu, Activation::Silu] {
        assert!(values(activate(x.clone(), kind))[1].is_nan());
    }
    let (weight, bias) = (noise([2], 1), noise([2], 2));
    let y = values(layer_norm(x.clone(), weight.clone(), bias.clone(), 1e-5));
    assert!(y[..2].iter().all(|y| y.is_nan()) && y[2..].iter().all(|y| y.is_finite()));
    let y = values(group_norm(x, 1, weight, bias, 1e-5));
    assert!(y[..2].iter().all(|y| y.is_nan()) && y[2..].iter().all(|y| y.is_finite()));
}

#[test]
fn large_scores_stay_finite() {
    let case = |scale| {
        let (q, k, v) = (
            leaf([1, 70, 8], 1),
            leaf([1, 70, 8], 2),
            leaf([1, 70, 8], 3),
        );
        let options = MultiHead {
            scale: Some(scale),
            ..MultiHead::new(1)
        };
        let y = multi_head_attention(q.clone(), k.clone(), v.clone(), options);
        results!(y, q, k, v)
    };
    let all = case(1e6);
    assert!(all.iter().flatten().all(|x| x.is_finite()));
}

#[test]
fn a_mean_far_from_zero_keeps_its_variance() {
    let x = noise([6, 5, 4, 8], 1);
    let (weight, bias) = (noise([8], 2), noise([8], 3));
    let near = values(group_norm(x.clone(), 2, weight.clone(), bias.clone(), 0.0));
    // A power of two of at most 2^10, so that the sum loses at most 10 bits of the input.
    let far = values(group_norm(
        x.clone() + 1024.0,
        2,
        weight.clone(),
        bias.clone(),
        0.0,
    ));
    close("group norm", &far, &near, 3e-4);
    let near = values(layer_norm(x.clone(), weight.clone(), bias.clone(), 0.0));
    let far = values(layer_norm(x + 1024.0, weight, bias, 0.0));
    close("layer norm", &far, &near, 3e-3);
}

#[test]
fn attention_dropout_is_unbiased_and_depends_on_the_seed_alone() {
    let pass = |seed: u64| {
        let q = noise([2, 100, 8], 1) * 0.0;
        let v = q.clone() * 0.0 + 1.0;
        let options = MultiHead {
            dropout: Some((0.25, seed)),
            ..MultiHead::new(2)
        };
        // Uniform weights over ones: each output is the kept share over 0.75.
        values(multi_head_attention(q.clone(), q, v, options))
    };
    let y = pass(1);
    assert_eq!(y, pass(1));
    assert_ne!(y, pass(2));
    let rows: Vec<f32> = y.iter().step_by(4).copied().collect();
    let mean = rows.iter().sum::<f32>() / rows.len() as f32;
    // 400 rows of 100 weights: five standard deviations of the share that is kept.
    let deviation = (0.25 * 0.75 / 40_000.0_f32).sqrt() / 0.75;
    assert!((mean - 1.0).abs() < 5.0 * deviation, "the mean is {mean}");
}

#[test]
fn views_are_read_in_their_order() {
    let x = noise([6, 5, 16], 1);
    let turned = |x: &Tensor<3>| x.clone().swap_dims(0, 1);
    let copied = |x: &Tensor<3>| {
        let data = turned(x).into_data();
        Tensor::<3>::from_data(data, &device())
    };
    let options = || MultiHead::new(4);
    let found = multi_head_attention(turned(&x), turned(&x), turned(&x), options());
    let expected = multi_head_attention(copied(&x), copied(&x), copied(&x), options());
    same_bits("attention", &values(found), &values(expected));
    let (weight, bias) = (noise([16], 2), noise([16], 3));
    let pass = |x: Tensor<3>| values(layer_norm(x, weight.clone(), bias.clone(), 1e-5));
    same_bits("layer norm", &pass(turned(&x)), &pass(copied(&x)));
    let pass = |x: Tensor<3>| values(group_norm(x, 4, weight.clone(), bias.clone(), 1e-5));
    same_bits("group norm", &pass(turned(&x)), &pass(copied(&x)));
    let pass = |x: Tensor<3>| values(activation::gelu(x));
    same_bits("gelu", &pass(turned(&x)), &pass(copied(&x)));
    let table = noise([16, 6], 4);
    let indices = integers([2, 3], 6, 5);
    let found = embedding(table.clone().transpose(), indices.clone(), None);
    let table = Tensor::<2>::from_data(table.transpose().into_data(), &device());
    let expected = embedding(table, indices, None);
    same_bits("embedding", &values(found), &values(expected));
}

#[test]
fn empty_batches_give_empty_results_and_zero_gradients() {
    const NONE: Vec<f32> = Vec::new();
    let (weight, bias) = (leaf([4], 1), leaf([4], 2));
    let x = leaf([0, 3, 4], 3);
    let all = results!(
        layer_norm(x.clone(), weight.clone(), bias.clone(), 1e-5),
        x,
        weight,
        bias
    );
    assert_eq!(all, [vec![], vec![], vec![0.0; 4], vec![0.0; 4]]);
    let all = results!(
        group_norm(x.clone(), 2, weight.clone(), bias.clone(), 1e-5),
        x,
        weight,
        bias
    );
    assert_eq!(all, [vec![], vec![], vec![0.0; 4], vec![0.0; 4]]);
    let y = multi_head_attention(x.clone(), x.clone(), x.clone(), MultiHead::new(2));
    assert_eq!(results!(y, x), [NONE, NONE]);
    // No keys: nothing to see. No queries: nothing to learn.
    let (q, k) = (leaf([2, 3, 4], 4), leaf([2, 0, 4], 5));
    let y = multi_head_attention(q.clone(), k.clone(), k.clone(), MultiHead::new(2));
    assert_eq!(results!(y, q, k), [vec![0.0; 24], vec![0.0; 24], vec![]]);
    let y = multi_head_attention(k.clone(), q.clone(), q.clone(), MultiHead::new(2));
    assert_eq!(results!(y, q, k), [vec![], vec![0.0; 24], vec![]]);
    assert_eq!(results!(activation::gelu(x.clone()), x), [NONE, NONE]);
    let table = leaf([5, 4], 6);
    let y = embedding(table.clone(), integers([0, 3], 5, 7), None);
    assert_eq!(results!(y, table), [vec![], vec![0.0; 20]]);
}

#[test]
fn operations_run_without_autodiff() {
    let x = noise([2, 3, 8], 1).inner();
    let line = noise([8], 2).inner();
    let y = multi_head_attention(x.clone(), x.clone(), x.clone(), MultiHead::new(2));
    assert!(!y.is_autodiff() && y.dims() == [2, 3, 8]);
    let (y, sum) = layer_norm_residual(x.clone(), x.clone(), line.clone(), line.clone(), 1e-5);
    assert!(!y.is_autodiff() && sum.dims() == [2, 3, 8]);
    assert_eq!(
        group_norm(x.clone(), 4, line.clone(), line, 1e-5).dims(),
        [2, 3, 8]
    );
    assert_eq!(activation::silu(x).dims(), [2, 3, 8]);
}

#[test]
#[should_panic(expected = "multi_head_attention: k is [2, 3, 4], expected [2, 3, 8]")]
fn keys_that_do_not_fit_are_named() {
    let _ = multi_head_attention(
        noise([2, 3, 8], 1),
        noise([2, 3, 4], 2),
        noise([2, 3, 4], 3),
        MultiHead::new(2),
    );
}

#[test]
#[should_panic(expected = "mask is [2, 1, 3, 4], which does not broadcast to [2, 2, 3, 5]")]
fn a_mask_that_does_not_broadcast_is_named() {
    let (q, k) = (noise([2, 3, 8], 1), noise([2, 5, 8], 2));
    let options = MultiHead {
        mask: Some(noise([2, 1, 3, 4], 3)),
        ..MultiHead::new(2)
    };
    let _ = multi_head_attention(q, k.clone(), k, options);
}

#[test]
#[should_panic(expected = "layer_norm: weight is [7], expected [8]")]
fn a_weight_that_does_not_fit_is_named() {
    let _ = layer_norm(noise([2, 8], 1), noise([7], 2), noise([8], 3), 1e-5);
}

#[test]
#[should_panic(expected = "group_norm: 3 groups do not divide the 8 channels")]
fn groups_that_do_not_divide_are_named() {
    let _ = group_norm(noise([2, 8], 1), 3, noise([8], 2), noise([8], 3), 1e-5);
}

#[test]
#[should_panic(expected = "embedding: index 6 at [0, 1] is none of the 5 rows")]
fn an_index_that_is_no_row_is_named() {
    let indices = Tensor::<2, Int>::from_data([[1, 6]], &device());
    let _ = embedding(noise([5, 2], 1), indices, None);
}
