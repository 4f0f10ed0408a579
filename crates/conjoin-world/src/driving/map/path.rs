//! A way through the map as one line, with everything that a driver on it must know.

use super::{LaneId, RoadMap};
use crate::geometry::Polyline;

/// Metres between entries of a path's speed profile.
pub const SPEED_STEP: f64 = 2.0;

/// Sideways acceleration, m/s², that curves are driven with.
const CURVE_ACCELERATION: f64 = 2.0;

/// A stretch before which traffic of another lane goes first.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Yield {
    /// Arc lengths of the stretch on this path.
    pub own: (f64, f64),
    /// The lane that goes first, and its stretch.
    pub other: LaneId,
    pub theirs: (f64, f64),
}

/// Consecutive lanes joined into one line.
#[derive(Debug, Clone)]
pub struct Path {
    pub lanes: Vec<LaneId>,
    /// Arc length at which each lane begins.
    pub starts: Vec<f64>,
    pub line: Polyline,
    /// Arc length of each stop line with its light.
    pub lights: Vec<(f64, usize)>,
    pub yields: Vec<Yield>,
    /// The speed that limit and curvature allow, every [`SPEED_STEP`] metres.
    speeds: Vec<f64>,
}

impl Path {
    /// Joins lanes that follow each other.
    pub fn new(map: &RoadMap, lanes: &[LaneId]) -> Self {
        let mut points = Vec::new();
        for &lane in lanes {
            let of_lane = map.lanes[lane].centre.points();
            points.extend_from_slice(&of_lane[usize::from(!points.is_empty())..]);
        }
        let line = Polyline::new(&points, 1.0);
        let raw: f64 = lanes.iter().map(|&l| map.lanes[l].centre.length()).sum();
        // Resampling cuts corners by a hair; the starts follow the new length.
        let scale = line.length() / raw.max(1e-9);
        let mut starts = Vec::with_capacity(lanes.len());
        let mut at = 0.0;
        let (mut lights, mut yields) = (Vec::new(), Vec::new());
        for &lane in lanes {
            starts.push(at);
            let length = map.lanes[lane].centre.length() * scale;
            if let Some(light) = map.lanes[lane].light {
                lights.push((at + length, light));
            }
            for conflict in map.conflicts.iter().filter(|c| c.lane == lane) {
                yields.push(Yield {
                    own: (at + conflict.own.0 * scale, at + conflict.own.1 * scale),
                    other: conflict.other,
                    theirs: conflict.theirs,
                });
            }
            at += length;
        }
        let count = (line.length() / SPEED_STEP).ceil() as usize + 1;
        let speeds = (0..count)
            .map(|i| {
                let s = i as f64 * SPEED_STEP;
                let index = starts.iter().rposition(|&start| start <= s).unwrap_or(0);
                let limit = map.lanes[lanes[index]].speed_limit;
                let curved = line.curvature(s).abs().max(1e-4);
                limit.min((CURVE_ACCELERATION / curved).sqrt())
            })
            .collect();
        Self {
            lanes: lanes.to_vec(),
            starts,
            line,
            lights,
            yields,
            speeds,
        }
    }

    /// The lane at an arc length, and where it began.
    pub fn lane_at(&self, s: f64) -> (LaneId, f64) {
        let index = self.starts.iter().rposition(|&start| start <= s);
        let index = index.unwrap_or(0);
        (self.lanes[index], self.starts[index])
    }

    /// The arc length at which a lane begins, if the path takes it.
    pub fn start_of(&self, lane: LaneId) -> Option<f64> {
        let index = self.lanes.iter().position(|&l| l == lane)?;
        Some(self.starts[index])
    }

    /// The speed to drive at arc length `s` so that no slower place ahead asks for more braking than
    /// `braking`, m/s².
    pub fn speed_at(&self, s: f64, braking: f64) -> f64 {
        let first = (s / SPEED_STEP).max(0.0) as usize;
        let ahead = self.speeds.iter().enumerate().skip(first).take(20);
        let slowest = ahead.map(|(i, &speed)| {
            let distance = (i as f64 * SPEED_STEP - s).max(0.0);
            speed * speed + 2.0 * braking * distance
        });
        slowest.fold(f64::INFINITY, f64::min).sqrt()
    }
}
