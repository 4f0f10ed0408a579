//! What the layer is told, and whether it can be true. The frame is the vehicle's: x ahead, y to the
//! left, from its origin on the rear axle.

use crate::limits::Limits;
use crate::reason::Reason;

/// Something that the layer's own sensors see.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Detected {
    /// Centre, m.
    pub position: [f64; 2],
    /// Velocity over ground, m/s.
    pub velocity: [f64; 2],
    /// Radius of a circle that holds it, m.
    pub radius: f64,
    /// The unit vector along which its wheels roll; none for what can step in any direction.
    pub heading: Option<[f64; 2]>,
}

/// An edge behind which something may be that no sensor sees: the nearest point where it could appear.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Occlusion {
    /// The point, m.
    pub position: [f64; 2],
    /// The greatest speed of what may come out, m/s; 0 for things that stand.
    pub speed: f64,
}

/// One input: the vehicle's state, what is around it, and what the planner asks for.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Input<'a> {
    /// When the oldest of its parts was measured, microseconds.
    pub time: u64,
    /// Measured speed, m/s.
    pub speed: f64,
    /// Acceleration asked for, m/s^2.
    pub acceleration: f64,
    /// Curvature asked for, 1/m, positive to the left.
    pub curvature: f64,
    /// What is seen.
    pub detected: &'a [Detected],
    /// Where something may be unseen.
    pub occlusions: &'a [Occlusion],
}

impl Input<'_> {
    /// The first thing that is wrong with the input, if any. What is asked for may be beyond the
    /// limits, as these will be applied to it, but must be a number.
    pub(crate) fn fault(&self, now: u64, limits: &Limits) -> Option<Reason> {
        if self.time > now {
            return Some(Reason::Clock);
        }
        if now - self.time > limits.age {
            return Some(Reason::Stale);
        }
        if !(self.acceleration.is_finite() && self.curvature.is_finite()) {
            return Some(Reason::NotFinite);
        }
        // A backward creep of half a metre a second is a speed sensor's noise.
        let mut worst = range(self.speed, -0.5, limits.speed);
        for thing in self.detected {
            worst = worst
                .or(within(&thing.position, limits.range))
                .or(within(&thing.velocity, limits.speed))
                .or(range(thing.radius, 0.0, limits.range))
                .or(thing.heading.and_then(unit));
        }
        for edge in self.occlusions {
            worst = worst.or(within(&edge.position, limits.range)).or(range(
                edge.speed,
                0.0,
                limits.speed,
            ));
        }
        worst
    }
}

fn within(pair: &[f64; 2], most: f64) -> Option<Reason> {
    range(pair[0], -most, most).or(range(pair[1], -most, most))
}

/// A direction is a vector whose length is 1, but for rounding.
fn unit([x, y]: [f64; 2]) -> Option<Reason> {
    range(x * x + y * y, 0.99, 1.01)
}

fn range(value: f64, least: f64, most: f64) -> Option<Reason> {
    if !value.is_finite() {
        Some(Reason::NotFinite)
    } else if value < least || value > most {
        Some(Reason::OutOfRange)
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const THING: Detected = Detected {
        position: [10.0, 2.0],
        velocity: [1.0, -1.0],
        radius: 1.0,
        heading: Some([0.6, -0.8]),
    };
    const EDGE: Occlusion = Occlusion {
        position: [10.0, 2.0],
        speed: 2.0,
    };

    fn input<'a>(detected: &'a [Detected], occlusions: &'a [Occlusion]) -> Input<'a> {
        Input {
            time: 1_000_000,
            speed: 5.0,
            acceleration: 0.0,
            curvature: 0.0,
            detected,
            occlusions,
        }
    }

    fn fault(input: &Input) -> Option<Reason> {
        input.fault(1_000_000, &Limits::default())
    }

    #[test]
    fn time_is_checked() {
        let limits = Limits::default();
        let plain = input(&[], &[]);
        assert_eq!(plain.fault(999_999, &limits), Some(Reason::Clock));
        assert_eq!(plain.fault(1_000_000, &limits), None);
        assert_eq!(plain.fault(1_080_000, &limits), None);
        assert_eq!(plain.fault(1_080_001, &limits), Some(Reason::Stale));
    }

    #[test]
    fn every_number_is_checked() {
        assert_eq!(fault(&input(&[THING], &[EDGE])), None);
        for wrong in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
            let not = Some(Reason::NotFinite);
            let mut plain = input(&[], &[]);
            plain.acceleration = wrong;
            assert_eq!(fault(&plain), not);
            plain = input(&[], &[]);
            plain.curvature = wrong;
            assert_eq!(fault(&plain), not);
            plain = input(&[], &[]);
            plain.speed = wrong;
            assert_eq!(fault(&plain), not);
        }
        // Value, least, most of each number that has a range.
        let speeds = [(60.0, None), (60.1, Some(Reason::OutOfRange))];
        let backward = [(-0.5, None), (-0.51, Some(Reason::OutOfRange))];
        for (speed, expected) in speeds.into_iter().chain(backward) {
            let plain = Input {
                speed,
                ..input(&[], &[])
            };
            assert_eq!(fault(&plain), expected, "{speed}");
        }
        let change: [fn(&mut Detected, f64); 5] = [
            |x, v| x.position[0] = v,
            |x, v| x.position[1] = v,
            |x, v| x.velocity[0] = v,
            |x, v| x.velocity[1] = v,
            |x, v| x.radius = v,
        ];
        let bounds = [
            (-500.0, 500.0),
            (-500.0, 500.0),
            (-60.0, 60.0),
            (-60.0, 60.0),
            (0.0, 500.0),
        ];
        for (change, (least, most)) in change.into_iter().zip(bounds) {
            let with = |value| {
                let mut thing = THING;
                change(&mut thing, value);
                // The last of several is looked at as well.
                fault(&input(&[THING, thing], &[EDGE]))
            };
            check(with, least, most);
        }
        for (heading, expected) in [
            (None, None),
            (Some([0.0, 1.0]), None),
            (Some([0.5, 0.5]), Some(Reason::OutOfRange)),
            (Some([1.0, 0.2]), Some(Reason::OutOfRange)),
            (Some([f64::NAN, 0.0]), Some(Reason::NotFinite)),
            (Some([0.0, f64::INFINITY]), Some(Reason::NotFinite)),
        ] {
            let thing = Detected { heading, ..THING };
            assert_eq!(fault(&input(&[THING, thing], &[])), expected, "{heading:?}");
        }
        let change: [fn(&mut Occlusion, f64); 3] = [
            |x, v| x.position[0] = v,
            |x, v| x.position[1] = v,
            |x, v| x.speed = v,
        ];
        let bounds = [(-500.0, 500.0), (-500.0, 500.0), (0.0, 60.0)];
        for (change, (least, most)) in change.into_iter().zip(bounds) {
            let with = |value| {
                let mut edge = EDGE;
                change(&mut edge, value);
                fault(&input(&[THING], &[EDGE, edge]))
            };
            check(with, least, most);
        }
    }

    fn check(fault: impl Fn(f64) -> Option<Reason>, least: f64, most: f64) {
        assert_eq!(fault(f64::NAN), Some(Reason::NotFinite));
        assert_eq!(fault(least), None);
        assert_eq!(fault(least - 0.001), Some(Reason::OutOfRange));
        assert_eq!(fault(most), None);
        assert_eq!(fault(most + 0.001), Some(Reason::OutOfRange));
    }
}
