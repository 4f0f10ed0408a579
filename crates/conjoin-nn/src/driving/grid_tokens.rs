//! Grids on the ground as a sequence of patches.
//!
//! Shapes: occupancy `[B, X, Y, T]`, map of features `[B, X, Y, C]`, tokens `[B, K, D]` with
//! `K = (X / P) (Y / P)`.

use crate::activation::Activation;
use crate::init::{Fill, Init};
use crate::linear::Linear;
use crate::patch_embedding::{PatchEmbedding, PatchOptions};
use burn::module::{Module, Param};
use burn::tensor::Tensor;

/// Channels that remain of a map of features.
const NARROW: usize = 8;

/// What grids there are; at least one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GridOptions {
    /// Cells along x and y, multiples of `patch`.
    pub cells: [usize; 2],
    /// Times of the occupancy grid, or 0 without one.
    pub occupancy: usize,
    /// Channels of the map of features, or 0 without one.
    pub map: usize,
    /// Cells along each side of a patch.
    pub patch: usize,
}

impl GridOptions {
    fn patches(&self, size: usize) -> PatchOptions {
        let map = if self.map > 0 { NARROW } else { 0 };
        PatchOptions {
            channels: self.occupancy + map,
            patch: self.patch,
            size,
            class_token: false,
        }
    }

    /// Tokens that the grids become; 0 where patches do not fill them.
    pub fn tokens(&self) -> usize {
        let [x, y] = self.cells;
        self.patches(1).positions(x, y)
    }

    /// Multiply-adds for one sample, times two.
    pub(super) fn flops(&self, size: usize) -> f64 {
        let [x, y] = self.cells;
        let narrow = (x * y) as f64 * Linear::flops(self.map, NARROW);
        narrow + self.patches(size).flops(x, y)
    }
}

/// Occupancy and a narrowed map side by side, cut into patches; each has a trained vector for its place.
#[derive(Module, Debug)]
pub(super) struct GridTokens {
    narrow: Option<Linear>,
    patches: PatchEmbedding,
    /// `[K, D]`
    positions: Param<Tensor<2>>,
}

impl GridTokens {
    pub fn new(init: &Init, options: &GridOptions, size: usize) -> Self {
        let narrow = |map| Linear::new(&init.child("narrow"), map, NARROW, true, Activation::Relu);
        let fill = Fill::Normal { std: 0.1 };
        Self {
            narrow: (options.map > 0).then(|| narrow(options.map)),
            patches: PatchEmbedding::new(&init.child("patches"), &options.patches(size)),
            positions: init.param("positions", [options.tokens(), size], fill),
        }
    }

    /// The grids that were promised; one that is missing counts as none of its channels.
    pub fn forward(&self, occupancy: Option<&Tensor<4>>, map: Option<&Tensor<4>>) -> Tensor<3> {
        let narrowed = match (&self.narrow, map) {
            (Some(narrow), Some(map)) => Some(narrow.forward(map.clone())),
            _ => None,
        };
        let grids: Vec<Tensor<4>> = occupancy.cloned().into_iter().chain(narrowed).collect();
        self.patches.forward(Tensor::cat(grids, 3)) + self.positions.val().unsqueeze()
    }
}
