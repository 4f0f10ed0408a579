//! The four convolutions: every kernel, Winograd's among them.

use super::law::{Law, few};
use conjoin_kernels::conv::{
    ConvOptions, conv_transpose1d, conv_transpose2d, conv1d, conv2d, reference,
};
use proptest::prelude::*;

/// Of Winograd's kernels, whose transforms cost some digits.
const WINOGRAD: f32 = 5e-5;

fn two(x: [usize; 4], filters: usize, kernel: [usize; 2], options: ConvOptions<2>) -> Law {
    let name = format!("conv2d of {x:?} with {filters} filters of {kernel:?}, {options:?}");
    let w = [filters, kernel[0], kernel[1], x[3] / options.groups];
    let law = Law::new(name, move |pass| {
        let run = if pass.fused {
            conv2d
        } else {
            reference::conv2d
        };
        let (x, w, bias) = (pass.leaf(x), pass.leaf(w), pass.leaf([filters]));
        pass.give(run(x, w, Some(bias), options));
    });
    law.within(WINOGRAD)
}

fn two_turned(
    x: [usize; 4],
    filters: usize,
    kernel: [usize; 2],
    options: ConvOptions<2>,
    extra: [usize; 2],
) -> Law {
    let name =
        format!("conv_transpose2d of {x:?}, {filters} of {kernel:?}, {options:?}, {extra:?}");
    let w = [x[3], kernel[0], kernel[1], filters / options.groups];
    let law = Law::new(name, move |pass| {
        let run = if pass.fused {
            conv_transpose2d
        } else {
            reference::conv_transpose2d
        };
        let (x, w, bias) = (pass.leaf(x), pass.leaf(w), pass.leaf([filters]));
        pass.give(run(x, w, Some(bias), options, extra));
    });
    law.within(WINOGRAD)
}

fn one(x: [usize; 3], filters: usize, kernel: usize, options: ConvOptions<1>, bias: bool) -> Law {
    let name = format!("conv1d of {x:?} with {filters} filters of {kernel}, {options:?}");
    Law::new(name, move |pass| {
        let run = if pass.fused {
            conv1d
        } else {
            reference::conv1d
        };
        let (x, w) = (
            pass.leaf(x),
            pass.leaf([filters, kernel, x[2] / options.groups]),
        );
        let bias = bias.then(|| pass.leaf([filters]));
        pass.give(run(x, w, bias, options));
    })
}

fn one_turned(
    x: [usize; 3],
    filters: usize,
    kernel: usize,
    options: ConvOptions<1>,
    extra: usize,
) -> Law {
    let name = format!("conv_transpose1d of {x:?}, {filters} of {kernel}, {options:?}, {extra}");
    Law::new(name, move |pass| {
        let run = if pass.fused {
            conv_transpose1d
        } else {
            reference::conv_transpose1d
        };
        let w = pass.leaf([x[2], kernel, filters / options.groups]);
        let (x, bias) = (pass.leaf(x), pass.leaf([filters]));
        pass.give(run(x, w, Some(bias), options, extra));
    })
}

/// Along an axis: size, kernel, stride, padding, dilation and output padding that go together, for the
/// convolution and its transpose.
fn axis() -> impl Strategy<Value = [usize; 6]> {
    (
        0..7_usize,
        1..5_usize,
        1..4_usize,
        0..3_usize,
        1..3_usize,
        0..3_usize,
    )
        .prop_map(|(more, kernel, stride, padding, dilation, extra)| {
            let reach = dilation * (kernel - 1) + 1;
            let padding = padding.min((reach - 1) / 2);
            [
                reach + more,
                kernel,
                stride,
                padding,
                dilation,
                extra % stride.max(dilation),
            ]
        })
}

/// Groups, channels and filters.
fn channels() -> impl Strategy<Value = [usize; 3]> {
    (1..4_usize, 1..6_usize, 1..8_usize)
        .prop_map(|(groups, channels, filters)| [groups, groups * channels, groups * filters])
}

proptest! {
    #![proptest_config(few())]

    #[test]
    fn winograds_kernels_are_lawful(
        sizes in [1..4_usize, 4..15, 4..15],
        registers in [1..3_usize, 1..4],
        padding in [0..3_usize, 0..3],
    ) {
        let [batch, height, width] = sizes;
        let [channels, filters] = registers.map(|registers| 16 * registers);
        // At least 4 outputs along every axis, or another kernel takes over.
        let x = [batch, height + 2, width + 2, channels];
        let options = ConvOptions { padding, ..ConvOptions::new(1, 0) };
        two(x, filters, [3, 3], options).holds();
        let x = [batch, height, width, channels];
        two_turned(x, filters, [3, 3], options, [0, 0]).holds();
    }

    #[test]
    fn convolutions_are_lawful(
        batch in 1..4_usize, rows in axis(), columns in axis(), channels in channels(),
    ) {
        let [groups, channels, filters] = channels;
        let pair = |i: usize| [rows[i], columns[i]];
        let x = [batch, rows[0], columns[0], channels];
        let options = ConvOptions { stride: pair(2), padding: pair(3), dilation: pair(4), groups };
        two(x, filters, pair(1), options).holds();
        two_turned(x, filters, pair(1), options, pair(5)).holds();
    }

    #[test]
    fn convolutions_along_time_are_lawful(
        batch in 1..4_usize, time in axis(), channels in channels(), bias in any::<bool>(),
    ) {
        let [groups, channels, filters] = channels;
        let [size, kernel, stride, padding, dilation, extra] = time;
        let options = ConvOptions::new(stride, padding).dilation(dilation).groups(groups);
        one([batch, size, channels], filters, kernel, options, bias).holds();
        one_turned([batch, size, channels], filters, kernel, options, extra).holds();
    }
}

#[test]
fn ones_primes_and_several_tasks() {
    let plain = ConvOptions::new(1, 0);
    two([1, 1, 1, 1], 1, [1, 1], plain).holds();
    two_turned([1, 1, 1, 1], 1, [1, 1], plain, [0, 0]).holds();
    one([1, 1, 1], 1, 1, plain_one(), true).holds();
    one_turned([1, 1, 1], 1, 1, plain_one(), 0).holds();
    two([3, 13, 11, 7], 17, [5, 3], ConvOptions::new(2, 1)).holds();
    two_turned([3, 13, 11, 7], 17, [5, 3], ConvOptions::new(2, 1), [1, 0]).holds();
    let time = ConvOptions::new(2, 2);
    one([5, 401, 19], 23, 7, time, true).holds();
    one(
        [3, 211, 17],
        17,
        5,
        ConvOptions::new(1, 2).groups(17),
        false,
    )
    .holds();
    one_turned([5, 211, 19], 23, 7, time, 1).holds();
}

fn plain_one() -> ConvOptions<1> {
    ConvOptions::new(1, 0)
}

#[test]
fn an_empty_batch_is_lawful() {
    // Winograd, depthwise, direct.
    let same = ConvOptions::new(1, 1);
    two([0, 6, 7, 16], 32, [3, 3], same).holds_for_nothing(&[&[0, 6, 7, 32]]);
    two([0, 6, 7, 5], 5, [3, 3], same.groups(5)).holds_for_nothing(&[&[0, 6, 7, 5]]);
    two([0, 6, 7, 3], 5, [3, 3], same).holds_for_nothing(&[&[0, 6, 7, 5]]);
    let halves = ConvOptions::new(2, 1);
    two_turned([0, 6, 7, 16], 32, [3, 3], same, [0, 0]).holds_for_nothing(&[&[0, 6, 7, 32]]);
    two_turned([0, 6, 7, 3], 5, [3, 3], halves, [1, 1]).holds_for_nothing(&[&[0, 12, 14, 5]]);
    one([0, 6, 3], 5, 3, plain_one(), true).holds_for_nothing(&[&[0, 4, 5]]);
    one_turned([0, 6, 3], 5, 3, plain_one(), 0).holds_for_nothing(&[&[0, 8, 5]]);
}
