//! What the safety layer is told of its surroundings, from whatever perceives them.
//!
//! The layer knows circles that move and points that stand. So a box becomes a row of circles along it,
//! and a surface that stands becomes points.

use conjoin_safety::{Detected, Occlusion};

use super::super::observation::ObservationConfig;
use crate::geometry::{Obb, Pose, Vec2};

/// Numbers of a row of perceived agents: present, x, y, cos, sin, length, width, vx, vy, and three of its
/// class.
pub const ROW: usize = 12;

/// Where an agent stands by its row, in the ego's frame.
pub fn footprint(row: &[f32; ROW]) -> Obb {
    let [x, y, cos, sin, length, width] = [1, 2, 3, 4, 5, 6].map(|i| f64::from(row[i]));
    let pose = Pose::new(x, y, sin.atan2(cos));
    Obb::new(pose, length.max(0.0), width.max(0.0))
}

/// What is around the ego, in its frame (rear axle, x forward, y left; metres, m/s).
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Around {
    pub detected: Vec<Detected>,
    pub occlusions: Vec<Occlusion>,
    /// The boxes that were detected.
    boxes: Vec<Obb>,
}

impl Around {
    /// Adds something seen, with its velocity over ground in the ego's axes; what has wheels moves along
    /// its footprint.
    pub fn add(&mut self, footprint: Obb, velocity: Vec2, wheels: bool) {
        let (length, width) = (footprint.length, footprint.width.max(0.1));
        let pieces = (2.0 * length / width).ceil().clamp(1.0, 16.0) as usize;
        let piece = length / pieces as f64;
        let radius = piece.hypot(width) / 2.0;
        let (sin, cos) = footprint.pose.heading.sin_cos();
        let heading = wheels.then_some([cos, sin]);
        for i in 0..pieces {
            let ahead = (i as f64 + 0.5) * piece - length / 2.0;
            let at = footprint.pose.to_world(Vec2::new(ahead, 0.0));
            self.detected.push(Detected {
                position: [at.x, at.y],
                velocity: [velocity.x, velocity.y],
                radius,
                heading,
            });
        }
        self.boxes.push(footprint);
    }

    /// Adds predicted agents: rows of [`ROW`] numbers, those whose first is at least `threshold`. A row
    /// with a number that is not finite is passed on as it is, as the layer calls that a fault.
    pub fn add_rows(&mut self, rows: &[f32], threshold: f32) {
        for row in rows.as_chunks::<ROW>().0 {
            if row[0] < threshold {
                continue;
            }
            let velocity = Vec2::new(f64::from(row[7]), f64::from(row[8]));
            self.add(footprint(row), velocity, row[9] > row[10]);
        }
    }

    /// Adds the cells (`[cells x, cells y]`, probabilities of now) that are occupied with at least
    /// `threshold` and that nothing detected explains, as things that stand. To be called last.
    pub fn add_occupancy(&mut self, cells: &[f32], config: &ObservationConfig, threshold: f32) {
        let [nx, ny] = config.cells;
        let [x0, x1, y0, y1] = config.extent;
        let (dx, dy) = ((x1 - x0) / nx as f64, (y1 - y0) / ny as f64);
        let reach = dx.hypot(dy) / 2.0;
        for (index, &share) in cells.iter().enumerate().take(nx * ny) {
            // A number that is none is an occupied cell.
            if share < threshold {
                continue;
            }
            let (i, j) = (index / ny, index % ny);
            let middle = Vec2::new(x0 + (i as f64 + 0.5) * dx, y0 + (j as f64 + 0.5) * dy);
            if !self.boxes.iter().any(|b| b.distance(middle) < reach) {
                self.stand(middle, 0.0);
            }
        }
    }

    /// Adds a point of a surface that stands, or of an edge from behind which something may come at
    /// `speed`.
    pub fn stand(&mut self, at: Vec2, speed: f64) {
        self.occlusions.push(Occlusion {
            position: [at.x, at.y],
            speed,
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn circles_hold_the_box_and_little_more() {
        let mut around = Around::default();
        let footprint = Obb::new(Pose::new(10.0, 2.0, 0.6), 4.5, 1.9);
        around.add(footprint, Vec2::new(3.0, 0.0), true);
        let inside = |p: Vec2| {
            let holds = |d: &Detected| {
                let [x, y] = d.position;
                (p - Vec2::new(x, y)).length() <= d.radius + 1e-9
            };
            around.detected.iter().any(holds)
        };
        for i in 0..=40 {
            for j in 0..=20 {
                let local = Vec2::new(
                    (f64::from(i) / 40.0 - 0.5) * 4.5,
                    (f64::from(j) / 20.0 - 0.5) * 1.9,
                );
                assert!(inside(footprint.pose.to_world(local)));
                // Beside it by more than 0.12 m nothing is taken.
                let beside = Vec2::new(local.x, 0.95 + 0.12 + 0.1 * f64::from(j));
                assert!(!inside(footprint.pose.to_world(beside)));
            }
        }
    }

    #[test]
    fn rows_and_cells_become_what_the_layer_knows() {
        let mut around = Around::default();
        let row = |score: f32, x: f32| [score, x, 0.0, 1.0, 0.0, 4.0, 2.0, 5.0, 0.0, 1.0, 0.0, 0.0];
        let rows = [row(0.9, 12.0), row(0.2, 20.0)].concat();
        around.add_rows(&rows, 0.5);
        assert_eq!(around.detected.len(), 4);
        assert!(
            around
                .detected
                .iter()
                .all(|d| d.velocity == [5.0, 0.0] && d.position[0] < 14.0)
        );
        let config = ObservationConfig {
            cells: [4, 4],
            extent: [0.0, 40.0, -20.0, 20.0],
            ..ObservationConfig::default()
        };
        let mut cells = [0.0_f32; 16];
        // The first is explained by the agent at 12 m, the second by nothing.
        (cells[4 + 2], cells[12 + 1]) = (0.9, 0.8);
        around.add_occupancy(&cells, &config, 0.5);
        let points: Vec<[f64; 2]> = around.occlusions.iter().map(|o| o.position).collect();
        assert_eq!(points, [[35.0, -5.0]]);
    }
}
