//! Drivers to compare with: the expert, the IDM lane-follower and constant velocity.

use super::drive::Driver;
use super::expert::Expert;
use super::idm::Idm;
use super::perceive::{lead, stop_line};
use super::proposal::follow;
use super::traffic::obstacles;
use super::vehicle::{Control, EgoState};
use super::world::{EGO, World};
use crate::geometry::Pose;

/// A driver to compare with.
#[derive(Debug, Clone)]
pub enum Baseline {
    /// Knows everything, and what the others will do.
    Expert(Expert),
    /// [`follow_lane`].
    Idm,
    /// [`constant_velocity`].
    ConstantVelocity,
}

impl Baseline {
    /// What they are called, the best first.
    pub const NAMES: [&str; 3] = ["expert", "idm", "constant-velocity"];

    /// A new driver of this name.
    pub fn named(name: &str) -> Option<Self> {
        match name {
            "expert" => Some(Self::Expert(Expert::default())),
            "idm" => Some(Self::Idm),
            "constant-velocity" => Some(Self::ConstantVelocity),
            _ => None,
        }
    }
}

impl Driver for Baseline {
    fn control(&mut self, world: &World) -> Control {
        match self {
            Self::Expert(expert) => expert.control(world),
            Self::Idm => follow_lane(world),
            Self::ConstantVelocity => constant_velocity(world),
        }
    }
}

/// Follows the middle of the lane, IDM behind whoever is ahead, stops at lights; knows neither other
/// lanes nor who goes first.
pub fn follow_lane(world: &World) -> Control {
    let bodies = obstacles(world);
    let place = world.ego_place(0.0);
    let others = bodies.iter().filter(|body| body.id != EGO);
    let mut ahead = lead(&place, others, 60.0);
    if let Some(stop) = stop_line(&place, world.map(), world.time()) {
        ahead = Some(stop.nearer(ahead));
    }
    let allowed = world.route().speed_at(world.ego_s, 1.5);
    let idm = Idm::default();
    Control {
        acceleration: idm.accelerate(world.ego.speed, allowed, ahead),
        steering: follow(&world.ego, world.route(), world.ego_s, |_| 0.0),
    }
}

/// Straight on with the present speed.
pub fn constant_velocity(_: &World) -> Control {
    Control::default()
}

/// The poses that constant velocity and turn rate would take, at 0.1 s.
pub fn extrapolate(state: &EgoState, poses: usize) -> Vec<Pose> {
    let mut state = *state;
    let control = Control {
        acceleration: 0.0,
        steering: state.steering,
    };
    (0..poses)
        .map(|_| {
            state = state.step(control);
            state.pose
        })
        .collect()
}
