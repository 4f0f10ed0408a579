//! Winograd convolution F(4x4, 3x3): a quarter of the products of the direct method.
//!
//! For 3x3 kernels with stride 1 and channels that fill registers. A tile is 4x4 outputs; it becomes
//! 36 points, and each point is a small matrix product over channels for a block of tiles. Relative
//! error about 1e-5 of the largest output, against 1e-7 for the direct method.

use rayon::prelude::*;

use super::direct::{panels, pieces};
use super::shape::ConvShape;
use super::tile::{Engine, Tile, engine};
use super::wino_tile::{POINTS, Transform, TransformFn};

/// Tiles of a block: transformed block and kernel stay in the second-level cache.
const BLOCK: usize = 24;
/// f32 values after each transformed tile, so that tiles do not fall into the same cache sets.
const GAP: usize = 16;
/// f32 values of transformed tiles that one step of the weight gradient holds (third-level cache).
const GROUP: usize = 1 << 20;

/// Whether these kernels serve the shape.
pub fn fits(shape: ConvShape) -> bool {
    shape.kernel == [3, 3]
        && shape.stride == 1
        && shape.padding <= 2
        && shape.channels > 0
        && shape.filters > 0
        && shape.channels.is_multiple_of(16)
        && shape.filters.is_multiple_of(16)
        && shape.out_height() >= 4
        && shape.out_width() >= 4
}

/// Values of a transformed tile and its gap.
fn tile_len(channels: usize) -> usize {
    POINTS * channels + GAP
}

/// A plane of NHWC images cut into tiles, 4 pixels apart.
#[derive(Clone, Copy)]
struct Grid {
    height: usize,
    width: usize,
    channels: usize,
    /// Tiles down and across an image.
    down: usize,
    across: usize,
    /// Pixels that the first tile begins before the image.
    before: usize,
}

impl Grid {
    /// Pointers to the `side x side` pixels of a tile; those outside point to `outside`.
    fn pixels(
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
            let y = (row * 4 + i).wrapping_sub(self.before);
            for j in 0..side {
                let x = (column * 4 + j).wrapping_sub(self.before);
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
    unsafe fn read(
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

/// The kernel at 36 points, `U = G g Gᵀ`, in panels: `[point][panel][channel][panel width]`.
fn transform_kernel(
    engine: &Engine,
    channels: usize,
    filters: usize,
    tap: impl Fn(usize, usize, usize, usize) -> f32 + Sync,
) -> Vec<f32> {
    let plane = channels * filters;
    let mut points = vec![0.0f32; POINTS * plane];
    let cells: Vec<(usize, usize)> = panels(engine, filters).collect();
    let target = Shared(points.as_mut_ptr());
    (0..channels).into_par_iter().for_each(|channel| {
        for &(first, width) in &cells {
            for lane in 0..width.min(filters - first) {
                let g: [[f32; 3]; 3] = std::array::from_fn(|ky| {
                    std::array::from_fn(|kx| tap(first + lane, ky, kx, channel))
                });
                let rows: [[f32; 6]; 3] = std::array::from_fn(|ky| kernel_points(g[ky]));
                for j in 0..6 {
                    let column = kernel_points([rows[0][j], rows[1][j], rows[2][j]]);
                    for (i, value) in column.into_iter().enumerate() {
                        let at = (i * 6 + j) * plane + first * channels + channel * width + lane;
                        // SAFETY: `at` belongs to this channel alone and is below 36 planes.
                        unsafe { target.at(at).write(value) };
                    }
                }
            }
        }
    });
    points
}

/// `G g` for three taps.
fn kernel_points([a, b, c]: [f32; 3]) -> [f32; 6] {
    let (outer, near) = (a + c, a / 24.0 + c / 6.0);
    [
        a / 4.0,
        -(outer + b) / 6.0,
        -(outer - b) / 6.0,
        near + b / 12.0,
        near - b / 12.0,
        c,
    ]
}

/// `Gᵀ u` for six points: the adjoint of [`kernel_points`].
fn kernel_taps(u: [f32; 6]) -> [f32; 3] {
    let (near, far) = (u[1] + u[2], u[3] + u[4]);
    [
        u[0] / 4.0 - near / 6.0 + far / 24.0,
        (u[2] - u[1]) / 6.0 + (u[3] - u[4]) / 12.0,
        u[5] - near / 6.0 + far / 6.0,
    ]
}

/// A pointer that tasks share; each writes its own part.
#[derive(Clone, Copy)]
struct Shared(*mut f32);

impl Shared {
    /// The address of a value.
    ///
    /// # Safety
    /// `at` must lie in the allocation.
    unsafe fn at(self, at: usize) -> *mut f32 {
        // SAFETY: by the caller.
        unsafe { self.0.add(at) }
    }
}

// SAFETY: a plain address; what is written through it is disjoint, as every use explains.
unsafe impl Send for Shared {}
// SAFETY: as above.
unsafe impl Sync for Shared {}

/// `y [B, Ho, Wo, O] = conv2d(x, w [O, 3, 3, C]) + bias`.
pub fn forward(shape: ConvShape, x: &[f32], w: &[f32], bias: Option<&[f32]>, y: &mut [f32]) {
    let kernel = transform_kernel(
        engine(),
        shape.channels,
        shape.filters,
        |filter, ky, kx, channel| w[((filter * 3 + ky) * 3 + kx) * shape.channels + channel],
    );
    convolve(shape, x, &kernel, bias, y);
}

/// `dx [B, H, W, C]`: the convolution of `dy` with the kernel turned half round.
pub fn input_gradient(shape: ConvShape, dy: &[f32], w: &[f32], dx: &mut [f32]) {
    let kernel = transform_kernel(
        engine(),
        shape.filters,
        shape.channels,
        |channel, ky, kx, filter| {
            w[((filter * 3 + 2 - ky) * 3 + 2 - kx) * shape.channels + channel]
        },
    );
    let turned = ConvShape {
        height: shape.out_height(),
        width: shape.out_width(),
        channels: shape.filters,
        filters: shape.channels,
        padding: 2 - shape.padding,
        ..shape
    };
    convolve(turned, dy, &kernel, None, dx);
}

/// The convolution with a transformed kernel.
fn convolve(shape: ConvShape, x: &[f32], kernel: &[f32], bias: Option<&[f32]>, y: &mut [f32]) {
    let engine = engine();
    let (channels, filters) = (shape.channels, shape.filters);
    let (out_rows, out_columns) = (shape.out_height(), shape.out_width());
    assert!(x.len() == shape.batch * shape.image() && y.len() == shape.batch * shape.out_image());
    assert!(kernel.len() == POINTS * channels * filters && bias.is_none_or(|b| b.len() == filters));
    let (down, across) = (out_rows.div_ceil(4), out_columns.div_ceil(4));
    let input = Grid {
        height: shape.height,
        width: shape.width,
        channels,
        down,
        across,
        before: shape.padding,
    };
    let output = Grid {
        height: out_rows,
        width: out_columns,
        channels: filters,
        down,
        across,
        before: 0,
    };
    let tiles = shape.batch * down * across;
    let block = BLOCK
        .min(tiles.div_ceil(2 * rayon::current_num_threads()))
        .max(1);
    let zeros = vec![0.0f32; channels];
    let y = Shared(y.as_mut_ptr());
    let (in_len, out_len) = (tile_len(channels), tile_len(filters));
    (0..tiles.div_ceil(block)).into_par_iter().for_each_init(
        || {
            (
                vec![0.0f32; block * in_len],
                vec![0.0f32; block * out_len],
                vec![0.0f32; filters],
            )
        },
        |(points, products, beyond), index| {
            let first = index * block;
            let count = block.min(tiles - first);
            for (i, points) in points.chunks_exact_mut(in_len).take(count).enumerate() {
                // SAFETY: tile `first + i` is one of the grid's, and the grid fits `x`.
                unsafe { input.read(engine.wino_input, 6, x, first + i, &zeros, points) };
            }
            for point in 0..POINTS {
                let mut panel = point * channels * filters;
                for (filter, width) in panels(engine, filters) {
                    for (row, rows) in pieces(count, engine.rows) {
                        // SAFETY: rows and columns stay within the block's buffers and the kernel,
                        // whose sizes are asserted above; filters fill whole registers.
                        unsafe {
                            let tile = Tile {
                                a: points.as_ptr().add(row * in_len + point * channels),
                                a_row: in_len,
                                a_k: 1,
                                a_seg: 0,
                                b: kernel.as_ptr().add(panel),
                                b_k: width,
                                b_seg: 0,
                                len: channels,
                                segs: 1,
                                start: std::ptr::null(),
                                start_row: 0,
                                c: products
                                    .as_mut_ptr()
                                    .add(row * out_len + point * filters + filter),
                                c_row: out_len,
                                columns: width,
                            };
                            engine.tile(rows, width / engine.lanes, &tile);
                        }
                    }
                    panel += width * channels;
                }
            }
            for (i, products) in products.chunks_exact_mut(out_len).take(count).enumerate() {
                // SAFETY: the pixels of a tile belong to it alone; those beyond the image go to `beyond`.
                unsafe {
                    let transform = Transform {
                        pixels: output.pixels(4, y.at(0), first + i, beyond.as_mut_ptr()),
                        points: products.as_mut_ptr(),
                        step: filters,
                        channels: filters,
                        bias: bias.map_or(std::ptr::null(), <[f32]>::as_ptr),
                    };
                    (engine.wino_output)(&transform);
                }
            }
        },
    );
}

/// `dw [O, 3, 3, C]`. Groups of tiles of fixed size are added in order, and a point is one task's
/// alone: the bits do not depend on the threads.
pub fn weight_gradient(shape: ConvShape, x: &[f32], dy: &[f32]) -> Vec<f32> {
    let engine = engine();
    let (channels, filters) = (shape.channels, shape.filters);
    let (out_rows, out_columns) = (shape.out_height(), shape.out_width());
    assert!(x.len() == shape.batch * shape.image() && dy.len() == shape.batch * shape.out_image());
    let (down, across) = (out_rows.div_ceil(4), out_columns.div_ceil(4));
    let input = Grid {
        height: shape.height,
        width: shape.width,
        channels,
        down,
        across,
        before: shape.padding,
    };
    let output = Grid {
        height: out_rows,
        width: out_columns,
        channels: filters,
        down,
        across,
        before: 0,
    };
    let tiles = shape.batch * down * across;
    let (in_len, out_len) = (tile_len(channels), tile_len(filters));
    let group = (GROUP / (in_len + out_len)).clamp(1, tiles.max(1));
    let zeros = vec![0.0f32; channels.max(filters)];
    let mut points = vec![0.0f32; group * in_len];
    let mut gradients = vec![0.0f32; group * out_len];
    let plane = channels * filters;
    let mut sums = vec![0.0f32; POINTS * plane];
    for first in (0..tiles).step_by(group) {
        let count = group.min(tiles - first);
        points
            .par_chunks_exact_mut(in_len)
            .zip(gradients.par_chunks_exact_mut(out_len))
            .take(count)
            .enumerate()
            .for_each(|(i, (points, gradients))| {
                // SAFETY: tile `first + i` is one of the grids', which fit `x` and `dy`.
                unsafe {
                    input.read(engine.wino_input, 6, x, first + i, &zeros, points);
                    output.read(engine.wino_gradient, 4, dy, first + i, &zeros, gradients);
                }
            });
        sums.par_chunks_exact_mut(plane)
            .enumerate()
            .for_each(|(point, sums)| {
                for (filter, width) in panels(engine, filters) {
                    for (channel, rows) in pieces(channels, engine.rows) {
                        // SAFETY: channels and filters stay within a point of each of `count` tiles;
                        // filters fill whole registers.
                        unsafe {
                            let sums = sums.as_mut_ptr().add(channel * filters + filter);
                            let tile = Tile {
                                a: points.as_ptr().add(point * channels + channel),
                                a_row: 1,
                                a_k: in_len,
                                a_seg: 0,
                                b: gradients.as_ptr().add(point * filters + filter),
                                b_k: out_len,
                                b_seg: 0,
                                len: count,
                                segs: 1,
                                start: sums,
                                start_row: filters,
                                c: sums,
                                c_row: filters,
                                columns: width,
                            };
                            engine.tile(rows, width / engine.lanes, &tile);
                        }
                    }
                }
            });
    }
    let mut dw = vec![0.0f32; 9 * plane];
    dw.par_chunks_exact_mut(9 * channels)
        .enumerate()
        .for_each(|(filter, dw)| {
            for channel in 0..channels {
                let u = |i: usize, j: usize| sums[(i * 6 + j) * plane + channel * filters + filter];
                let rows: [[f32; 3]; 6] =
                    std::array::from_fn(|i| kernel_taps(std::array::from_fn(|j| u(i, j))));
                for kx in 0..3 {
                    let taps = kernel_taps(std::array::from_fn(|i| rows[i][kx]));
                    for (ky, value) in taps.into_iter().enumerate() {
                        dw[(ky * 3 + kx) * channels + channel] = value;
                    }
                }
            }
        });
    dw
}
