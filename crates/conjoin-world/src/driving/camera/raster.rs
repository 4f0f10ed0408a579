//! A small rasteriser: convex polygons with a z-buffer, clipped at the near plane, with
//! perspective-correct texture coordinates.

use super::calibration::{Camera, Vec3};
use super::ground::Colour;

/// Nothing nearer than this is drawn, metres.
const NEAR: f64 = 0.2;

/// An image under way: colour, inverse depth, and whose pixel it is.
#[derive(Debug, Clone)]
pub struct Canvas {
    pub width: usize,
    pub height: usize,
    /// Row by row, 0 to 255.
    pub colours: Vec<Colour>,
    /// 1/m along the optical axis; zero is infinitely far.
    pub near: Vec<f32>,
    /// Body numbers; [`NOBODY`] for ground and sky.
    pub owners: Vec<u32>,
}

/// The owner of ground and sky.
pub const NOBODY: u32 = u32::MAX;

/// A corner: place in the camera frame and texture coordinates.
#[derive(Debug, Clone, Copy)]
pub struct Corner {
    pub at: Vec3,
    pub uv: [f64; 2],
}

impl Canvas {
    pub fn new(width: usize, height: usize) -> Self {
        Self {
            width,
            height,
            colours: vec![[0.0; 3]; width * height],
            near: vec![0.0; width * height],
            owners: vec![NOBODY; width * height],
        }
    }

    /// Draws a convex polygon where nothing nearer was drawn; `shade` gives a colour for texture
    /// coordinates and depth.
    pub fn polygon(
        &mut self,
        camera: &Camera,
        corners: &[Corner],
        owner: u32,
        shade: impl Fn([f64; 2], f64) -> Colour,
    ) {
        let clipped = clip(corners);
        if clipped.len() < 3 {
            return;
        }
        // On the screen everything divided by depth is linear.
        let screen: Vec<[f64; 5]> = clipped
            .iter()
            .map(|corner| {
                let [x, y] = camera.pixel(corner.at);
                let near = 1.0 / corner.at[2];
                [x, y, near, corner.uv[0] * near, corner.uv[1] * near]
            })
            .collect();
        for i in 1..screen.len() - 1 {
            self.triangle([screen[0], screen[i], screen[i + 1]], owner, &shade);
        }
    }

    fn triangle(
        &mut self,
        [a, b, c]: [[f64; 5]; 3],
        owner: u32,
        shade: &impl Fn([f64; 2], f64) -> Colour,
    ) {
        let area = (b[0] - a[0]) * (c[1] - a[1]) - (c[0] - a[0]) * (b[1] - a[1]);
        if area.abs() < 1e-9 {
            return;
        }
        let least = |i: usize| a[i].min(b[i]).min(c[i]);
        let most = |i: usize| a[i].max(b[i]).max(c[i]);
        let from = |low: f64| (low - 0.5).ceil().max(0.0) as usize;
        let to = |high: f64, size: usize| ((high + 0.5).floor().max(0.0) as usize).min(size);
        for y in from(least(1))..to(most(1), self.height) {
            for x in from(least(0))..to(most(0), self.width) {
                let (px, py) = (x as f64 + 0.5, y as f64 + 0.5);
                let side = |p: &[f64; 5], q: &[f64; 5]| {
                    ((q[0] - p[0]) * (py - p[1]) - (q[1] - p[1]) * (px - p[0])) / area
                };
                let (wa, wb, wc) = (side(&b, &c), side(&c, &a), side(&a, &b));
                if wa < 0.0 || wb < 0.0 || wc < 0.0 {
                    continue;
                }
                let mix = |i: usize| wa * a[i] + wb * b[i] + wc * c[i];
                let near = mix(2);
                let index = y * self.width + x;
                if near as f32 <= self.near[index] {
                    continue;
                }
                self.near[index] = near as f32;
                self.owners[index] = owner;
                self.colours[index] = shade([mix(3) / near, mix(4) / near], 1.0 / near);
            }
        }
    }
}

/// What lies in front of the near plane (Sutherland-Hodgman against one plane).
fn clip(corners: &[Corner]) -> Vec<Corner> {
    let mut kept = Vec::with_capacity(corners.len() + 1);
    for (i, &here) in corners.iter().enumerate() {
        let next = corners[(i + 1) % corners.len()];
        let (inside, then) = (here.at[2] >= NEAR, next.at[2] >= NEAR);
        if inside {
            kept.push(here);
        }
        if inside != then {
            let share = (NEAR - here.at[2]) / (next.at[2] - here.at[2]);
            let mix = |a: f64, b: f64| a + (b - a) * share;
            kept.push(Corner {
                at: [0, 1, 2].map(|k| mix(here.at[k], next.at[k])),
                uv: [0, 1].map(|k| mix(here.uv[k], next.uv[k])),
            });
        }
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::super::calibration::RigConfig;
    use super::*;

    /// A square of the camera frame at a depth.
    fn square(z: f64, half: f64) -> [Corner; 4] {
        [(-1.0, -1.0), (1.0, -1.0), (1.0, 1.0), (-1.0, 1.0)].map(|(x, y)| Corner {
            at: [x * half, y * half, z],
            uv: [x, y],
        })
    }

    #[test]
    fn the_nearer_one_wins_whatever_the_order() {
        let camera = &RigConfig::default().rig().unwrap()[0];
        for order in [[0, 1], [1, 0]] {
            let mut canvas = Canvas::new(64, 32);
            for i in order {
                let z = [5.0, 9.0][i];
                canvas.polygon(camera, &square(z, 1.0), i as u32, |_, _| [z as f32; 3]);
            }
            let middle = 16 * 64 + 32;
            assert_eq!(canvas.owners[middle], 0);
            assert!((canvas.near[middle] - 0.2).abs() < 1e-6);
            assert_eq!(canvas.owners[0], NOBODY);
        }
    }

    #[test]
    fn as_many_pixels_as_the_projection_has() {
        let camera = &RigConfig::default().rig().unwrap()[0];
        let mut canvas = Canvas::new(64, 32);
        canvas.polygon(camera, &square(8.0, 1.0), 3, |_, _| [1.0; 3]);
        let found = canvas.owners.iter().filter(|&&o| o == 3).count() as f64;
        let side = camera.intrinsics[0][0] * 2.0 / 8.0;
        assert!(
            (found - side * side).abs() < 2.0 * side,
            "{found} {}",
            side * side
        );
    }

    #[test]
    fn what_is_behind_the_camera_is_cut_off() {
        let camera = &RigConfig::default().rig().unwrap()[0];
        let mut canvas = Canvas::new(64, 32);
        canvas.polygon(camera, &square(-3.0, 1.0), 3, |_, _| [1.0; 3]);
        assert!(canvas.owners.iter().all(|&o| o == NOBODY));
        // A floor that begins behind the camera covers the lower half only.
        let floor = [(-9.0, -5.0), (9.0, -5.0), (9.0, 50.0), (-9.0, 50.0)];
        let floor = floor.map(|(x, z)| Corner {
            at: [x, 1.5, z],
            uv: [0.0; 2],
        });
        canvas.polygon(camera, &floor, 4, |_, _| [1.0; 3]);
        assert_eq!(canvas.owners[31 * 64 + 32], 4);
        assert_eq!(canvas.owners[32], NOBODY);
    }
}
