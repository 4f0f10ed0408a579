//! Operations in bfloat16: outputs and gradients against single precision, with an error that the
//! rounding of operands explains; the same bits for any number of threads.

use crate::support::tracked::{leaf, noise};
use crate::support::{same_bits, values};
use burn::tensor::{Gradients, Tensor};
use conjoin_kernels::Precision;
use conjoin_kernels::attention::{MultiHead, Score, attention, multi_head_attention};
use conjoin_kernels::conv::{ConvOptions, conv_transpose2d, conv2d};
use conjoin_kernels::linear::{Activation, linear};
use conjoin_kernels::rnn;

/// The output and the gradients of all inputs.
type Results = Vec<(&'static str, Vec<f32>)>;

/// An operation that is entered in the graph in a precision; its backward pass runs outside the scope.
type Operation = fn(Precision) -> Results;

/// The gradients for a fixed gradient of the output.
fn backward<const D: usize>(y: &Tensor<D>) -> Gradients {
    (y.clone() * noise(y.dims(), 99)).sum().backward()
}

fn gradient<const D: usize>(x: &Tensor<D>, gradients: &Gradients) -> Vec<f32> {
    values(x.grad(gradients).expect("a gradient"))
}

fn linear_layer(precision: Precision) -> Results {
    let (x, w, b) = (leaf([70, 130], 1), leaf([45, 130], 2), leaf([45], 3));
    let y = precision.scope(|| linear(x.clone(), w.clone(), Some(b.clone()), Activation::None));
    let of = backward(&y);
    vec![
        ("y", values(y)),
        ("dx", gradient(&x, &of)),
        ("dw", gradient(&w, &of)),
    ]
}

fn convolution(
    precision: Precision,
    x: [usize; 4],
    w: [usize; 4],
    options: ConvOptions<2>,
) -> Results {
    let (x, w) = (leaf(x, 4), leaf(w, 5));
    let y = precision.scope(|| conv2d(x.clone(), w.clone(), None, options));
    let of = backward(&y);
    vec![
        ("y", values(y)),
        ("dx", gradient(&x, &of)),
        ("dw", gradient(&w, &of)),
    ]
}

fn winograd(precision: Precision) -> Results {
    let options = ConvOptions::new(1, 1);
    convolution(precision, [2, 9, 8, 32], [32, 3, 3, 32], options)
}

fn strided(precision: Precision) -> Results {
    let options = ConvOptions::new(2, 2);
    convolution(precision, [2, 11, 9, 3], [18, 5, 5, 3], options)
}

fn depthwise(precision: Precision) -> Results {
    let options = ConvOptions::new(1, 1).groups(20);
    convolution(precision, [2, 7, 9, 20], [20, 3, 3, 1], options)
}

fn transposed(precision: Precision) -> Results {
    let (x, w) = (leaf([2, 5, 6, 17], 6), leaf([17, 3, 3, 12], 7));
    let options = ConvOptions::new(2, 1);
    let y = precision.scope(|| conv_transpose2d(x.clone(), w.clone(), None, options, [1, 1]));
    let of = backward(&y);
    vec![
        ("y", values(y)),
        ("dx", gradient(&x, &of)),
        ("dw", gradient(&w, &of)),
    ]
}

/// Weights of a recurrent layer, small enough that its gates are not shut.
fn small<const D: usize>(shape: [usize; D], seed: u64) -> Tensor<D> {
    (noise(shape, seed) * 0.1).require_grad()
}

fn lstm(precision: Precision) -> Results {
    let (x, h, c) = (leaf([9, 6, 40], 8), leaf([9, 50], 9), leaf([9, 50], 10));
    let (w_ih, w_hh) = (small([200, 40], 11), small([200, 50], 12));
    let lengths = [6, 3, 6, 1, 0, 5, 6, 2, 4];
    let y = precision.scope(|| {
        let (x, h, c) = (x.clone(), h.clone(), c.clone());
        let bias = noise([200], 13);
        rnn::lstm(x, h, c, w_ih.clone(), w_hh.clone(), bias, &lengths, false)
    });
    let of = backward(&y);
    vec![
        ("y", values(y)),
        ("dx", gradient(&x, &of)),
        ("dh", gradient(&h, &of)),
        ("dw_ih", gradient(&w_ih, &of)),
        ("dw_hh", gradient(&w_hh, &of)),
    ]
}

fn gru(precision: Precision, reset_after: bool) -> Results {
    let (x, h) = (leaf([9, 6, 40], 14), leaf([9, 50], 15));
    let (w_ih, w_hh) = (small([150, 40], 16), small([150, 50], 17));
    let lengths = [6, 3, 6, 1, 0, 5, 6, 2, 4];
    let y = precision.scope(|| {
        let (b_ih, b_hh) = (noise([150], 18), noise([150], 19));
        let (x, h, w_ih, w_hh) = (x.clone(), h.clone(), w_ih.clone(), w_hh.clone());
        rnn::gru(x, h, w_ih, w_hh, b_ih, b_hh, &lengths, true, reset_after)
    });
    let of = backward(&y);
    vec![
        ("y", values(y)),
        ("dx", gradient(&x, &of)),
        ("dh", gradient(&h, &of)),
        ("dw_ih", gradient(&w_ih, &of)),
        ("dw_hh", gradient(&w_hh, &of)),
    ]
}

fn gru_after(precision: Precision) -> Results {
    gru(precision, true)
}

fn gru_before(precision: Precision) -> Results {
    gru(precision, false)
}

fn many_heads(precision: Precision) -> Results {
    let (q, k, v) = (
        leaf([2, 70, 96], 20),
        leaf([2, 90, 96], 21),
        leaf([2, 90, 64], 22),
    );
    let y = precision.scope(|| {
        let lengths = Some(vec![90, 33]);
        let options = MultiHead {
            lengths,
            ..MultiHead::new(4)
        };
        multi_head_attention(q.clone(), k.clone(), v.clone(), options)
    });
    let of = backward(&y);
    vec![
        ("y", values(y)),
        ("dq", gradient(&q, &of)),
        ("dk", gradient(&k, &of)),
        ("dv", gradient(&v, &of)),
    ]
}

fn one_head(precision: Precision) -> Results {
    let (q, k, v) = (
        leaf([3, 8, 64], 23),
        leaf([3, 11, 64], 24),
        leaf([3, 11, 30], 25),
    );
    let y = precision.scope(|| {
        let score = Score::Dot { scale: 0.125 };
        attention(score, q.clone(), k.clone(), v.clone(), &[11, 4, 7]).0
    });
    let of = backward(&y);
    vec![
        ("y", values(y)),
        ("dq", gradient(&q, &of)),
        ("dk", gradient(&k, &of)),
        ("dv", gradient(&v, &of)),
    ]
}

const OPERATIONS: [(&str, Operation); 10] = [
    ("linear", linear_layer),
    ("winograd", winograd),
    ("strided", strided),
    ("depthwise", depthwise),
    ("transposed", transposed),
    ("lstm", lstm),
    ("gru, reset after", gru_after),
    ("gru, reset before", gru_before),
    ("many heads", many_heads),
    ("one head", one_head),
];

fn norm(values: impl Iterator<Item = f32>) -> f64 {
    values.map(|x| f64::from(x).powi(2)).sum::<f64>().sqrt()
}

#[test]
fn outputs_and_gradients_differ_by_the_rounding_of_operands() {
    for (name, operation) in OPERATIONS {
        let (full, half) = (operation(Precision::F32), operation(Precision::Bf16));
        for ((part, full), (_, half)) in full.iter().zip(&half) {
            let difference = full.iter().zip(half).map(|(x, y)| x - y);
            let error = norm(difference) / norm(full.iter().copied());
            // An operand is off by 2^-9 at most, and by less than half of that in the mean. Two of them
            // come together in a product, some products follow each other.
            assert!(error < 0.01, "{part} of {name} is off by {error}");
            assert!(error > 2e-4, "{part} of {name} was not rounded: {error}");
        }
    }
}

#[test]
fn the_bits_do_not_depend_on_the_number_of_threads() {
    for (name, operation) in OPERATIONS {
        let run = |threads: usize| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build();
            pool.expect("a pool").install(|| operation(Precision::Bf16))
        };
        let one = run(1);
        for threads in [2, 3] {
            for ((part, one), (_, many)) in one.iter().zip(&run(threads)) {
                same_bits(&format!("{part} of {name}, {threads} threads"), one, many);
            }
        }
    }
}
