//! Where the ego's footprint lies: in several lanes, off the road.

use crate::driving::map::RoadMap;
use crate::geometry::Obb;

/// All four corners, a bit each.
const ALL: u8 = 0b1111;

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
        let mut covered = 0;
        // The lanes that have corners in them, and which.
        let mut touched: Vec<(usize, u8)> = Vec::with_capacity(8);
        for (index, corner) in footprint.corners().into_iter().enumerate() {
            let bit = 1 << index;
            for area in map.areas(corner) {
                covered |= bit;
                if area >= map.lanes.len() {
                    continue;
                }
                match touched.iter_mut().find(|(lane, _)| *lane == area) {
                    Some((_, corners)) => *corners |= bit,
                    None => touched.push((area, bit)),
                }
            }
        }
        let whole = touched.iter().any(|&(_, corners)| corners == ALL);
        Self {
            multiple_lanes: touched.len() > 1 && !whole,
            nondrivable: covered != ALL,
        }
    }
}
