//! Hand-made scenes for the tests of the scores.

use super::Surroundings;
use crate::driving::actor::{ActorKind, Body};
use crate::driving::map::{MapBuilder, RoadMap};
use crate::driving::vehicle::{Control, EgoState, STEP};
use crate::geometry::{Obb, Pose, Tracer, Vec2};

/// Two lanes of 3.5 m along x, the middle of the left one at y = 0 and of the right one at -3.5.
pub fn road() -> RoadMap {
    let mut build = MapBuilder::new();
    let reference = Tracer::from(Pose::new(-50.0, 1.75, 0.0))
        .straight(300.0)
        .line();
    build.carriageway(&reference, 2, 3.5, 15.0);
    build.finish()
}

/// 41 states from (0, y) with these controls.
pub fn driven(y: f64, speed: f64, control: impl Fn(usize) -> Control) -> Vec<EgoState> {
    let mut states = vec![EgoState::at(Pose::new(0.0, y, 0.0), speed)];
    for t in 0..super::STATES - 1 {
        let next = states[t].step(control(t));
        states.push(next);
    }
    states
}

/// Straight on.
pub fn steady(y: f64, speed: f64) -> Vec<EgoState> {
    driven(y, speed, |_| Control::default())
}

/// One body that moves evenly, over all frames.
pub fn moving(kind: ActorKind, at: Pose, speed: f64) -> Vec<Vec<Body>> {
    let direction = Vec2::unit(at.heading);
    let (length, width) = match kind {
        ActorKind::Pedestrian => (0.6, 0.6),
        _ => (4.5, 1.9),
    };
    (0..super::FRAMES)
        .map(|t| {
            let mut pose = at;
            pose.at = at.at + direction * (speed * STEP * t as f64);
            vec![Body {
                id: 7,
                kind,
                footprint: Obb::new(pose, length, width),
                velocity: direction * speed,
                height: 1.5,
            }]
        })
        .collect()
}

/// Scores one proposal alone.
pub fn judge(map: &RoadMap, states: &[EgoState], frames: &[Vec<Body>]) -> super::SubScores {
    let around = Surroundings {
        map,
        route: &map.lanes[0].centre,
        frames,
    };
    super::score(&[states], &around)[0]
}
