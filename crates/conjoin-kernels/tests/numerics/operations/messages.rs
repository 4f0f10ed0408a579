//! What does not fit is refused with operation, argument, what was found and what was expected.

use crate::support::tracked::{leaf, noise};
use burn::tensor::Tensor;
use conjoin_kernels::attention::{Score, additive_scores, attention, dot_scores, masked_softmax};
use conjoin_kernels::batch_norm::{batch_norm, batch_norm_eval};
use conjoin_kernels::binary_loss::{BinaryLoss, binary_loss};
use conjoin_kernels::conv::{ConvOptions, Norm, PreparedConv, conv_transpose1d, conv2d_norm};
use conjoin_kernels::dropout::dropout;
use conjoin_kernels::group_norm::group_norm;
use conjoin_kernels::layer_norm::layer_norm_residual;
use conjoin_kernels::linear::{Activation, PreparedLinear, linear, linear_prepared};
use conjoin_kernels::optim::{
    AdamStep, RmsPropStep, Rule, SgdStep, State, average, slices, update,
};
use conjoin_kernels::pool;
use conjoin_kernels::sparse::{SparseMap, gated_sparse_map, sparse_map, sparse_maps};
use std::panic::{AssertUnwindSafe, catch_unwind};

mod sequences;

/// The message that an operation panics with.
fn refusal(operation: impl FnOnce()) -> String {
    let panic = catch_unwind(AssertUnwindSafe(operation)).expect_err("a panic");
    let text = panic.downcast_ref::<String>().cloned();
    text.unwrap_or_else(|| (*panic.downcast_ref::<&str>().expect("a message")).to_owned())
}

/// An operation that must be refused, and how.
type Wrong = (&'static str, Box<dyn FnOnce()>);

fn wrong<T>(message: &'static str, operation: impl FnOnce() -> T + 'static) -> Wrong {
    let operation = move || {
        operation();
    };
    (message, Box::new(operation))
}

fn check(all: Vec<Wrong>) {
    for (message, operation) in all {
        assert_eq!(refusal(operation), message);
    }
}

fn line(size: usize) -> Tensor<1> {
    noise([size], 9)
}

/// `[2, 3, 4]`.
fn cube() -> Tensor<3> {
    noise([2, 3, 4], 8)
}

#[test]
fn attention_names_what_does_not_fit() {
    let dot = || Score::Dot { scale: 1.0 };
    check(vec![
        wrong(
            "attention: keys is [2, 5, 7], expected [2, 5, 4]",
            move || {
                attention(
                    dot(),
                    cube(),
                    noise([2, 5, 7], 1),
                    noise([2, 5, 7], 2),
                    &[5, 5],
                )
            },
        ),
        wrong(
            "attention: values is [2, 3, 7], expected [2, 5, 7]",
            move || {
                attention(
                    dot(),
                    cube(),
                    noise([2, 5, 4], 1),
                    noise([2, 3, 7], 2),
                    &[5, 5],
                )
            },
        ),
        wrong(
            "attention: lengths is [5], expected 2 of at most 5",
            move || {
                attention(
                    dot(),
                    cube(),
                    noise([2, 5, 4], 1),
                    noise([2, 5, 7], 2),
                    &[5],
                )
            },
        ),
        wrong("dot_scores: keys is [1, 5, 4], expected [2, 5, 4]", || {
            dot_scores(cube(), noise([1, 5, 4], 1), 1.0)
        }),
        wrong(
            "additive_scores: keys is [2, 5, 3], expected [2, 5, 4]",
            || additive_scores(cube(), noise([2, 5, 3], 1), line(4), &[5, 5]),
        ),
        wrong("additive_scores: v is [3], expected [4]", || {
            additive_scores(cube(), noise([2, 5, 4], 1), line(3), &[5, 5])
        }),
        wrong(
            "additive_scores: lengths is [5, 6], expected 2 of at most 5",
            || additive_scores(cube(), noise([2, 5, 4], 1), line(4), &[5, 6]),
        ),
        wrong(
            "masked_softmax: lengths is [4, 4, 4], expected 2 of at most 4",
            || masked_softmax(cube(), &[4, 4, 4]),
        ),
        wrong(
            "masked_softmax: lengths is [1, 5], expected 2 of at most 4",
            || masked_softmax(cube(), &[1, 5]),
        ),
    ]);
}

#[test]
fn layers_name_what_does_not_fit() {
    let square = || noise([3, 4], 1);
    check(vec![
        wrong("batch_norm: gamma is [3], expected [4]", || {
            batch_norm(cube(), line(3), line(4), 1e-5, None, false)
        }),
        wrong("batch_norm: beta is [5], expected [4]", || {
            batch_norm(cube(), line(4), line(5), 1e-5, None, false)
        }),
        wrong(
            "batch_norm: residual is [2, 1, 4], expected [2, 3, 4]",
            || {
                let residual = Some(noise([2, 1, 4], 2));
                batch_norm(cube(), line(4), line(4), 1e-5, residual, false)
            },
        ),
        wrong("batch_norm_eval: variance is [1], expected [4]", || {
            batch_norm_eval(cube(), line(4), line(1), line(4), line(4), 1e-5, None, true)
        }),
        wrong("linear: w is [5, 3], expected [5, 4]", move || {
            linear(square(), noise([5, 3], 2), None, Activation::None)
        }),
        wrong("linear: bias is [4], expected [5]", move || {
            linear(square(), noise([5, 4], 2), Some(line(4)), Activation::Silu)
        }),
        wrong("linear: bias is [4], expected [5]", move || {
            let (x, w, bias) = (square().inner(), noise([5, 4], 2).inner(), line(4).inner());
            linear_prepared(
                x,
                w,
                Some(bias),
                Activation::None,
                &PreparedLinear::default(),
            )
        }),
        wrong("conv2d_norm: gamma is [3], expected [5]", || {
            let norm = Norm {
                mean: line(5).inner(),
                variance: line(5).inner(),
                gamma: line(3).inner(),
                beta: line(5).inner(),
                eps: 1e-5,
            };
            let (x, w) = (
                noise([1, 4, 4, 2], 1).inner(),
                noise([5, 3, 3, 2], 2).inner(),
            );
            let prepared = PreparedConv::default();
            conv2d_norm(x, w, norm, None, false, ConvOptions::new(1, 1), &prepared)
        }),
        wrong("dropout: the probability 1 is not in [0, 1)", || {
            dropout(line(3), 1.0, 1)
        }),
        wrong("sparse_map: x is [2, 3, 4], expected [2, 5, 4]", || {
            sparse_map(cube(), &SparseMap::new(5, &[vec![(4, 1.0)]]))
        }),
        wrong("sparse_maps: maps is [1], expected [2]", || {
            sparse_maps(cube(), &[SparseMap::new(3, &[])])
        }),
        wrong("sparse_maps: x is [2, 3, 4], expected [2, 5, 4]", || {
            sparse_maps(cube(), &[5, 3].map(|inputs| SparseMap::new(inputs, &[])))
        }),
        wrong("sparse_maps: a map is [1, 3], expected [0, 3]", || {
            let maps = [vec![], vec![vec![]]];
            sparse_maps(cube(), &maps.map(|rows| SparseMap::new(3, &rows)))
        }),
        wrong(
            "gated_sparse_map: gates is [2, 5, 2], expected [2, 3, 2]",
            || gated_sparse_map(cube(), noise([2, 5, 2], 1), &[SparseMap::new(10, &[])]),
        ),
        wrong("gated_sparse_map: maps is [3], expected [2]", || {
            gated_sparse_map(
                cube(),
                noise([2, 3, 2], 1),
                &[6, 6, 6].map(|inputs| SparseMap::new(inputs, &[])),
            )
        }),
        wrong("gated_sparse_map: a map is [0, 3], expected [0, 6]", || {
            gated_sparse_map(cube(), noise([2, 3, 2], 1), &[SparseMap::new(3, &[])])
        }),
        wrong(
            "SparseMap::new: rows[1] names input 5, expected one below 5",
            || SparseMap::new(5, &[vec![(4, 1.0)], vec![(0, 1.0), (5, 1.0)]]),
        ),
        wrong(
            "layer_norm_residual: residual is [2, 1, 4], expected [2, 3, 4]",
            || layer_norm_residual(cube(), noise([2, 1, 4], 1), line(4), line(4), 1e-5),
        ),
        wrong("layer_norm_residual: bias is [3], expected [4]", || {
            layer_norm_residual(cube(), cube(), line(4), line(3), 1e-5)
        }),
        wrong("group_norm: weight is [3], expected [4]", || {
            group_norm(cube(), 2, line(3), line(4), 1e-5)
        }),
        wrong(
            "conv_transpose1d: x has 4 channels, w is [3, 1, 2, 5] and takes 3",
            || {
                let (w, options) = (noise([3, 2, 5], 1), ConvOptions::new(1, 0));
                conv_transpose1d(cube(), w, None, options, 0)
            },
        ),
        wrong(
            "conv_transpose1d: bias has 4 values for 5 output channels",
            || {
                let (w, options) = (noise([4, 2, 5], 1), ConvOptions::new(1, 0));
                conv_transpose1d(cube(), w, Some(line(4)), options, 0)
            },
        ),
        wrong(
            "conv_transpose1d: output padding 2 must be below the stride 2 or the dilation 1",
            || {
                let (w, options) = (noise([4, 2, 5], 1), ConvOptions::new(2, 0));
                conv_transpose1d(cube(), w, None, options, 2)
            },
        ),
        wrong("binary_loss: targets is [4], expected [3]", || {
            let loss = BinaryLoss::CrossEntropy {
                positive_weight: 1.0,
            };
            binary_loss(line(3), line(4), None, loss)
        }),
    ]);
}

#[test]
fn pools_name_what_does_not_fit() {
    let image = || noise([1, 3, 4, 2], 1);
    check(vec![
        wrong("max_pool2d: kernel is 17, expected at most 16", || {
            pool::max_pool2d(noise([1, 20, 20, 1], 1), 17, 1, 0)
        }),
        wrong(
            "max_pool2d: the kernel 2 and the stride 0 must be above 0",
            move || pool::max_pool2d(image(), 2, 0, 0),
        ),
        wrong(
            "avg_pool2d: a kernel of 4 exceeds the padded 3x4 image",
            move || pool::avg_pool2d(image(), 4, 1, 0),
        ),
        wrong(
            "avg_pool2d_inside: padding 2 exceeds half the kernel 3",
            move || pool::avg_pool2d_inside(image(), 3, 1, 2),
        ),
        wrong(
            "global_avg_pool: x is [1, 0, 4, 2], expected images with pixels",
            || pool::global_avg_pool(noise([1, 0, 4, 2], 1)),
        ),
        wrong(
            "upsample_nearest2d: the factor is 0, expected one above",
            move || pool::upsample_nearest2d(image(), 0),
        ),
    ]);
}

#[test]
fn optimisers_name_what_does_not_fit() {
    let momentum = Rule::Sgd {
        momentum: 0.9,
        dampening: 0.0,
        nesterov: false,
        weight_decay: 0.0,
    };
    let plain = Rule::Sgd {
        momentum: 0.0,
        dampening: 0.0,
        nesterov: false,
        weight_decay: 0.0,
    };
    let step = move |rule: Rule, made_for: usize, grad: usize| {
        let mut state = State::new(&momentum, &leaf([made_for], 1));
        update(&rule, leaf([3], 2), line(grad), &mut state, 0.1, 1.0)
    };
    let adam = AdamStep {
        clip: 1.0,
        l2: 0.0,
        shrink: 1.0,
        beta1: 0.9,
        rest1: 0.1,
        beta2: 0.99,
        rest2: 0.01,
        eps: 1e-8,
        step_size: 0.1,
        root_correction: 1.0,
    };
    let rmsprop = RmsPropStep {
        clip: 1.0,
        l2: 0.0,
        lr: 0.1,
        alpha: 0.9,
        rest: 0.1,
        eps: 1e-8,
        momentum: 0.0,
    };
    check(vec![
        wrong("update: grad is [4], expected [3]", move || {
            step(momentum, 3, 4)
        }),
        wrong("update: momentum_buffer is [4], expected [3]", move || {
            step(momentum, 4, 3)
        }),
        wrong(
            "update: state has [\"momentum_buffer\"], expected [] for Sgd { momentum: 0.0, \
             dampening: 0.0, nesterov: false, weight_decay: 0.0 }",
            move || step(plain, 3, 3),
        ),
        wrong("average: param is [2, 3], expected [3, 2]", || {
            average(noise([3, 2], 1), noise([2, 3], 2), 0.9)
        }),
        wrong("adam: m is [2], expected [3]", move || {
            slices::adam(
                &mut [0.0; 3],
                &[0.0; 3],
                &mut [0.0; 2],
                &mut [0.0; 3],
                &adam,
            );
        }),
        wrong("sgd: buffer is [2], expected [3]", || {
            slices::sgd(&mut [0.0; 3], &[0.0; 3], &mut [0.0; 2], &SgdStep::default());
        }),
        wrong("rmsprop: mean is [1], expected [3]", move || {
            let (p, square) = (&mut [0.0; 3], &mut [0.0; 3]);
            slices::rmsprop(p, &[0.0; 3], square, &mut [0.0], &mut [], &rmsprop);
        }),
        wrong("average: p is [2], expected [3]", || {
            slices::average(&mut [0.0; 3], &[0.0; 2], 0.9, 0.1);
        }),
    ]);
}
