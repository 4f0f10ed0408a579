//! Convolutions and small products on buffers that are exactly as large as they must be, against their
//! definitions.

use crate::activation::Activation;
use crate::attention::tiles::{Rows, multiply, pad};
use crate::conv::finish::Finish;
use crate::conv::folded::{convolve, fold};
use crate::conv::rows::{multiply_rows, pack_rows};
use crate::conv::{options::ConvOptions, paths, shape::ConvShape};
use crate::pool::average::AvgPool;
use crate::pool::max;
use crate::pool::window::Window;
use crate::precision::Precision;

fn numbers(n: usize, seed: usize) -> Vec<f32> {
    (0..n)
        .map(|i| ((i + seed) * 37 % 101) as f32 / 50.0 - 1.0)
        .collect()
}

/// Calls `f` with the place of every product: in `x`, `w` and `y`.
fn products(s: ConvShape, mut f: impl FnMut(usize, usize, usize)) {
    let (channels, filters) = (s.channels / s.groups, s.filters / s.groups);
    for b in 0..s.batch {
        for (oy, ox) in (0..s.out[0]).flat_map(|y| (0..s.out[1]).map(move |x| (y, x))) {
            for o in 0..s.filters {
                let y = ((b * s.out[0] + oy) * s.out[1] + ox) * s.filters + o;
                for (ky, kx) in (0..s.kernel[0]).flat_map(|y| (0..s.kernel[1]).map(move |x| (y, x)))
                {
                    let row = (oy * s.stride[0] + ky * s.dilation[0]).wrapping_sub(s.padding[0]);
                    let column = (ox * s.stride[1] + kx * s.dilation[1]).wrapping_sub(s.padding[1]);
                    if row >= s.height || column >= s.width {
                        continue;
                    }
                    for c in 0..channels {
                        let channel = o / filters * channels + c;
                        let x = ((b * s.height + row) * s.width + column) * s.channels + channel;
                        let w = ((o * s.kernel[0] + ky) * s.kernel[1] + kx) * channels + c;
                        f(x, w, y);
                    }
                }
            }
        }
    }
}

fn close(name: &str, shape: ConvShape, found: &[f32], wanted: &[f32]) {
    assert_eq!(found.len(), wanted.len());
    let largest = wanted.iter().fold(1.0f32, |most, x| most.max(x.abs()));
    for (found, wanted) in found.iter().zip(wanted) {
        let error = (found - wanted).abs();
        assert!(
            error < 1e-4 * largest,
            "{name}: {found} for {wanted}, {shape:?}"
        );
    }
}

#[test]
fn convolutions_of_every_path() {
    // Winograd, depthwise and direct; one register and several, with and without what remains.
    let options = ConvOptions::new;
    for (x, w, options) in [
        ([1, 1, 1, 1], [1, 1, 1, 1], options(1, 0)),
        ([2, 7, 9, 16], [32, 3, 3, 16], options(1, 1)),
        ([1, 4, 4, 32], [16, 3, 3, 32], options(1, 0)),
        ([3, 13, 6, 64], [64, 3, 3, 64], options(1, 1)),
        ([2, 9, 7, 3], [17, 3, 3, 3], options(1, 1)),
        ([1, 8, 8, 5], [33, 5, 5, 5], options(2, 2)),
        ([2, 6, 5, 20], [40, 1, 1, 20], options(1, 0)),
        ([1, 12, 11, 8], [10, 3, 3, 8], options(2, 1).dilation(2)),
        ([2, 5, 6, 12], [18, 3, 3, 4], options(1, 1).groups(3)),
        ([2, 9, 10, 17], [17, 3, 3, 1], options(1, 1).groups(17)),
        ([1, 10, 7, 16], [32, 3, 3, 1], options(2, 1).groups(16)),
        ([1, 1, 50, 7], [12, 1, 5, 7], options(1, 0)),
    ] {
        let s = ConvShape::new("conv2d", x, w, options);
        let (len_x, len_w) = (x.iter().product(), w.iter().product());
        let (x, w) = (numbers(len_x, 1), numbers(len_w, 2));
        let dy = numbers(s.batch * s.out[0] * s.out[1] * s.filters, 3);
        let (mut y, mut dx, mut dw) = (vec![0.0; dy.len()], vec![0.0; len_x], vec![0.0; len_w]);
        products(s, |at_x, at_w, at_y| {
            y[at_y] += x[at_x] * w[at_w];
            dx[at_x] += dy[at_y] * w[at_w];
            dw[at_w] += dy[at_y] * x[at_x];
        });
        close("output", s, &paths::forward(s, &x, &w, None), &y);
        close(
            "input's gradient",
            s,
            &paths::input_gradient(s, &dy, &w, None),
            &dx,
        );
        close(
            "weight's gradient",
            s,
            &paths::weight_gradient(s, &x, &dy),
            &dw,
        );
        let bias = numbers(s.filters, 4);
        for (i, y) in y.iter_mut().enumerate() {
            *y += bias[i % s.filters];
        }
        close(
            "output with bias",
            s,
            &paths::forward(s, &x, &w, Some(&bias)),
            &y,
        );
    }
}

#[test]
fn convolutions_with_a_folded_normalisation() {
    let options = ConvOptions::new;
    for (x, w, options) in [
        ([2, 7, 9, 16], [32, 3, 3, 16], options(1, 1)),
        ([1, 1, 1, 1], [1, 1, 1, 1], options(1, 0)),
        ([2, 9, 7, 3], [17, 3, 3, 3], options(2, 1)),
        ([2, 5, 6, 12], [18, 3, 3, 4], options(1, 1).groups(3)),
        ([1, 9, 10, 17], [17, 3, 3, 1], options(1, 1).groups(17)),
    ] {
        let s = ConvShape::new("conv2d", x, w, options);
        let (x, w) = (
            numbers(x.iter().product(), 1),
            numbers(w.iter().product(), 2),
        );
        let [mean, gamma, beta] = [3, 4, 5].map(|seed| numbers(s.filters, seed));
        let variance: Vec<f32> = numbers(s.filters, 6).iter().map(|v| v + 1.5).collect();
        let residual = numbers(s.batch * s.out_image(), 7);
        let folded = fold(s, [&w, &mean, &variance, &gamma, &beta], 1e-5);
        let finish = Finish {
            residual: Some(&residual),
            activation: Activation::Relu,
        };
        let mut y = vec![0.0; residual.len()];
        products(s, |at_x, at_w, at_y| y[at_y] += x[at_x] * w[at_w]);
        for (i, y) in y.iter_mut().enumerate() {
            let c = i % s.filters;
            let normal = (*y - mean[c]) / (variance[c] + 1e-5).sqrt() * gamma[c] + beta[c];
            *y = (normal + residual[i]).max(0.0);
        }
        close("folded", s, &convolve(s, &x, &folded, finish), &y);
    }
}

#[test]
fn pooling_of_every_window() {
    for (dims, kernel, stride, padding) in [
        ([1, 1, 1, 1], 1, 1, 0),
        ([2, 4, 6, 16], 2, 2, 0),
        ([3, 7, 5, 19], 3, 2, 1),
        ([1, 9, 8, 33], 3, 1, 1),
        ([2, 5, 5, 3], 2, 3, 1),
        ([0, 5, 5, 3], 2, 2, 0),
    ] {
        let window = Window::new("test", dims, kernel, stride, padding);
        let x = numbers(dims.iter().product(), 1);
        let (y, taps) = max::forward(window, &x);
        let dy = numbers(y.len(), 2);
        let dx = max::backward(window, &taps, &dy);
        let (found, wanted): (f32, f32) = (dx.iter().sum(), dy.iter().sum());
        assert!((found - wanted).abs() < 1e-3, "{found} for {wanted}");
        assert!(y.iter().all(|y| x.contains(y)));
        for padding_counts in [true, false] {
            let pool = AvgPool {
                window,
                padding_counts,
            };
            let (y, dx) = (pool.forward(&x), pool.backward(&dy));
            // A linear map and its transpose.
            let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f32>();
            let (there, back) = (dot(&y, &dy), dot(&x, &dx));
            assert!((there - back).abs() < 1e-3, "{there} and {back}");
        }
    }
}

#[test]
fn rows_by_packed_weights_and_what_follows() {
    for [rows, inputs, outputs] in [
        [1, 1, 1],
        [1, 7, 19],
        [3, 33, 65],
        [33, 100, 37],
        [8, 64, 256],
    ] {
        let (x, w) = (numbers(rows * inputs, 1), numbers(outputs * inputs, 2));
        let (bias, residual) = (numbers(outputs, 3), numbers(rows * outputs, 4));
        let packed = pack_rows(&w, [outputs, inputs], Some(&bias));
        let finish = Finish {
            residual: Some(&residual),
            activation: Activation::Relu,
        };
        let found = multiply_rows(&packed, &x, rows, finish);
        assert_eq!(found.len(), rows * outputs);
        for (at, found) in found.iter().enumerate() {
            let (row, output) = (at / outputs, at % outputs);
            let (x, w) = (&x[row * inputs..], &w[output * inputs..]);
            let sum: f32 = (0..inputs).map(|i| x[i] * w[i]).sum();
            let wanted = (sum + bias[output] + residual[at]).max(0.0);
            assert!(
                (found - wanted).abs() < 1e-4 * inputs as f32,
                "{found} for {wanted}"
            );
        }
    }
}

#[test]
fn small_products_of_every_remainder() {
    for [m, n, k] in [
        [1, 1, 1],
        [6, 16, 3],
        [7, 17, 5],
        [13, 64, 64],
        [64, 48, 33],
        [5, 65, 1],
    ] {
        let (a, b) = (numbers(m * k, 1), numbers(k * pad(n), 2));
        let right = Rows {
            data: &b,
            stride: pad(n),
        };
        for precision in [Precision::F32, Precision::Bf16] {
            let mut plain = vec![9.0; m * pad(n)];
            let mut added = vec![1.0; m * pad(n)];
            let left = Rows {
                data: &a,
                stride: k,
            };
            multiply::<false, false>(precision, [m, n, k], left, right, &mut plain, pad(n));
            let turned: Vec<f32> = (0..k * m).map(|i| a[i % m * k + i / m]).collect();
            let left = Rows {
                data: &turned,
                stride: m,
            };
            multiply::<true, true>(precision, [m, n, k], left, right, &mut added, pad(n));
            let tolerance = if precision == Precision::F32 {
                1e-4
            } else {
                0.02 * k as f32
            };
            for (i, j) in (0..m).flat_map(|i| (0..n).map(move |j| (i, j))) {
                let want: f32 = (0..k).map(|p| a[i * k + p] * b[p * pad(n) + j]).sum();
                assert!((plain[i * pad(n) + j] - want).abs() < tolerance);
                assert!((added[i * pad(n) + j] - 1.0 - want).abs() < tolerance);
            }
        }
    }
}
