//! Random sequences of inputs, good and bad: no limit is ever exceeded, and bad input is answered by a
//! stop within 100 ms.

use conjoin_safety::{Detected, Input, Limits, Mode, Occlusion, Safety};

/// Marsaglia's xorshift64.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn uniform(&mut self, low: f64, high: f64) -> f64 {
        low + (high - low) * (self.next() >> 11) as f64 / (1_u64 << 53) as f64
    }

    fn one_in(&mut self, n: u64) -> bool {
        self.next().is_multiple_of(n)
    }

    /// A number of a range, now and then one that should never come.
    fn number(&mut self, low: f64, high: f64) -> f64 {
        if self.one_in(400) {
            let odd = [
                f64::NAN,
                f64::INFINITY,
                -1e300,
                1e300,
                f64::NEG_INFINITY,
                0.0,
                -0.0,
                1e-310,
            ];
            odd[(self.next() % 8) as usize]
        } else {
            self.uniform(low, high)
        }
    }
}

/// Drives one sequence of steps and gives how many steps were stopping, and how many passed unchanged.
fn sequence(random: &mut Random, steps: usize) -> (u64, u64) {
    let limits = Limits::default();
    let mut safety = Safety::new(limits);
    let mut now = random.next() % 1_000_000;
    let mut last = (0.0, 0.0, now);
    let (mut stopping, mut unchanged) = (0, 0);
    let mut good = now;
    let mut speed = random.uniform(0.0, 30.0);
    // Half of the planners are reasonable.
    let calm = random.one_in(2);

    for step in 0..steps {
        // The layer does not count the time before a restart.
        let restarted = random.one_in(300) && safety.restart();
        if step > 0 {
            now = match random.next() % 60 {
                0 => now.saturating_sub(random.next() % 100_000),
                1 => now + random.next() % 300_000,
                _ => now + random.next() % 20_001,
            };
        }
        speed = (speed + random.uniform(-0.3, 0.3)).clamp(0.0, 55.0);
        let detected = [0; 2].map(|_| Detected {
            position: [random.number(-60.0, 200.0), random.number(-30.0, 30.0)],
            velocity: [random.number(-20.0, 30.0), random.number(-10.0, 10.0)],
            radius: random.number(0.0, 3.0),
            heading: random.one_in(2).then(|| {
                let (sin, cos) = random.uniform(-3.2, 3.2).sin_cos();
                [random.number(cos, cos), sin]
            }),
        });
        let occlusions = [Occlusion {
            position: [random.number(-50.0, 200.0), random.number(-30.0, 30.0)],
            speed: random.number(0.0, 15.0),
        }];
        let (asked, turn) = if calm {
            (
                (last.0 + random.uniform(-0.001, 0.001)).clamp(-3.0, 1.5),
                last.1,
            )
        } else {
            (random.number(-6.0, 4.0), random.number(-0.3, 0.3))
        };
        let input = Input {
            time: now
                .saturating_sub(random.next() % if random.one_in(50) { 200_000 } else { 50_000 }),
            speed: random.number(speed, speed + 0.1),
            acceleration: asked,
            curvature: turn,
            detected: &detected[..if calm {
                0
            } else {
                (random.next() % 3) as usize
            }],
            occlusions: &occlusions[..(random.next() % 2) as usize],
        };
        let given = !random.one_in(4);
        let command = safety.step(now, given.then_some(&input));

        let (acceleration, curvature) = (command.acceleration, command.curvature);
        assert!(
            (limits.brake..=limits.throttle).contains(&acceleration),
            "{command:?}"
        );
        assert!(curvature.abs() <= limits.curvature, "{command:?}");
        let passed = if restarted {
            0
        } else {
            now.saturating_sub(last.2).min(limits.cycle)
        };
        let passed = passed as f64 * 1e-6;
        let change = (acceleration - last.0).abs();
        assert!(
            change <= limits.jerk * passed + 1e-12,
            "{command:?} after {last:?}"
        );
        let trusted =
            given && command.mode == Mode::Driving && !command.reasons.iter().any(is_fault);
        if trusted {
            let lateral = input.speed.max(0.0).powi(2) * curvature;
            assert!(
                lateral.abs() <= limits.lateral,
                "{command:?} at {}",
                input.speed
            );
        }
        let turned = (curvature - last.1).abs();
        let slack = limits.curvature_rate * passed + 1e-12;
        assert!(
            turned <= slack || curvature.abs() < last.1.abs(),
            "{command:?} after {last:?}"
        );
        match command.mode {
            Mode::Driving => {
                if trusted {
                    good = good.max(input.time);
                }
                assert!(now.saturating_sub(good) <= 100_000, "driving on old input");
                if command.reasons.is_empty() {
                    unchanged += 1;
                    if given {
                        assert_eq!(acceleration, input.acceleration);
                        assert_eq!(curvature, input.curvature);
                    }
                }
            }
            Mode::Stopping(_) => {
                stopping += 1;
                // Braking builds up as fast as the jerk limit lets it.
                let least = (last.0 - limits.jerk * passed).max(limits.brake);
                assert!(acceleration <= least + 1e-12, "{command:?} after {last:?}");
                assert!(!command.reasons.is_empty());
            }
        }
        last = (acceleration, curvature, now);
    }
    (stopping, unchanged)
}

fn is_fault(reason: conjoin_safety::Reason) -> bool {
    use conjoin_safety::Reason;
    [
        Reason::Missing,
        Reason::Stale,
        Reason::NotFinite,
        Reason::OutOfRange,
        Reason::Clock,
    ]
    .contains(&reason)
}

fn sequences(count: u64) {
    let mut random = Random(0x9E37_79B9_7F4A_7C15);
    let (mut stopping, mut unchanged) = (0, 0);
    for _ in 0..count {
        let found = sequence(&mut random, 20);
        stopping += found.0;
        unchanged += found.1;
    }
    // Both happen often, so that the assertions above have something to look at.
    let steps = count * 20;
    println!("{count} sequences: {stopping} of {steps} steps stopping, {unchanged} unchanged");
    assert!(stopping > steps / 20, "{stopping} of {steps}");
    assert!(unchanged > steps / 50, "{unchanged} of {steps}");
}

#[test]
fn no_limit_is_exceeded_in_thirty_thousand_sequences() {
    sequences(30_000);
}

#[test]
#[ignore = "some minutes long"]
fn no_limit_is_exceeded_in_ten_million_sequences() {
    sequences(10_000_000);
}
