//! The safety layer: plain code between a planner and a vehicle, with no learned part and inputs of its
//! own. It passes a command on, bounded by the limits, if the vehicle can stop after it on one of two ways: along the
//! arc of the command, or turning the wheel back. Where neither is free, it lets through as much of the throttle as
//! leaves one, or brakes on the one that braking leaves; and it brings the vehicle to a stop when its inputs cannot
//! be trusted.
//!
//! | mode | entered when | acceleration | left when |
//! | --- | --- | --- | --- |
//! | [`Mode::Driving`] | the layer is made, or [`Safety::restart`] | as asked; before a hazard less, or braking | a fault |
//! | [`Mode::Stopping`] | any fault | braking | never by itself |
//!
//! Call [`Safety::step`] at least once a cycle ([`Limits::cycle`]), with a new input when there is one.
//! Between inputs the newest is held until it is stale; with the default limits a minimal-risk stop
//! begins within 100 ms of the last good input. The layer stays in that mode, standing or not, until
//! it is restarted. Whatever the inputs, the command that leaves keeps every limit; that of the lateral
//! acceleration holds at the speed told last and what the commands since can have added to it.

#![no_std]
#![forbid(unsafe_code)]

mod hazard;
mod input;
mod limits;
mod reason;

use hazard::Motion;
pub use input::{Detected, Input, Occlusion};
pub use limits::Limits;
pub use reason::{Reason, Reasons};

/// Shares of the throttle that are tried where all of it could end in a collision. Without them a vehicle that stands
/// behind another at a distance from which nobody may accelerate fully never leaves.
const GENTLER: [f64; 3] = [0.5, 0.25, 0.125];

/// What the layer is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Passing commands on.
    Driving,
    /// In a minimal-risk stop, for this first fault.
    Stopping(Reason),
}

/// What the vehicle is to do.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Command {
    /// m/s^2.
    pub acceleration: f64,
    /// 1/m, positive to the left.
    pub curvature: f64,
    /// The mode after this step.
    pub mode: Mode,
    /// Why the command differs from what was asked for; empty if it does not.
    pub reasons: Reasons,
}

/// The newest good input, less what is around.
#[derive(Clone, Copy, Debug)]
struct Held {
    time: u64,
    speed: f64,
    /// As much of what was asked for as is no hazard.
    acceleration: f64,
    curvature: f64,
    /// The curvature of the way on which a stop is free.
    stop: f64,
}

/// The state of the layer.
#[derive(Clone, Debug)]
pub struct Safety {
    limits: Limits,
    mode: Mode,
    /// When the last step was, if there was one.
    stepped: Option<u64>,
    held: Option<Held>,
    /// What left last.
    acceleration: f64,
    curvature: f64,
    /// The hazards found with the newest input; they hold as long as it.
    hazard: Option<Reason>,
}

impl Safety {
    /// A layer at rest, that has seen nothing yet.
    pub fn new(limits: Limits) -> Self {
        Self {
            limits,
            mode: Mode::Driving,
            stepped: None,
            held: None,
            acceleration: 0.0,
            curvature: 0.0,
            hazard: None,
        }
    }

    /// Back to driving, by the decision of whoever supervises: only at rest, and with a next input that
    /// is good. Says whether it was granted.
    pub fn restart(&mut self) -> bool {
        let rests = self.held.is_none_or(|held| held.speed <= 0.1);
        if rests {
            self.mode = Mode::Driving;
            self.stepped = None;
            self.held = None;
        }
        rests
    }

    /// One cycle at a time in microseconds, with a new input or with none since the last cycle.
    pub fn step(&mut self, now: u64, input: Option<&Input>) -> Command {
        let mut reasons = Reasons::default();
        // After a gap, or a step back, of the clock nothing is known of the time between.
        let since = now.saturating_sub(self.stepped.unwrap_or(now));
        let passed = since.min(self.limits.cycle) as f64 * 1e-6;
        let mut fault = match self.stepped {
            Some(before) if now < before => Some(Reason::Clock),
            Some(_) if since > self.limits.cycle => Some(Reason::Missing),
            _ => None,
        };
        self.stepped = Some(now);
        match input {
            Some(input) => match input.fault(now, &self.limits) {
                None => self.hold(input),
                found => fault = fault.or(found),
            },
            None => fault = fault.or(self.age(now)),
        }
        if let Some(reason) = fault {
            reasons.insert(reason);
            if self.mode == Mode::Driving {
                self.mode = Mode::Stopping(reason);
            }
        }
        if self.mode != Mode::Driving {
            reasons.insert(Reason::Stopping);
        } else if let Some(reason) = self.hazard {
            reasons.insert(reason);
        }
        // Without a fault something is held; with one the last good numbers serve.
        let held = self.held.unwrap_or(Held {
            time: now,
            speed: self.limits.speed,
            acceleration: self.limits.brake,
            curvature: 0.0,
            stop: 0.0,
        });
        let wanted = match self.mode {
            Mode::Driving => held.acceleration,
            Mode::Stopping(_) => self.limits.brake,
        };
        let acceleration = self.accelerate(wanted, passed, &mut reasons);
        let curvature = self.steer(&held, passed, &mut reasons);
        (self.acceleration, self.curvature) = (acceleration, curvature);
        Command {
            acceleration,
            curvature,
            mode: self.mode,
            reasons,
        }
    }

    /// Why there is nothing good to act on when no input came, if so.
    fn age(&self, now: u64) -> Option<Reason> {
        match self.held {
            None => Some(Reason::Missing),
            Some(held) if now.saturating_sub(held.time) > self.limits.age => Some(Reason::Stale),
            Some(_) => None,
        }
    }

    /// Keeps a good input, and finds its hazards.
    fn hold(&mut self, input: &Input) {
        let limits = &self.limits;
        self.hazard = self.hazard(input, input.acceleration);
        let (mut acceleration, mut curvature) = (input.acceleration, input.curvature);
        if self.hazard.is_some() {
            let full = input.acceleration.min(limits.throttle);
            // Less of a braking that does not suffice is none.
            let free =
                |asked: &f64| asked.is_sign_positive() && self.hazard(input, *asked).is_none();
            let mut gentler = GENTLER.iter().map(|share| share * full);
            if let Some(gentle) = gentler.find(free) {
                acceleration = gentle;
            } else {
                acceleration = limits.brake;
                curvature = self.stop(input, acceleration);
            }
        }
        self.held = Some(Held {
            time: input.time,
            speed: input.speed.max(0.0),
            acceleration,
            curvature,
            stop: self.stop(input, acceleration),
        });
    }

    /// The curvature of the way on which the vehicle can stop after this acceleration: that of the input, or 0 where
    /// only turning the wheel back is free. Where neither is, whoever asked may know why.
    fn stop(&self, input: &Input, acceleration: f64) -> f64 {
        let motion = self.motion(input, acceleration);
        let back = motion.straightened(&self.limits);
        if self.meets(input, &motion).is_some() && self.meets(input, &back).is_none() {
            0.0
        } else {
            input.curvature
        }
    }

    /// What could be hit if this acceleration were followed and the vehicle then braked, whether it kept the
    /// curvature of the input or turned the wheel back.
    fn hazard(&self, input: &Input, asked: f64) -> Option<Reason> {
        let motion = self.motion(input, asked);
        let found = self.meets(input, &motion)?;
        let straightened = motion.straightened(&self.limits);
        self.meets(input, &straightened).and(Some(found))
    }

    /// How the vehicle would move.
    fn motion(&self, input: &Input, asked: f64) -> Motion {
        let limits = &self.limits;
        // The worst that may leave this step: what is asked for, or what the jerk limit still lets on.
        let slowest = self.acceleration - limits.jerk * limits.cycle as f64 * 1e-6;
        let acceleration = asked.max(slowest).clamp(limits.brake, limits.throttle);
        let curvature = input.curvature.clamp(-limits.curvature, limits.curvature);
        Motion::new(input.speed.max(0.0), acceleration, curvature, limits)
    }

    /// What a motion could hit.
    fn meets(&self, input: &Input, motion: &Motion) -> Option<Reason> {
        let limits = &self.limits;
        let mut seen = input.detected.iter();
        let mut edges = input.occlusions.iter();
        if seen.any(|thing| motion.meets(thing, limits)) {
            Some(Reason::Detected)
        } else if edges.any(|edge| motion.meets_hidden(edge, limits)) {
            Some(Reason::Hidden)
        } else {
            None
        }
    }

    fn accelerate(&self, wanted: f64, passed: f64, reasons: &mut Reasons) -> f64 {
        let limits = &self.limits;
        let allowed = wanted.clamp(limits.brake, limits.throttle);
        if allowed != wanted {
            reasons.insert(Reason::Acceleration);
        }
        let step = limits.jerk * passed;
        let smooth = allowed.clamp(self.acceleration - step, self.acceleration + step);
        if smooth != allowed {
            reasons.insert(Reason::Jerk);
        }
        smooth
    }

    fn steer(&self, held: &Held, passed: f64, reasons: &mut Reasons) -> f64 {
        let limits = &self.limits;
        let wanted = match self.mode {
            Mode::Driving => held.curvature,
            Mode::Stopping(_) => held.stop,
        };
        let allowed = wanted.clamp(-limits.curvature, limits.curvature);
        if allowed != wanted {
            reasons.insert(Reason::Curvature);
        }
        let step = limits.curvature_rate * passed;
        let smooth = allowed.clamp(self.curvature - step, self.curvature + step);
        if smooth != allowed {
            reasons.insert(Reason::CurvatureRate);
        }
        // The speed that may be reached: while the input is held, and then until a stop, which the jerk
        // limit slows down, no longer accelerates.
        let fastest = held.speed
            + limits.throttle * (limits.age + limits.cycle) as f64 * 1e-6
            + limits.throttle * limits.throttle / (2.0 * limits.jerk);
        let most = limits.lateral / (fastest * fastest);
        let safe = smooth.clamp(-most, most);
        if safe != smooth {
            reasons.insert(Reason::Lateral);
        }
        safe
    }
}
