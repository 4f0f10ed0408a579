//! Who can matter to proposals: most of the others never come near any of them.

use crate::driving::actor::Body;
use crate::driving::vehicle::{EgoState, LENGTH, STEP, WIDTH};
use crate::geometry::{Pose, Vec2};
use std::collections::BTreeSet;

/// Steps that the time to collision looks ahead.
const AHEAD: usize = 9;

/// Upright bounds in the frame of the first state.
#[derive(Debug, Clone, Copy)]
struct Bounds {
    least: Vec2,
    most: Vec2,
}

impl Bounds {
    const NONE: Self = Self {
        least: Vec2::new(f64::INFINITY, f64::INFINITY),
        most: Vec2::new(f64::NEG_INFINITY, f64::NEG_INFINITY),
    };

    fn around(self, other: Self) -> Self {
        Self {
            least: Vec2::new(
                self.least.x.min(other.least.x),
                self.least.y.min(other.least.y),
            ),
            most: Vec2::new(self.most.x.max(other.most.x), self.most.y.max(other.most.y)),
        }
    }

    fn point(at: Vec2) -> Self {
        Self {
            least: at,
            most: at,
        }
    }

    fn has(&self, at: Vec2, reach: f64) -> bool {
        at.x > self.least.x - reach
            && at.y > self.least.y - reach
            && at.x < self.most.x + reach
            && at.y < self.most.y + reach
    }
}

/// The frames with those bodies alone that at any time come within `margin` metres of a proposal, or of
/// where it would be 0.9 s later at its present velocity. A body is in all of its frames or in none.
pub(crate) fn near(proposals: &[&[EgoState]], frames: &[Vec<Body>], margin: f64) -> Vec<Vec<Body>> {
    let Some(first) = proposals.iter().find_map(|states| states.first()) else {
        return frames.to_vec();
    };
    let origin: Pose = first.pose;
    let steps = proposals.iter().map(|states| states.len()).max();
    let steps: Vec<Bounds> = (0..steps.unwrap_or(0))
        .map(|t| {
            let states = proposals.iter().filter_map(|states| states.get(t));
            states.fold(Bounds::NONE, |bounds, state| {
                let here = state.centre();
                let way = state.speed * AHEAD as f64 * STEP;
                let there = here + Vec2::unit(state.pose.heading) * way;
                bounds
                    .around(Bounds::point(origin.to_local(here)))
                    .around(Bounds::point(origin.to_local(there)))
            })
        })
        .collect();
    let own = LENGTH.hypot(WIDTH) / 2.0 + margin;
    let mut met = BTreeSet::new();
    for (t, frame) in frames.iter().enumerate() {
        // Who is somewhere at this time is looked at from now and from up to 0.9 s before.
        let from = t.saturating_sub(AHEAD).min(steps.len());
        let until = (t + 1).min(steps.len());
        let bounds = steps[from..until].iter().copied();
        let bounds = bounds.fold(Bounds::NONE, Bounds::around);
        for body in frame {
            let at = origin.to_local(body.footprint.pose.at);
            if bounds.has(at, own + body.footprint.radius()) {
                met.insert(body.id);
            }
        }
    }
    let kept = |frame: &Vec<Body>| {
        let bodies = frame.iter().filter(|body| met.contains(&body.id));
        bodies.copied().collect::<Vec<Body>>()
    };
    frames.iter().map(kept).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::driving::actor::ActorKind;
    use crate::driving::score::scenes::{moving, steady};

    #[test]
    fn who_is_met_is_kept_and_who_is_far_is_not() {
        let states = steady(0.0, 10.0);
        let kept = |x: f64, y: f64, heading: f64, speed: f64| {
            let frames = moving(ActorKind::Vehicle, Pose::new(x, y, heading), speed);
            let kept = near(&[&states], &frames, 0.0);
            assert_eq!(kept.len(), frames.len());
            let count: usize = kept.iter().map(Vec::len).sum();
            assert!(count == 0 || count == frames.len());
            count > 0
        };
        // The ego goes from 0 to 40 m, and looks another 9 m ahead.
        assert!(kept(52.0, 0.0, 0.0, 0.0) && !kept(58.0, 0.0, 0.0, 0.0));
        assert!(!kept(20.0, 8.0, 0.0, 0.0));
        // One who comes across at the right time, and one who comes too late.
        assert!(kept(22.0, -20.0, std::f64::consts::FRAC_PI_2, 10.0));
        assert!(!kept(2.0, -40.0, std::f64::consts::FRAC_PI_2, 10.0));
    }
}
