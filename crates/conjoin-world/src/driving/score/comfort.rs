//! Comfort: bounds on acceleration, jerk and yaw, of signals that are smoothed as nuPlan smooths them.

use super::STATES;
use crate::driving::vehicle::{EgoState, STEP};
use crate::geometry::wrap_angle;
use std::sync::OnceLock;

/// Which bounds hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Comfort {
    /// -4.05 to 2.40 m/s².
    pub longitudinal_acceleration: bool,
    /// Below 4.89 m/s².
    pub lateral_acceleration: bool,
    /// Jerk of the acceleration's magnitude, below 8.37 m/s³.
    pub jerk: bool,
    /// Below 4.13 m/s³.
    pub longitudinal_jerk: bool,
    /// Below 1.93 rad/s².
    pub yaw_acceleration: bool,
    /// Below 0.95 rad/s.
    pub yaw_rate: bool,
}

impl Comfort {
    pub fn all(self) -> bool {
        self.longitudinal_acceleration
            && self.lateral_acceleration
            && self.jerk
            && self.longitudinal_jerk
            && self.yaw_acceleration
            && self.yaw_rate
    }
}

/// The signals that the bounds are for, one value a state: longitudinal and lateral acceleration, jerk,
/// longitudinal jerk, yaw acceleration, yaw rate. Windows and orders are those of NAVSIM's scorer.
pub(super) fn signals(long: &[f64], lat: &[f64], heading: &[f64]) -> [Vec<f64>; 6] {
    /// The filters of a proposal, which all have the same length.
    static PROPOSAL: OnceLock<Filters> = OnceLock::new();
    let n = long.len();
    if n == STATES {
        PROPOSAL
            .get_or_init(|| Filters::new(n))
            .signals(long, lat, heading)
    } else {
        Filters::new(n).signals(long, lat, heading)
    }
}

/// The filters for signals of one length.
struct Filters {
    acceleration: SavGol,
    magnitude: SavGol,
    jerk: SavGol,
    yaw_acceleration: SavGol,
    yaw_rate: SavGol,
}

impl Filters {
    fn new(n: usize) -> Self {
        Self {
            acceleration: SavGol::new(n, n, 2, 0),
            magnitude: SavGol::new(n, 8.min(n), 2, 0),
            jerk: SavGol::new(n, n, 2, 1),
            yaw_acceleration: SavGol::new(n, 5.min(n), 3, 2),
            yaw_rate: SavGol::new(n, 5.min(n), 2, 1),
        }
    }

    fn signals(&self, long: &[f64], lat: &[f64], heading: &[f64]) -> [Vec<f64>; 6] {
        let magnitude: Vec<f64> = long.iter().zip(lat).map(|(x, y)| x.hypot(*y)).collect();
        let mut unwrapped: Vec<f64> = Vec::with_capacity(heading.len());
        for &angle in heading {
            let before = unwrapped.last().copied();
            unwrapped.push(before.map_or(angle, |b| b + wrap_angle(angle - b)));
        }
        let jerk = |signal: &[f64]| self.jerk.apply(&self.magnitude.apply(signal));
        [
            self.acceleration.apply(long),
            self.acceleration.apply(lat),
            jerk(&magnitude),
            jerk(long),
            self.yaw_acceleration.apply(&unwrapped),
            self.yaw_rate.apply(&unwrapped),
        ]
    }
}

/// Judges states at steps of 0.1 s; fewer than five cannot be judged and pass.
///
/// The lateral acceleration is speed times yaw rate at the rear axle.
pub fn comfort(states: &[EgoState]) -> Comfort {
    let yes = Comfort {
        longitudinal_acceleration: true,
        lateral_acceleration: true,
        jerk: true,
        longitudinal_jerk: true,
        yaw_acceleration: true,
        yaw_rate: true,
    };
    if states.len() < 5 {
        return yes;
    }
    let column = |f: fn(&EgoState) -> f64| states.iter().map(f).collect::<Vec<_>>();
    let long = column(|s| s.acceleration);
    let lat = column(EgoState::lateral_acceleration);
    let heading = column(|s| s.pose.heading);
    let signals = signals(&long, &lat, &heading);
    let within = |index: usize, low: f64, high: f64| {
        // Compared after rounding to eight decimals.
        signals[index].iter().all(|x| {
            let x = (x * 1e8).round() / 1e8;
            x > low && x < high
        })
    };
    Comfort {
        longitudinal_acceleration: within(0, -4.05, 2.40),
        lateral_acceleration: within(1, -4.89, 4.89),
        jerk: within(2, -8.37, 8.37),
        longitudinal_jerk: within(3, -4.13, 4.13),
        yaw_acceleration: within(4, -1.93, 1.93),
        yaw_rate: within(5, -0.95, 0.95),
    }
}

/// The Savitzky-Golay filter (1964) of signals of one length at steps of 0.1 s: the least-squares
/// polynomial of some order over a window of samples, or a derivative of it, at the window's middle; at
/// both ends the polynomial of the outermost window. An even window is read half a step behind its
/// sample, as SciPy does. What comes out is linear in the samples, so that weights are all that is kept.
struct SavGol {
    /// For each sample of the output, where its window begins, and the weights of the window's samples.
    rows: Vec<(usize, Vec<f64>)>,
}

impl SavGol {
    fn new(n: usize, window: usize, order: usize, derivative: u32) -> Self {
        let half = window / 2;
        // Even windows reach one further ahead than back.
        let back = half - usize::from(window.is_multiple_of(2));
        let middle = (window - 1) as f64 / 2.0;
        let inverse = moments_inverted(window, order, middle);
        let row = |i: usize| {
            let (start, at) = if i < half {
                (0, i as f64)
            } else if i + half >= n {
                (n - window, (i - (n - window)) as f64)
            } else {
                (i - back, middle)
            };
            (start, weights(&inverse, window, derivative, at - middle))
        };
        Self {
            rows: (0..n).map(row).collect(),
        }
    }

    fn apply(&self, signal: &[f64]) -> Vec<f64> {
        let row = |(start, weights): &(usize, Vec<f64>)| {
            let samples = signal[*start..].iter().zip(weights);
            samples.map(|(x, w)| x * w).sum::<f64>()
        };
        self.rows.iter().map(row).collect()
    }
}

/// The inverse of the matrix of moments (the sum of x^(i + j) over the window, x from its middle).
fn moments_inverted(window: usize, order: usize, middle: f64) -> Vec<Vec<f64>> {
    let size = order + 1;
    let mut rows = vec![vec![0.0; 2 * size]; size];
    for (i, row) in rows.iter_mut().enumerate() {
        for (j, cell) in row[..size].iter_mut().enumerate() {
            *cell = (0..window)
                .map(|k| (k as f64 - middle).powi((i + j) as i32))
                .sum();
        }
        row[size + i] = 1.0;
    }
    // Gauss-Jordan elimination; the matrix is positive definite, so that no pivoting is needed.
    for i in 0..size {
        let pivot = rows[i].clone();
        for (j, row) in rows.iter_mut().enumerate() {
            let factor = if j == i {
                (pivot[i] - 1.0) / pivot[i]
            } else {
                row[i] / pivot[i]
            };
            for (cell, pivot) in row.iter_mut().zip(&pivot) {
                *cell -= factor * pivot;
            }
        }
    }
    rows.into_iter().map(|row| row[size..].to_vec()).collect()
}

/// What each sample of a window adds to a derivative, at `x` from the middle, of the fitted polynomial.
fn weights(inverse: &[Vec<f64>], window: usize, derivative: u32, x: f64) -> Vec<f64> {
    let middle = (window - 1) as f64 / 2.0;
    let scale = STEP.powi(derivative as i32);
    // The derivative of each power of x.
    let powers = (0_u32..).take(inverse.len()).map(|power| {
        if power < derivative {
            return 0.0;
        }
        let factor: f64 = (0..derivative).map(|k| f64::from(power - k)).product();
        factor * x.powi((power - derivative) as i32) / scale
    });
    let powers: Vec<f64> = powers.collect();
    let coefficients: Vec<f64> = inverse
        .iter()
        .map(|row| row.iter().zip(&powers).map(|(a, b)| a * b).sum())
        .collect();
    let at = |k: usize| {
        let x = k as f64 - middle;
        coefficients
            .iter()
            .rev()
            .fold(0.0_f64, |sum, c| sum * x + c)
    };
    (0..window).map(at).collect()
}
