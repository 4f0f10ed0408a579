//! The convolutions: PyTorch's outputs and gradients (`golden/conv.py`, `golden/vision.py`), Burn's own
//! operations on random settings, threads, and what does not fit.

use crate::support::{Case, Golden, close, random, same_bits, values};
use burn::tensor::{Device, Tensor};
use conjoin_kernels::conv::{
    ConvOptions, conv_transpose1d, conv_transpose2d, conv1d, conv2d, reference,
};
use proptest::prelude::*;
use std::panic::{AssertUnwindSafe, catch_unwind};

const TOLERANCE: f32 = 3e-6;
/// Of Winograd's kernels, whose transforms cost some digits.
const WINOGRAD: f32 = 5e-5;

fn device() -> Device {
    Device::flex().autodiff()
}

fn noise<const D: usize>(shape: [usize; D], seed: u64) -> Tensor<D> {
    random(shape, seed, &device())
}

/// A convolution with everything chosen but its operands.
type Operation<'a, const D: usize> =
    &'a dyn Fn(Tensor<D>, Tensor<D>, Option<Tensor<1>>) -> Tensor<D>;

fn check<const D: usize>(case: &Case<'_>, operation: Operation<'_, D>) {
    let (x, w, bias) = (case.leaf("x"), case.leaf("w"), case.optional::<1>("bias"));
    let gradients = case.output(operation(x.clone(), w.clone(), bias.clone()));
    case.gradient("x", &x, &gradients);
    case.gradient("w", &w, &gradients);
    if let Some(bias) = bias {
        case.gradient("bias", &bias, &gradients);
    }
}

fn every_case(file: &str, tolerance: f32, check: impl Fn(&Case<'_>)) {
    let golden = Golden::read(file);
    assert!(!golden.cases().is_empty());
    for name in golden.cases() {
        check(&Case::new(&golden, &name, tolerance));
    }
}

#[test]
fn plain_settings_equal_pytorch() {
    for (file, tolerance) in [("conv", TOLERANCE), ("conv_winograd", WINOGRAD)] {
        every_case(file, tolerance, |case| {
            let options = ConvOptions::new(case.option(0), case.option(1));
            check(case, &|x, w, bias| conv2d(x, w, bias, options));
            check(case, &|x, w, bias| reference::conv2d(x, w, bias, options));
        });
    }
}

#[test]
fn stride_padding_dilation_and_groups_of_each_axis_equal_pytorch() {
    every_case("conv2d_options", WINOGRAD, |case| {
        let pair = |at: usize| [case.option(at), case.option(at + 1)];
        let options = ConvOptions {
            stride: pair(0),
            padding: pair(2),
            dilation: pair(4),
            groups: case.option(6),
        };
        check(case, &|x, w, bias| conv2d(x, w, bias, options));
        check(case, &|x, w, bias| reference::conv2d(x, w, bias, options));
    });
}

#[test]
fn conv1d_equals_pytorch() {
    every_case("conv1d", TOLERANCE, |case| {
        let options = ConvOptions::new(case.option(0), case.option(1))
            .dilation(case.option(2))
            .groups(case.option(3));
        check(case, &|x, w, bias| conv1d(x, w, bias, options));
        check(case, &|x, w, bias| reference::conv1d(x, w, bias, options));
    });
}

#[test]
fn conv_transpose2d_equals_pytorch() {
    every_case("conv_transpose2d", WINOGRAD, |case| {
        let pair = |at: usize| [case.option(at), case.option(at + 1)];
        let options = ConvOptions {
            stride: pair(0),
            padding: pair(2),
            dilation: pair(7),
            groups: case.option(6),
        };
        check(case, &|x, w, bias| {
            conv_transpose2d(x, w, bias, options, pair(4))
        });
        check(case, &|x, w, bias| {
            reference::conv_transpose2d(x, w, bias, options, pair(4))
        });
    });
}

#[test]
fn conv_transpose1d_equals_pytorch() {
    every_case("conv_transpose1d", TOLERANCE, |case| {
        let options = ConvOptions::new(case.option(0), case.option(1))
            .dilation(case.option(4))
            .groups(case.option(3));
        let extra = case.option(2);
        check(case, &|x, w, bias| {
            conv_transpose1d(x, w, bias, options, extra)
        });
        check(case, &|x, w, bias| {
            reference::conv_transpose1d(x, w, bias, options, extra)
        });
    });
}

/// A 2-D convolution of random operands; transposed if there is an output padding.
#[derive(Clone, Copy, Debug)]
struct Setting {
    /// Images, rows, columns, channels.
    x: [usize; 4],
    filters: usize,
    kernel: [usize; 2],
    options: ConvOptions<2>,
    output_padding: Option<[usize; 2]>,
}

impl Setting {
    fn plain([b, h, w, c, o, k, stride, padding]: [usize; 8]) -> Self {
        Self {
            x: [b, h, w, c],
            filters: o,
            kernel: [k, k],
            options: ConvOptions::new(stride, padding),
            output_padding: None,
        }
    }

    fn weight(&self) -> [usize; 4] {
        let ([kh, kw], groups, channels) = (self.kernel, self.options.groups, self.x[3]);
        match self.output_padding {
            None => [self.filters, kh, kw, channels / groups],
            Some(_) => [channels, kh, kw, self.filters / groups],
        }
    }

    /// Whether a kernel fits the padded image, or something comes out of a transposed convolution.
    fn is_possible(&self) -> bool {
        let ConvOptions {
            stride,
            padding,
            dilation,
            ..
        } = self.options;
        (0..2).all(|axis| {
            let (size, reach) = (
                self.x[axis + 1],
                dilation[axis] * (self.kernel[axis] - 1) + 1,
            );
            match self.output_padding {
                None => reach <= size + 2 * padding[axis],
                Some(extra) => {
                    extra[axis] < stride[axis].max(dilation[axis])
                        && (size - 1) * stride[axis] + reach + extra[axis] > 2 * padding[axis]
                }
            }
        })
    }

    /// Output, and gradients of image, weight and bias for an output weighted by noise.
    fn results(&self, fused: bool) -> [Vec<f32>; 4] {
        let x = noise(self.x, 1).require_grad();
        let w = noise(self.weight(), 2).require_grad();
        let bias = noise([self.filters], 3).require_grad();
        let operands = (x.clone(), w.clone(), Some(bias.clone()));
        let y = match (self.output_padding, fused) {
            (None, true) => conv2d(operands.0, operands.1, operands.2, self.options),
            (None, false) => reference::conv2d(operands.0, operands.1, operands.2, self.options),
            (Some(extra), true) => {
                conv_transpose2d(operands.0, operands.1, operands.2, self.options, extra)
            }
            (Some(extra), false) => {
                reference::conv_transpose2d(operands.0, operands.1, operands.2, self.options, extra)
            }
        };
        let gradients = (y.clone() * noise(y.dims(), 4)).sum().backward();
        [
            values(y),
            values(x.grad(&gradients).expect("a gradient")),
            values(w.grad(&gradients).expect("a gradient")),
            values(bias.grad(&gradients).expect("a gradient")),
        ]
    }

    fn agrees(&self) {
        let (found, expected) = (self.results(true), self.results(false));
        for (name, (found, expected)) in ["y", "dx", "dw", "db"]
            .iter()
            .zip(found.iter().zip(&expected))
        {
            close(&format!("{name} of {self:?}"), found, expected, WINOGRAD);
        }
    }
}

const LARGER: [[usize; 8]; 9] = [
    // B, H, W, C, O, kernel, stride, padding: Winograd, then direct
    [5, 13, 18, 32, 48, 3, 1, 1],
    [3, 9, 9, 16, 80, 3, 1, 2],
    [40, 4, 5, 48, 16, 3, 1, 1],
    [19, 15, 15, 3, 33, 3, 1, 1],
    [4, 16, 13, 24, 40, 3, 2, 1],
    [2, 12, 12, 64, 20, 1, 2, 0],
    [1, 30, 31, 1, 7, 5, 1, 2],
    [3, 14, 15, 20, 36, 1, 1, 0],
    [1, 2, 400, 6, 9, 2, 1, 0],
];

/// Larger settings with groups, depthwise, and transposed.
fn larger() -> Vec<Setting> {
    let mut settings: Vec<Setting> = LARGER.into_iter().map(Setting::plain).collect();
    for (groups, filters) in [(24, 24), (24, 48), (4, 40), (3, 24)] {
        for (stride, dilation) in [(1, 1), (2, 1), (1, 2)] {
            let mut setting = Setting::plain([3, 17, 14, 24, filters, 3, stride, 1]);
            setting.options = setting.options.dilation(dilation).groups(groups);
            settings.push(setting);
        }
    }
    for (kernel, stride, groups) in [(3, 1, 1), (4, 2, 1), (2, 2, 1), (3, 2, 16), (5, 3, 4)] {
        let mut setting = Setting::plain([2, 9, 10, 32, 16, kernel, stride, 1]);
        setting.options = setting.options.groups(groups);
        setting.output_padding = Some([0, stride - 1]);
        settings.push(setting);
    }
    settings
}

#[test]
fn fused_equals_burn_on_larger_shapes() {
    for setting in larger() {
        setting.agrees();
    }
}

#[test]
fn the_bits_do_not_depend_on_the_number_of_threads() {
    let results = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build();
        pool.expect("a pool").install(|| {
            let all = larger().into_iter().map(|setting| setting.results(true));
            all.collect::<Vec<_>>()
        })
    };
    let one = results(1);
    for threads in [2, 5] {
        for ((setting, one), many) in larger().iter().zip(&one).zip(&results(threads)) {
            for (one, many) in one.iter().zip(many) {
                same_bits(&format!("{setting:?} by {threads} threads"), one, many);
            }
        }
    }
}

fn any_setting() -> impl Strategy<Value = Setting> {
    let pair = |most: usize| [1..=most, 1..=most];
    let sizes = (
        0..4_usize,
        pair(9),
        pair(4),
        0..4_usize,
        1..6_usize,
        1..10_usize,
    );
    let options = (
        pair(3),
        [0..3_usize, 0..3_usize],
        pair(3),
        proptest::option::of([0..2_usize, 0..2]),
    );
    (sizes, options)
        .prop_map(|(sizes, (stride, padding, dilation, output_padding))| {
            let (batch, [height, width], kernel, groups, channels, filters) = sizes;
            let (groups, channels, filters) = match groups {
                // Depthwise, with a multiplier now and then.
                0 => (channels, channels, channels * (1 + filters % 2)),
                groups => (groups, groups * channels, groups * filters),
            };
            Setting {
                x: [batch, height, width, channels],
                filters,
                kernel,
                options: ConvOptions {
                    stride,
                    padding,
                    dilation,
                    groups,
                },
                output_padding,
            }
        })
        .prop_filter("the kernel fits", Setting::is_possible)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn fused_equals_burn_on_random_settings(setting in any_setting()) {
        setting.agrees();
    }
}

#[test]
fn an_untracked_image_gets_no_gradient_and_the_weight_does() {
    let x = noise([2, 6, 6, 16], 1);
    let w = noise([16, 3, 3, 16], 2).require_grad();
    let y = conv2d(x.clone(), w.clone(), None, ConvOptions::new(1, 1));
    let gradients = y.sum().backward();
    assert!(x.grad(&gradients).is_none() && w.grad(&gradients).is_some());
}

#[test]
fn operations_run_without_autodiff() {
    let x = noise([2, 6, 6, 3], 1).inner();
    let w = noise([4, 3, 3, 3], 2).inner();
    let y = conv2d(x, w, None, ConvOptions::new(1, 1));
    assert!(!y.is_autodiff() && y.dims() == [2, 6, 6, 4]);
}

#[test]
fn strided_inputs_are_read_in_their_order() {
    let (x, w) = (noise([2, 3, 7, 5], 1), noise([3, 3, 4, 3], 2));
    let options = ConvOptions::new(1, 1);
    let (x, w) = (x.permute([0, 2, 3, 1]), w.permute([2, 0, 1, 3]));
    let viewed = conv2d(x.clone(), w.clone(), None, options);
    let expected = reference::conv2d(x, w, None, options);
    close("strided", &values(viewed), &values(expected), 2e-6);
}

/// The message that an operation panics with.
fn refusal<const D: usize>(operation: impl FnOnce() -> Tensor<D>) -> String {
    let panic = catch_unwind(AssertUnwindSafe(operation)).expect_err("a panic");
    let text = panic.downcast_ref::<String>().cloned();
    text.unwrap_or_else(|| (*panic.downcast_ref::<&str>().expect("a message")).to_owned())
}

#[test]
fn what_does_not_fit_is_named() {
    let x = || noise([1, 4, 5, 6], 1);
    let w = |groups: usize| noise([4, 3, 3, 6 / groups], 2);
    let two = |options| refusal(|| conv2d(x(), w(1), None, options));
    for (found, expected) in [
        (
            two(ConvOptions::new(1, 0).groups(2)),
            "conv2d: x has 6 channels in 2 groups, w is [4, 3, 3, 6] and reads 6 a group",
        ),
        (
            two(ConvOptions::new(1, 0).groups(4)),
            "conv2d: 6 and 4 channels do not divide into 4 groups",
        ),
        (
            two(ConvOptions::new(0, 0)),
            "conv2d: stride [0, 0] and dilation [1, 1] must be above 0",
        ),
        (
            two(ConvOptions::new(1, 0).dilation(2)),
            "conv2d: a 3x3 kernel with dilation [2, 2] does not fit a 4x5 image with padding [0, 0]",
        ),
        (
            refusal(|| conv2d(x(), w(1), Some(noise([3], 3)), ConvOptions::new(1, 0))),
            "conv2d: bias has 3 values for 4 output channels",
        ),
        (
            refusal(|| {
                conv1d(
                    noise([1, 2, 6], 1),
                    noise([4, 3, 6], 2),
                    None,
                    ConvOptions::new(1, 0),
                )
            }),
            "conv1d: a 1x3 kernel with dilation [1, 1] does not fit a 1x2 image with padding [0, 0]",
        ),
        (
            refusal(|| conv_transpose2d(x(), w(1), None, ConvOptions::new(1, 0), [0, 0])),
            "conv_transpose2d: x has 6 channels, w is [4, 3, 3, 6] and takes 4",
        ),
        (
            refusal(|| {
                let w = noise([6, 3, 3, 2], 2);
                conv_transpose2d(x(), w, None, ConvOptions::new(2, 0), [2, 0])
            }),
            "conv_transpose2d: output padding 2 must be below the stride 2 or the dilation 1",
        ),
    ] {
        assert_eq!(found, expected);
    }
}
