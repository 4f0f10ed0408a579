//! Pinhole cameras on the vehicle.

/// A point nearer to the camera's plane than this, m, is not seen.
const NEAREST: f64 = 0.1;

/// Where a camera sees a point.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Seen {
    /// In the image, `[x, y]`.
    pub pixel: [f64; 2],
    /// Along the optical axis, m.
    pub depth: f64,
}

/// A pinhole camera, fixed to the vehicle. A point `p` of the ego frame (x forward, y left, z up, m) has
/// the pixel `K (R p + t)`, divided by its third component; pixel centres lie at halves.
#[derive(Debug, Clone, PartialEq)]
pub struct Camera {
    /// `K`.
    pub intrinsics: [[f64; 3]; 3],
    /// `[R | t]`, to a frame with x to the right, y down, z along the optical axis.
    pub ego_to_camera: [[f64; 4]; 3],
    /// Pixels of the whole image.
    pub width: usize,
    pub height: usize,
}

impl Camera {
    /// Where a point of the ego frame is seen; `None` where the camera does not see it.
    pub fn see(&self, [x, y, z]: [f64; 3]) -> Option<Seen> {
        let [right, down, ahead] = self
            .ego_to_camera
            .map(|[a, b, c, t]| a * x + b * y + c * z + t);
        if ahead < NEAREST {
            return None;
        }
        let [u, v, w] = self
            .intrinsics
            .map(|[a, b, c]| a * right + b * down + c * ahead);
        let pixel = [u / w, v / w];
        let size = [self.width, self.height];
        let is_inside = |(at, size): (f64, usize)| (0.0..size as f64).contains(&at);
        let depth = ahead;
        std::iter::zip(pixel, size)
            .all(is_inside)
            .then_some(Seen { pixel, depth })
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// Looks along x from 1.5 m above the ground.
    pub(crate) fn camera() -> Camera {
        Camera {
            intrinsics: [[10.0, 0.0, 16.0], [0.0, 10.0, 8.0], [0.0, 0.0, 1.0]],
            ego_to_camera: [
                [0.0, -1.0, 0.0, 0.0],
                [0.0, 0.0, -1.0, 1.5],
                [1.0, 0.0, 0.0, 0.0],
            ],
            width: 32,
            height: 16,
        }
    }

    #[test]
    fn points_have_the_pixels_of_a_pinhole() {
        let seen = camera().see([10.0, 2.0, 0.5]);
        assert_eq!(
            seen,
            Some(Seen {
                pixel: [14.0, 9.0],
                depth: 10.0
            })
        );
        for unseen in [[-10.0, 0.0, 0.0], [0.05, 0.0, 1.5], [10.0, 20.0, 0.0]] {
            assert_eq!(camera().see(unseen), None);
        }
    }
}
