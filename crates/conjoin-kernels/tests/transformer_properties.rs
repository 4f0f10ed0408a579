//! What golden files of little shapes cannot show of the operations of transformers: random shapes
//! against Burn's operations, the same bits for any number of threads, rows that see nothing, dropout,
//! views, empty batches, and the messages for shapes that do not fit.

mod support;

use burn::tensor::{Device, Int, Tensor, TensorData};
use conjoin_kernels::activation::{self, Activation, activate};
use conjoin_kernels::attention::{self, MultiHead, multi_head_attention};
use conjoin_kernels::embedding::{self, embedding};
use conjoin_kernels::group_norm::{self, group_norm};
use conjoin_kernels::layer_norm::{self, layer_norm, layer_norm_residual};
use conjoin_kernels::loss::{weighted_reference, weighted_softmax_cross_entropy};
use conjoin_kernels::pool::{avg_pool2d_inside, avg_pool2d_inside_reference};
use proptest::prelude::*;
use support::{close, random, same_bits, values};

fn device() -> Device {
    Device::flex().autodiff()
}

fn leaf<const D: usize>(shape: [usize; D], seed: u64) -> Tensor<D> {
    random(shape, seed, &device()).require_grad()
}

fn noise<const D: usize>(shape: [usize; D], seed: u64) -> Tensor<D> {
    random(shape, seed, &device())
}

fn integers<const D: usize>(shape: [usize; D], below: usize, seed: u64) -> Tensor<D, Int> {
    let numbers = support::numbers(shape.iter().product(), seed);
    let index = |x: f32| ((x.abs() * below as f32) as usize).min(below - 1) as i64;
    let numbers: Vec<i64> = numbers.into_iter().map(index).collect();
    Tensor::from_data(TensorData::new(numbers, shape), &device())
}

/// The output and the gradients of the leaves of an output weighted by noise.
macro_rules! results {
    ($y:expr, $($leaf:expr),+) => {{
        let y = $y;
        let gradients = (y.clone() * noise(y.dims(), 99)).sum().backward();
        vec![values(y), $(values($leaf.grad(&gradients).expect("a gradient"))),+]
    }};
}

fn compare(name: &str, found: &[Vec<f32>], expected: &[Vec<f32>]) {
    assert_eq!(found.len(), expected.len());
    for (i, (found, expected)) in found.iter().zip(expected).enumerate() {
        close(&format!("{name}, result {i}"), found, expected, 2e-5);
    }
}

/// One call of attention: sizes, options, and which sizes of the mask are 1.
#[derive(Clone, Debug)]
struct Attend {
    batch: usize,
    heads: usize,
    queries: usize,
    keys: usize,
    width: usize,
    value_width: usize,
    causal: bool,
    lengths: Option<Vec<usize>>,
    mask: Option<[bool; 4]>,
    dropout: f64,
}

impl Attend {
    fn results(
        &self,
        operation: fn(Tensor<3>, Tensor<3>, Tensor<3>, MultiHead) -> Tensor<3>,
    ) -> Vec<Vec<f32>> {
        let q = leaf([self.batch, self.queries, self.heads * self.width], 1);
        let k = leaf([self.batch, self.keys, self.heads * self.width], 2);
        let v = leaf([self.batch, self.keys, self.heads * self.value_width], 3);
        let full = [self.batch, self.heads, self.queries, self.keys];
        let mask = self.mask.map(|ones| {
            let mut shape = full;
            for (size, one) in shape.iter_mut().zip(ones) {
                *size = if one { 1 } else { *size };
            }
            leaf(shape, 4)
        });
        let options = MultiHead {
            scale: Some(1.3),
            causal: self.causal,
            lengths: self.lengths.clone(),
            // Every tenth entry hides a key.
            mask: mask.clone().map(|mask| {
                let hidden = mask.clone().greater_elem(0.8);
                mask.mask_fill(hidden, f32::NEG_INFINITY)
            }),
            dropout: Some((self.dropout, 7)),
            ..MultiHead::new(self.heads)
        };
        let y = operation(q.clone(), k.clone(), v.clone(), options);
        match mask {
            Some(mask) => results!(y, q, k, v, mask),
            None => results!(y, q, k, v),
        }
    }
}

fn attends() -> impl Strategy<Value = Attend> {
    let sizes = (1..4_usize, 1..4_usize, 1..90_usize, 1..90_usize);
    let options = (
        any::<bool>(),
        prop::option::of(prop::collection::vec(0.0..1.0_f64, 3)),
        prop::option::of(any::<[bool; 4]>()),
        prop::sample::select(vec![0.0, 0.3]),
    );
    (sizes, (1..20_usize, 1..20_usize), options).prop_map(|(sizes, widths, options)| {
        let (causal, lengths, mask, dropout) = options;
        let (batch, heads, queries, keys) = sizes;
        let length = |share: &f64| (share * (keys as f64 + 0.99)) as usize;
        Attend {
            batch,
            heads,
            queries,
            keys,
            width: widths.0,
            value_width: widths.1,
            causal,
            lengths: lengths.map(|shares| shares[..batch].iter().map(length).collect()),
            mask,
            dropout,
        }
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, ..ProptestConfig::default() })]

    #[test]
    fn attention_equals_burn(case in attends()) {
        let found = case.results(multi_head_attention);
        let expected = case.results(attention::reference::multi_head_attention);
        compare(&format!("{case:?}"), &found, &expected);
    }

    #[test]
    fn normalisation_equals_burn(
        shape in [1..5_usize, 1..9, 1..9],
        groups in 1..5_usize,
        members in 1..40_usize,
        seed in any::<u64>(),
    ) {
        let channels = groups * members;
        let [batch, height, width] = shape;
        let image = [batch, height, width, channels];
        let (weight, bias) = (leaf([channels], seed ^ 1), leaf([channels], seed ^ 2));
        let (x, other) = (leaf(image, seed ^ 3), leaf(image, seed ^ 4));
        let pass = |operation: fn(Tensor<4>, usize, Tensor<1>, Tensor<1>, f64) -> Tensor<4>| {
            let y = operation(x.clone() + 2.0, groups, weight.clone(), bias.clone(), 1e-3);
            results!(y, x, weight, bias)
        };
        // A group of one number has no variance; its normalised value is noise over sqrt(eps).
        compare("group norm", &pass(group_norm), &pass(group_norm::reference));
        let pass = |operation: fn(Tensor<4>, Tensor<1>, Tensor<1>, f64) -> Tensor<4>| {
            results!(operation(x.clone() + 2.0, weight.clone(), bias.clone(), 1e-3), x, weight, bias)
        };
        compare("layer norm", &pass(layer_norm), &pass(layer_norm::reference));
        type Residual =
            fn(Tensor<4>, Tensor<4>, Tensor<1>, Tensor<1>, f64) -> (Tensor<4>, Tensor<4>);
        let pass = |operation: Residual| {
            let (y, sum) = operation(x.clone(), other.clone(), weight.clone(), bias.clone(), 1e-3);
            results!(y.clone() * sum.clone() + sum, x, other, weight, bias)
        };
        let expected = pass(layer_norm::residual_reference);
        compare("layer norm, residual", &pass(layer_norm_residual), &expected);
        let pass = |operation: Residual| {
            let y = operation(x.clone(), other.clone(), weight.clone(), bias.clone(), 1e-3).0;
            results!(y, x, other, weight, bias)
        };
        let expected = pass(layer_norm::residual_reference);
        compare("layer norm after the sum", &pass(layer_norm_residual), &expected);
    }

    #[test]
    fn element_wise_and_table_operations_equal_burn(
        size in 1..200_usize,
        rows in 1..50_usize,
        shape in [1..6_usize, 1..20],
        smoothing in prop::sample::select(vec![0.0, 0.1]),
        padded in any::<bool>(),
        seed in any::<u64>(),
    ) {
        for kind in [
            Activation::Relu,
            Activation::Tanh,
            Activation::Sigmoid,
            Activation::Gelu,
            Activation::GeluTanh,
            Activation::Silu,
        ] {
            let x = leaf([rows, size], seed);
            let pass = |operation: fn(Tensor<2>, Activation) -> Tensor<2>| {
                results!(operation(x.clone() * 6.0, kind), x)
            };
            compare(&format!("{kind:?}"), &pass(activate), &pass(activation::reference));
        }
        let weight = leaf([rows, size], seed);
        let indices = integers(shape, rows, seed ^ 1);
        let padding = padded.then_some(rows / 2);
        let pass = |operation: fn(Tensor<2>, Tensor<2, Int>, Option<usize>) -> Tensor<3>| {
            results!(operation(weight.clone(), indices.clone(), padding), weight)
        };
        compare("embedding", &pass(embedding), &pass(embedding::reference));
        type Loss = fn(Tensor<2>, Tensor<1, Int>, Tensor<1>, Option<i64>, f64) -> Tensor<1>;
        let targets = integers([rows], size, seed ^ 2);
        let weights = noise([size], seed ^ 3).abs();
        let ignore = padded.then_some(size as i64 / 2);
        let pass = |operation: Loss| {
            let (targets, weights) = (targets.clone(), weights.clone());
            let loss = operation(weight.clone() * 5.0, targets, weights, ignore, smoothing);
            results!(loss, weight)
        };
        let found = pass(weighted_softmax_cross_entropy);
        compare("cross-entropy", &found, &pass(weighted_reference));
    }

    #[test]
    fn average_pooling_equals_burn(
        shape in [1..4_usize, 4..12, 4..12, 1..20],
        kernel in 1..5_usize,
        stride in 1..4_usize,
        seed in any::<u64>(),
    ) {
        let x = leaf(shape, seed);
        let pass = |operation: fn(Tensor<4>, usize, usize, usize) -> Tensor<4>| {
            results!(operation(x.clone(), kernel, stride, kernel / 2), x)
        };
        compare("pool", &pass(avg_pool2d_inside), &pass(avg_pool2d_inside_reference));
    }
}

/// Attention whose few heads are shared out in chunks of queries, over many blocks.
fn long() -> Attend {
    Attend {
        batch: 1,
        heads: 2,
        queries: 700,
        keys: 333,
        width: 24,
        value_width: 40,
        causal: true,
        lengths: Some(vec![320]),
        mask: Some([true, false, false, false]),
        dropout: 0.2,
    }
}

#[test]
fn long_attention_equals_burn() {
    let case = long();
    let expected = case.results(attention::reference::multi_head_attention);
    compare("long", &case.results(multi_head_attention), &expected);
}

#[test]
fn the_bits_do_not_depend_on_the_number_of_threads() {
    let results = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build();
        pool.expect("a pool").install(|| {
            let mut all = long().results(multi_head_attention);
            let mut short = long();
            (short.batch, short.heads, short.queries) = (5, 4, 37);
            (short.causal, short.lengths, short.mask) = (false, None, Some([true; 4]));
            all.extend(short.results(multi_head_attention));
            let (x, other) = (leaf([300, 131], 1), leaf([300, 131], 2));
            let (weight, bias) = (leaf([131], 3), leaf([131], 4));
            let (w, b) = (weight.clone(), bias.clone());
            let (y, sum) = layer_norm_residual(x.clone(), other.clone(), w, b, 1e-5);
            all.extend(results!(y + sum, x, other, weight, bias));
            let x = leaf([3, 41, 30, 24], 5);
            let (weight, bias) = (leaf([24], 6), leaf([24], 7));
            let y = group_norm(x.clone(), 3, weight.clone(), bias.clone(), 1e-5);
            all.extend(results!(y, x, weight, bias));
            let x = leaf([100_001], 8);
            all.extend(results!(activation::gelu(x.clone()), x));
            all.extend(results!(activation::silu(x.clone()), x));
            let weight = leaf([50, 700], 9);
            let y = embedding(weight.clone(), integers([40, 30], 50, 10), Some(3));
            all.extend(results!(y, weight));
            let logits = leaf([300, 211], 11);
            let targets = integers([300], 211, 12);
            let weights = noise([211], 13).abs();
            let loss =
                weighted_softmax_cross_entropy(logits.clone(), targets, weights, Some(0), 0.1);
            all.extend(results!(loss, logits));
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
#[should_panic(expected = "multi_head_attention: k has other rows or numbers a step than q")]
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
#[should_panic(expected = "layer_norm: weight has not one value")]
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
