//! Oriented boxes: footprints of cars, people and buildings.

use super::{Pose, Vec2};
use serde::{Deserialize, Serialize};

/// A rectangle with a heading. With a width of zero it is a segment.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Obb {
    /// The middle and the direction of the length.
    pub pose: Pose,
    pub length: f64,
    pub width: f64,
}

impl Obb {
    pub const fn new(pose: Pose, length: f64, width: f64) -> Self {
        Self {
            pose,
            length,
            width,
        }
    }

    /// Front left, rear left, rear right, front right.
    pub fn corners(&self) -> [Vec2; 4] {
        let forward = Vec2::unit(self.pose.heading);
        let (along, across) = (
            forward * (self.length / 2.0),
            forward.left() * (self.width / 2.0),
        );
        let at = self.pose.at;
        [
            at + along + across,
            at - along + across,
            at - along - across,
            at + along - across,
        ]
    }

    /// The box with every side moved outwards.
    pub fn inflated(&self, by: f64) -> Self {
        Self::new(self.pose, self.length + 2.0 * by, self.width + 2.0 * by)
    }

    /// Half the extents along and across a direction at this angle to the box.
    pub fn half_extents(&self, angle: f64) -> (f64, f64) {
        let (sin, cos) = (angle.sin().abs(), angle.cos().abs());
        (
            f64::midpoint(cos * self.length, sin * self.width),
            f64::midpoint(sin * self.length, cos * self.width),
        )
    }

    pub fn contains(&self, point: Vec2) -> bool {
        let local = self.pose.to_local(point);
        local.x.abs() <= self.length / 2.0 && local.y.abs() <= self.width / 2.0
    }

    /// Distance from a point to the box, zero inside.
    pub fn distance(&self, point: Vec2) -> f64 {
        let local = self.pose.to_local(point);
        Vec2::new(
            (local.x.abs() - self.length / 2.0).max(0.0),
            (local.y.abs() - self.width / 2.0).max(0.0),
        )
        .length()
    }

    /// Radius of the circle around the box, metres.
    pub fn radius(&self) -> f64 {
        (self.length * self.length + self.width * self.width).sqrt() / 2.0
    }

    /// Whether two boxes share a point (separating axes).
    pub fn intersects(&self, other: &Self) -> bool {
        let away = other.pose.at - self.pose.at;
        let reach = self.radius() + other.radius();
        if away.squared() > reach * reach {
            return false;
        }
        let turn = other.pose.heading - self.pose.heading;
        let apart = |axis: Vec2, own: (f64, f64), theirs: (f64, f64)| {
            axis.dot(away).abs() > own.0 + theirs.0
                || axis.left().dot(away).abs() > own.1 + theirs.1
        };
        let halves = |b: &Self| (b.length / 2.0, b.width / 2.0);
        !(apart(
            Vec2::unit(self.pose.heading),
            halves(self),
            other.half_extents(turn),
        ) || apart(
            Vec2::unit(other.pose.heading),
            self.half_extents(turn),
            halves(other),
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::f64::consts::FRAC_PI_4;

    #[test]
    fn boxes_meet_where_they_overlap() {
        let a = Obb::new(Pose::new(0.0, 0.0, 0.0), 4.0, 2.0);
        let beside = |x, y, heading| Obb::new(Pose::new(x, y, heading), 4.0, 2.0);
        assert!(a.intersects(&beside(3.9, 0.0, 0.0)));
        assert!(!a.intersects(&beside(4.1, 0.0, 0.0)));
        assert!(!a.intersects(&beside(0.0, 2.1, 0.0)));
        // Their upright hulls overlap, the boxes do not: only the turned box's axis separates them.
        let turned = beside(3.4, 2.4, -FRAC_PI_4);
        assert!(!a.intersects(&turned) && !turned.intersects(&a));
        assert!(a.intersects(&beside(2.6, 1.6, -FRAC_PI_4)));
    }

    #[test]
    fn a_segment_is_a_box_without_width() {
        let bumper = Obb::new(Pose::new(2.0, 0.0, std::f64::consts::FRAC_PI_2), 2.0, 0.0);
        assert!(bumper.intersects(&Obb::new(Pose::new(3.0, 0.0, 0.0), 2.1, 1.0)));
        assert!(!bumper.intersects(&Obb::new(Pose::new(3.0, 0.0, 0.0), 1.9, 1.0)));
    }

    #[test]
    fn corners_go_round_from_the_front_left() {
        let corners = Obb::new(Pose::new(1.0, 1.0, 0.0), 4.0, 2.0).corners();
        assert_eq!(corners[0], Vec2::new(3.0, 2.0));
        assert_eq!(corners[2], Vec2::new(-1.0, 0.0));
        let square = Obb::new(Pose::new(1.0, 1.0, 0.0), 4.0, 2.0);
        assert!((square.distance(Vec2::new(6.0, 6.0)) - 5.0).abs() < 1e-12);
    }
}
