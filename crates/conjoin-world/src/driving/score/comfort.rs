//! Comfort: bounds on acceleration, jerk and yaw, of signals that are smoothed as nuPlan smooths them.

use crate::driving::vehicle::{EgoState, STEP};
use crate::geometry::wrap_angle;

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
    let n = long.len();
    let magnitude: Vec<f64> = long.iter().zip(lat).map(|(x, y)| x.hypot(*y)).collect();
    let mut unwrapped: Vec<f64> = Vec::with_capacity(n);
    for &angle in heading {
        let before = unwrapped.last().copied();
        unwrapped.push(before.map_or(angle, |b| b + wrap_angle(angle - b)));
    }
    let jerk = |signal: &[f64]| {
        let smooth = savgol(signal, 8.min(n), 2, 0);
        savgol(&smooth, n, 2, 1)
    };
    [
        savgol(long, n, 2, 0),
        savgol(lat, n, 2, 0),
        jerk(&magnitude),
        jerk(long),
        savgol(&unwrapped, 5.min(n), 3, 2),
        savgol(&unwrapped, 5.min(n), 2, 1),
    ]
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

/// The Savitzky-Golay filter (1964) of a signal at steps of 0.1 s: least-squares polynomials of
/// `order` over `window` samples, derivative `derivative` at the middle; at both ends the
/// polynomial of the outermost window. An even window is read half a step behind its sample, as SciPy
/// does.
fn savgol(signal: &[f64], window: usize, order: usize, derivative: u32) -> Vec<f64> {
    let n = signal.len();
    let half = window / 2;
    let scale = STEP.powi(derivative as i32);
    // Even windows reach one further ahead than back.
    let back = if window.is_multiple_of(2) {
        half - 1
    } else {
        half
    };
    let middle = (window - 1) as f64 / 2.0;
    (0..n)
        .map(|i| {
            let (start, at) = if i < half {
                (0, i as f64)
            } else if i + half >= n {
                (n - window, (i - (n - window)) as f64)
            } else {
                (i - back, middle)
            };
            let fit = polyfit(&signal[start..start + window], order, middle);
            derive(&fit, derivative, at - middle) / scale
        })
        .collect()
}

/// Coefficients, lowest first, of the least-squares polynomial of samples at `0 - middle, 1 - middle…`.
fn polyfit(samples: &[f64], order: usize, middle: f64) -> Vec<f64> {
    let size = order + 1;
    let mut rows = vec![vec![0.0; size + 1]; size];
    for (k, &y) in samples.iter().enumerate() {
        let x = k as f64 - middle;
        for (i, row) in rows.iter_mut().enumerate() {
            for (j, cell) in row.iter_mut().enumerate() {
                let factor = if j == size { y } else { x.powi(j as i32) };
                *cell += x.powi(i as i32) * factor;
            }
        }
    }
    // Gauss elimination; the matrix is positive definite, so that no pivoting is needed.
    for i in 0..size {
        for j in i + 1..size {
            let factor = rows[j][i] / rows[i][i];
            let (above, below) = rows.split_at_mut(j);
            let pivot = &above[i][i..=size];
            for (cell, pivot) in below[0][i..=size].iter_mut().zip(pivot) {
                *cell -= factor * pivot;
            }
        }
    }
    let mut found = vec![0.0; size];
    for i in (0..size).rev() {
        let known: f64 = (i + 1..size).map(|j| rows[i][j] * found[j]).sum();
        found[i] = (rows[i][size] - known) / rows[i][i];
    }
    found
}

/// A derivative of a polynomial at `x`.
fn derive(polynomial: &[f64], times: u32, x: f64) -> f64 {
    let terms = (0_u32..).zip(polynomial).skip(times as usize);
    terms
        .map(|(power, c)| {
            let factor: f64 = (0..times).map(|k| f64::from(power - k)).product();
            c * factor * x.powi((power - times) as i32)
        })
        .sum()
}
