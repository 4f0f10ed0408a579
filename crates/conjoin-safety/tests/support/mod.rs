//! A layer that has been driving for a while.

use conjoin_safety::{Command, Input, Limits, Safety};

pub const CYCLE: u64 = 20_000;

pub fn plain(time: u64) -> Input<'static> {
    Input {
        time,
        speed: 10.0,
        acceleration: 0.0,
        curvature: 0.0,
        detected: &[],
        occlusions: &[],
    }
}

pub fn near(found: f64, expected: f64) {
    assert!(
        (found - expected).abs() < 1e-12,
        "found {found}, expected {expected}"
    );
}

/// Steps once a cycle with a changed plain input, `cycles` times from time 0, and gives the last.
pub fn drive(cycles: u64, change: impl Fn(&mut Input<'static>)) -> (Safety, Command) {
    let mut safety = Safety::new(Limits::default());
    let mut command = None;
    for i in 0..cycles {
        let mut input = plain(i * CYCLE);
        change(&mut input);
        command = Some(safety.step(i * CYCLE, Some(&input)));
    }
    (safety, command.unwrap())
}
