//! Attention of one head and of many, and its parts.

use super::law::{Law, few};
use burn::tensor::Tensor;
use conjoin_kernels::attention::{
    MultiHead, Score, additive_scores, attention, dot_scores, masked_softmax, multi_head_attention,
    reference,
};
use proptest::prelude::*;

/// Rows, queries, keys, numbers of a key and of a value.
type Sizes = [usize; 5];

fn lengths(rows: usize, keys: usize) -> Vec<usize> {
    (0..rows).map(|row| (keys + row * 3) % (keys + 1)).collect()
}

fn softmax([batch, queries, keys, ..]: Sizes) -> Law {
    Law::new(
        format!("masked_softmax {batch} {queries} {keys}"),
        move |pass| {
            let run = if pass.fused {
                masked_softmax
            } else {
                reference::masked_softmax
            };
            let scores = pass.leaf([batch, queries, keys]) * 5.0;
            pass.give(run(scores, &lengths(batch, keys)));
        },
    )
}

/// The product by Burn's operations.
fn dot(query: Tensor<3>, keys: Tensor<3>, scale: f64) -> Tensor<3> {
    (query * scale).matmul(keys.swap_dims(1, 2))
}

fn dots([batch, queries, keys, width, _]: Sizes) -> Law {
    Law::new(
        format!("dot_scores {batch} {queries} {keys} {width}"),
        move |pass| {
            let run = if pass.fused { dot_scores } else { dot };
            let (query, key) = (
                pass.leaf([batch, queries, width]),
                pass.leaf([batch, keys, width]),
            );
            pass.give(run(query, key, 0.7));
        },
    )
}

fn additive([batch, queries, keys, width, _]: Sizes) -> Law {
    let name = format!("additive_scores {batch} {queries} {keys} {width}");
    Law::new(name, move |pass| {
        let run = if pass.fused {
            additive_scores
        } else {
            reference::additive_scores
        };
        let (query, key) = (
            pass.leaf([batch, queries, width]),
            pass.leaf([batch, keys, width]),
        );
        let v = pass.leaf([width]);
        pass.give(run(query, key, v, &lengths(batch, keys)));
    })
}

/// The whole: context and weights.
fn single(sizes: Sizes, with_v: bool) -> Law {
    let [batch, queries, keys, width, size] = sizes;
    Law::new(
        format!("attention {sizes:?}, additive {with_v}"),
        move |pass| {
            let (query, key) = (
                pass.leaf([batch, queries, width]),
                pass.leaf([batch, keys, width]),
            );
            let value = pass.leaf([batch, keys, size]);
            let v = with_v.then(|| pass.leaf([width]));
            let lengths = lengths(batch, keys);
            let (context, weights) = if pass.fused {
                let score = v.map_or(Score::Dot { scale: 0.7 }, |v| Score::Additive { v });
                attention(score, query, key, value, &lengths)
            } else {
                let scores = match v {
                    Some(v) => reference::additive_scores(query, key, v, &lengths),
                    None => dot(query, key, 0.7),
                };
                let weights = reference::masked_softmax(scores, &lengths);
                (weights.clone().matmul(value), weights)
            };
            pass.give(context);
            pass.give(weights);
        },
    )
}

/// With a mask of every head's, which gets a gradient.
fn many(sizes: Sizes, heads: usize, causal: bool, dropout: f64) -> Law {
    let [batch, queries, keys, width, size] = sizes;
    let name = format!("multi_head_attention {sizes:?}, {heads} heads, {causal}, {dropout}");
    Law::new(name, move |pass| {
        let run = if pass.fused {
            multi_head_attention
        } else {
            reference::multi_head_attention
        };
        let (q, k, v) = (
            pass.leaf([batch, queries, heads * width]),
            pass.leaf([batch, keys, heads * width]),
            pass.leaf([batch, keys, heads * size]),
        );
        let options = MultiHead {
            causal,
            lengths: Some(lengths(batch, keys)),
            mask: Some(pass.leaf([batch, 1, queries, keys])),
            dropout: Some((dropout, 3)),
            ..MultiHead::new(heads)
        };
        pass.give(run(q, k, v, options));
    })
}

proptest! {
    #![proptest_config(few())]

    #[test]
    fn attention_of_one_head_is_lawful(
        sizes in [1..6_usize, 1..8, 1..20, 1..40, 1..20], with_v in any::<bool>(),
    ) {
        softmax(sizes).holds();
        dots(sizes).holds();
        additive(sizes).holds();
        single(sizes, with_v).holds();
    }

    #[test]
    fn attention_of_many_heads_is_lawful(
        sizes in [1..4_usize, 1..40, 1..40, 1..20, 1..20], heads in 1..4_usize,
        causal in any::<bool>(), dropout in prop::sample::select(vec![0.0, 0.3]),
    ) {
        many(sizes, heads, causal, dropout).holds();
    }
}

#[test]
fn ones_primes_and_several_tasks() {
    for sizes in [[1; 5], [7, 31, 67, 37, 13]] {
        softmax(sizes).holds();
        dots(sizes).holds();
        additive(sizes).holds();
        single(sizes, true).holds();
        single(sizes, false).holds();
    }
    many([1; 5], 1, true, 0.0).holds();
    many([3, 131, 67, 17, 13], 2, false, 0.1).holds();
}

#[test]
fn nothing_is_lawful() {
    let none: Sizes = [0, 3, 5, 7, 2];
    softmax(none).holds_for_nothing(&[&[0, 3, 5]]);
    dots(none).holds_for_nothing(&[&[0, 3, 5]]);
    additive(none).holds_for_nothing(&[&[0, 3, 5]]);
    single(none, true).holds_for_nothing(&[&[0, 3, 2], &[0, 3, 5]]);
    single(none, false).holds_for_nothing(&[&[0, 3, 2], &[0, 3, 5]]);
    many(none, 2, true, 0.0).holds_for_nothing(&[&[0, 3, 4]]);
    // What runs on other devices knows of nothing, too.
    let by_burn = Law::new("multi_head_attention by Burn".into(), |pass| {
        let x = pass.leaf([0, 3, 4]);
        let y = reference::multi_head_attention(x.clone(), x.clone(), x, MultiHead::new(2));
        pass.give(y);
    });
    by_burn.holds_for_nothing(&[&[0, 3, 4]]);
    // Without keys and without queries.
    softmax([2, 3, 0, 7, 2]).holds_for_nothing(&[&[2, 3, 0]]);
    additive([2, 3, 0, 7, 2]).holds_for_nothing(&[&[2, 3, 0]]);
    additive([2, 0, 3, 7, 2]).holds_for_nothing(&[&[2, 0, 3]]);
    many([2, 3, 0, 7, 2], 2, false, 0.0).holds_for_nothing(&[&[2, 3, 4]]);
    // Of vectors without numbers every score is 0.
    additive([2, 3, 5, 0, 2]).holds_for_nothing(&[&[2, 3, 5]]);
}
