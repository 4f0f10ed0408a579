//! The transforms of Winograd's F(4x4, 3x3): of data, vectorised over channels, and of kernels, over
//! filters.
//!
//! Source: Lavin and Gray, "Fast Algorithms for Convolutional Neural Networks" (2016), section 4.3:
//! `Y = Aᵀ [(G g Gᵀ) ⊙ (Bᵀ d B)] A`, interpolation points 0, ±1, ±2 and infinity. The gradient of the
//! kernel is the exact adjoint: `Gᵀ [Σ (Bᵀ d B) ⊙ (A dY Aᵀ)] G`.

use super::super::vector::Vector;

/// Values of a transformed tile.
pub const POINTS: usize = 36;

/// One tile: where its pixels lie, and its 36 transformed values.
///
/// Pixels outside the image point to a line of zeros when read, and to a scratch line when written,
/// so that the kernels have no branch.
pub struct Transform {
    /// The 6x6 input pixels, the 4x4 output pixels in the first 16 entries, or the 3x3 taps of a kernel in
    /// the first 9; each `channels` values.
    pub pixels: [*mut f32; POINTS],
    /// The transformed tile `[36, channels]`, the points `step` values apart.
    pub points: *mut f32,
    pub step: usize,
    /// Channels, a multiple of the register's lanes.
    pub channels: usize,
    /// `[channels]` values added to every output pixel, or null.
    pub bias: *const f32,
}

/// Signature of a compiled transform of one tile.
pub type TransformFn = unsafe fn(&Transform);

/// `Bᵀ d`.
#[inline(always)]
unsafe fn bt<V: Vector>(d: [V; 6]) -> [V; 6] {
    // SAFETY: see `Vector`: only register arithmetic.
    unsafe {
        let (two, four, minus_two) = (V::splat(2.0), V::splat(4.0), V::splat(-2.0));
        let (minus_four, minus_five) = (V::splat(-4.0), V::splat(-5.0));
        let even = d[2].mul_add(minus_four, d[4]);
        let odd = d[1].mul_add(minus_four, d[3]);
        let near = d[4].sub(d[2]);
        let far = d[3].sub(d[1]);
        [
            d[0].mul_add(four, d[2].mul_add(minus_five, d[4])),
            even.add(odd),
            even.sub(odd),
            far.mul_add(two, near),
            far.mul_add(minus_two, near),
            d[1].mul_add(four, d[3].mul_add(minus_five, d[5])),
        ]
    }
}

/// `Aᵀ m`.
#[inline(always)]
unsafe fn at<V: Vector>(m: [V; 6]) -> [V; 4] {
    // SAFETY: see `Vector`.
    unsafe {
        let (sum1, difference1) = (m[1].add(m[2]), m[1].sub(m[2]));
        let (sum2, difference2) = (m[3].add(m[4]), m[3].sub(m[4]));
        [
            m[0].add(sum1).add(sum2),
            difference2.mul_add(V::splat(2.0), difference1),
            sum2.mul_add(V::splat(4.0), sum1),
            difference2.mul_add(V::splat(8.0), difference1.add(m[5])),
        ]
    }
}

/// `A y`.
#[inline(always)]
unsafe fn a<V: Vector>(y: [V; 4]) -> [V; 6] {
    // SAFETY: see `Vector`.
    unsafe {
        let (even1, odd1) = (y[0].add(y[2]), y[1].add(y[3]));
        let even2 = y[2].mul_add(V::splat(4.0), y[0]);
        let odd2 = y[3].mul_add(V::splat(4.0), y[1]);
        [
            y[0],
            even1.add(odd1),
            even1.sub(odd1),
            odd2.mul_add(V::splat(2.0), even2),
            odd2.mul_add(V::splat(-2.0), even2),
            y[3],
        ]
    }
}

/// `G g`.
#[inline(always)]
unsafe fn g<V: Vector>(k: [V; 3]) -> [V; 6] {
    // SAFETY: see `Vector`.
    unsafe {
        let zero = V::zero();
        let (sixth, half) = (V::splat(-1.0 / 6.0), V::splat(1.0 / 12.0));
        let outer = k[0].add(k[2]).mul_add(sixth, zero);
        let middle = k[1].mul_add(sixth, zero);
        let near = k[2].mul_add(
            V::splat(1.0 / 6.0),
            k[0].mul_add(V::splat(1.0 / 24.0), zero),
        );
        let far = k[1].mul_add(half, zero);
        [
            k[0].mul_add(V::splat(0.25), zero),
            outer.add(middle),
            outer.sub(middle),
            near.add(far),
            near.sub(far),
            k[2],
        ]
    }
}

/// `Gᵀ u`.
#[inline(always)]
unsafe fn gt<V: Vector>(u: [V; 6]) -> [V; 3] {
    // SAFETY: see `Vector`.
    unsafe {
        let zero = V::zero();
        let (sixth, minus_sixth) = (V::splat(1.0 / 6.0), V::splat(-1.0 / 6.0));
        let near = u[1].add(u[2]).mul_add(minus_sixth, zero);
        let far = u[3].add(u[4]);
        let step = u[3].sub(u[4]).mul_add(V::splat(1.0 / 12.0), zero);
        [
            far.mul_add(V::splat(1.0 / 24.0), u[0].mul_add(V::splat(0.25), near)),
            u[2].sub(u[1]).mul_add(sixth, step),
            far.mul_add(sixth, u[5].add(near)),
        ]
    }
}

/// `points = G taps Gᵀ`: the first nine pixels are the taps, each with `channels` filters side by side.
///
/// # Safety
/// As for [`input_tile`].
#[inline(always)]
pub unsafe fn kernel_tile<V: Vector>(t: &Transform) {
    // SAFETY: by the caller.
    unsafe {
        for filter in (0..t.channels).step_by(V::N) {
            let mut columns = [[V::zero(); 6]; 3];
            for (j, column) in columns.iter_mut().enumerate() {
                *column = g(std::array::from_fn(|i| {
                    V::load(t.pixels[i * 3 + j].add(filter))
                }));
            }
            for i in 0..6 {
                let row = g(columns.map(|column| column[i]));
                for (j, value) in row.into_iter().enumerate() {
                    value.store(t.points.add((i * 6 + j) * t.step + filter));
                }
            }
        }
    }
}

/// `taps = Gᵀ points G`: the adjoint of [`kernel_tile`].
///
/// # Safety
/// As for [`input_tile`].
#[inline(always)]
pub unsafe fn kernel_gradient_tile<V: Vector>(t: &Transform) {
    // SAFETY: by the caller.
    unsafe {
        for filter in (0..t.channels).step_by(V::N) {
            let mut columns = [[V::zero(); 3]; 6];
            for (j, column) in columns.iter_mut().enumerate() {
                *column = gt(std::array::from_fn(|i| {
                    V::load(t.points.add((i * 6 + j) * t.step + filter))
                }));
            }
            for i in 0..3 {
                let row = gt(columns.map(|column| column[i]));
                for (j, value) in row.into_iter().enumerate() {
                    value.store(t.pixels[i * 3 + j].add(filter));
                }
            }
        }
    }
}

/// `points = Bᵀ pixels B`: a 6x6 patch of the image.
///
/// # Safety
/// The pointers of `t` must cover `t.channels` values each, and the processor must have `V`.
#[inline(always)]
pub unsafe fn input_tile<V: Vector>(t: &Transform) {
    // SAFETY: by the caller.
    unsafe {
        for channel in (0..t.channels).step_by(V::N) {
            let mut columns = [[V::zero(); 6]; 6];
            for (j, column) in columns.iter_mut().enumerate() {
                *column = bt(std::array::from_fn(|i| {
                    V::load(t.pixels[i * 6 + j].add(channel))
                }));
            }
            for i in 0..6 {
                let row = bt(columns.map(|column| column[i]));
                for (j, value) in row.into_iter().enumerate() {
                    value.store(t.points.add((i * 6 + j) * t.step + channel));
                }
            }
        }
    }
}

/// `pixels = Aᵀ points A + bias`: the 4x4 outputs of a tile.
///
/// # Safety
/// As for [`input_tile`].
#[inline(always)]
pub unsafe fn output_tile<V: Vector>(t: &Transform) {
    // SAFETY: by the caller.
    unsafe {
        for channel in (0..t.channels).step_by(V::N) {
            let bias = if t.bias.is_null() {
                V::zero()
            } else {
                V::load(t.bias.add(channel))
            };
            let mut columns = [[V::zero(); 4]; 6];
            for (j, column) in columns.iter_mut().enumerate() {
                *column = at(std::array::from_fn(|i| {
                    V::load(t.points.add((i * 6 + j) * t.step + channel))
                }));
            }
            for i in 0..4 {
                let row = at(columns.map(|column| column[i]));
                for (j, value) in row.into_iter().enumerate() {
                    value.add(bias).store(t.pixels[i * 4 + j].add(channel));
                }
            }
        }
    }
}

/// `points = A pixels Aᵀ`: a 4x4 patch of the output's gradient.
///
/// # Safety
/// As for [`input_tile`].
#[inline(always)]
pub unsafe fn gradient_tile<V: Vector>(t: &Transform) {
    // SAFETY: by the caller.
    unsafe {
        for channel in (0..t.channels).step_by(V::N) {
            let mut columns = [[V::zero(); 6]; 4];
            for (j, column) in columns.iter_mut().enumerate() {
                *column = a(std::array::from_fn(|i| {
                    V::load(t.pixels[i * 4 + j].add(channel))
                }));
            }
            for i in 0..6 {
                let row = a(columns.map(|column| column[i]));
                for (j, value) in row.into_iter().enumerate() {
                    value.store(t.points.add((i * 6 + j) * t.step + channel));
                }
            }
        }
    }
}
