//! Each bound of comfort by itself: signals that keep all of them by a hair, and that break one by a hair.
//!
//! States are made from signals, so that each can be bent alone: 41 of them, 0.1 s apart. The filters fit
//! parabolas, and so leave constants and parabolas as they are.

use super::STATES;
use super::comfort::{Comfort, comfort, signals};
use crate::driving::vehicle::EgoState;
use crate::geometry::wrap_angle;

const YES: Comfort = Comfort {
    longitudinal_acceleration: true,
    lateral_acceleration: true,
    jerk: true,
    longitudinal_jerk: true,
    yaw_acceleration: true,
    yaw_rate: true,
};

/// Longitudinal and lateral acceleration and heading at each step.
type Signals = [Vec<f64>; 3];

fn steps(f: impl Fn(f64) -> f64) -> Vec<f64> {
    (0..STATES).map(|step| f(step as f64 * 0.1)).collect()
}

fn still() -> Vec<f64> {
    vec![0.0; STATES]
}

fn judged([long, lat, heading]: &Signals) -> Comfort {
    let states: Vec<EgoState> = (0..STATES)
        .map(|step| EgoState {
            speed: 10.0,
            acceleration: long[step],
            yaw_rate: lat[step] / 10.0,
            pose: crate::geometry::Pose::new(0.0, 0.0, wrap_angle(heading[step])),
            ..EgoState::default()
        })
        .collect();
    comfort(&states)
}

/// The greatest number of one of the six signals that the bounds are for.
fn peak(signal: usize, [long, lat, heading]: &Signals) -> f64 {
    let found = &signals(long, lat, heading)[signal];
    found.iter().fold(0.0, |most, value| value.abs().max(most))
}

/// What `scene` makes of a number keeps all bounds just inside of `bound`, and breaks one just outside.
fn bound(bound: f64, scene: impl Fn(f64) -> Signals, broken: Comfort) {
    let inside = scene(bound - 0.01 * bound.signum());
    assert_eq!(judged(&inside), YES, "inside of {bound}");
    let outside = scene(bound + 0.01 * bound.signum());
    assert_eq!(judged(&outside), broken, "outside of {bound}");
}

#[test]
fn accelerations_have_bounds() {
    let longitudinal = Comfort {
        longitudinal_acceleration: false,
        ..YES
    };
    let along = |a: f64| [steps(|_| a), still(), still()];
    bound(2.40, along, longitudinal);
    bound(-4.05, along, longitudinal);
    // On a circle, at 10 m/s.
    let lateral = Comfort {
        lateral_acceleration: false,
        ..YES
    };
    let circle = |a: f64| [still(), steps(|_| a), steps(|t| 0.1 * a * t)];
    bound(4.89, circle, lateral);
    bound(-4.89, circle, lateral);
}

#[test]
fn turning_has_bounds() {
    let rate = Comfort {
        yaw_rate: false,
        ..YES
    };
    let turns = |rate: f64| [still(), still(), steps(|t| rate * t)];
    bound(0.95, turns, rate);
    bound(-0.95, turns, rate);
    // To the left and to the right by turns of 0.8 s, so that the rate stays below 0.78 rad/s.
    let acceleration = Comfort {
        yaw_acceleration: false,
        ..YES
    };
    let weaves = |most: f64| {
        let (mut heading, mut rate) = (0.0, -0.4 * most);
        let mut headings = Vec::new();
        for step in 0..STATES {
            headings.push(heading);
            heading += 0.1 * rate;
            let left = (step / 8).is_multiple_of(2);
            rate += if left { 0.1 * most } else { -0.1 * most };
        }
        [still(), still(), headings]
    };
    bound(1.93, weaves, acceleration);
    bound(-1.93, weaves, acceleration);
}

#[test]
fn jerk_has_bounds() {
    // A parabola of 4 s whose slope at either end is what is told, but for what the smoothing before takes.
    let bowl = |slope: f64| steps(|t| 0.25 * slope * (t - 2.0) * (t - 2.0));
    let scaled = |signal: usize, scene: &dyn Fn(f64) -> Signals, most: f64| {
        let one = peak(signal, &scene(1.0));
        assert!((0.8..1.1).contains(&one), "{one}");
        scene(most / one)
    };
    let longitudinal = Comfort {
        longitudinal_jerk: false,
        ..YES
    };
    let brakes = |slope: f64| {
        let along = bowl(slope).iter().map(|a| a - 0.55 * slope).collect();
        [along, still(), still()]
    };
    bound(4.13, |most| scaled(3, &brakes, most), longitudinal);
    bound(-4.13, |most| scaled(3, &brakes, most), longitudinal);
    // Sideways from one side to the other at each step, so that the mean is near 0 and only the magnitude of
    // the acceleration changes.
    let jerk = Comfort { jerk: false, ..YES };
    let shakes = |slope: f64| {
        let sides = bowl(slope).into_iter().enumerate();
        let lateral = sides.map(|(step, a)| if step.is_multiple_of(2) { a } else { -a });
        [still(), lateral.collect(), still()]
    };
    bound(8.37, |most| scaled(2, &shakes, most), jerk);
    // Along and across together: 3 and 4 make 5.
    let both = |slope: f64| {
        let [_, lateral, heading] = shakes(0.8 * slope);
        [bowl(0.6 * slope), lateral, heading]
    };
    let found = scaled(2, &both, 6.0);
    assert!(judged(&found).jerk);
    assert!((peak(2, &found) - 6.0).abs() < 1e-9 && peak(3, &found) < 4.0);
}

#[test]
fn headings_go_round() {
    // Half a turn is no leap.
    let round = [still(), still(), steps(|t| 3.0 + 0.5 * t)];
    assert_eq!(judged(&round), YES);
}
