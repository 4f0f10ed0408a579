//! Where lanes meet: found from their geometry, once, when a map is built.

use super::{Lane, LaneId};

/// A stretch of one lane on which a car would touch one on another lane.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Conflict {
    /// The lane that gives way, and its stretch by arc length.
    pub lane: LaneId,
    pub own: (f64, f64),
    /// The lane that goes first, and its stretch.
    pub other: LaneId,
    pub theirs: (f64, f64),
}

/// Centre lines nearer than this (m) conflict: a car's width and a margin.
const NEAR: f64 = 2.6;

/// Lanes of different rank that come near each other, except those that part from the same lane.
pub fn find(lanes: &[Lane]) -> Vec<Conflict> {
    let parted = |a: LaneId, b: LaneId| {
        lanes
            .iter()
            .any(|lane| lane.next.contains(&a) && lane.next.contains(&b))
    };
    let mut found = Vec::new();
    for (a, own) in lanes.iter().enumerate() {
        for (b, other) in lanes.iter().enumerate() {
            let neighbours = own.left == Some(b) || own.right == Some(b);
            let follows = own.next.contains(&b) || other.next.contains(&a);
            if own.rank >= other.rank || neighbours || follows || parted(a, b) {
                continue;
            }
            let near = |from: &Lane, to: &Lane| {
                let mut stretch: Option<(f64, f64)> = None;
                for (i, &p) in from.centre.points().iter().enumerate() {
                    let touches = to
                        .centre
                        .points()
                        .iter()
                        .any(|&q| (p - q).squared() < NEAR * NEAR);
                    if touches {
                        let s = i as f64 * from.centre.spacing();
                        stretch = Some((stretch.map_or(s, |(start, _)| start), s));
                    }
                }
                stretch
            };
            if let (Some(mine), Some(theirs)) = (near(own, other), near(other, own)) {
                found.push(Conflict {
                    lane: a,
                    own: mine,
                    other: b,
                    theirs,
                });
            }
        }
    }
    found
}
