//! The lane graph: lanes with their neighbours and successors, stop lines and lights, places where
//! lanes meet, crossings, and the area that may be driven on.

mod build;
mod conflict;
mod cover;
mod edge;
mod family;
mod layouts;
mod light;
mod path;

pub use build::MapBuilder;
pub(in crate::driving) use build::TAIL;
pub use conflict::Conflict;
pub use edge::REACH as EDGE_REACH;
pub(in crate::driving) use family::PerFamily;
pub use family::{Family, LayoutKind, Split};
pub use layouts::{Layout, layout};
pub use light::{LightProgram, LightState};
pub use path::{Path, SPEED_STEP, Yield};

use crate::geometry::{Obb, Polygon, Polyline, Vec2};
use std::sync::OnceLock;

/// Index of a lane in its map.
pub type LaneId = usize;

/// What is painted along a side of a lane.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Marking {
    None,
    /// Edge of the road.
    Solid,
    /// Between lanes of one direction.
    Dashed,
    /// Between directions.
    Centre,
}

/// A lane, driven in the direction of its centre line.
#[derive(Debug, Clone)]
pub struct Lane {
    pub centre: Polyline,
    /// Metres.
    pub width: f64,
    /// m/s.
    pub speed_limit: f64,
    /// Lanes that begin where this one ends.
    pub next: Vec<LaneId>,
    /// The lane of the same direction to the left, and to the right.
    pub left: Option<LaneId>,
    pub right: Option<LaneId>,
    /// Where lanes meet, the lower rank gives way to the higher.
    pub rank: u8,
    /// The light that governs the stop line at this lane's end.
    pub light: Option<usize>,
    /// Left and right.
    pub markings: [Marking; 2],
    /// Whether the lane lies in an intersection.
    pub connector: bool,
    /// The lane's outline.
    pub outline: Polygon,
}

/// A place where people cross.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Crossing {
    pub from: Vec2,
    pub to: Vec2,
    /// Metres along the road.
    pub width: f64,
    /// Whether it is painted.
    pub zebra: bool,
}

/// The road network of an episode.
#[derive(Debug, Clone)]
pub struct RoadMap {
    pub lanes: Vec<Lane>,
    /// Areas where roads meet; all of them may be driven on.
    pub intersections: Vec<Polygon>,
    pub crossings: Vec<Crossing>,
    pub lights: Vec<LightProgram>,
    pub conflicts: Vec<Conflict>,
    cover: cover::Cover,
    edges: OnceLock<edge::EdgeDistances>,
}

impl RoadMap {
    /// The lanes that a point lies on, and as numbers behind the last lane's the intersections.
    pub(crate) fn areas(&self, point: Vec2) -> impl Iterator<Item = usize> + '_ {
        self.cover.at(point, &self.lanes, &self.intersections)
    }

    /// Whether a point lies on a lane or in an intersection.
    pub fn drivable(&self, point: Vec2) -> bool {
        self.areas(point).next().is_some()
    }

    /// Metres to the edge of what may be driven on, above 0 on it, at most [`EDGE_REACH`] to both sides.
    pub fn edge_distance(&self, point: Vec2) -> f64 {
        let edges = self.edges.get_or_init(|| edge::EdgeDistances::new(self));
        edges.at(point)
    }

    pub fn in_intersection(&self, point: Vec2) -> bool {
        self.areas(point).any(|area| area >= self.lanes.len())
    }

    /// Whether a box overlaps a lane, tested every metre of it with a margin.
    pub fn blocks_lane(&self, footprint: &Obb, margin: f64) -> bool {
        let reach = footprint.length.hypot(footprint.width) / 2.0 + 1.0;
        let islands = self.intersections.iter().any(|area| {
            footprint.corners().into_iter().any(|c| area.contains(c))
                || area.points().iter().any(|&p| footprint.contains(p))
        });
        islands
            || self.lanes.iter().any(|lane| {
                let wide = lane.width / 2.0 + margin;
                lane.centre.points().iter().any(|&p| {
                    (p - footprint.pose.at).squared() < (reach + wide).powi(2)
                        && footprint.distance(p) < wide
                })
            })
    }

    /// Every way from a lane that nothing leads into to one that leads nowhere.
    pub fn ways(&self) -> Vec<Vec<LaneId>> {
        let mut entered = vec![false; self.lanes.len()];
        for &next in self.lanes.iter().flat_map(|lane| &lane.next) {
            entered[next] = true;
        }
        let mut found = Vec::new();
        let mut open: Vec<Vec<LaneId>> = (0..self.lanes.len())
            .filter(|&lane| !entered[lane])
            .map(|lane| vec![lane])
            .collect();
        while let Some(way) = open.pop() {
            let last = way[way.len() - 1];
            let onward: Vec<LaneId> = self.lanes[last]
                .next
                .iter()
                .copied()
                .filter(|next| !way.contains(next))
                .collect();
            if onward.is_empty() {
                found.push(way);
            } else {
                open.extend(onward.into_iter().map(|next| [&way[..], &[next]].concat()));
            }
        }
        found.sort();
        found
    }
}
