//! Where the tiles of a plane of images lie.

use super::super::shape::ConvShape;
use super::transform::{POINTS, Transform, TransformFn};

/// f32 values after each transformed tile, so that tiles do not fall into the same cache sets.
const GAP: usize = 16;

/// Values of a transformed tile and its gap.
pub fn tile_len(channels: usize) -> usize {
    POINTS * channels + GAP
}

/// A plane of NHWC images cut into tiles, 4 pixels apart.
#[derive(Clone, Copy)]
pub struct Grid {
    height: usize,
    width: usize,
    channels: usize,
    /// Tiles down and across an image.
    down: usize,
    across: usize,
    /// Rows and columns that the first tile begins before the image.
    before: [usize; 2],
}

impl Grid {
    /// Pointers to the `side x side` pixels of a tile; those outside point to `outside`.
    pub fn pixels(
        self,
        side: usize,
        images: *mut f32,
        tile: usize,
        outside: *mut f32,
    ) -> [*mut f32; POINTS] {
        let image = tile / (self.down * self.across);
        let (row, column) = (tile / self.across % self.down, tile % self.across);
        let mut pixels = [outside; POINTS];
        for i in 0..side {
            let y = (row * 4 + i).wrapping_sub(self.before[0]);
            for j in 0..side {
                let x = (column * 4 + j).wrapping_sub(self.before[1]);
                if y < self.height && x < self.width {
                    let at = ((image * self.height + y) * self.width + x) * self.channels;
                    pixels[i * side + j] = images.wrapping_add(at);
                }
            }
        }
        pixels
    }

    /// Transforms tile `tile` of `images` into `points`.
    ///
    /// # Safety
    /// The tile must lie in `images`, `zeros` must hold `channels` values and `points` a tile.
    pub unsafe fn read(
        self,
        transform: TransformFn,
        side: usize,
        images: &[f32],
        tile: usize,
        zeros: &[f32],
        points: &mut [f32],
    ) {
        debug_assert!(zeros.len() >= self.channels && points.len() >= POINTS * self.channels);
        let pixels = self.pixels(
            side,
            images.as_ptr().cast_mut(),
            tile,
            zeros.as_ptr().cast_mut(),
        );
        let step = self.channels;
        // SAFETY: the pixels lie in `images` or `zeros` and are only read.
        unsafe {
            transform(&Transform {
                pixels,
                points: points.as_mut_ptr(),
                step,
                channels: step,
                bias: std::ptr::null(),
            });
        }
    }
}

/// The tiles of the input and of the output of a convolution, and how many there are.
pub fn grids(shape: ConvShape) -> (Grid, Grid, usize) {
    let [height, width] = shape.out;
    let (down, across) = (height.div_ceil(4), width.div_ceil(4));
    let input = Grid {
        height: shape.height,
        width: shape.width,
        channels: shape.channels,
        down,
        across,
        before: shape.padding,
    };
    let output = Grid {
        height,
        width,
        channels: shape.filters,
        down,
        across,
        before: [0, 0],
    };
    (input, output, shape.batch * down * across)
}
