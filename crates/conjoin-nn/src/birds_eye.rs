//! From the views of calibrated cameras to a bird's-eye view, by unprojection.
//!
//! Shapes: `V` views, `H x W` positions of a view's features, `C` channels, `X x Y` cells of the grid,
//! `Z` heights, `D` channels of the map. Features `[B, V, H, W, C]`, map `[B, X, Y, D]`.
//!
//! Each cell's centre, at each height above the ground, is projected into every camera; the features there
//! are interpolated bilinearly and averaged over the cameras that see the point, the heights put behind each
//! other, and mapped to `D` channels (Harley et al. 2023, "Simple-BEV"; the frame is that of Philion and
//! Fidler 2020, "Lift, Splat, Shoot"). Nothing but the last map is trained, and cameras are fixed to the
//! vehicle, so that all before it is one sparse matrix.

use crate::activation::Activation;
use crate::init::Init;
use crate::linear::Linear;
use burn::module::Module;
use burn::tensor::Tensor;
use conjoin_kernels::sparse::{SparseMap, sparse_map};

/// A point nearer to the camera's plane than this, m, is not seen.
const NEAREST: f64 = 0.1;

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
    /// Where in the image a point of the ego frame lies, `[x, y]`; `None` where the camera does not see it.
    pub fn pixel(&self, [x, y, z]: [f64; 3]) -> Option<[f64; 2]> {
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
        std::iter::zip(pixel, size).all(is_inside).then_some(pixel)
    }
}

/// The shape of a [`ViewToBev`].
#[derive(Debug, Clone, PartialEq)]
pub struct ViewToBevOptions {
    /// In the order of the views.
    pub cameras: Vec<Camera>,
    /// Height, width and channels of a view's features.
    pub features: [usize; 3],
    pub grid: Grid,
    /// Metres above the ground.
    pub heights: Vec<f64>,
    /// `D`.
    pub size: usize,
}

/// Cells over a rectangle of the ground, in the ego frame.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Grid {
    /// Cells along x and y.
    pub cells: [usize; 2],
    /// Metres: x from, to, y from, to.
    pub extent: [f64; 4],
}

impl Grid {
    /// The middle of a cell, m.
    pub fn centre(&self, [i, j]: [usize; 2]) -> [f64; 2] {
        let [x0, x1, y0, y1] = self.extent;
        let along = |from: f64, to: f64, i: usize, cells: usize| {
            from + (i as f64 + 0.5) * (to - from) / cells as f64
        };
        [
            along(x0, x1, i, self.cells[0]),
            along(y0, y1, j, self.cells[1]),
        ]
    }
}

impl ViewToBevOptions {
    /// The map from all positions of all views, `[V, H, W]`, to all points of the grid, `[X, Y, Z]`.
    pub fn unprojection(&self) -> SparseMap {
        let [height, width, _] = self.features;
        let [cells_x, cells_y] = self.grid.cells;
        let cells = (0..cells_x).flat_map(|i| (0..cells_y).map(move |j| [i, j]));
        let points = cells.flat_map(|cell| {
            let [x, y] = self.grid.centre(cell);
            self.heights.iter().map(move |&z| [x, y, z])
        });
        let rows: Vec<Vec<(usize, f32)>> = points.map(|point| self.samples(point)).collect();
        SparseMap::new(self.cameras.len() * height * width, &rows)
    }

    /// The positions around a point's pixels and their weights, which sum to 1 where any camera sees it.
    fn samples(&self, point: [f64; 3]) -> Vec<(usize, f32)> {
        let [height, width, _] = self.features;
        let seen: Vec<(usize, [f64; 2])> = self
            .cameras
            .iter()
            .enumerate()
            .filter_map(|(view, camera)| Some((view, camera.pixel(point)?)))
            .collect();
        let share = 1.0 / seen.len().max(1) as f64;
        let mut samples = Vec::new();
        for (view, [u, v]) in seen {
            let camera = &self.cameras[view];
            for (row, vertical) in around(v, camera.height, height) {
                for (column, horizontal) in around(u, camera.width, width) {
                    let weight = share * vertical * horizontal;
                    if weight > 0.0 {
                        let position = (view * height + row) * width + column;
                        samples.push((position, weight as f32));
                    }
                }
            }
        }
        samples
    }

    /// Multiply-adds for one sample, times two.
    pub fn flops(&self) -> f64 {
        let cells: usize = self.grid.cells.iter().product();
        let channels = self.features[2];
        2.0 * (self.unprojection().terms() * channels) as f64
            + cells as f64 * Linear::flops(self.heights.len() * channels, self.size)
    }
}

/// The two of `positions` evenly spaced ones that lie around a pixel coordinate, and the weight of each.
/// At the border both are the last one, as in `grid_sample` with `align_corners=False` and
/// `padding_mode="border"`.
fn around(at: f64, pixels: usize, positions: usize) -> [(usize, f64); 2] {
    let last = positions.saturating_sub(1);
    let at = at * positions as f64 / pixels as f64 - 0.5;
    let at = at.clamp(0.0, last as f64);
    let (first, second) = (at.floor(), at.fract());
    let first = first as usize;
    [(first, 1.0 - second), ((first + 1).min(last), second)]
}

/// Views to a map of the ground.
#[derive(Module, Debug)]
pub struct ViewToBev {
    map: Linear,
    #[module(skip)]
    unprojection: SparseMap,
    #[module(skip)]
    cells: [usize; 2],
}

impl ViewToBev {
    pub fn new(init: &Init, options: &ViewToBevOptions) -> Self {
        let input = options.heights.len() * options.features[2];
        let map = init.child("map");
        Self {
            map: Linear::new(&map, input, options.size, true, Activation::None),
            unprojection: options.unprojection(),
            cells: options.grid.cells,
        }
    }

    /// `[B, V, H, W, C]` to `[B, X, Y, D]`.
    pub fn forward(&self, features: Tensor<5>) -> Tensor<4> {
        let [batch, views, height, width, channels] = features.dims();
        let features = features.reshape([batch, views * height * width, channels]);
        let points = sparse_map(features, &self.unprojection);
        let [x, y] = self.cells;
        let heights = self.unprojection.outputs() / (x * y).max(1);
        self.map
            .forward(points.reshape([batch, x, y, heights * channels]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Looks along x from 1.5 m above the ground.
    fn camera() -> Camera {
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
        assert_eq!(camera().pixel([10.0, 2.0, 0.5]), Some([14.0, 9.0]));
        for unseen in [[-10.0, 0.0, 0.0], [0.05, 0.0, 1.5], [10.0, 20.0, 0.0]] {
            assert_eq!(camera().pixel(unseen), None);
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
        let options = ViewToBevOptions {
            cameras: vec![camera(), camera()],
            features: [16, 32, 1],
            grid: Grid {
                cells: [1, 2],
                extent: [9.0, 11.0, 0.0, 100.0],
            },
            heights: vec![0.5],
            size: 1,
        };
        assert_eq!(options.grid.centre([0, 1]), [10.0, 75.0]);
        let map = options.unprojection();
        let first: Vec<(usize, f32)> = map.row(0).collect();
        // 25 m to the left of a camera with a field of view of 58 degrees each way.
        assert!(first.is_empty());
        let near = ViewToBevOptions {
            grid: Grid {
                cells: [1, 1],
                extent: [9.0, 11.0, 1.0, 3.0],
            },
            ..options
        };
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
}
