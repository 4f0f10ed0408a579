//! Kinematic reachability: whether the vehicle, following a command for one cycle and braking after it,
//! could come too near to what is seen or what may be hidden.
//!
//! The distance to stop is bounded as in Shalev-Shwartz, Shammah & Shashua 2017 ("On a Formal Model of
//! Safe and Scalable Self-driving Cars", definition 1): the commanded acceleration lasts for the
//! response time, here the cycle and the time that the jerk limit needs to reach full braking, and full
//! braking follows. Over that distance the vehicle's footprint is moved along the arc of the command, with
//! the corners that swing out of it; and, as the layer can steer too while it brakes, along a way on which the
//! wheel turns back to straight (one way to stop suffices: Pek & Althoff 2018, "Computationally Efficient
//! Fail-safe Trajectory Planning for Self-driving Vehicles Using Convex Optimization"). What is nearer than the
//! margin already may not come nearer, but the vehicle may leave it.

use crate::input::{Detected, Occlusion};
use crate::limits::Limits;

/// The footprint is looked at so often along the way, m, and at its end.
const STRIDE: f64 = 0.25;

/// The vehicle as it would move.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Motion {
    speed: f64,
    curvature: f64,
    /// At most this far until it stands, m.
    distance: f64,
    /// At most this long until it stands, s.
    time: f64,
    /// The speed that it reaches, m/s.
    fastest: f64,
    /// Distance that it keeps, m.
    margin: f64,
    /// After this way the wheel turns back to straight, m.
    held: f64,
}

/// A place on the arc: where the vehicle's origin is then, and the cosine and sine of its heading.
#[derive(Clone, Copy)]
struct Place {
    at: [f64; 2],
    forward: [f64; 2],
}

impl Place {
    const HERE: Self = Self {
        at: [0.0, 0.0],
        forward: [1.0, 0.0],
    };

    /// Further along an arc. The turn is so small that a few terms of cosine and sine are exact.
    fn further(self, way: f64, curvature: f64) -> Self {
        let [c, s] = self.forward;
        let turn = |angle: f64| {
            let square = angle * angle;
            let cos = 1.0 - square / 2.0 * (1.0 - square / 12.0);
            let sin = angle * (1.0 - square / 6.0 * (1.0 - square / 20.0));
            [c * cos - s * sin, s * cos + c * sin]
        };
        let middle = turn(0.5 * curvature * way);
        Self {
            at: [self.at[0] + way * middle[0], self.at[1] + way * middle[1]],
            forward: turn(curvature * way),
        }
    }

    /// A direction in the vehicle's axes at this place.
    fn turned(self, [x, y]: [f64; 2]) -> [f64; 2] {
        let [c, s] = self.forward;
        [c * x + s * y, c * y - s * x]
    }

    /// A point in the vehicle's frame at this place.
    fn local(self, [x, y]: [f64; 2]) -> [f64; 2] {
        self.turned([x - self.at[0], y - self.at[1]])
    }
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
            fastest,
            margin: limits.least_margin
                + (limits.margin - limits.least_margin) * (fastest / limits.walk).min(1.0),
            held: f64::INFINITY,
        }
    }

    /// The same motion, but that the wheel turns back to straight once the command can be another.
    pub fn straightened(self, limits: &Limits) -> Self {
        Self {
            held: self.fastest * (limits.age + limits.cycle) as f64 * 1e-6,
            ..self
        }
    }

    /// Whether it could hit something seen, even if that brakes as hard as others can: whether the
    /// footprint, on the way that is left until it stands, comes nearer to it than the margin, or to
    /// where it can be within the horizon.
    pub fn meets(&self, thing: &Detected, limits: &Limits) -> bool {
        let [along, across] = thing.velocity;
        let ahead = along.max(0.0);
        let moves = ahead * ahead / (2.0 * limits.others_brake) + along.min(0.0) * self.time;
        let horizon = self.time.min(limits.horizon);
        let pushed = 0.5 * limits.others_lateral * horizon * horizon;
        // What has wheels and hardly moves cannot come sideways, but for what it steers on its way.
        let travelled = (ahead - along.min(0.0)) * horizon + pushed;
        let steered = 0.5 * limits.others_curvature * travelled * travelled;
        let reach = |place: Place, left: f64| {
            let [_, drift] = place.turned([along, across]);
            let swerve = thing.heading.map_or(pushed, |heading| {
                let [_, sideways] = place.turned(heading);
                pushed.min(sideways.abs() * pushed + steered)
            });
            (-left.signum() * drift).max(0.0) * horizon + swerve
        };
        let way = self.distance - moves;
        self.nears(thing.position, thing.radius, way, reach, limits)
    }

    /// Whether it could hit what may come from behind an edge: it cannot stop before the edge, and
    /// neither has passed it nor stands by the time that the fastest unseen thing is in its way. What
    /// comes out later is seen, and runs into a vehicle that stands.
    pub fn meets_hidden(&self, edge: &Occlusion, limits: &Limits) -> bool {
        let passage = (edge.position[0] + limits.rear) / self.speed;
        // Who is behind the vehicle does not meet it.
        let comes = edge.speed * self.time.min(passage).max(0.0);
        self.nears(edge.position, 0.0, self.distance, |_, _| comes, limits)
    }

    /// Whether the footprint, moved along the arc for a way, comes nearer to a point than `radius` and the
    /// margin. `reach` is how far the point can move across the vehicle's way, at a place, where it lies
    /// so far to the left.
    fn nears(
        &self,
        point: [f64; 2],
        radius: f64,
        way: f64,
        reach: impl Fn(Place, f64) -> f64,
        limits: &Limits,
    ) -> bool {
        let kept = radius + self.margin;
        // Squared distances from the footprint: with the point where it is, and where it can be.
        let distances = |place: Place| {
            let [x, left] = place.local(point);
            let beyond = (x - limits.front).max(-limits.rear - x).max(0.0);
            let beside = (left.abs() - limits.half_width).max(0.0);
            let can = (beside - reach(place, left)).max(0.0);
            (
                beyond * beyond + beside * beside,
                beyond * beyond + can * can,
            )
        };
        let (now, _) = distances(Place::HERE);
        // By how much the curvature changes on a metre while the wheel turns back: slower, it is more.
        let unwinding = limits.curvature_rate / self.fastest;
        let (mut place, mut rest, mut curvature) = (Place::HERE, way, self.curvature);
        while rest > 0.0 {
            let stride = rest.min(STRIDE);
            place = place.further(stride, curvature);
            rest -= stride;
            if way - rest >= self.held {
                let most = unwinding * stride;
                curvature -= curvature.clamp(-most, most);
            }
            let (distance, possible) = distances(place);
            // Inside the footprint there is no nearer.
            if possible < kept * kept && (distance < now || distance == 0.0) {
                return true;
            }
        }
        false
    }
}

#[cfg(test)]
mod tests {
    extern crate std;

    use super::*;

    #[test]
    fn a_place_on_the_arc_turns_as_the_curvature_says() {
        let near = |found: [f64; 2], expected: [f64; 2]| {
            let off = (found[0] - expected[0]).abs() + (found[1] - expected[1]).abs();
            assert!(off < 5e-9, "found {found:?}, expected {expected:?}");
        };
        for curvature in [-0.2, -0.03, 0.0, 0.1, 0.2] {
            for way in [0.1, STRIDE] {
                let (mut place, mut at, mut heading) = (Place::HERE, [0.0, 0.0], 0.0_f64);
                for _ in 0..40 {
                    place = place.further(way, curvature);
                    // The chord has the heading of the middle of the step.
                    let (sin, cos) = (heading + 0.5 * curvature * way).sin_cos();
                    at = [at[0] + way * cos, at[1] + way * sin];
                    heading += curvature * way;
                    let (sin, cos) = heading.sin_cos();
                    near(place.at, at);
                    near(place.forward, [cos, sin]);
                    // Two metres ahead and one to the left of that place.
                    let point = [at[0] + 2.0 * cos - sin, at[1] + 2.0 * sin + cos];
                    near(place.local(point), [2.0, 1.0]);
                    near(place.turned([-sin, cos]), [0.0, 1.0]);
                }
            }
        }
    }
}
