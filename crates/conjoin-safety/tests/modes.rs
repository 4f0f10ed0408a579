//! The state machine and the limits, with numbers worked out by hand.

use conjoin_safety::{Command, Detected, Input, Limits, Mode, Occlusion, Reason, Safety};

const CYCLE: u64 = 20_000;

fn plain(time: u64) -> Input<'static> {
    Input {
        time,
        speed: 10.0,
        acceleration: 0.0,
        curvature: 0.0,
        detected: &[],
        occlusions: &[],
    }
}

fn near(found: f64, expected: f64) {
    assert!(
        (found - expected).abs() < 1e-12,
        "found {found}, expected {expected}"
    );
}

fn reasons(command: &Command) -> Vec<Reason> {
    command.reasons.iter().collect()
}

/// Steps once a cycle with a changed plain input, `cycles` times from time 0, and gives the last.
fn drive(cycles: u64, change: impl Fn(&mut Input<'static>)) -> (Safety, Command) {
    let mut safety = Safety::new(Limits::default());
    let mut command = None;
    for i in 0..cycles {
        let mut input = plain(i * CYCLE);
        change(&mut input);
        command = Some(safety.step(i * CYCLE, Some(&input)));
    }
    (safety, command.unwrap())
}

#[test]
fn what_is_within_limits_passes() {
    let (_, command) = drive(30, |input| {
        input.acceleration = 1.0;
        input.curvature = 0.02;
    });
    assert_eq!(
        (command.acceleration, command.curvature, command.mode),
        (1.0, 0.02, Mode::Driving)
    );
    assert!(command.reasons.is_empty());
}

#[test]
fn limits_are_kept_and_named() {
    // 8 m/s^3 for 20 ms is 0.16 m/s^2; the first step has no time before it.
    let (_, command) = drive(1, |input| input.acceleration = 1.0);
    near(command.acceleration, 0.0);
    let (_, command) = drive(2, |input| input.acceleration = 1.0);
    near(command.acceleration, 0.16);
    assert_eq!(reasons(&command), [Reason::Jerk]);
    let (_, command) = drive(4, |input| input.acceleration = -1.0);
    near(command.acceleration, -0.48);
    let (_, command) = drive(60, |input| input.acceleration = 2.1);
    assert_eq!(
        (command.acceleration, reasons(&command)),
        (2.0, vec![Reason::Acceleration])
    );
    let (_, command) = drive(60, |input| input.acceleration = -3.6);
    assert_eq!(
        (command.acceleration, reasons(&command)),
        (-3.5, vec![Reason::Acceleration])
    );

    // 0.4 per second for 20 ms is 0.008.
    for sign in [1.0, -1.0] {
        let (_, command) = drive(3, |input| {
            input.speed = 1.0;
            input.curvature = 0.1 * sign;
        });
        near(command.curvature, 0.016 * sign);
        assert_eq!(reasons(&command), [Reason::CurvatureRate]);
        let (_, command) = drive(60, |input| {
            input.speed = 1.0;
            input.curvature = 0.25 * sign;
        });
        assert_eq!(command.curvature, 0.2 * sign);
        assert_eq!(reasons(&command), [Reason::Curvature]);
        // 3 m/s^2 at 10 m/s and what 100 ms of 2 m/s^2 add to it.
        let (_, command) = drive(60, |input| input.curvature = 0.1 * sign);
        near(command.curvature, sign * 3.0 / (10.2 * 10.2));
        assert!(command.reasons.has(Reason::Lateral));
        assert!(!command.reasons.has(Reason::Curvature));
    }
}

#[test]
fn an_input_is_held_until_it_is_stale() {
    let (mut safety, _) = drive(30, |input| input.acceleration = 1.0);
    let last = 29 * CYCLE;
    for i in 1..=4 {
        let command = safety.step(last + i * CYCLE, None);
        assert_eq!((command.acceleration, command.mode), (1.0, Mode::Driving));
    }
    let command = safety.step(last + 5 * CYCLE, None);
    assert_eq!(command.mode, Mode::Stopping(Reason::Stale));
    assert_eq!(
        reasons(&command),
        [Reason::Stale, Reason::Stopping, Reason::Jerk]
    );
    near(command.acceleration, 0.84);
    // The first fault is kept; a good input does not end the stop.
    let mut command = safety.step(last + 6 * CYCLE, Some(&plain(last + 6 * CYCLE)));
    assert_eq!(command.mode, Mode::Stopping(Reason::Stale));
    assert_eq!(reasons(&command), [Reason::Stopping, Reason::Jerk]);
    near(command.acceleration, 0.68);
    for i in 7..40 {
        command = safety.step(last + i * CYCLE, Some(&plain(0)));
    }
    assert_eq!(command.mode, Mode::Stopping(Reason::Stale));
    assert_eq!(command.acceleration, -3.5);
    // While braking, no hazard is named: nothing more could be done.
    assert_eq!(reasons(&command), [Reason::Stale, Reason::Stopping]);
}

#[test]
fn every_fault_begins_a_stop_at_once() {
    let good = plain(580_000);
    let stops = |now: u64, input: Option<Input>, reason: Reason| {
        let (mut safety, _) = drive(30, |_| {});
        let command = safety.step(now, input.as_ref());
        assert_eq!(command.mode, Mode::Stopping(reason));
        assert!(command.reasons.has(reason) && command.reasons.has(Reason::Stopping));
        command
    };
    let nan = Input {
        speed: f64::NAN,
        ..good
    };
    near(
        stops(600_000, Some(nan), Reason::NotFinite).acceleration,
        -0.16,
    );
    let fast = Input {
        speed: 61.0,
        ..good
    };
    stops(600_000, Some(fast), Reason::OutOfRange);
    stops(600_000, Some(plain(600_001)), Reason::Clock);
    stops(600_000, Some(plain(519_999)), Reason::Stale);
    // A step back in time counts as no time: nothing may change in it.
    near(
        stops(579_999, Some(plain(579_999)), Reason::Clock).acceleration,
        0.0,
    );
    // More than a cycle between calls; what passed beyond it is not used.
    near(
        stops(600_001, Some(good), Reason::Missing).acceleration,
        -0.16,
    );
    // A second call at the same time is none.
    let (mut safety, _) = drive(30, |_| {});
    let command = safety.step(580_000, Some(&good));
    assert_eq!(
        (command.mode, command.reasons.is_empty()),
        (Mode::Driving, true)
    );
    // The clock's fault goes before what is wrong with the input.
    let command = stops(600_001, Some(nan), Reason::Missing);
    assert!(!command.reasons.has(Reason::NotFinite));

    let mut safety = Safety::new(Limits::default());
    let command = safety.step(5, None);
    assert_eq!(command.mode, Mode::Stopping(Reason::Missing));
    // Nothing is known of the speed: the fastest is taken, and the wheel stays straight.
    assert_eq!(command.curvature, 0.0);
    near(safety.step(5 + CYCLE, None).acceleration, -0.16);
}

#[test]
fn a_fault_keeps_the_last_good_curvature_within_limits() {
    let (mut safety, command) = drive(30, |input| input.curvature = 0.02);
    assert_eq!(command.curvature, 0.02);
    let wrong = Input {
        speed: f64::NAN,
        curvature: -0.1,
        ..plain(600_000)
    };
    assert_eq!(safety.step(600_000, Some(&wrong)).curvature, 0.02);
}

#[test]
fn a_restart_needs_rest() {
    let (mut safety, _) = drive(30, |_| {});
    safety.step(600_000, Some(&plain(0)));
    assert!(!safety.restart());
    let command = safety.step(620_000, Some(&plain(620_000)));
    assert_eq!(command.mode, Mode::Stopping(Reason::Stale));
    let still = Input {
        speed: 0.1,
        ..plain(640_000)
    };
    safety.step(640_000, Some(&still));
    assert!(safety.restart());
    // Only a good input drives on, however long the pause was.
    let mut other = safety.clone();
    let command = safety.step(9_000_000, Some(&plain(9_000_000)));
    assert_eq!(command.mode, Mode::Driving);
    let command = other.step(9_000_000, None);
    assert_eq!(command.mode, Mode::Stopping(Reason::Missing));
    assert!(Safety::new(Limits::default()).restart());
}

/// Whether a thing seen makes the layer brake, at 10 m/s after half a second of driving straight.
fn brakes_for(detected: Detected, curvature: f64) -> bool {
    let (mut safety, before) = drive(30, |input| input.curvature = curvature);
    assert!(before.reasons.is_empty());
    let things = [detected];
    let input = Input {
        curvature,
        detected: &things,
        ..plain(600_000)
    };
    let command = safety.step(600_000, Some(&input));
    assert_eq!(command.mode, Mode::Driving);
    assert_eq!(
        command.acceleration < 0.0,
        command.reasons.has(Reason::Detected)
    );
    command.reasons.has(Reason::Detected)
}

#[test]
fn what_is_seen_is_not_hit() {
    let at = |x: f64, y: f64, along: f64, across: f64| Detected {
        position: [x, y],
        velocity: [along, across],
        radius: 1.0,
    };
    // At 10 m/s with acceleration 0: response 0.02 + 3.5 / 8 = 0.4575 s, 4.575 m; then 100 / 7 m.
    // With the front at 3.8 m, the radius of 1 m and the margin of 0.5 m:
    let reach = 4.575 + 100.0 / 7.0 + 3.8 + 1.0 + 0.5;
    assert!(brakes_for(at(reach - 0.001, 0.0, 0.0, 0.0), 0.0));
    assert!(!brakes_for(at(reach + 0.001, 0.0, 0.0, 0.0), 0.0));
    // One that drives away at 8 m/s stands 4 m further when it has braked.
    assert!(brakes_for(at(reach - 4.001, 0.0, 8.0, 0.0), 0.0));
    assert!(!brakes_for(at(reach - 3.999, 0.0, 8.0, 0.0), 0.0));
    // One that comes at 4 m/s comes for the time to stand: 0.4575 + 10 / 3.5 s.
    let comes = 4.0 * (0.4575 + 10.0 / 3.5);
    assert!(brakes_for(at(reach + comes - 0.001, 0.0, -4.0, 0.0), 0.0));
    assert!(!brakes_for(at(reach + comes + 0.001, 0.0, -4.0, 0.0), 0.0));
    // Beside the way: half width, margin and radius are 2.5 m, and 0.5 m may be moved in a second.
    for side in [1.0, -1.0] {
        assert!(brakes_for(at(12.0, 2.999 * side, 0.0, 0.0), 0.0));
        assert!(!brakes_for(at(12.0, 3.001 * side, 0.0, 0.0), 0.0));
        // Moving in at 2 m/s adds 2 m, moving out subtracts nothing.
        assert!(brakes_for(at(12.0, 4.999 * side, 0.0, -2.0 * side), 0.0));
        assert!(!brakes_for(at(12.0, 5.001 * side, 0.0, -2.0 * side), 0.0));
        assert!(brakes_for(at(12.0, 2.999 * side, 0.0, 2.0 * side), 0.0));
        assert!(!brakes_for(at(12.0, 3.001 * side, 0.0, 2.0 * side), 0.0));
        // On an arc of curvature 0.02 the way at 15 m is 2.25 m to its side.
        assert!(brakes_for(at(15.0, 5.249 * side, 0.0, 0.0), 0.02 * side));
        assert!(!brakes_for(at(15.0, 5.251 * side, 0.0, 0.0), 0.02 * side));
        assert!(!brakes_for(at(15.0, -0.751 * side, 0.0, 0.0), 0.02 * side));
        assert!(brakes_for(at(15.0, -0.749 * side, 0.0, 0.0), 0.02 * side));
    }
    // Beside the origin and behind it, braking helps nothing.
    assert!(brakes_for(at(0.001, 0.0, 0.0, 0.0), 0.0));
    assert!(!brakes_for(at(0.0, 0.0, 0.0, 0.0), 0.0));
    assert!(!brakes_for(at(-1.0, 0.0, 0.0, 0.0), 0.0));
}

#[test]
fn the_horizon_ends_where_the_vehicle_stands() {
    // At rest and asked to accelerate by 0.8 m/s^2 at most within a step from -3.5: with full
    // braking on, the response is 0.02 + 0.16 / 8 = 0.04 s, and nothing moves in it.
    let thing = [Detected {
        position: [5.0, 0.0],
        velocity: [0.0, 0.0],
        radius: 1.0,
    }];
    let step = |acceleration: f64, detected: &[Detected]| {
        let mut safety = Safety::new(Limits::default());
        let input = Input {
            speed: 0.0,
            acceleration,
            detected,
            ..plain(0)
        };
        safety.step(0, Some(&input)).reasons.has(Reason::Detected)
    };
    // Standing before something is no hazard, driving off towards it is.
    assert!(!step(0.0, &thing));
    assert!(!step(-1.0, &thing));
    assert!(step(0.5, &thing));
    // Response 0.02 + 5.5 / 8 = 0.7075 s at 2 m/s^2: speed 1.415 m/s, 0.5 * 1.415 * 0.7075 +
    // 1.415^2 / 7 = 0.78659... m; time 0.7075 + 1.415 / 3.5 = 1.1118 s, beyond the horizon of 1 s.
    let reach = 0.5 * 1.415 * 0.7075 + 1.415 * 1.415 / 7.0 + 3.8 + 1.0 + 0.5;
    let at = |x: f64, y: f64| {
        [Detected {
            position: [x, y],
            velocity: [0.0, 0.0],
            radius: 1.0,
        }]
    };
    assert!(step(2.0, &at(reach - 0.001, 0.0)));
    assert!(!step(2.0, &at(reach + 0.001, 0.0)));
    assert!(step(9.0, &at(reach - 0.001, 0.0)));
    assert!(!step(9.0, &at(reach + 0.001, 0.0)));
    // At 0.5 m/s^2: response 0.52 s, 0.26 m/s, time 0.52 + 0.26 / 3.5 s.
    let time: f64 = 0.52 + 0.26 / 3.5;
    let sideways = 2.5 + 0.5 * time * time;
    assert!(step(0.5, &at(4.0, sideways - 0.001)));
    assert!(!step(0.5, &at(4.0, sideways + 0.001)));
}

#[test]
fn braking_cannot_be_counted_on_before_the_jerk_limit_allows_it() {
    // Accelerating by 1 m/s^2 and asked to brake: the next step still has 1 - 0.16.
    let reach = |acceleration: f64| {
        let response: f64 = 0.02 + (acceleration + 3.5) / 8.0;
        let gain = acceleration.max(0.0) * response;
        10.0 * response + 0.5 * gain * response + (10.0 + gain).powi(2) / 7.0 + 5.3
    };
    let brakes = |x: f64, asked: f64| {
        let (mut safety, _) = drive(30, |input| input.acceleration = 1.0);
        let things = [Detected {
            position: [x, 0.0],
            velocity: [0.0, 0.0],
            radius: 1.0,
        }];
        let input = Input {
            acceleration: asked,
            detected: &things,
            ..plain(600_000)
        };
        safety
            .step(600_000, Some(&input))
            .reasons
            .has(Reason::Detected)
    };
    assert!(brakes(reach(0.84) - 0.001, -3.5));
    assert!(!brakes(reach(0.84) + 0.001, -3.5));
    assert!(brakes(reach(1.5) - 0.001, 1.5));
    assert!(!brakes(reach(1.5) + 0.001, 1.5));
}

#[test]
fn what_may_be_hidden_is_not_hit() {
    let brakes = |x: f64, y: f64, speed: f64| {
        let (mut safety, _) = drive(30, |_| {});
        let edges = [Occlusion {
            position: [x, y],
            speed,
        }];
        let input = Input {
            occlusions: &edges,
            ..plain(600_000)
        };
        let command = safety.step(600_000, Some(&input));
        assert_eq!(
            command.acceleration < 0.0,
            command.reasons.has(Reason::Hidden)
        );
        assert!(!command.reasons.has(Reason::Detected));
        command.reasons.has(Reason::Hidden)
    };
    let reach = 4.575 + 100.0 / 7.0 + 3.8 + 0.5;
    // An edge in the way, of which nothing need come: the end of sight.
    assert!(brakes(reach - 0.001, 0.0, 0.0));
    assert!(!brakes(reach + 0.001, 0.0, 0.0));
    for side in [1.0, -1.0] {
        // At x = 11 the rear has passed after 12 m, 1.2 s; a walker of 2 m/s covers 2.4 m.
        assert!(brakes(11.0, (1.5 + 2.399) * side, 2.0));
        assert!(!brakes(11.0, (1.5 + 2.401) * side, 2.0));
        // What stands beside the way stays there.
        assert!(!brakes(11.0, 1.501 * side, 0.0));
        assert!(brakes(11.0, 1.499 * side, 0.0));
    }
    assert!(brakes(0.001, 0.0, 2.0));
    assert!(!brakes(0.0, 0.0, 2.0));

    // At rest, with brakes on, there is no hazard; driving off towards an edge is one.
    let step = |acceleration: f64| {
        let edges = [Occlusion {
            position: [3.9, 0.0],
            speed: 2.0,
        }];
        let input = Input {
            speed: 0.0,
            acceleration,
            occlusions: &edges,
            ..plain(0)
        };
        let mut safety = Safety::new(Limits::default());
        safety.step(0, Some(&input)).reasons.has(Reason::Hidden)
    };
    assert!(!step(0.0));
    assert!(step(1.0));
}

#[test]
fn a_hazard_holds_as_long_as_its_input() {
    let (mut safety, _) = drive(30, |_| {});
    let things = [Detected {
        position: [10.0, 0.0],
        velocity: [0.0, 0.0],
        radius: 1.0,
    }];
    let input = Input {
        detected: &things,
        ..plain(600_000)
    };
    safety.step(600_000, Some(&input));
    let command = safety.step(620_000, None);
    assert!(command.reasons.has(Reason::Detected));
    near(command.acceleration, -0.32);
    let command = safety.step(640_000, Some(&plain(640_000)));
    assert!(!command.reasons.has(Reason::Detected));
    near(command.acceleration, -0.16);
    // Of a backward creep only the standing still is used.
    let creeping = Input {
        speed: -0.4,
        acceleration: 0.0,
        detected: &things,
        ..plain(660_000)
    };
    let command = safety.step(660_000, Some(&creeping));
    assert!(command.reasons.is_empty(), "{command:?}");
}
