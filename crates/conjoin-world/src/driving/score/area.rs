//! Where the ego's footprint lies: in several lanes, off the road.

use crate::driving::map::RoadMap;
use crate::geometry::Obb;

/// What holds of one footprint.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct EgoArea {
    /// Several lanes have a corner in them, and none has all four.
    pub multiple_lanes: bool,
    /// At least one corner is neither on a lane nor in an intersection.
    pub nondrivable: bool,
}

impl EgoArea {
    pub fn of(footprint: &Obb, map: &RoadMap) -> Self {
        let corners = footprint.corners();
        let mut covered = corners.map(|corner| map.in_intersection(corner));
        let (mut touched, mut whole) = (0, false);
        for lane in &map.lanes {
            let inside = corners.map(|corner| lane.outline.contains(corner));
            touched += usize::from(inside.contains(&true));
            whole |= inside == [true; 4];
            for (all, of_lane) in covered.iter_mut().zip(inside) {
                *all |= of_lane;
            }
        }
        Self {
            multiple_lanes: touched > 1 && !whole,
            nondrivable: covered != [true; 4],
        }
    }
}
