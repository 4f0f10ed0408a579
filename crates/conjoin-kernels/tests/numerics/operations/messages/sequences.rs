//! Of recurrent layers, many heads, tables and losses; in double precision, too, where the work is left to
//! Burn.

use super::{check, cube, line, wrong};
use crate::support::tracked::{device, noise};
use burn::tensor::{DType, Int, Tensor};
use conjoin_kernels::attention::{MultiHead, multi_head_attention};
use conjoin_kernels::embedding::embedding;
use conjoin_kernels::loss::{softmax_cross_entropy, weighted_softmax_cross_entropy};
use conjoin_kernels::rnn::{gru_step, lstm_step};

fn double<const D: usize>(x: Tensor<D>) -> Tensor<D> {
    x.cast(DType::F64)
}

fn rows(targets: [i64; 3]) -> Tensor<1, Int> {
    Tensor::from_data(targets, &device())
}

fn indices() -> Tensor<2, Int> {
    Tensor::from_data([[0, 4], [2, 5]], &device())
}

#[test]
fn steps_name_what_does_not_fit() {
    const HIDDEN: usize = 5;
    let lstm = |h: [usize; 2], c: [usize; 2], w_ih: [usize; 2], bias: usize| {
        let (x, w_hh) = (noise([2, 4], 1), noise([4 * HIDDEN, HIDDEN], 2));
        lstm_step(
            x,
            noise(h, 3),
            noise(c, 4),
            noise(w_ih, 5),
            w_hh,
            line(bias),
        )
    };
    let gru = |h: [usize; 2], w_hh: [usize; 2], b_ih: usize| {
        let (x, w_ih) = (noise([2, 4], 1), noise([3 * HIDDEN, 4], 2));
        let (b_ih, b_hh) = (line(b_ih), line(3 * HIDDEN));
        gru_step(x, noise(h, 3), w_ih, noise(w_hh, 4), b_ih, b_hh, true)
    };
    check(vec![
        wrong(
            "lstm_step: h is [1, 5], expected [2, 5] for x [2, 4] and 5 hidden units",
            move || lstm([1, 5], [2, 5], [20, 4], 20),
        ),
        wrong(
            "lstm_step: c is [2, 4], expected [2, 5] for x [2, 4] and 5 hidden units",
            move || lstm([2, 5], [2, 4], [20, 4], 20),
        ),
        wrong(
            "lstm_step: w_ih is [15, 4], expected [20, 4] for x [2, 4] and 5 hidden units",
            move || lstm([2, 5], [2, 5], [15, 4], 20),
        ),
        wrong(
            "lstm_step: bias is [15], expected [20] for x [2, 4] and 5 hidden units",
            move || lstm([2, 5], [2, 5], [20, 4], 15),
        ),
        wrong(
            "gru_step: h is [3, 5], expected [2, 5] for x [2, 4] and 5 hidden units",
            move || gru([3, 5], [15, 5], 15),
        ),
        wrong(
            "gru_step: w_hh is [15, 4], expected [15, 5] for x [2, 4] and 5 hidden units",
            move || gru([2, 5], [15, 4], 15),
        ),
        wrong(
            "gru_step: b_ih is [20], expected [15] for x [2, 4] and 5 hidden units",
            move || gru([2, 5], [15, 5], 20),
        ),
    ]);
}

#[test]
fn many_heads_name_what_does_not_fit() {
    let attend = |k: [usize; 3], v: [usize; 3], lengths: Option<Vec<usize>>| {
        let options = MultiHead {
            lengths,
            ..MultiHead::new(2)
        };
        multi_head_attention(cube(), noise(k, 1), noise(v, 2), options)
    };
    check(vec![
        wrong(
            "multi_head_attention: k is [2, 5, 6], expected [2, 5, 4]",
            move || attend([2, 5, 6], [2, 5, 6], None),
        ),
        wrong(
            "multi_head_attention: v is [2, 3, 6], expected [2, 5, 6]",
            move || attend([2, 5, 4], [2, 3, 6], None),
        ),
        wrong(
            "multi_head_attention: lengths is [5], expected 2 of at most 5",
            move || attend([2, 5, 4], [2, 5, 6], Some(vec![5])),
        ),
        wrong(
            "multi_head_attention: lengths is [5, 6], expected 2 of at most 5",
            move || attend([2, 5, 4], [2, 5, 6], Some(vec![5, 6])),
        ),
    ]);
}

#[test]
fn tables_name_what_does_not_fit() {
    check(vec![
        wrong(
            "embedding: padding 5 is none of the 5 rows of weight",
            || embedding(noise([5, 3], 1), indices(), Some(5)),
        ),
        wrong(
            "embedding: index 5 at [1, 1] is none of the 5 rows of weight",
            || embedding(noise([5, 3], 1), indices(), None),
        ),
        wrong(
            "embedding: index 5 at [1, 1] is none of the 5 rows of weight",
            || embedding(double(noise([5, 3], 1)), indices(), Some(2)),
        ),
        wrong(
            "embedding: index -1 at [0, 0] is none of the 5 rows of weight",
            || embedding(double(noise([5, 3], 1)), indices().sub_scalar(1), None),
        ),
    ]);
}

#[test]
fn losses_name_what_does_not_fit() {
    let logits = |rows: usize| noise([rows, 4], 1);
    check(vec![
        wrong(
            "softmax_cross_entropy: targets is [3], expected [2]",
            move || softmax_cross_entropy(logits(2), rows([0, 1, 2]), None, 0.0),
        ),
        wrong(
            "softmax_cross_entropy: target 4 is none of 4 classes",
            move || softmax_cross_entropy(logits(3), rows([0, 4, 2]), None, 0.0),
        ),
        wrong(
            "softmax_cross_entropy: target -1 is none of 4 classes",
            move || softmax_cross_entropy(double(logits(3)), rows([7, 0, -1]), Some(7), 0.1),
        ),
        wrong(
            "weighted_softmax_cross_entropy: targets is [3], expected [4]",
            move || weighted_softmax_cross_entropy(logits(4), rows([0; 3]), line(4), None, 0.0),
        ),
        wrong(
            "weighted_softmax_cross_entropy: weights is [3], expected [4]",
            move || weighted_softmax_cross_entropy(logits(3), rows([0; 3]), line(3), None, 0.0),
        ),
        wrong(
            "weighted_softmax_cross_entropy: target 9 is none of 4 classes",
            move || {
                let (logits, weights) = (double(logits(3)), double(line(4)));
                weighted_softmax_cross_entropy(logits, rows([9, 0, 1]), weights, None, 0.0)
            },
        ),
    ]);
}
