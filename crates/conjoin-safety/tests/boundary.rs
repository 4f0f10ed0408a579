//! Hazards on the very boundary of what can be reached, with numbers that are exact.

use conjoin_safety::{Detected, Input, Limits, Occlusion, Safety};

#[test]
fn on_the_very_boundary_space_suffices() {
    // Numbers that are exact: response 4 / 8 s, distance 4 * 0.5 + 16 / 8 m, time 1.5 s.
    let limits = Limits {
        brake: -4.0,
        cycle: 0,
        front: 3.75,
        others_lateral: 2.0,
        horizon: 0.5,
        ..Limits::default()
    };
    let step = |detected: &[Detected], occlusions: &[Occlusion]| {
        let input = Input {
            speed: 4.0,
            detected,
            occlusions,
            time: 0,
            acceleration: 0.0,
            curvature: 0.0,
        };
        !Safety::new(limits).step(0, Some(&input)).reasons.is_empty()
    };
    let seen = |x: f64, y: f64, across: f64| {
        let thing = Detected {
            position: [x, y],
            velocity: [0.0, across],
            radius: 1.0,
            heading: None,
        };
        step(&[thing], &[])
    };
    assert!(!step(&[], &[]));
    assert!(seen(9.0, 0.0, 0.0) && !seen(9.25, 0.0, 0.0));
    // Sideways 2.5 m, 2 / 2 * 0.25 m, and 2 * 0.5 m at 2 m/s.
    assert!(seen(7.5, 2.7499, 0.0) && !seen(7.5, 2.75, 0.0));
    assert!(seen(7.5, 3.7499, -2.0) && !seen(7.5, 3.75, -2.0));
    // What has wheels and points along the way goes 0.5 m at 1 m/s and 2 / 2 * 0.25 m more until it can be
    // in the way, and steers by 0.2 / 2 * 0.75^2 m on that.
    let rolling = |y: f64, along: f64| {
        let thing = Detected {
            position: [7.5, y],
            velocity: [along, 0.0],
            radius: 1.0,
            heading: Some([1.0, 0.0]),
        };
        step(&[thing], &[])
    };
    assert!(rolling(2.5562, 1.0) && !rolling(2.5563, 1.0));
    assert!(rolling(2.5562, -1.0) && !rolling(2.5563, -1.0));
    let hidden = |x: f64| {
        let edge = Occlusion {
            position: [x, 0.0],
            speed: 1.0,
        };
        step(&[], &[edge])
    };
    assert!(hidden(8.0) && !hidden(8.25));
}
