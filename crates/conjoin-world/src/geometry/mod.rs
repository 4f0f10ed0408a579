//! Plane geometry of the worlds: vectors, poses, oriented boxes, polylines, polygons.
//!
//! Metres and radians; x to the right, y up, headings counter-clockwise from x. In a local frame x is
//! forward and y to the left.

mod boxes;
mod polygon;
mod polyline;

pub use boxes::Obb;
pub use polygon::Polygon;
pub use polyline::{Polyline, Projection, Tracer};

use serde::{Deserialize, Serialize};
use std::f64::consts::{PI, TAU};
use std::ops::{Add, Mul, Neg, Sub};

/// A point or a displacement in the plane, metres.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct Vec2 {
    pub x: f64,
    pub y: f64,
}

impl Vec2 {
    pub const fn new(x: f64, y: f64) -> Self {
        Self { x, y }
    }

    /// The unit vector of a heading.
    pub fn unit(heading: f64) -> Self {
        Self::new(heading.cos(), heading.sin())
    }

    pub fn dot(self, other: Self) -> f64 {
        self.x * other.x + self.y * other.y
    }

    /// The z component of the cross product: positive if `other` lies to the left.
    pub fn cross(self, other: Self) -> f64 {
        self.x * other.y - self.y * other.x
    }

    pub fn length(self) -> f64 {
        self.x.hypot(self.y)
    }

    pub fn squared(self) -> f64 {
        self.dot(self)
    }

    /// Turned by a quarter to the left.
    pub fn left(self) -> Self {
        Self::new(-self.y, self.x)
    }

    pub fn heading(self) -> f64 {
        self.y.atan2(self.x)
    }

    /// `self` at 0, `other` at 1.
    pub fn lerp(self, other: Self, share: f64) -> Self {
        self + (other - self) * share
    }
}

impl Add for Vec2 {
    type Output = Self;
    fn add(self, other: Self) -> Self {
        Self::new(self.x + other.x, self.y + other.y)
    }
}

impl Sub for Vec2 {
    type Output = Self;
    fn sub(self, other: Self) -> Self {
        Self::new(self.x - other.x, self.y - other.y)
    }
}

impl Mul<f64> for Vec2 {
    type Output = Self;
    fn mul(self, factor: f64) -> Self {
        Self::new(self.x * factor, self.y * factor)
    }
}

impl Neg for Vec2 {
    type Output = Self;
    fn neg(self) -> Self {
        Self::new(-self.x, -self.y)
    }
}

/// A position with a heading.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct Pose {
    pub at: Vec2,
    /// Radians, counter-clockwise from x.
    pub heading: f64,
}

impl Pose {
    pub const fn new(x: f64, y: f64, heading: f64) -> Self {
        Self {
            at: Vec2::new(x, y),
            heading,
        }
    }

    /// A point of the world in this pose's frame.
    pub fn to_local(self, point: Vec2) -> Vec2 {
        let (forward, away) = (Vec2::unit(self.heading), point - self.at);
        Vec2::new(forward.dot(away), forward.cross(away))
    }

    /// A point of this pose's frame in the world.
    pub fn to_world(self, point: Vec2) -> Vec2 {
        let forward = Vec2::unit(self.heading);
        self.at + forward * point.x + forward.left() * point.y
    }

    /// A pose of the world in this pose's frame.
    pub fn pose_to_local(self, other: Self) -> Self {
        Self {
            at: self.to_local(other.at),
            heading: wrap_angle(other.heading - self.heading),
        }
    }

    /// A pose of this pose's frame in the world.
    pub fn pose_to_world(self, other: Self) -> Self {
        Self {
            at: self.to_world(other.at),
            heading: wrap_angle(other.heading + self.heading),
        }
    }
}

/// The same angle in (-pi, pi].
pub fn wrap_angle(angle: f64) -> f64 {
    if angle > -PI && angle <= PI {
        return angle;
    }
    let wrapped = angle.rem_euclid(TAU);
    if wrapped > PI { wrapped - TAU } else { wrapped }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_are_inverse() {
        let pose = Pose::new(3.0, -2.0, 2.5);
        let point = Vec2::new(-7.0, 11.0);
        assert!((pose.to_world(pose.to_local(point)) - point).length() < 1e-12);
        let ahead = pose.to_local(pose.at + Vec2::unit(2.5) * 4.0);
        assert!((ahead - Vec2::new(4.0, 0.0)).length() < 1e-12);
        let other = Pose::new(1.0, 1.0, -3.0);
        let back = pose.pose_to_world(pose.pose_to_local(other));
        assert!((back.heading - other.heading).abs() < 1e-12);
    }

    #[test]
    fn angles_wrap_into_half_open_turn() {
        assert!((wrap_angle(3.0 * PI) - PI).abs() < 1e-12);
        assert!((wrap_angle(-PI / 2.0 - TAU) + PI / 2.0).abs() < 1e-12);
    }
}
