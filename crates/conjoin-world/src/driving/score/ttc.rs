//! Time to collision: the ego's footprint moved on at its present velocity must not meet others
//! where they are 0, 0.3, 0.6 and 0.9 s later.

use super::collision::{is_ahead, is_behind};
use super::{EgoArea, Surroundings};
use crate::driving::vehicle::{EgoState, STEP};
use crate::geometry::Vec2;
use std::collections::BTreeSet;

/// Steps that are looked ahead.
const AHEAD: [usize; 4] = [0, 3, 6, 9];
/// Slower than this, m/s, nothing is projected.
const STOPPED: f64 = 0.005;

/// 1 where no projection meets another that is ahead, or beside while the ego is in several lanes, off
/// the road or in an intersection; otherwise 0.
pub(super) fn within_bound(
    states: &[EgoState],
    areas: &[EgoArea],
    around: &Surroundings,
    already: &BTreeSet<u32>,
) -> f64 {
    let mut past = already.clone();
    for (t, (state, area)) in states.iter().zip(areas).enumerate() {
        if state.speed < STOPPED {
            continue;
        }
        let mut crossing = None;
        for ahead in AHEAD {
            let Some(frame) = around.frames.get(t + ahead) else {
                continue;
            };
            let mut own = state.footprint();
            let way = state.speed * ahead as f64 * STEP;
            own.pose.at = own.pose.at + Vec2::unit(state.pose.heading) * way;
            for body in frame {
                if past.contains(&body.id) || !body.footprint.intersects(&own) {
                    continue;
                }
                let centre = body.footprint.pose.at;
                let exposed = *crossing.get_or_insert_with(|| {
                    area.multiple_lanes
                        || area.nondrivable
                        || around.map.in_intersection(state.pose.at)
                });
                if is_ahead(state.pose, centre) || exposed && !is_behind(state.pose, centre) {
                    return 0.0;
                }
                past.insert(body.id);
            }
        }
    }
    1.0
}
