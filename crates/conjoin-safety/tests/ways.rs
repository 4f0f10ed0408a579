//! The two ways to stop, along the arc of a command and with the wheel turned back: against a sweep of the footprint
//! in steps of half a centimetre, and which of them is taken.

mod support;

use conjoin_safety::{Detected, Input, Limits, Reason};
use support::{drive, near, plain};

/// The least distance between a thing and the footprint on the way, in steps of half a centimetre, and
/// the distance now. After `held` metres the wheel turns back to straight, at 6 m/s.
fn sweep([x, y]: [f64; 2], curvature: f64, way: f64, held: f64) -> (f64, f64) {
    const STEP: f64 = 0.005;
    let limits = Limits::default();
    let distance = |[at_x, at_y, heading]: [f64; 3]| {
        let (sin, cos) = heading.sin_cos();
        let (dx, dy) = (x - at_x, y - at_y);
        let (along, across) = (cos * dx + sin * dy, cos * dy - sin * dx);
        let beyond = (along - limits.front).max(-limits.rear - along).max(0.0);
        beyond.hypot((across.abs() - limits.half_width).max(0.0))
    };
    let (mut pose, mut left, mut least) = ([0.0; 3], curvature, f64::INFINITY);
    for step in 0..(way / STEP) as usize {
        let middle: f64 = pose[2] + 0.5 * left * STEP;
        pose = [
            pose[0] + STEP * middle.cos(),
            pose[1] + STEP * middle.sin(),
            pose[2] + left * STEP,
        ];
        if step as f64 * STEP >= held {
            let most = limits.curvature_rate / 6.0 * STEP;
            left -= left.clamp(-most, most);
        }
        least = distance(pose).min(least);
    }
    (least, distance([0.0; 3]))
}

#[test]
fn the_footprint_is_moved_along_two_ways() {
    // At 6 m/s: 0.4575 s of response and 36 / 7 m of braking. Corners swing out of the arc.
    let way = 6.0 * 0.4575 + 36.0 / 7.0;
    let kept = 0.6 + Limits::default().margin;
    let (mut met, mut free, mut left_alone, mut other) = (0, 0, 0, 0);
    for turn in -8..=8 {
        let curvature = 0.01 * f64::from(turn);
        let (turning, _) = drive(60, |input| {
            input.speed = 6.0;
            input.curvature = curvature;
        });
        for i in 0..26 {
            for j in 0..25 {
                let position = [f64::from(i) * 0.6 - 2.0, f64::from(j) * 0.5 - 6.0];
                let mut safety = turning.clone();
                let things = [Detected {
                    position,
                    velocity: [0.0, 0.0],
                    radius: 0.6,
                    heading: Some([1.0, 0.0]),
                }];
                let input = Input {
                    speed: 6.0,
                    curvature,
                    detected: &things,
                    ..plain(1_200_000)
                };
                let command = safety.step(1_200_000, Some(&input));
                let found = command.reasons.has(Reason::Detected);
                // A command may be followed for 0.1 s before it can be another.
                let (arc, now) = sweep(position, curvature, way, f64::INFINITY);
                let (back, _) = sweep(position, curvature, way, 0.6);
                let least = arc.max(back);
                // A standing car steers by 0.025 m, and comes by half of the sine of the turn.
                let reach = 0.026 + 0.5 * (curvature * way).sin().abs();
                let what = format!("{position:?} at curvature {curvature}: {least} m, {now} m now");
                // Between two places that are looked at, 0.25 m apart, it may come a little nearer.
                if least < kept - 0.02 && least < now - 0.03 {
                    assert!(found, "{what}");
                    met += 1;
                } else if least > kept + reach {
                    assert!(!found, "{what}");
                    free += 1;
                    other += usize::from(arc < kept - 0.02 && arc < now - 0.03);
                } else if arc.min(back) >= now - 1e-9 && arc.min(back) > 0.0 {
                    // It is left, or driven past, and comes no nearer.
                    assert!(!found, "{what}");
                    left_alone += 1;
                }
            }
        }
    }
    assert!(
        met > 1000 && free > 1000 && left_alone > 100 && other > 50,
        "{met} {free} {left_alone} {other}"
    );
}

/// Circles of 0.6 m that stand at some places.
fn standing(places: &[[f64; 2]]) -> Vec<Detected> {
    let things = places.iter().map(|&position| Detected {
        position,
        velocity: [0.0, 0.0],
        radius: 0.6,
        heading: Some([1.0, 0.0]),
    });
    things.collect()
}

#[test]
fn one_way_that_is_free_suffices_and_is_taken() {
    // Asked for a curvature of 0.06 at 6 m/s.
    let step = |acceleration: f64, places: &[[f64; 2]], (brakes, curvature): (bool, f64)| {
        let (mut safety, before) = drive(60, |input| {
            input.speed = 6.0;
            input.curvature = 0.06;
        });
        assert!(before.reasons.is_empty());
        let things = standing(places);
        let input = Input {
            speed: 6.0,
            curvature: 0.06,
            acceleration,
            detected: &things,
            ..plain(1_200_000)
        };
        let command = safety.step(1_200_000, Some(&input));
        assert_eq!(command.acceleration < 0.0, brakes, "{places:?}");
        assert_eq!(command.reasons.has(Reason::Detected), brakes, "{places:?}");
        near(command.curvature, curvature);
    };
    // Braking, the vehicle's front comes to (10.9, 3.5) on the arc, and to (11.5, 0.7) where the wheel turns back.
    let (on_the_arc, straight_on) = ([10.9, 4.2], [12.0, -0.3]);
    let asked = 0.06;
    step(0.0, &[], (false, asked));
    step(0.0, &[on_the_arc], (false, asked));
    step(0.0, &[straight_on], (false, asked));
    // No way is free, braking or not: the wheel is left to whoever asked.
    step(0.0, &[on_the_arc, straight_on], (true, asked));
    // Further on than a vehicle comes that brakes: an eighth of the throttle brings it half a metre nearer.
    let (beyond_the_arc, beyond) = ([12.09, 4.1], [12.95, 0.7]);
    step(2.0, &[beyond], (false, asked));
    step(2.0, &[beyond_the_arc], (false, asked));
    step(2.0, &[beyond_the_arc, beyond], (true, asked));
    let turned = asked - 0.4 * 0.02;
    step(2.0, &[on_the_arc, beyond], (true, turned));
    step(2.0, &[beyond_the_arc, straight_on], (true, asked));
}

#[test]
fn a_stop_takes_the_way_that_was_free() {
    // No input comes after one at 6 m/s that asks for a curvature of 0.06: the fifth cycle begins a stop.
    let stops = |places: &[[f64; 2]]| {
        let (mut safety, _) = drive(60, |input| {
            input.speed = 6.0;
            input.curvature = 0.06;
        });
        let things = standing(places);
        let input = Input {
            speed: 6.0,
            curvature: 0.06,
            detected: &things,
            ..plain(1_200_000)
        };
        let mut command = safety.step(1_200_000, Some(&input));
        for cycle in 1..=5 {
            assert!(!command.reasons.has(Reason::Stopping), "{places:?}");
            near(command.curvature, 0.06);
            command = safety.step(1_200_000 + cycle * 20_000, None);
        }
        assert!(command.reasons.has(Reason::Stopping), "{places:?}");
        command.curvature
    };
    near(stops(&[]), 0.06);
    near(stops(&[[12.0, -0.3]]), 0.06);
    near(stops(&[[10.9, 4.2]]), 0.06 - 0.4 * 0.02);
}
