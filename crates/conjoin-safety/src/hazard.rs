//! Kinematic reachability: whether the vehicle, following a command for one cycle and braking after it,
//! could meet what is seen or what may be hidden.
//!
//! The distance to stop is bounded as in Shalev-Shwartz, Shammah & Shashua 2017 ("On a Formal Model of
//! Safe and Scalable Self-driving Cars", definition 1): the commanded acceleration lasts for the
//! response time, here the cycle and the time that the jerk limit needs to reach full braking, and full
//! braking follows. Lateral distance is measured from the arc that the vehicle will drive,
//! `y = curvature x^2 / 2`.

use crate::input::{Detected, Occlusion};
use crate::limits::Limits;

/// The vehicle as it would move.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Motion {
    speed: f64,
    curvature: f64,
    /// At most this far until it stands, m.
    distance: f64,
    /// At most this long until it stands, s.
    time: f64,
}

impl Motion {
    /// The motion from a speed (at least 0), for a command within the limits.
    pub fn new(speed: f64, acceleration: f64, curvature: f64, limits: &Limits) -> Self {
        let response = limits.cycle as f64 * 1e-6 + (acceleration - limits.brake) / limits.jerk;
        let gain = acceleration.max(0.0) * response;
        let fastest = speed + gain;
        Self {
            speed,
            curvature,
            distance: (speed + 0.5 * gain) * response - fastest * fastest / (2.0 * limits.brake),
            time: response - fastest / limits.brake,
        }
    }

    /// How far a point lies to the left of the arc.
    fn offset(&self, [x, y]: [f64; 2]) -> f64 {
        y - 0.5 * self.curvature * x * x
    }

    /// Distance between the swept corridor and a point, less a radius; negative inside.
    fn clearance(&self, position: [f64; 2], radius: f64, limits: &Limits) -> f64 {
        self.offset(position).abs() - limits.half_width - limits.margin - radius
    }

    /// Whether it could hit something seen: something ahead that is in the corridor, or can be within
    /// the horizon, and too near to stop behind it, even if it brakes as hard as others can. What is
    /// beside or behind is not met by braking.
    pub fn meets(&self, thing: &Detected, limits: &Limits) -> bool {
        let [x, _] = thing.position;
        let [along, across] = thing.velocity;
        if x <= 0.0 {
            return false;
        }
        let approach = -self.offset(thing.position).signum() * across;
        let horizon = self.time.min(limits.horizon);
        let sideways =
            approach.max(0.0) * horizon + 0.5 * limits.others_lateral * horizon * horizon;
        if self.clearance(thing.position, thing.radius, limits) > sideways {
            return false;
        }
        let gap = x - limits.front - thing.radius;
        let ahead = along.max(0.0);
        let moves = ahead * ahead / (2.0 * limits.others_brake) + along.min(0.0) * self.time;
        self.is_moving() && gap + moves < self.distance + limits.margin
    }

    /// Whether it could hit what may come from behind an edge: it cannot stop before the edge, and
    /// cannot have passed it either before the fastest unseen thing is in the corridor.
    pub fn meets_hidden(&self, edge: &Occlusion, limits: &Limits) -> bool {
        let [x, _] = edge.position;
        if x <= 0.0 {
            return false;
        }
        let clearance = self.clearance(edge.position, 0.0, limits).max(0.0);
        // Arrival clearance / edge.speed against passage (x + rear) / speed.
        let is_first = clearance * self.speed > edge.speed * (x + limits.rear);
        let gap = x - limits.front;
        self.is_moving() && !is_first && gap < self.distance + limits.margin
    }

    /// Standing still with the brakes on is all that can be done.
    fn is_moving(&self) -> bool {
        self.distance > 0.0
    }
}
