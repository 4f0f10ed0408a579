//! Which positions of which views show the points of the ground.

use super::camera::{Camera, Seen};
use super::depths::{Depths, neighbours};
use super::grid::Grid;
use super::moves::Move;
use crate::linear::Linear;
use conjoin_kernels::sparse::SparseMap;

/// The shape of a [`ViewToBev`](super::ViewToBev).
#[derive(Debug, Clone, PartialEq)]
pub struct ViewToBevOptions {
    /// In the order of the views of a moment.
    pub cameras: Vec<Camera>,
    /// `F`, moments whose views are read, the earliest first.
    pub moments: usize,
    /// Height, width and channels of a view's features.
    pub features: [usize; 3],
    pub grid: Grid,
    /// Metres above the ground.
    pub heights: Vec<f64>,
    /// `D`.
    pub size: usize,
    /// Depths over which each position of a view has a distribution; without them its features lie at all of them.
    pub depths: Option<Depths>,
}

impl ViewToBevOptions {
    /// The map from all positions of all views of one moment, `[V, H, W]`, to all points of the grid, `[X, Y, Z]`. Where
    /// there are depths it reads each position at each, `[V, H, W, K]`.
    pub fn unprojection(&self) -> SparseMap {
        self.unprojection_from(&[[0.0; 3]])
    }

    /// The map from all positions of all views of some moments, `[F, V, H, W]`, to all points of the grid as each shows
    /// them, `[X, Y, Z, F]`; where there are depths it reads `[F, V, H, W, K]`. Poses are the vehicle's at each moment, in any frame that is fixed to the ground: x, y (m),
    /// heading (rad); the grid lies round the last.
    pub fn unprojection_from(&self, poses: &[[f64; 3]]) -> SparseMap {
        let [height, width, _] = self.features;
        let bins = self.bins();
        let [cells_x, cells_y] = self.grid.cells;
        let (heights, moments) = (self.heights.len(), poses.len());
        let now = poses.last().copied().unwrap_or_default();
        let moves: Vec<Move> = poses.iter().map(|&pose| Move::new(now, pose)).collect();
        let positions = self.cameras.len() * height * width;
        let points = cells_x * cells_y * heights;
        SparseMap::from_fn(
            moments * positions * bins,
            points * moments,
            |output, row| {
                let (point, moment) = (output / moments, output % moments);
                let (cell, level) = (point / heights, point % heights);
                let at = self.grid.centre([cell / cells_y, cell % cells_y]);
                let [x, y] = moves[moment].of(at);
                self.sample([x, y, self.heights[level]], moment * positions, row);
            },
        )
    }

    /// `K`, 1 where there are no depths.
    pub fn bins(&self) -> usize {
        self.depths.map_or(1, |depths| depths.bins)
    }

    /// Adds the positions around a point's pixels, counted from `first`, and their weights, which sum to 1 where any
    /// camera sees it; of each position the depths around the point's.
    fn sample(&self, point: [f64; 3], first: usize, samples: &mut Vec<(usize, f32)>) {
        let [height, width, _] = self.features;
        let begun = samples.len();
        let mut seen = 0;
        for (view, camera) in self.cameras.iter().enumerate() {
            let Some(Seen { pixel, depth }) = camera.see(point) else {
                continue;
            };
            let ([u, v], bins) = (pixel, self.bins());
            let depths = self
                .depths
                .map_or([(0, 1.0), (0, 0.0)], |depths| depths.around(depth));
            seen += 1;
            for (row, vertical) in around(v, camera.height, height) {
                for (column, horizontal) in around(u, camera.width, width) {
                    let position = first + (view * height + row) * width + column;
                    for (bin, along) in depths {
                        let weight = vertical * horizontal * along;
                        if weight > 0.0 {
                            samples.push((position * bins + bin, weight as f32));
                        }
                    }
                }
            }
        }
        for (_, weight) in &mut samples[begun..] {
            *weight /= seen as f32;
        }
    }

    /// Multiply-adds for one sample, times two.
    pub fn flops(&self) -> f64 {
        let cells: usize = self.grid.cells.iter().product();
        let [height, width, numbers] = self.features;
        let channels = numbers * self.moments;
        let positions = self.moments * self.cameras.len() * height * width;
        let depths = self.depths.map_or(0.0, |depths| {
            positions as f64 * Linear::flops(numbers, depths.bins)
        });
        2.0 * (self.unprojection().terms() * channels) as f64
            + depths
            + cells as f64 * Linear::flops(self.heights.len() * channels, self.size)
    }
}

/// The two of `positions` evenly spaced ones that lie around a pixel coordinate, and the weight of each.
/// At the border both are the last one, as in `grid_sample` with `align_corners=False` and
/// `padding_mode="border"`.
fn around(at: f64, pixels: usize, positions: usize) -> [(usize, f64); 2] {
    neighbours(at * positions as f64 / pixels as f64 - 0.5, positions)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::birds_eye::camera::tests::camera;
    use std::f64::consts::FRAC_PI_2;

    /// One cell, 10 m ahead and 2 m to the left.
    fn options() -> ViewToBevOptions {
        ViewToBevOptions {
            cameras: vec![camera()],
            moments: 1,
            features: [16, 32, 1],
            grid: Grid {
                cells: [1, 1],
                extent: [9.0, 11.0, 1.0, 3.0],
            },
            heights: vec![0.5],
            size: 1,
            depths: None,
        }
    }

    #[test]
    fn positions_lie_around_a_pixel() {
        // Four positions over eight pixels have their middles at 1, 3, 5 and 7.
        assert_eq!(around(4.0, 8, 4), [(1, 0.5), (2, 0.5)]);
        assert_eq!(around(3.5, 8, 4), [(1, 0.75), (2, 0.25)]);
        assert_eq!(around(0.0, 8, 4), [(0, 1.0), (1, 0.0)]);
        assert_eq!(around(7.9, 8, 4), [(3, 1.0), (3, 0.0)]);
    }

    #[test]
    fn a_point_that_two_cameras_see_is_the_mean_of_both() {
        let near = ViewToBevOptions {
            cameras: vec![camera(), camera()],
            ..options()
        };
        let mut wide = near.clone();
        wide.grid = Grid {
            cells: [1, 2],
            extent: [9.0, 11.0, 0.0, 100.0],
        };
        assert_eq!(wide.grid.centre([0, 1]), [10.0, 75.0]);
        let map = wide.unprojection();
        let first: Vec<(usize, f32)> = map.row(0).collect();
        // 25 m to the left of a camera with a field of view of 58 degrees each way.
        assert!(first.is_empty());
        let found: Vec<(usize, f32)> = near.unprojection().row(0).collect();
        let corner = |view: usize, row: usize, column: usize| (view * 16 + row) * 32 + column;
        let wanted: Vec<(usize, f32)> = [0, 1]
            .into_iter()
            .flat_map(|view| [(8, 13), (8, 14), (9, 13), (9, 14)].map(|(r, c)| corner(view, r, c)))
            .map(|position| (position, 0.125))
            .collect();
        assert_eq!(found, wanted);
        assert_eq!(near.flops(), 2.0 * 8.0 + 2.0);
    }

    #[test]
    fn earlier_views_show_a_point_from_where_the_vehicle_was() {
        // Before: 3 m behind and 1 m to the right of now, turned by a quarter to the left.
        let (now, before) = ([7.0, 2.0, 1.2], 1.2 + FRAC_PI_2);
        let (sine, cosine) = 1.2_f64.sin_cos();
        let back = [7.0 - 3.0 * cosine + sine, 2.0 - 3.0 * sine - cosine, before];
        // 1 m ahead of now is 4 m ahead and 1 m to the left of then as now heads: left is ahead for then.
        let found = Move::new(now, back).of([1.0, 0.0]);
        assert!((found[0] - 1.0).abs() < 1e-12 && (found[1] + 4.0).abs() < 1e-12);
        let options = ViewToBevOptions {
            moments: 2,
            ..options()
        };
        // 5 m back, the point is 15 m ahead instead of 10.
        let map = options.unprojection_from(&[[-5.0, 0.0, 0.0], [0.0, 0.0, 0.0]]);
        let mut moved = options.clone();
        moved.grid.extent = [14.0, 16.0, 1.0, 3.0];
        let [before, now] = [moved, options].map(|options| options.unprojection());
        let rows = |map: &SparseMap, row: usize, first: usize| -> Vec<(usize, f32)> {
            map.row(row).map(|(i, w)| (i + first, w)).collect()
        };
        assert_eq!(rows(&map, 0, 0), rows(&before, 0, 0));
        assert_eq!(rows(&map, 1, 0), rows(&now, 0, 16 * 32));
    }

    #[test]
    fn a_position_is_read_at_the_depths_around_a_point() {
        let plain = options();
        let depths = Depths {
            bins: 3,
            nearest: 0.0,
            farthest: 16.0,
        };
        let at_depths = ViewToBevOptions {
            depths: Some(depths),
            ..plain.clone()
        };
        // 10 m lie between 8 and 16.
        let map = at_depths.unprojection();
        assert_eq!(map.inputs(), 16 * 32 * 3);
        let wanted = plain.unprojection();
        let wanted = wanted.row(0).flat_map(|(position, weight)| {
            [(1, 0.75), (2, 0.25)].map(|(bin, along)| (position * 3 + bin, weight * along))
        });
        assert_eq!(
            map.row(0).collect::<Vec<_>>(),
            wanted.collect::<Vec<(usize, f32)>>()
        );
    }
}
