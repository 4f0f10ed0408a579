//! From values to pixels, and round numbers for the ticks.

use crate::number;

/// A linear or logarithmic axis.
#[derive(Debug, Clone, Copy)]
pub(super) struct Scale {
    low: f64,
    high: f64,
    from: f64,
    to: f64,
    log: bool,
}

impl Scale {
    /// Maps `low..high` to `from..to` pixels. A log scale needs `0 < low`.
    pub(super) fn new(low: f64, high: f64, from: f64, to: f64, log: bool) -> Self {
        let (low, high) = match (low < high, log) {
            (true, _) => (low, high),
            (false, true) => (low / 2.0, low * 2.0),
            // A single value gets some room around it.
            (false, false) => {
                let room = if low == 0.0 { 1.0 } else { low.abs() * 0.1 };
                (low - room, low + room)
            }
        };
        Self {
            low,
            high,
            from,
            to,
            log,
        }
    }

    /// The pixel of a value.
    pub(super) fn at(&self, value: f64) -> f64 {
        let share = if self.log {
            (value / self.low).ln() / (self.high / self.low).ln()
        } else {
            (value - self.low) / (self.high - self.low)
        };
        self.from + share * (self.to - self.from)
    }

    /// Values of round ticks inside the axis, about `wanted` of them.
    pub(super) fn ticks(&self, wanted: usize) -> Vec<f64> {
        if self.log {
            let ticks = log_ticks(self.low, self.high, wanted);
            if ticks.len() > 2 {
                return ticks;
            }
        }
        linear_ticks(self.low, self.high, wanted)
    }

    /// Widens the axis: to the ticks just outside it, or by some room where it is logarithmic.
    pub(super) fn rounded(mut self, wanted: usize) -> Self {
        if self.log {
            let room = (self.high / self.low).powf(0.04);
            (self.low, self.high) = (self.low / room, self.high * room);
        } else {
            let step = round_step((self.high - self.low) / wanted as f64);
            self.low = (self.low / step + 1e-9).floor() * step;
            self.high = (self.high / step - 1e-9).ceil() * step;
        }
        self
    }
}

/// The smallest of 1, 2, 2.5, 5 times a power of ten that is at least `rough`.
fn round_step(rough: f64) -> f64 {
    let power = 10_f64.powf(rough.log10().floor());
    let factor = [1.0, 2.0, 2.5, 5.0]
        .into_iter()
        .find(|factor| factor * power >= rough * 0.999)
        .unwrap_or(10.0);
    factor * power
}

fn linear_ticks(low: f64, high: f64, wanted: usize) -> Vec<f64> {
    let step = round_step((high - low) / wanted as f64);
    let first = (low / step - 1e-9).ceil() as i64;
    let last = (high / step + 1e-9).floor() as i64;
    (first..=last).map(|k| k as f64 * step).collect()
}

fn log_ticks(low: f64, high: f64, wanted: usize) -> Vec<f64> {
    let decades = low.log10().floor() as i32..=high.log10().ceil() as i32;
    let pick = |factors: &[f64], every: i32| -> Vec<f64> {
        decades
            .clone()
            .filter(|decade| decade % every == 0)
            .flat_map(|decade| factors.iter().map(move |f| f * 10_f64.powi(decade)))
            .filter(|tick| (low * 0.999..=high * 1.001).contains(tick))
            .collect()
    };
    let candidates = [
        pick(&[1.0, 2.0, 5.0], 1),
        pick(&[1.0, 3.0], 1),
        pick(&[1.0], 1),
        pick(&[1.0], 2),
        pick(&[1.0], 4),
    ];
    candidates
        .into_iter()
        .find(|ticks| ticks.len() <= wanted + 2)
        .unwrap_or_default()
}

/// How an axis writes its ticks.
pub(super) fn tick_text(value: f64, percent: bool) -> String {
    if percent {
        format!("{} %", number::short((value * 100.0 * 1e6).round() / 1e6))
    } else if value.abs() >= 1e4 && value.abs() < 1e9 {
        match value.abs() {
            v if v < 1e6 => format!("{}k", number::short(value / 1e3)),
            _ => format!("{}M", number::short(value / 1e6)),
        }
    } else {
        number::short((value * 1e9).round() / 1e9)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_round() {
        let scale = Scale::new(0.13, 2.71, 0.0, 100.0, false);
        assert_eq!(scale.ticks(5), [1.0, 2.0]);
        assert_eq!(scale.ticks(6), [0.5, 1.0, 1.5, 2.0, 2.5]);
        assert_eq!(
            scale.rounded(6).ticks(6),
            [0.0, 0.5, 1.0, 1.5, 2.0, 2.5, 3.0]
        );
        let log = Scale::new(0.02, 30.0, 0.0, 100.0, true);
        assert_eq!(log.ticks(4), [0.1, 1.0, 10.0]);
        assert_eq!(tick_text(12_000.0, false), "12k");
        assert_eq!(tick_text(0.07, true), "7 %");
        assert_eq!(tick_text(0.1 + 0.2, false), "0.3");
    }

    #[test]
    fn values_land_where_they_should() {
        let scale = Scale::new(0.0, 10.0, 100.0, 0.0, false);
        assert_eq!(
            (scale.at(0.0), scale.at(10.0), scale.at(2.5)),
            (100.0, 0.0, 75.0)
        );
        let log = Scale::new(1.0, 100.0, 0.0, 50.0, true);
        assert!((log.at(10.0) - 25.0).abs() < 1e-12);
        let constant = Scale::new(3.0, 3.0, 0.0, 1.0, false);
        assert!((constant.at(3.0) - 0.5).abs() < 1e-12);
    }
}
