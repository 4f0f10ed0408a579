//! What golden files of little shapes cannot show of the operations of transformers: random shapes
//! against Burn's operations, and the same bits for any number of threads.

use crate::support::tracked::{integers, leaf, noise};
use crate::support::{close, same_bits, values};
use burn::tensor::{Int, Tensor};
use conjoin_kernels::activation::{self, Activation, activate};
use conjoin_kernels::attention::{self, MultiHead, multi_head_attention};
use conjoin_kernels::embedding::{self, embedding};
use conjoin_kernels::group_norm::{self, group_norm};
use conjoin_kernels::layer_norm::{self, layer_norm, layer_norm_residual};
use conjoin_kernels::loss::{weighted_reference, weighted_softmax_cross_entropy};
use conjoin_kernels::pool::{avg_pool2d_inside, avg_pool2d_inside_reference};
use proptest::prelude::*;

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
        if let Some(mask) = mask {
            results!(y, q, k, v, mask)
        } else {
            results!(y, q, k, v)
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
