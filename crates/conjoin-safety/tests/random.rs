//! Random sequences of inputs, good and bad: no limit is ever exceeded, and bad input is answered by a
//! stop within 100 ms. The lateral limit is checked at every step, with an input, without one and in a
//! stop: at the speed last told and what the commands have added to it since.

use conjoin_safety::{Detected, Input, Limits, Mode, Occlusion, Safety};

/// Steps of a sequence.
const STEPS: usize = 30;

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

/// The speed that was told last, and how it goes on from there under the commands since.
#[derive(Default)]
struct Speed {
    /// Time and acceleration of each command, microseconds and m/s^2, since the first.
    commands: Vec<(u64, f64)>,
    /// The speed, and when it was measured; none while that is not known.
    told: Option<(f64, u64)>,
}

impl Speed {
    fn at(&self, now: u64) -> Option<f64> {
        let (mut speed, mut from) = self.told?;
        let ends = self.commands.iter().skip(1).map(|command| command.0);
        for (&(begin, acceleration), end) in self.commands.iter().zip(ends.chain([now])) {
            // Before the first command nothing accelerates.
            from = from.max(begin);
            if end > from {
                speed = (speed + acceleration * (end - from) as f64 * 1e-6).max(0.0);
                from = end;
            }
        }
        Some(speed)
    }
}

/// Drives one sequence of steps and gives how many steps were stopping, and how many passed unchanged.
fn sequence(random: &mut Random, steps: usize) -> [u64; 4] {
    let limits = Limits::default();
    let mut safety = Safety::new(limits);
    let mut vehicle = Speed::default();
    let mut now = random.next() % 1_000_000;
    let mut last = (0.0, 0.0, now);
    let (mut stopping, mut unchanged) = (0, 0);
    // Steps without an input, and stopping, whose lateral acceleration was near to its limit.
    let (mut held_near, mut stopping_near) = (0, 0);
    let mut good = now;
    let mut speed = random.uniform(0.0, 30.0);
    // Half of the planners are reasonable; some of the others ask for all that there is, and fall silent.
    let calm = random.one_in(2);
    let eager = !calm && random.one_in(3);
    let side = if random.one_in(2) { 1.0 } else { -1.0 };
    if eager {
        speed = random.uniform(2.0, 12.0);
    }

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
        } else if eager {
            (limits.throttle, 0.3 * side)
        } else {
            (random.number(-6.0, 4.0), random.number(-0.3, 0.3))
        };
        let input = Input {
            time: now
                .saturating_sub(random.next() % if random.one_in(50) { 200_000 } else { 50_000 }),
            speed: random.number(speed, speed + 0.1),
            acceleration: asked,
            curvature: turn,
            detected: &detected[..if calm || eager {
                0
            } else {
                (random.next() % 3) as usize
            }],
            occlusions: &occlusions[..if eager {
                0
            } else {
                (random.next() % 2) as usize
            }],
        };
        let silent = eager && step > steps / 2;
        let given = !random.one_in(4) && !silent;
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
        // Of the time in a gap, or before the clock ran backward, the layer knows nothing.
        let steady = step == 0 || (last.2..=last.2 + limits.cycle).contains(&now);
        if restarted || !steady {
            vehicle.told = None;
            vehicle.commands.clear();
        }
        // The last curvature was kept until now, at the speed that there is now.
        let until = vehicle.at(now).map(|speed| speed * speed * last.1);
        if given && steady && !command.reasons.iter().any(is_fault) {
            vehicle.told = Some((input.speed.max(0.0), input.time));
        }
        let from = vehicle.at(now).map(|speed| speed * speed * curvature);
        for lateral in until.into_iter().chain(from) {
            assert!(
                lateral.abs() <= limits.lateral + 1e-9,
                "{lateral} m/s^2: {command:?} after {last:?}, told {:?}",
                vehicle.told
            );
        }
        let is_near = from.is_some_and(|lateral| lateral.abs() > 0.8 * limits.lateral);
        held_near += u64::from(is_near && !given);
        stopping_near += u64::from(is_near && command.mode != Mode::Driving);
        vehicle.commands.push((now, acceleration));
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
    [stopping, unchanged, held_near, stopping_near]
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
    let mut sum = [0; 4];
    for _ in 0..count {
        let found = sequence(&mut random, STEPS);
        sum = [0, 1, 2, 3].map(|i| sum[i] + found[i]);
    }
    let [stopping, unchanged, held_near, stopping_near] = sum;
    // All of it happens often, so that the assertions above have something to look at.
    let steps = count * STEPS as u64;
    println!(
        "{count} sequences: {stopping} of {steps} steps stopping, {unchanged} unchanged; near the \
         lateral limit {held_near} without an input and {stopping_near} stopping"
    );
    assert!(stopping > steps / 20, "{stopping} of {steps}");
    assert!(unchanged > steps / 50, "{unchanged} of {steps}");
    assert!(held_near > steps / 100, "{held_near} of {steps}");
    assert!(stopping_near > steps / 100, "{stopping_near} of {steps}");
}

#[test]
fn no_limit_is_exceeded_in_thirty_thousand_sequences() {
    let told = std::env::var("SEQUENCES")
        .ok()
        .and_then(|count| count.parse().ok());
    sequences(told.unwrap_or(30_000));
}

#[test]
#[ignore = "some minutes long"]
fn no_limit_is_exceeded_in_ten_million_sequences() {
    sequences(10_000_000);
}
