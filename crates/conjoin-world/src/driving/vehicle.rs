//! The ego vehicle: a kinematic bicycle, and a controller that follows a planned trajectory.
//!
//! Poses are those of the rear axle. A plan is a list of poses at equal steps, the first one step
//! ahead of now.

use crate::geometry::{Obb, Pose, Vec2, wrap_angle};
use serde::{Deserialize, Serialize};

/// Seconds a step.
pub const STEP: f64 = 0.1;

/// Dimensions, metres.
pub const LENGTH: f64 = 4.5;
pub const WIDTH: f64 = 1.9;
pub const WHEELBASE: f64 = 2.8;
/// From the rear axle to the middle of the footprint.
pub const REAR_TO_CENTRE: f64 = 1.4;

/// What the vehicle can do.
pub const MAX_ACCELERATION: f64 = 3.0;
pub const MAX_BRAKING: f64 = 7.0;
/// Radians, and radians a second.
pub const MAX_STEERING: f64 = 0.6;
pub const MAX_STEERING_RATE: f64 = 0.8;

/// What the driver asks for.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct Control {
    /// m/s².
    pub acceleration: f64,
    /// Angle of the front wheels, radians, positive to the left.
    pub steering: f64,
}

/// The state of the ego vehicle.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct EgoState {
    /// Rear axle.
    pub pose: Pose,
    /// m/s, never negative.
    pub speed: f64,
    /// Along the vehicle over the last step, m/s².
    pub acceleration: f64,
    /// Angle of the front wheels, radians.
    pub steering: f64,
    /// rad/s over the last step.
    pub yaw_rate: f64,
}

impl EgoState {
    pub fn at(pose: Pose, speed: f64) -> Self {
        Self {
            pose,
            speed,
            ..Self::default()
        }
    }

    pub fn footprint(&self) -> Obb {
        footprint(self.pose)
    }

    pub fn centre(&self) -> Vec2 {
        self.pose.to_world(Vec2::new(REAR_TO_CENTRE, 0.0))
    }

    /// Sideways acceleration of the rear axle, m/s².
    pub fn lateral_acceleration(&self) -> f64 {
        self.speed * self.yaw_rate
    }

    /// One step of the kinematic bicycle (midpoint rule); controls are held to what the vehicle can do
    /// and a control that is not a number counts as zero.
    pub fn step(&self, control: Control) -> Self {
        let held = |value: f64, low: f64, high: f64| {
            if value.is_nan() {
                0.0
            } else {
                value.clamp(low, high)
            }
        };
        let wanted = held(control.steering, -MAX_STEERING, MAX_STEERING);
        let reach = MAX_STEERING_RATE * STEP;
        let steering = wanted.clamp(self.steering - reach, self.steering + reach);
        let wanted = held(control.acceleration, -MAX_BRAKING, MAX_ACCELERATION);
        let speed = (self.speed + wanted * STEP).max(0.0);
        let mean = f64::midpoint(self.speed, speed);
        let yaw_rate = mean * steering.tan() / WHEELBASE;
        let middle = self.pose.heading + yaw_rate * STEP / 2.0;
        Self {
            pose: Pose {
                at: self.pose.at + Vec2::unit(middle) * (mean * STEP),
                heading: wrap_angle(self.pose.heading + yaw_rate * STEP),
            },
            speed,
            acceleration: (speed - self.speed) / STEP,
            steering,
            yaw_rate,
        }
    }
}

/// The vehicle's footprint at a pose of its rear axle.
pub fn footprint(rear: Pose) -> Obb {
    let pose = Pose {
        at: rear.to_world(Vec2::new(REAR_TO_CENTRE, 0.0)),
        heading: rear.heading,
    };
    Obb::new(pose, LENGTH, WIDTH)
}

/// From a plan of fewer metres no point is far enough for pure pursuit, and one of still fewer goes nowhere.
const SHORT: f64 = 1.0;
const STAYS: f64 = 0.05;

/// Steering that brings the rear axle to a point on a circle (pure pursuit, Coulter 1992).
pub fn pursue(pose: Pose, point: Vec2) -> f64 {
    let local = pose.to_local(point);
    let curvature = 2.0 * local.y / local.squared().max(1.0);
    (WHEELBASE * curvature).atan()
}

/// The control that follows a plan: pure pursuit of the pose half a second to a second ahead, and the
/// acceleration that covers the plan's way of the next half second. A plan of less than a metre is followed by
/// its own curvature.
///
/// An empty plan brakes gently and keeps the wheels where they are.
pub fn track(state: &EgoState, plan: &[Pose]) -> Control {
    let finite = |p: &&Pose| p.at.x.is_finite() && p.at.y.is_finite();
    let plan: Vec<Pose> = plan.iter().take_while(finite).copied().collect();
    let Some(last) = plan.last() else {
        return Control {
            acceleration: -2.0,
            steering: state.steering,
        };
    };
    let near = plan.len().min(5);
    let horizon = near as f64 * STEP;
    let way = if state.pose.to_local(plan[near - 1].at).x < 0.0 {
        0.0
    } else {
        length(state.pose, &plan[..near])
    };
    let acceleration = 2.0 * (way - state.speed * horizon) / (horizon * horizon);
    let ahead = (0.7 * state.speed).clamp(3.0, 9.0);
    let is_ahead = |pose: &&Pose| (pose.at - state.pose.at).length() >= ahead;
    let target = plan.iter().find(is_ahead).unwrap_or(last).at;
    let steering = if (target - state.pose.at).length() > SHORT {
        pursue(state.pose, target)
    } else {
        let (turn, way) = (last.heading - state.pose.heading, length(state.pose, &plan));
        // A vehicle that stays keeps its wheels where they are.
        if way > STAYS && turn.is_finite() {
            (WHEELBASE * wrap_angle(turn) / way).atan()
        } else {
            state.steering
        }
    };
    Control {
        acceleration,
        steering,
    }
}

/// Metres along poses.
fn length(from: Pose, poses: &[Pose]) -> f64 {
    let before = std::iter::once(&from).chain(poses);
    let ways = before.zip(poses).map(|(a, b)| (b.at - a.at).length());
    ways.sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_constant_steering_angle_drives_a_circle() {
        let steering = 0.2_f64;
        let radius = WHEELBASE / steering.tan();
        let mut state = EgoState::at(Pose::default(), 5.0);
        state.steering = steering;
        let centre = Vec2::new(0.0, radius);
        for _ in 0..200 {
            state = state.step(Control {
                acceleration: 0.0,
                steering,
            });
            let error = (state.pose.at - centre).length() - radius;
            // Chords instead of arcs: (v dt)² / 8 r and what adds up of it.
            assert!(error.abs() < 3e-3, "{error}");
        }
        assert!((state.yaw_rate - 5.0 / radius).abs() < 1e-9);
    }

    #[test]
    fn controls_are_held_to_the_limits() {
        let start = EgoState::at(Pose::default(), 1.0);
        let braked = start.step(Control {
            acceleration: -100.0,
            steering: 9.0,
        });
        assert!((braked.speed - 0.3).abs() < 1e-9);
        assert!((braked.steering - MAX_STEERING_RATE * STEP).abs() < 1e-12);
        let stopped = braked.step(Control {
            acceleration: -100.0,
            steering: f64::NAN,
        });
        assert_eq!(stopped.speed, 0.0);
        assert!(stopped.pose.at.x.is_finite());
    }

    #[test]
    fn a_plan_of_the_vehicle_itself_is_followed() {
        // A manoeuvre driven by controls, then given as a plan from a state beside it.
        let controls = (0..60).map(|i| Control {
            acceleration: if i < 30 { 1.0 } else { -1.5 },
            steering: 0.1 * (f64::from(i) / 8.0).sin(),
        });
        let mut driven = vec![EgoState::at(Pose::default(), 6.0)];
        for control in controls {
            driven.push(driven[driven.len() - 1].step(control));
        }
        let mut state = EgoState::at(Pose::new(0.0, 0.3, 0.0), 5.5);
        for i in 0..40 {
            let plan: Vec<Pose> = driven[i + 1..].iter().take(20).map(|s| s.pose).collect();
            state = state.step(track(&state, &plan));
        }
        let error = (state.pose.at - driven[40].pose.at).length();
        assert!(error < 0.5, "{error}");
        assert!((state.speed - driven[40].speed).abs() < 0.8);
    }

    #[test]
    fn a_plan_of_half_a_metre_is_steered() {
        let start = EgoState::at(Pose::new(3.0, 1.0, 0.7), 0.0);
        let mut ahead = start;
        let plan: Vec<Pose> = (0..20)
            .map(|_| {
                ahead = ahead.step(Control {
                    acceleration: 0.25,
                    steering: -0.4,
                });
                ahead.pose
            })
            .collect();
        assert!((ahead.pose.at - start.pose.at).length() < 0.55);
        // The wheel takes a while to turn there; the mean curvature is less.
        let turn = ahead.pose.heading - start.pose.heading;
        let expected = (WHEELBASE * turn / length(start.pose, &plan)).atan();
        let found = track(&start, &plan);
        assert!((-0.4..-0.3).contains(&expected), "{expected}");
        assert!((found.steering - expected).abs() < 1e-12);
        assert!(found.acceleration > 0.2);
        // One that stays, or whose heading is no number, leaves the wheel.
        let kept = EgoState {
            steering: 0.2,
            ..start
        };
        assert_eq!(track(&kept, &[start.pose; 20]).steering, 0.2);
        let mut unknown = plan;
        unknown[19].heading = f64::NAN;
        assert_eq!(track(&kept, &unknown).steering, 0.2);
    }
}
