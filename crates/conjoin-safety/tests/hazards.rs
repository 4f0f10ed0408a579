//! What is seen and what may be hidden, with numbers worked out by hand.

mod support;

use conjoin_safety::{Command, Detected, Input, Limits, Mode, Occlusion, Reason, Safety};
use support::{drive, near, plain};

/// What is kept by a vehicle that comes to this speed, m.
fn margin(fastest: f64) -> f64 {
    0.1 + 0.4 * (fastest / 2.0).min(1.0)
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
        heading: None,
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
    }
    // What is beside the vehicle or behind it is not met by driving on; inside of it, it is met already.
    assert!(!brakes_for(at(2.0, 1.5, 0.0, 0.0), 0.0));
    assert!(!brakes_for(at(-1.0, 0.0, 0.0, 0.0), 0.0));
    assert!(brakes_for(at(0.001, 0.0, 0.0, 0.0), 0.0));
}

#[test]
fn wheels_roll_along_their_heading() {
    let at = |y: f64, heading: [f64; 2], along: f64| Detected {
        position: [12.0, y],
        velocity: [along * heading[0], along * heading[1]],
        radius: 1.0,
        heading: Some(heading),
    };
    // Where something without wheels could be 0.5 m further in, a standing car that points along the
    // way has gone 0.5 m ahead by then, and steered by 0.2 * 0.5^2 / 2 m.
    for side in [1.0, -1.0] {
        let boundary = |reach: f64, heading: [f64; 2], along: f64| {
            assert!(brakes_for(at((2.499 + reach) * side, heading, along), 0.0));
            assert!(!brakes_for(at((2.501 + reach) * side, heading, along), 0.0));
        };
        boundary(0.025, [1.0, 0.0], 0.0);
        boundary(0.025, [-1.0, 0.0], 0.0);
        boundary(0.025 + 0.3, [0.8, 0.6], 0.0);
        boundary(0.5, [0.0, 1.0], 0.0);
        // At 0.5 m/s it goes 1 m, backwards too; at 2 m/s it can steer by more than anybody moves.
        boundary(0.1, [1.0, 0.0], 0.5);
        boundary(0.1, [1.0, 0.0], -0.5);
        boundary(0.5, [1.0, 0.0], 2.0);
    }
}

#[test]
fn the_horizon_ends_where_the_vehicle_stands() {
    // At rest and asked to accelerate by 0.8 m/s^2 at most within a step from -3.5: with full
    // braking on, the response is 0.02 + 0.16 / 8 = 0.04 s, and nothing moves in it.
    let thing = [Detected {
        position: [5.0, 0.0],
        velocity: [0.0, 0.0],
        radius: 1.0,
        heading: None,
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
    let reach = 0.5 * 1.415 * 0.7075 + 1.415 * 1.415 / 7.0 + 3.8 + 1.0 + margin(1.415);
    let at = |x: f64, y: f64| {
        [Detected {
            position: [x, y],
            velocity: [0.0, 0.0],
            radius: 1.0,
            heading: None,
        }]
    };
    assert!(step(2.0, &at(reach - 0.001, 0.0)));
    assert!(!step(2.0, &at(reach + 0.001, 0.0)));
    assert!(step(9.0, &at(reach - 0.001, 0.0)));
    assert!(!step(9.0, &at(reach + 0.001, 0.0)));
    // At 0.5 m/s^2: response 0.52 s, 0.26 m/s, time 0.52 + 0.26 / 3.5 s.
    let time: f64 = 0.52 + 0.26 / 3.5;
    let rolled: f64 = 0.5 * 0.26 * 0.52 + 0.26 * 0.26 / 7.0;
    // The corner comes to 0.2 m less that way before a thing at 4 m.
    let beside = ((1.0 + margin(0.26)).powi(2) - (0.2 - rolled).powi(2)).sqrt();
    let sideways = 1.0 + beside + 0.5 * time * time;
    assert!(step(0.5, &at(4.0, sideways - 0.001)));
    assert!(!step(0.5, &at(4.0, sideways + 0.001)));
}

/// What the layer ends at when it is asked for the same for a second, with a thing straight ahead.
fn settled(speed: f64, asked: f64, ahead: f64) -> Command {
    let (mut safety, mut command) = drive(30, |input| input.speed = speed);
    let things = [Detected {
        position: [ahead, 0.0],
        velocity: [0.0, 0.0],
        radius: 1.0,
        heading: None,
    }];
    for time in (30..80).map(|step| step * 20_000) {
        let input = Input {
            speed,
            acceleration: asked,
            detected: &things,
            ..plain(time)
        };
        command = safety.step(time, Some(&input));
    }
    command
}

#[test]
fn as_much_throttle_as_is_safe_is_let_through() {
    // Asked for from rest, the way until it stands again, and the margin at its greatest speed: the response is
    // 0.02 + (a + 3.5) / 8 s.
    let way = |acceleration: f64| {
        let response = 0.02 + (acceleration + 3.5) / 8.0;
        let gain = acceleration * response;
        0.5 * gain * response + gain * gain / 7.0 + margin(gain)
    };
    // What the layer ends at, a car's radius before a thing with a way of this length to it.
    let settles = |asked: f64, free: f64| {
        let last = settled(0.0, asked, free + 3.8 + 1.0);
        assert_eq!(last.mode, Mode::Driving);
        (last.acceleration, last.reasons.has(Reason::Detected))
    };
    let cases = [
        (1.6, 1.6 + 0.001, 1.6, false),
        (1.6, 1.6 - 0.001, 0.8, true),
        (1.6, 0.8 + 0.001, 0.8, true),
        (1.6, 0.8 - 0.001, 0.4, true),
        (1.6, 0.4 + 0.001, 0.4, true),
        (1.6, 0.4 - 0.001, 0.2, true),
        (1.6, 0.2 + 0.001, 0.2, true),
        (1.6, 0.2 - 0.001, -3.5, true),
        // Shares are of what the layer would pass on.
        (9.0, 1.0 + 0.001, 1.0, true),
        (9.0, 1.0 - 0.001, 0.5, true),
    ];
    for (asked, free, acceleration, hazard) in cases {
        let found = settles(asked, way(free));
        near(found.0, acceleration);
        assert_eq!(found.1, hazard, "asked for {asked}, free for {free}");
    }
}

#[test]
fn nothing_but_throttle_is_made_gentler() {
    // Half of the braking asked for would be less of it: before a hazard it is all that there is.
    for asked in [-1.0, 0.0] {
        near(settled(10.0, asked, 20.0).acceleration, -3.5);
    }
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
            heading: None,
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
    assert!(!brakes(-1.0, 0.0, 2.0));
    assert!(!brakes(-1.5, 1.2, 9.0));
    assert!(!brakes(-1.5, 1.7, 9.0));

    // At 1 m/s the rear would have passed x = 4 after 5 s, but the vehicle stands after 0.4575 + 1 / 3.5 s: by
    // then a walker of 2 m/s has covered 1.486 m. Who is slow may drive past a van.
    let slow = |y: f64| {
        let (mut safety, _) = drive(30, |input| input.speed = 1.0);
        let edges = [Occlusion {
            position: [4.0, y],
            speed: 2.0,
        }];
        let input = Input {
            speed: 1.0,
            occlusions: &edges,
            ..plain(600_000)
        };
        safety
            .step(600_000, Some(&input))
            .reasons
            .has(Reason::Hidden)
    };
    // The corner of the vehicle comes beside the point.
    let time: f64 = 0.4575 + 1.0 / 3.5;
    for side in [1.0, -1.0] {
        assert!(slow((1.0 + margin(1.0) + 2.0 * time - 0.001) * side));
        assert!(!slow((1.0 + margin(1.0) + 2.0 * time + 0.001) * side));
    }

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
        heading: None,
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
