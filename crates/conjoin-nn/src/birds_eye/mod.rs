//! From the views of calibrated cameras to a bird's-eye view, by unprojection.
//!
//! Shapes: `F` moments, `V` views of each, `H x W` positions of a view's features, `C` channels, `K` depths, `X x Y` cells
//! of the grid, `Z` heights, `D` channels of the map. Features `[B, F V, H, W, C]`, poses `[B, F, 3]`, map `[B, X, Y, D]`,
//! depths `[B, F V, H, W, K]`.
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
//!
//! All cells along the ray of a position get the same features by that. Where each position has a distribution over
//! depths, which a linear layer makes of its features, they are weighted by what it says of the cell's depth, times `K`,
//! so that nothing changes where it is uniform (Philion and Fidler 2020; Reading et al. 2021, "CaDDN").

mod camera;
mod depths;
mod grid;
mod moves;
mod unprojection;

pub use camera::{Camera, Seen};
pub use depths::Depths;
pub use grid::Grid;
pub use unprojection::ViewToBevOptions;

use crate::activation::Activation;
use crate::init::Init;
use crate::linear::Linear;
use burn::module::Module;
use burn::tensor::Tensor;
use burn::tensor::activation::softmax;
use conjoin_kernels::sparse::{SparseMap, gated_sparse_map, sparse_map, sparse_maps};
use rayon::prelude::*;

/// What [`ViewToBev`] makes of views.
#[derive(Debug, Clone)]
pub struct BirdsEyeView {
    /// `[B, X, Y, D]`.
    pub map: Tensor<4>,
    /// How likely what a position shows lies at each depth, `[B, F V, H, W, K]`, where there are depths.
    pub depths: Option<Tensor<5>>,
}

/// Views to a map of the ground.
#[derive(Module, Debug)]
pub struct ViewToBev {
    map: Linear,
    depth: Option<Linear>,
    #[module(skip)]
    options: ViewToBevOptions,
    /// Of one moment.
    #[module(skip)]
    unprojection: SparseMap,
}

impl ViewToBev {
    pub fn new(init: &Init, options: &ViewToBevOptions) -> Self {
        let input = options.heights.len() * options.moments * options.features[2];
        let linear = |name, input, output| {
            Linear::new(&init.child(name), input, output, true, Activation::None)
        };
        let depth = options
            .depths
            .map(|depths| linear("depth", options.features[2], depths.bins));
        Self {
            map: linear("map", input, options.size),
            depth,
            unprojection: options.unprojection(),
            options: options.clone(),
        }
    }

    /// Maps features `[B, F V, H, W, C]`. `poses` `[B, F, 3]` are the vehicle's at each moment, in a frame that is
    /// fixed to the ground; there is one moment where they are not given. They get no gradient.
    pub fn forward(&self, features: Tensor<5>, poses: Option<Tensor<3>>) -> BirdsEyeView {
        let [batch, views, height, width, channels] = features.dims();
        let depths = self.depth.as_ref();
        let depths = depths.map(|depth| softmax(depth.forward(features.clone()), 4));
        let features = features.reshape([batch, views * height * width, channels]);
        let maps = poses.map(|poses| self.unprojections(poses));
        let points = match (&depths, &maps) {
            (None, None) => sparse_map(features, &self.unprojection),
            (None, Some(maps)) => sparse_maps(features, maps),
            (Some(depths), maps) => {
                let bins = self.options.bins();
                let gates = depths.clone() * bins as f32;
                let gates = gates.reshape([batch, views * height * width, bins]);
                let one = std::slice::from_ref(&self.unprojection);
                gated_sparse_map(features, gates, maps.as_deref().unwrap_or(one))
            }
        };
        let [_, rows, _] = points.dims();
        let [x, y] = self.options.grid.cells;
        let numbers = rows / (x * y).max(1) * channels;
        let map = self.map.forward(points.reshape([batch, x, y, numbers]));
        BirdsEyeView { map, depths }
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
