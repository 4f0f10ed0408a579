//! The camera rig: three pinhole cameras with their matrices.
//!
//! Ego frame: origin on the ground below the rear axle, x forward, y left, z up, metres. Camera frame:
//! x right, y down, z along the optical axis. A point p of the ego frame has the pixel
//! `K (R p + t)`, divided by its third component; pixel centres lie at halves.

use crate::error::WorldError;
use serde::{Deserialize, Serialize};

/// A point or direction in space.
pub type Vec3 = [f64; 3];

/// What the cameras are like.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RigConfig {
    /// Pixels of each image, 32 to 256.
    pub width: usize,
    /// Pixels of each image, 16 to 128.
    pub height: usize,
    /// Horizontal field of view of each camera, degrees.
    pub field_of_view: f64,
    /// Degrees by which the side cameras look away from straight ahead.
    pub side_angle: f64,
}

impl Default for RigConfig {
    fn default() -> Self {
        Self {
            width: 64,
            height: 32,
            field_of_view: 70.0,
            side_angle: 60.0,
        }
    }
}

impl RigConfig {
    /// Names the option that no rig can be built of.
    pub fn check(&self) -> Result<(), WorldError> {
        let between = |key: &str, value: f64, low: f64, high: f64| {
            if (low..=high).contains(&value) {
                Ok(())
            } else {
                let wanted = format!("a number from {low} to {high}");
                Err(WorldError::config(key, value.to_string(), wanted))
            }
        };
        between("width", self.width as f64, 32.0, 256.0)?;
        between("height", self.height as f64, 16.0, 128.0)?;
        between("field_of_view", self.field_of_view, 30.0, 120.0)?;
        between("side_angle", self.side_angle, 10.0, 150.0)
    }

    /// Front, left and right.
    pub fn rig(&self) -> Result<[Camera; 3], WorldError> {
        self.check()?;
        let side = self.side_angle.to_radians();
        Ok([
            self.camera("front", [1.7, 0.0, 1.5], 0.0),
            self.camera("left", [1.5, 0.7, 1.5], side),
            self.camera("right", [1.5, -0.7, 1.5], -side),
        ])
    }

    /// A camera that looks along a yaw angle, slightly down.
    fn camera(&self, name: &'static str, position: Vec3, yaw: f64) -> Camera {
        let focal = self.width as f64 / 2.0 / (self.field_of_view.to_radians() / 2.0).tan();
        let pitch = 5.0_f64.to_radians();
        let forward = [
            yaw.cos() * pitch.cos(),
            yaw.sin() * pitch.cos(),
            -pitch.sin(),
        ];
        let right = [yaw.sin(), -yaw.cos(), 0.0];
        let down = [
            forward[1] * right[2] - forward[2] * right[1],
            forward[2] * right[0] - forward[0] * right[2],
            forward[0] * right[1] - forward[1] * right[0],
        ];
        let rotation = [right, down, forward];
        let translation = rotation.map(|row| -dot(row, position));
        Camera {
            name,
            width: self.width,
            height: self.height,
            intrinsics: [
                [focal, 0.0, self.width as f64 / 2.0],
                [0.0, focal, self.height as f64 / 2.0],
                [0.0, 0.0, 1.0],
            ],
            rotation,
            translation,
            position,
        }
    }
}

pub(super) fn dot(a: Vec3, b: Vec3) -> f64 {
    a[0] * b[0] + a[1] * b[1] + a[2] * b[2]
}

/// A pinhole camera, fixed to the ego.
#[derive(Debug, Clone, PartialEq)]
pub struct Camera {
    pub name: &'static str,
    pub width: usize,
    pub height: usize,
    /// K.
    pub intrinsics: [[f64; 3]; 3],
    /// R, from the ego frame to the camera frame.
    pub rotation: [[f64; 3]; 3],
    /// t.
    pub translation: Vec3,
    /// The pinhole in the ego frame.
    pub position: Vec3,
}

impl Camera {
    /// The extrinsics as a 4x4 matrix from the ego frame to the camera frame, row by row.
    pub fn extrinsics(&self) -> [[f64; 4]; 4] {
        let row = |i: usize| {
            let [a, b, c] = self.rotation[i];
            [a, b, c, self.translation[i]]
        };
        [row(0), row(1), row(2), [0.0, 0.0, 0.0, 1.0]]
    }

    /// A point of the ego frame in the camera frame.
    pub fn to_camera(&self, point: Vec3) -> Vec3 {
        let t = self.translation;
        [0, 1, 2].map(|i| dot(self.rotation[i], point) + t[i])
    }

    /// The pixel of a point of the camera frame in front of the camera.
    pub fn pixel(&self, point: Vec3) -> [f64; 2] {
        let k = &self.intrinsics;
        [
            k[0][0] * point[0] / point[2] + k[0][2],
            k[1][1] * point[1] / point[2] + k[1][2],
        ]
    }

    /// The direction in the ego frame that a pixel sees; its component along the axis is 1.
    pub fn ray(&self, x: f64, y: f64) -> Vec3 {
        let k = &self.intrinsics;
        let seen = [(x - k[0][2]) / k[0][0], (y - k[1][2]) / k[1][1], 1.0];
        [0, 1, 2].map(|i| (0..3).map(|row| self.rotation[row][i] * seen[row]).sum())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rays_and_pixels_are_inverse() {
        for camera in RigConfig::default().rig().unwrap() {
            let ray = camera.ray(10.5, 20.5);
            let point = [0, 1, 2].map(|i| camera.position[i] + 7.0 * ray[i]);
            let [x, y] = camera.pixel(camera.to_camera(point));
            assert!((x - 10.5).abs() < 1e-9 && (y - 20.5).abs() < 1e-9);
            assert!((camera.to_camera(point)[2] - 7.0).abs() < 1e-9);
        }
    }

    #[test]
    fn the_left_is_left_and_the_ground_below() {
        let [front, left, right] = RigConfig::default().rig().unwrap();
        let pixel = |camera: &Camera, p: Vec3| camera.pixel(camera.to_camera(p));
        assert!(pixel(&front, [20.0, 3.0, 0.0])[0] < 32.0);
        assert!(pixel(&front, [20.0, 0.0, 0.0])[1] > pixel(&front, [20.0, 0.0, 2.0])[1]);
        assert!(left.to_camera([2.0, 10.0, 0.0])[2] > 0.0);
        assert!(right.to_camera([2.0, 10.0, 0.0])[2] < 0.0);
    }

    #[test]
    fn wrong_options_are_named() {
        let wrong = RigConfig {
            width: 1000,
            ..RigConfig::default()
        };
        let message = wrong.rig().unwrap_err().to_string();
        assert_eq!(
            message,
            "option `width`: found 1000, expected a number from 32 to 256"
        );
    }
}
