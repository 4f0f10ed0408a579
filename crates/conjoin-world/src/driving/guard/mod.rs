//! The safety layer in the loop: between whoever drives and the vehicle, with inputs of its own.
//!
//! The layer is called five times a step of 0.1 s, as on a vehicle: once with a new input, then with
//! none. What leaves over the step is averaged. In this world inputs are always as new as the step; where
//! somebody else's world tells them they may be old, come late, or fail to come ([`Guard::step`]).

mod around;
mod scan;

pub use around::{Around, ROW, footprint};
pub use scan::scan;

use super::drive::Driver;
use super::vehicle::{Control, EgoState, LENGTH, MAX_STEERING, REAR_TO_CENTRE, WHEELBASE, WIDTH};
use super::world::World;
use conjoin_safety::{Input, Limits, Mode, Reason, Reasons, Safety};
use serde::{Deserialize, Serialize};

/// Cycles of the layer a step, and microseconds a cycle.
const CYCLES: u64 = 5;
const CYCLE: u64 = 20_000;
/// When a drive begins, microseconds: late enough that inputs can be older.
const BEGIN: u64 = 1 << 50;

/// Options of the safety layer in the loop.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct GuardConfig {
    /// Whether controls are filtered; otherwise they are passed on, and what the layer would have done
    /// is counted all the same.
    pub on: bool,
    /// Speed of what may come out from behind an edge, m/s; 0 looks only at what stands and is seen.
    pub hidden_speed: f64,
    /// The score, or the probability, from which predicted agents and occupied cells count.
    pub threshold: f32,
}

impl Default for GuardConfig {
    fn default() -> Self {
        Self {
            on: true,
            hidden_speed: 0.5,
            threshold: 0.5,
        }
    }
}

/// The layer's own limits (acceleration from -3.5 to 2.0 m/s², lateral 3.0 m/s²), with what this world's vehicle
/// is like.
pub fn limits() -> Limits {
    Limits {
        curvature: MAX_STEERING.tan() / WHEELBASE,
        curvature_rate: 0.5,
        front: REAR_TO_CENTRE + LENGTH / 2.0,
        rear: LENGTH / 2.0 - REAR_TO_CENTRE,
        half_width: WIDTH / 2.0,
        margin: 0.3,
        age: (CYCLES - 1) * CYCLE,
        cycle: CYCLE,
        ..Limits::default()
    }
}

/// What the layer did, or would have done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Interventions {
    /// Steps that were looked at.
    pub steps: u64,
    /// Steps with braking before something seen, and before what may be hidden or stands.
    pub detected: u64,
    pub hidden: u64,
    /// Steps of minimal-risk stops.
    pub stopping: u64,
    /// Steps on which only the bounds of the vehicle changed the command.
    pub bounded: u64,
    /// How often the layer took over from a step without braking.
    pub times: u64,
}

impl Interventions {
    /// Steps on which the layer braked in the driver's place.
    pub fn braking(&self) -> u64 {
        self.detected + self.hidden + self.stopping
    }

    /// The share of steps on which it did, 0 to 1.
    pub fn share(&self) -> f64 {
        self.braking() as f64 / self.steps.max(1) as f64
    }

    /// Both together.
    pub fn and(self, other: Self) -> Self {
        Self {
            steps: self.steps + other.steps,
            detected: self.detected + other.detected,
            hidden: self.hidden + other.hidden,
            stopping: self.stopping + other.stopping,
            bounded: self.bounded + other.bounded,
            times: self.times + other.times,
        }
    }

    fn count(&mut self, reasons: [Reasons; CYCLES as usize]) -> bool {
        let has = |reason| reasons.iter().any(|found| found.has(reason));
        self.steps += 1;
        let cause = if has(Reason::Stopping) {
            &mut self.stopping
        } else if has(Reason::Detected) {
            &mut self.detected
        } else if has(Reason::Hidden) {
            &mut self.hidden
        } else {
            self.bounded += u64::from(reasons.iter().any(|found| !found.is_empty()));
            return false;
        };
        *cause += 1;
        true
    }
}

/// What the layer is told at a step.
#[derive(Debug, Clone, Copy)]
pub struct Told<'a> {
    pub ego: &'a EgoState,
    pub around: &'a Around,
    /// What whoever drives asks for.
    pub asked: Control,
    /// Seconds since the oldest of it was measured; below 0 it comes from the future.
    pub age: f64,
}

/// The safety layer of one vehicle.
#[derive(Debug, Clone)]
pub struct Guard {
    config: GuardConfig,
    layer: Safety,
    /// When the next step is due, microseconds.
    now: u64,
    brakes: bool,
    counts: Interventions,
}

impl Guard {
    pub fn new(config: GuardConfig) -> Self {
        Self {
            config,
            layer: Safety::new(limits()),
            now: BEGIN,
            brakes: false,
            counts: Interventions::default(),
        }
    }

    pub fn config(&self) -> &GuardConfig {
        &self.config
    }

    /// What it did so far.
    pub fn interventions(&self) -> Interventions {
        self.counts
    }

    /// Whether the last command was replaced by braking.
    pub fn brakes(&self) -> bool {
        self.brakes
    }

    /// Ends a minimal-risk stop of a vehicle that stands; says whether that was granted.
    pub fn restart(&mut self) -> bool {
        self.layer.restart()
    }

    /// The control that is safe to follow for the next 0.1 s in place of the one that is asked for, where
    /// everything is as it was measured just now.
    pub fn filter(&mut self, ego: &EgoState, around: &Around, asked: Control) -> Control {
        let age = 0.0;
        self.step(
            0.0,
            Some(Told {
                ego,
                around,
                asked,
                age,
            }),
        )
    }

    /// The control that is safe to follow for the next 0.1 s, by a step that comes `late` seconds after it
    /// was due, with what it is told or with nothing new. What is late, too old, from the future, or no
    /// number brings the vehicle to a stop, which lasts until [`Self::restart`]. Where the layer is off,
    /// what was asked for is passed on; with nothing asked for, this is the layer's control all the same.
    pub fn step(&mut self, late: f64, told: Option<Told>) -> Control {
        self.now = self.now.saturating_add(micros(late).max(0) as u64);
        let told = told.filter(|told| told.age.is_finite());
        let input = told.map(|told| Input {
            time: self.now.saturating_sub_signed(micros(told.age)),
            speed: told.ego.speed,
            acceleration: told.asked.acceleration,
            curvature: told.asked.steering.tan() / WHEELBASE,
            detected: &told.around.detected,
            occlusions: &told.around.occlusions,
        });
        let mut reasons = [Reasons::default(); CYCLES as usize];
        let (mut sum, mut curvature) = (0.0, 0.0);
        for (cycle, reason) in (0..CYCLES).zip(&mut reasons) {
            let now = self.now + cycle * CYCLE;
            let command = self.layer.step(now, input.as_ref().filter(|_| cycle == 0));
            sum += command.acceleration;
            curvature = command.curvature;
            *reason = command.reasons;
            debug_assert!(command.mode == Mode::Driving || reason.has(Reason::Stopping));
        }
        self.now += CYCLES * CYCLE;
        let braked = self.brakes;
        self.brakes = self.counts.count(reasons);
        self.counts.times += u64::from(self.brakes && !braked);
        match told {
            Some(told) if !self.config.on => told.asked,
            _ => Control {
                acceleration: sum / CYCLES as f64,
                steering: (curvature * WHEELBASE).atan(),
            },
        }
    }
}

/// Seconds as microseconds; of what is no number 0, and years at most.
fn micros(seconds: f64) -> i64 {
    (seconds.clamp(-1e8, 1e8) * 1e6).round() as i64
}

/// A driver with the safety layer behind it, which sees what [`scan`] sees.
#[derive(Debug, Clone)]
pub struct Guarded<D> {
    pub driver: D,
    pub guard: Guard,
}

impl<D: Driver> Driver for Guarded<D> {
    fn control(&mut self, world: &World) -> Control {
        let asked = self.driver.control(world);
        let around = scan(world, self.guard.config.hidden_speed);
        self.guard.filter(&world.ego, &around, asked)
    }

    fn interventions(&self) -> Option<Interventions> {
        Some(self.guard.interventions())
    }
}

#[cfg(test)]
mod tests;
