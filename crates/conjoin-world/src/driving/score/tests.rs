//! Each sub-score on scenes made by hand, and the signals of comfort against SciPy.

use super::scenes::{driven, judge, moving, road, steady};
use super::*;
use crate::driving::map::MapBuilder;
use crate::driving::vehicle::Control;
use crate::geometry::{Pose, Tracer, Vec2};
use serde::Deserialize;
use std::f64::consts::FRAC_PI_2;

fn nobody() -> Vec<Vec<Body>> {
    vec![Vec::new(); FRAMES]
}

#[test]
fn alone_on_the_road_everything_is_right() {
    let found = judge(&road(), &steady(0.0, 10.0), &nobody());
    assert_eq!(found.pdms, 1.0, "{found:?}");
}

#[test]
fn who_drives_into_a_car_that_stands_is_at_fault() {
    let frames = moving(ActorKind::Vehicle, Pose::new(30.0, 0.0, 0.0), 0.0);
    let found = judge(&road(), &steady(0.0, 10.0), &frames);
    assert_eq!((found.nc, found.pdms), (0.0, 0.0));
    // With something that never moves it counts half.
    let frames = moving(ActorKind::Static, Pose::new(30.0, 0.0, 0.0), 0.0);
    assert_eq!(judge(&road(), &steady(0.0, 10.0), &frames).nc, 0.5);
}

#[test]
fn the_front_bumper_is_at_fault_and_the_rear_one_is_not() {
    let slower = moving(ActorKind::Vehicle, Pose::new(15.0, 0.0, 0.0), 4.0);
    assert_eq!(judge(&road(), &steady(0.0, 10.0), &slower).nc, 0.0);
    let faster = moving(ActorKind::Vehicle, Pose::new(-15.0, 0.0, 0.0), 16.0);
    assert_eq!(judge(&road(), &steady(0.0, 10.0), &faster).nc, 1.0);
}

#[test]
fn who_stands_is_hit_without_fault() {
    let crash = moving(
        ActorKind::Vehicle,
        Pose::new(20.0, 0.0, std::f64::consts::PI),
        8.0,
    );
    assert_eq!(judge(&road(), &steady(0.0, 0.0), &crash).nc, 1.0);
}

#[test]
fn a_lateral_collision_is_at_fault_only_between_lanes() {
    // From the right, into the side behind the bumper: the middle is at x = 1.4 + 5 t.
    let side = moving(ActorKind::Pedestrian, Pose::new(10.4, -3.6, FRAC_PI_2), 1.3);
    let inside = judge(&road(), &steady(0.0, 5.0), &side);
    assert_eq!(inside.nc, 1.0, "{inside:?}");
    // The same while straddling both lanes; the crosser starts as far from the side as before.
    let side = moving(
        ActorKind::Pedestrian,
        Pose::new(10.4, -5.35, FRAC_PI_2),
        1.3,
    );
    let between = judge(&road(), &steady(-1.75, 5.0), &side);
    assert_eq!(between.nc, 0.0, "{between:?}");
}

#[test]
fn what_touched_already_is_not_counted() {
    let frames = moving(ActorKind::Vehicle, Pose::new(4.0, 0.0, 0.0), 10.0);
    let found = judge(&road(), &steady(0.0, 10.0), &frames);
    assert_eq!((found.nc, found.ttc), (1.0, 1.0));
}

#[test]
fn one_corner_off_the_road_is_not_compliant() {
    // The road ends at y = 1.75, the ego is 1.9 wide.
    assert_eq!(judge(&road(), &steady(0.79, 5.0), &nobody()).dac, 1.0);
    let found = judge(&road(), &steady(0.81, 5.0), &nobody());
    assert_eq!((found.dac, found.pdms), (0.0, 0.0));
}

#[test]
fn progress_is_relative_to_the_best_proposal() {
    let map = road();
    let frames = nobody();
    let around = Surroundings {
        map: &map,
        route: &map.lanes[0].centre,
        frames: &frames,
    };
    let (fast, slow, off) = (steady(0.0, 10.0), steady(0.0, 4.0), steady(2.0, 12.0));
    let found = score(&[&fast, &slow, &off], &around);
    // 40 m and 16 m; the faster one off the road sets no standard.
    assert!((found[0].ep - 1.0).abs() < 1e-9);
    assert!((found[1].ep - 0.4).abs() < 1e-9);
    assert_eq!(found[2].ep, 0.0);
    assert!((found[1].pdms - (5.0 * 0.4 + 5.0 + 2.0) / 12.0).abs() < 1e-9);
    // Where nobody gets far, everybody without fault has made progress.
    let (crawl, stand) = (steady(0.0, 1.0), steady(0.0, 0.0));
    let found = score(&[&crawl, &stand], &around);
    assert_eq!((found[0].ep, found[1].ep), (1.0, 1.0));
}

#[test]
fn time_to_collision_looks_nine_tenths_of_a_second_ahead() {
    // Same speed: the gap of bumpers stays. 10 m/s for 0.9 s is 9 m, but the one ahead moves too.
    let same = moving(ActorKind::Vehicle, Pose::new(8.0, 0.0, 0.0), 10.0);
    assert_eq!(judge(&road(), &steady(0.0, 10.0), &same).ttc, 1.0);
    // 2 m/s faster than one 9.5 m ahead: 8 m nearer after 4 s, 9.8 m after 4.9 s.
    let start = 1.4 + 4.5 + 9.5;
    let slower = moving(ActorKind::Vehicle, Pose::new(start, 0.0, 0.0), 8.0);
    let found = judge(&road(), &steady(0.0, 10.0), &slower);
    assert_eq!((found.nc, found.ttc), (1.0, 0.0), "{found:?}");
    let further = moving(ActorKind::Vehicle, Pose::new(start + 0.5, 0.0, 0.0), 8.0);
    assert_eq!(judge(&road(), &steady(0.0, 10.0), &further).ttc, 1.0);
}

#[test]
fn comfort_has_bounds_in_every_direction() {
    let hard = |acceleration: f64, steering: f64| {
        comfort(&driven(0.0, 10.0, move |_| Control {
            acceleration,
            steering,
        }))
    };
    let gentle = driven(0.0, 8.0, |t| Control {
        acceleration: 0.15 * (t.min(10) as f64),
        steering: 0.0,
    });
    assert!(comfort(&gentle).all());
    assert!(!hard(2.9, 0.0).longitudinal_acceleration);
    assert!(!hard(-4.5, 0.0).longitudinal_acceleration);
    assert!(!hard(0.0, 0.3).lateral_acceleration);
    assert!(!hard(0.0, 0.6).yaw_rate);
    let stamp = comfort(&driven(0.0, 10.0, |t| Control {
        acceleration: if t == 20 { -7.0 } else { 1.0 },
        steering: 0.0,
    }));
    assert!(stamp.longitudinal_acceleration);
    let turn = comfort(&driven(0.0, 10.0, |t| Control {
        acceleration: 0.0,
        steering: if (t / 4).is_multiple_of(2) {
            0.12
        } else {
            -0.12
        },
    }));
    assert!(!turn.yaw_acceleration);
}

/// A truck that stands across the way, 9 m long, its middle here.
fn across(x: f64, y: f64) -> Vec<Vec<Body>> {
    let mut frames = moving(ActorKind::Vehicle, Pose::new(x, y, FRAC_PI_2), 0.0);
    for body in frames.iter_mut().flatten() {
        body.footprint.length = 9.0;
    }
    frames
}

#[test]
fn what_is_beside_counts_for_time_to_collision_only_where_the_ego_is_exposed() {
    // The ego brakes from 5 m/s and stands with its front at x = 5.7 m; at its present velocity it would
    // have met the truck, the middle of which is 33 degrees to the left: beside, not ahead.
    let brakes = |y: f64| {
        driven(y, 5.0, |_| Control {
            acceleration: -6.0,
            steering: 0.0,
        })
    };
    let ttc = |map: &RoadMap, y: f64, x: f64, aside: f64| {
        let found = judge(map, &brakes(y), &across(x, y + aside));
        assert_eq!(found.nc, 1.0, "{found:?}");
        found.ttc
    };
    let plain = road();
    assert_eq!(ttc(&plain, 0.0, 6.95, 4.5), 1.0);
    // In two lanes, and with a corner off the road.
    assert_eq!(ttc(&plain, -1.75, 6.95, 4.5), 0.0);
    assert_eq!(ttc(&plain, 0.9, 6.95, 4.5), 0.0);
    // In an intersection, and behind one.
    let crossing = |from: f64, to: f64| {
        let mut build = MapBuilder::new();
        let reference = Tracer::from(Pose::new(-50.0, 1.75, 0.0))
            .straight(300.0)
            .line();
        build.carriageway(&reference, 2, 3.5, 15.0);
        let ring = [(from, -6.0), (to, -6.0), (to, 6.0), (from, 6.0)];
        build.intersection(ring.map(|(x, y)| Vec2::new(x, y)).to_vec());
        build.finish()
    };
    assert_eq!(ttc(&crossing(-1.0, 20.0), 0.0, 6.95, 4.5), 0.0);
    assert_eq!(ttc(&crossing(-20.0, -1.0), 0.0, 6.95, 4.5), 1.0);
    // Ahead it counts wherever the ego is; whoever the ego would leave behind, nowhere.
    assert_eq!(ttc(&plain, 0.0, 6.95, 3.9), 0.0);
    let behind = moving(ActorKind::Vehicle, Pose::new(-3.2, -1.75, 0.0), 3.0);
    let found = judge(&plain, &steady(-1.75, 1.0), &behind);
    assert_eq!((found.nc, found.ttc), (1.0, 1.0), "{found:?}");
}

#[derive(Deserialize)]
struct Golden {
    longitudinal: Vec<f64>,
    lateral: Vec<f64>,
    heading: Vec<f64>,
    signals: Vec<Vec<f64>>,
}

#[test]
fn signals_are_those_of_scipy() {
    let text = include_str!("../../../tests/golden/comfort.json");
    let cases: Vec<Golden> = serde_json::from_str(text).unwrap();
    assert!(cases.len() >= 5);
    for case in cases {
        let found = comfort::signals(&case.longitudinal, &case.lateral, &case.heading);
        for (signal, wanted) in found.iter().zip(&case.signals) {
            assert_eq!(signal.len(), wanted.len());
            for (a, b) in signal.iter().zip(wanted) {
                assert!((a - b).abs() < 1e-8, "{a} {b}");
            }
        }
    }
}
