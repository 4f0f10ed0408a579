//! Draws roads into a map: carriageways of several lanes, connections, intersections.

use super::cover::Cover;
use super::{Conflict, Crossing, Lane, LaneId, LightProgram, Marking, RoadMap, conflict};
use crate::geometry::{Polygon, Polyline, Pose, Tracer, Vec2};
use std::sync::OnceLock;

/// A map while it is drawn.
#[derive(Debug, Default)]
pub struct MapBuilder {
    lanes: Vec<Lane>,
    intersections: Vec<Polygon>,
    crossings: Vec<Crossing>,
    lights: Vec<LightProgram>,
}

/// Metres that a lane's outline laps over its neighbours, so that none leaves a crack.
const LAP: f64 = 0.3;
/// Metres that a lane goes on where the map ends: whoever arrives there has a road before them.
pub(in crate::driving) const TAIL: f64 = 42.0;

/// The outline of a strip along a line, with some metres more at its end.
fn strip(line: &Polyline, width: f64, more: f64) -> Polygon {
    let side = |d: f64| {
        let mut points = line.offset(d);
        points.insert(0, line.beside(-LAP, d).at);
        points.push(line.beside(line.length() + more, d).at);
        points
    };
    let mut ring = side(width / 2.0);
    ring.extend(side(-width / 2.0).into_iter().rev());
    Polygon::new(ring)
}

impl MapBuilder {
    pub fn new() -> Self {
        Self::default()
    }

    /// A lane along raw points, with no neighbours.
    pub fn lane(&mut self, points: &[Vec2], width: f64, speed_limit: f64) -> LaneId {
        let centre = Polyline::new(points, 1.0);
        self.lanes.push(Lane {
            outline: strip(&centre, width, LAP),
            centre,
            width,
            speed_limit,
            next: Vec::new(),
            left: None,
            right: None,
            rank: 1,
            light: None,
            markings: [Marking::Solid; 2],
            connector: false,
        });
        self.lanes.len() - 1
    }

    /// `count` lanes of one direction to the right of a reference line, from left to right.
    pub fn carriageway(
        &mut self,
        reference: &Polyline,
        count: usize,
        width: f64,
        speed_limit: f64,
    ) -> Vec<LaneId> {
        let made: Vec<LaneId> = (0..count)
            .map(|i| {
                let points = reference.offset(-(i as f64 + 0.5) * width);
                self.lane(&points, width, speed_limit)
            })
            .collect();
        for pair in made.windows(2) {
            self.lanes[pair[0]].right = Some(pair[1]);
            self.lanes[pair[1]].left = Some(pair[0]);
            self.lanes[pair[0]].markings[1] = Marking::Dashed;
            self.lanes[pair[1]].markings[0] = Marking::None;
        }
        made
    }

    /// Lanes of both directions around a reference line; the second list runs against it.
    pub fn road(
        &mut self,
        reference: &Polyline,
        count: (usize, usize),
        width: f64,
        speed_limit: f64,
    ) -> (Vec<LaneId>, Vec<LaneId>) {
        let forth = self.carriageway(reference, count.0, width, speed_limit);
        let turned: Vec<Vec2> = reference.points().iter().rev().copied().collect();
        let turned = Polyline::new(&turned, reference.spacing());
        let back = self.carriageway(&turned, count.1, width, speed_limit);
        if let (Some(&a), Some(&b)) = (forth.first(), back.first()) {
            self.lanes[a].markings[0] = Marking::Centre;
            self.lanes[b].markings[0] = Marking::None;
        }
        (forth, back)
    }

    /// A smooth lane from the end of one lane to the start of another.
    pub fn connect(&mut self, from: LaneId, to: LaneId, rank: u8) -> LaneId {
        let (a, b) = (&self.lanes[from], &self.lanes[to]);
        let points = Tracer::from(a.centre.at(a.centre.length()))
            .to(b.centre.at(0.0))
            .points();
        let (width, limit) = (a.width.min(b.width), a.speed_limit.min(b.speed_limit));
        let made = self.lane(&points, width, limit);
        let lane = &mut self.lanes[made];
        lane.markings = [Marking::None; 2];
        lane.connector = true;
        lane.rank = rank;
        lane.next = vec![to];
        self.lanes[from].next.push(made);
        made
    }

    /// One lane leads straight into another.
    pub fn follow(&mut self, from: LaneId, to: LaneId) {
        self.lanes[from].next.push(to);
    }

    pub fn lane_mut(&mut self, lane: LaneId) -> &mut Lane {
        &mut self.lanes[lane]
    }

    /// Pose at the end of a lane.
    pub fn end(&self, lane: LaneId) -> Pose {
        let centre = &self.lanes[lane].centre;
        centre.at(centre.length())
    }

    /// Pose at the start of a lane.
    pub fn start(&self, lane: LaneId) -> Pose {
        self.lanes[lane].centre.at(0.0)
    }

    pub fn intersection(&mut self, ring: Vec<Vec2>) {
        self.intersections.push(Polygon::new(ring));
    }

    pub fn light(&mut self, program: LightProgram) -> usize {
        self.lights.push(program);
        self.lights.len() - 1
    }

    /// A crossing over a road: from `left` to `right` metres beside a point of its reference line.
    pub fn crossing(&mut self, on: Pose, left: f64, right: f64, zebra: bool) {
        let across = Vec2::unit(on.heading).left();
        self.crossings.push(Crossing {
            from: on.at + across * left,
            to: on.at - across * right,
            width: 3.0,
            zebra,
        });
    }

    pub fn finish(mut self) -> RoadMap {
        for lane in self.lanes.iter_mut().filter(|lane| lane.next.is_empty()) {
            lane.outline = strip(&lane.centre, lane.width, TAIL);
        }
        let conflicts: Vec<Conflict> = conflict::find(&self.lanes);
        RoadMap {
            cover: Cover::new(&self.lanes, &self.intersections),
            edges: OnceLock::new(),
            lanes: self.lanes,
            intersections: self.intersections,
            crossings: self.crossings,
            lights: self.lights,
            conflicts,
        }
    }
}
