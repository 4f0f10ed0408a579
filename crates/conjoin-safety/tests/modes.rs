//! The state machine and the limits, with numbers worked out by hand.

mod support;

use conjoin_safety::{Command, Input, Limits, Mode, Reason, Safety};
use support::{CYCLE, drive, near, plain};

fn reasons(command: &Command) -> Vec<Reason> {
    command.reasons.iter().collect()
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
        // 3 m/s^2 at 10 m/s and what 100 ms of 2 m/s^2 add to it, and 0.25 s until that is taken back.
        let (_, command) = drive(60, |input| input.curvature = 0.1 * sign);
        near(command.curvature, sign * 3.0 / (10.45 * 10.45));
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
