//! From the views of calibrated cameras to a bird's-eye view, by unprojection.
//!
//! Shapes: `F` moments, `V` views of each, `H x W` positions of a view's features, `C` channels, `X x Y` cells of the
//! grid, `Z` heights, `D` channels of the map. Features `[B, F V, H, W, C]`, poses `[B, F, 3]`, map `[B, X, Y, D]`.
//!
//! Each cell's centre, at each height above the ground, is projected into every camera; the features there
//! are interpolated bilinearly and averaged over the cameras that see the point, the heights put behind each
//! other, and mapped to `D` channels (Harley et al. 2023, "Simple-BEV"; the frame is that of Philion and
//! Fidler 2020, "Lift, Splat, Shoot"). Nothing but the last map is trained, and cameras are fixed to the
//! vehicle, so that all before it is one sparse matrix.
//!
//! What earlier views show of a point of the ground that stands still is found where the vehicle stood then, so that
//! features that differ between moments are of what moves (Huang and Huang 2022, "BEVDet4D", where finished maps are
//! moved and interpolated once more; here the points are).

use crate::activation::Activation;
use crate::init::Init;
use crate::linear::Linear;
use burn::module::Module;
use burn::tensor::Tensor;
use conjoin_kernels::sparse::{SparseMap, sparse_map, sparse_maps};
use rayon::prelude::*;

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
    /// The map from all positions of all views of one moment, `[V, H, W]`, to all points of the grid, `[X, Y, Z]`.
    pub fn unprojection(&self) -> SparseMap {
        self.unprojection_from(&[[0.0; 3]])
    }

    /// The map from all positions of all views of some moments, `[F, V, H, W]`, to all points of the grid as each shows
    /// them, `[X, Y, Z, F]`. Poses are the vehicle's at each moment, in any frame that is fixed to the ground: x, y (m),
    /// heading (rad); the grid lies round the last.
    pub fn unprojection_from(&self, poses: &[[f64; 3]]) -> SparseMap {
        let [height, width, _] = self.features;
        let [cells_x, cells_y] = self.grid.cells;
        let (heights, moments) = (self.heights.len(), poses.len());
        let now = poses.last().copied().unwrap_or_default();
        let moves: Vec<Move> = poses.iter().map(|&pose| Move::new(now, pose)).collect();
        let positions = self.cameras.len() * height * width;
        let points = cells_x * cells_y * heights;
        SparseMap::from_fn(moments * positions, points * moments, |output, row| {
            let (point, moment) = (output / moments, output % moments);
            let (cell, level) = (point / heights, point % heights);
            let at = self.grid.centre([cell / cells_y, cell % cells_y]);
            let [x, y] = moves[moment].of(at);
            self.sample([x, y, self.heights[level]], moment * positions, row);
        })
    }

    /// Adds the positions around a point's pixels, counted from `first`, and their weights, which sum to 1 where any
    /// camera sees it.
    fn sample(&self, point: [f64; 3], first: usize, samples: &mut Vec<(usize, f32)>) {
        let [height, width, _] = self.features;
        let begun = samples.len();
        let mut seen = 0;
        for (view, camera) in self.cameras.iter().enumerate() {
            let Some([u, v]) = camera.pixel(point) else {
                continue;
            };
            seen += 1;
            for (row, vertical) in around(v, camera.height, height) {
                for (column, horizontal) in around(u, camera.width, width) {
                    let weight = vertical * horizontal;
                    if weight > 0.0 {
                        let position = (view * height + row) * width + column;
                        samples.push((first + position, weight as f32));
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
        let channels = self.features[2] * self.moments;
        2.0 * (self.unprojection().terms() * channels) as f64
            + cells as f64 * Linear::flops(self.heights.len() * channels, self.size)
    }
}

/// From the frame of one pose to that of another.
#[derive(Debug, Clone, Copy)]
struct Move {
    cosine: f64,
    sine: f64,
    offset: [f64; 2],
}

impl Move {
    fn new(from: [f64; 3], to: [f64; 3]) -> Self {
        let turn = |[x, y]: [f64; 2], (sine, cosine): (f64, f64)| {
            [cosine * x - sine * y, sine * x + cosine * y]
        };
        let (sine, cosine) = (from[2] - to[2]).sin_cos();
        Self {
            cosine,
            sine,
            offset: turn([from[0] - to[0], from[1] - to[1]], (-to[2]).sin_cos()),
        }
    }

    fn of(self, [x, y]: [f64; 2]) -> [f64; 2] {
        [
            self.cosine * x - self.sine * y + self.offset[0],
            self.sine * x + self.cosine * y + self.offset[1],
        ]
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
    options: ViewToBevOptions,
    /// Of one moment.
    #[module(skip)]
    unprojection: SparseMap,
}

impl ViewToBev {
    pub fn new(init: &Init, options: &ViewToBevOptions) -> Self {
        let input = options.heights.len() * options.moments * options.features[2];
        let map = init.child("map");
        Self {
            map: Linear::new(&map, input, options.size, true, Activation::None),
            unprojection: options.unprojection(),
            options: options.clone(),
        }
    }

    /// `[B, F V, H, W, C]` to `[B, X, Y, D]`. `poses` `[B, F, 3]` are the vehicle's at each moment, in a frame that is
    /// fixed to the ground; there is one moment where they are not given. They get no gradient.
    pub fn forward(&self, features: Tensor<5>, poses: Option<Tensor<3>>) -> Tensor<4> {
        let [batch, views, height, width, channels] = features.dims();
        let features = features.reshape([batch, views * height * width, channels]);
        let points = match poses {
            None => sparse_map(features, &self.unprojection),
            Some(poses) => sparse_maps(features, &self.unprojections(poses)),
        };
        let [_, rows, _] = points.dims();
        let [x, y] = self.options.grid.cells;
        let numbers = rows / (x * y).max(1) * channels;
        self.map.forward(points.reshape([batch, x, y, numbers]))
    }

    /// The map of each sample.
    fn unprojections(&self, poses: Tensor<3>) -> Vec<SparseMap> {
        let [_, moments, numbers] = poses.dims();
        let poses: Vec<f64> = poses.into_data().iter::<f64>().collect();
        let samples = poses.par_chunks((moments * numbers).max(1));
        let maps = samples.map(|poses| {
            let poses = poses.chunks_exact(numbers);
            let poses: Vec<[f64; 3]> = poses.map(|pose| [pose[0], pose[1], pose[2]]).collect();
            self.options.unprojection_from(&poses)
        });
        maps.collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::f64::consts::FRAC_PI_2;

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
            moments: 1,
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
            cameras: vec![camera()],
            moments: 2,
            features: [16, 32, 1],
            grid: Grid {
                cells: [1, 1],
                extent: [9.0, 11.0, 1.0, 3.0],
            },
            heights: vec![0.5],
            size: 1,
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
}
