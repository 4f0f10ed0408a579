//! The vector functions at every level that the processor has.

use super::*;

const LEVELS: [Level; 3] = [Level::Plain, Level::Avx2, Level::Avx512];

fn inputs() -> Vec<f32> {
    let mut xs: Vec<f32> = (-85_000..=88_500).map(|i| i as f32 * 1e-3).collect();
    xs.extend((0..40).flat_map(|i| [0.5_f32.powi(i), -(0.5_f32.powi(i))]));
    xs.push(0.0);
    xs
}

fn worst(function: impl Function + Copy, exact: fn(f64) -> f64) -> f64 {
    let mut worst = 0.0_f64;
    for level in LEVELS {
        let mut ys = inputs();
        run_at(level, Map(&mut ys, function));
        for (x, y) in inputs().into_iter().zip(ys) {
            let exact = exact(f64::from(x));
            let error =
                (f64::from(y) - exact).abs() / exact.abs().max(f64::from(f32::MIN_POSITIVE));
            worst = worst.max(error);
        }
    }
    worst
}

/// [`exp_down`] of what is at most 0 and in range.
#[derive(Clone, Copy)]
struct Down;

impl Function for Down {
    #[inline(always)]
    fn apply<S: Isa>(&self, isa: S, x: f32) -> f32 {
        exp_down(isa, (-x.abs()).max(-86.0))
    }
}

#[test]
fn exp_and_tanh_are_accurate_at_every_level() {
    let unit = f64::from(f32::EPSILON) / 2.0;
    let exp_error = worst(Exp, f64::exp) / unit;
    let tanh_error = worst(Tanh, f64::tanh) / unit;
    let down_error = worst(Down, |x| (-x.abs()).max(-86.0).exp()) / unit;
    assert!(exp_error < 3.0, "exp is off by {exp_error} units");
    assert!(tanh_error < 8.0, "tanh is off by {tanh_error} units");
    assert!(down_error < 3.0, "exp_down is off by {down_error} units");
}

struct Turn<'a>(&'a [f32], &'a mut [f32]);

impl Kernel for Turn<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Isa>(self, isa: S) {
        let rows = std::array::from_fn(|i| &self.0[i * 9..]);
        isa.turn8(rows, self.1, 10);
    }
}

#[test]
fn rows_turn_into_columns_at_every_level() {
    let from: Vec<f32> = (0..80).map(|i| i as f32).collect();
    for level in LEVELS {
        let mut to = [-1.0; 80];
        run_at(level, Turn(&from, &mut to));
        for (i, value) in to.into_iter().enumerate() {
            let (column, row) = (i / 10, i % 10);
            let wanted = if row < 8 {
                (row * 9 + column) as f32
            } else {
                -1.0
            };
            assert_eq!(value, wanted);
        }
    }
}

#[test]
fn the_ends_of_the_range_and_nan_behave() {
    let mut ys = [-1e9, f32::NEG_INFINITY, 89.0, f32::INFINITY, f32::NAN];
    exp_in_place(&mut ys);
    assert_eq!(ys[..4], [0.0, 0.0, f32::INFINITY, f32::INFINITY]);
    assert!(ys[4].is_nan());
    let mut ys = [-1e9, f32::INFINITY, f32::NAN];
    tanh_in_place(&mut ys);
    assert_eq!(ys[..2], [-1.0, 1.0]);
    assert!(ys[2].is_nan());
    let mut ys = [-1e9, 1e9, 0.0, f32::NAN];
    sigmoid_in_place(&mut ys);
    assert_eq!(ys[..3], [0.0, 1.0, 0.5]);
    assert!(ys[3].is_nan());
}
