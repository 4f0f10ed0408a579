//! No at-fault collision, with nuPlan's rule for whose fault it is.

use super::{EgoArea, is_agent};
use crate::driving::actor::{ActorKind, Body};
use crate::driving::vehicle::EgoState;
use crate::geometry::{Obb, Pose, Vec2};
use std::collections::BTreeSet;
use std::f64::consts::FRAC_PI_2;

/// Slower than this counts as stopped, m/s.
const STOPPED: f64 = 0.05;

/// How the ego meets another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CollisionType {
    /// The ego stands.
    StoppedEgo,
    /// The other stands or never moves.
    StoppedTrack,
    /// The other comes from behind.
    ActiveRear,
    /// The ego's front bumper touches the other.
    ActiveFront,
    ActiveLateral,
}

/// The angle between the ego's heading and the way from its rear axle to a point, 0 to pi.
pub(super) fn relative_angle(ego: Pose, point: Vec2) -> f64 {
    let local = ego.to_local(point);
    local.y.atan2(local.x).abs()
}

/// Behind: beyond 150 degrees.
pub(super) fn is_behind(ego: Pose, point: Vec2) -> bool {
    relative_angle(ego, point) > 150_f64.to_radians()
}

/// Ahead: within 30 degrees.
pub(super) fn is_ahead(ego: Pose, point: Vec2) -> bool {
    relative_angle(ego, point) < 30_f64.to_radians()
}

/// What kind of collision an overlap is; `speed` is the other's, m/s.
pub fn classify(state: &EgoState, other: &Body, speed: f64) -> CollisionType {
    let own = state.footprint();
    let front = own.pose.at + Vec2::unit(own.pose.heading) * (own.length / 2.0);
    let bumper = Pose {
        at: front,
        heading: own.pose.heading + FRAC_PI_2,
    };
    if state.speed <= STOPPED {
        CollisionType::StoppedEgo
    } else if other.kind == ActorKind::Static || speed <= STOPPED {
        CollisionType::StoppedTrack
    } else if is_behind(state.pose, other.footprint.pose.at) {
        CollisionType::ActiveRear
    } else if Obb::new(bumper, own.width, 0.0).intersects(&other.footprint) {
        CollisionType::ActiveFront
    } else {
        CollisionType::ActiveLateral
    }
}

/// The ego answers for what stood and for what its bumper met, and for what it met with its side
/// while it was in several lanes or off the road.
pub fn at_fault(kind: CollisionType, area: EgoArea) -> bool {
    match kind {
        CollisionType::StoppedTrack | CollisionType::ActiveFront => true,
        CollisionType::ActiveLateral => area.multiple_lanes || area.nondrivable,
        CollisionType::StoppedEgo | CollisionType::ActiveRear => false,
    }
}

/// Those that the ego touches already at the beginning: nobody's fault any more.
pub(super) fn overlapping(proposals: &[&[EgoState]], frames: &[Vec<Body>]) -> BTreeSet<u32> {
    let (Some(state), Some(frame)) = (proposals.first().and_then(|p| p.first()), frames.first())
    else {
        return BTreeSet::new();
    };
    let own = state.footprint();
    let touched = frame.iter().filter(|body| body.footprint.intersects(&own));
    touched.map(|body| body.id).collect()
}

/// The speed of a body when it was first seen: what decides whether it stands, as in NAVSIM.
pub(super) fn first_speed(frames: &[Vec<Body>], id: u32) -> f64 {
    let seen = frames.iter().flatten().find(|body| body.id == id);
    seen.map_or(0.0, Body::speed)
}

/// 1 without an at-fault collision, 1/2 with one with something static, 0 with one with an agent.
pub(super) fn no_at_fault(
    states: &[EgoState],
    areas: &[EgoArea],
    frames: &[Vec<Body>],
    already: &BTreeSet<u32>,
) -> f64 {
    let mut past = already.clone();
    let mut score = 1.0_f64;
    for ((state, &area), frame) in states.iter().zip(areas).zip(frames) {
        let own = state.footprint();
        for body in frame {
            if !body.footprint.intersects(&own) || past.contains(&body.id) {
                continue;
            }
            if at_fault(classify(state, body, first_speed(frames, body.id)), area) {
                score = score.min(if is_agent(body.kind) { 0.0 } else { 0.5 });
            } else {
                past.insert(body.id);
            }
        }
    }
    score
}
