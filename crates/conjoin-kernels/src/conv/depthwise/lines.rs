//! The two inner loops of depthwise convolution, vectorised over channels.

use super::super::vector::Vector;

/// One line of outputs. Strides count f32 values; all channels are padded to whole registers.
pub struct Line {
    /// First value of the first output's first tap, the strides of outputs, and of taps.
    pub source: *const f32,
    pub pixel: usize,
    pub tap_steps: [usize; 2],
    /// `[taps, padded channels]`.
    pub weights: *const f32,
    pub taps: [usize; 2],
    /// `[padded channels]`, or null.
    pub bias: *const f32,
    /// Where the outputs go, and how far apart; only `channels` values of each are written.
    pub out: *mut f32,
    pub out_pixel: usize,
    pub columns: usize,
    pub channels: usize,
    pub padded: usize,
}

/// Signature of a compiled [`line`].
pub type LineFn = unsafe fn(&Line);

/// Computes a line of outputs.
///
/// # Safety
/// Everything that `t` describes must be readable, and its outputs writable and not shared; the
/// processor must have `V`.
#[inline(always)]
pub unsafe fn line<V: Vector>(t: &Line) {
    // SAFETY: by the caller.
    unsafe {
        for channel in (0..t.channels).step_by(V::N) {
            let mut column = 0;
            while column + 8 <= t.columns {
                outputs::<V, 8>(t, channel, column);
                column += 8;
            }
            if column + 4 <= t.columns {
                outputs::<V, 4>(t, channel, column);
                column += 4;
            }
            while column < t.columns {
                outputs::<V, 1>(t, channel, column);
                column += 1;
            }
        }
    }
}

/// One register of channels of `M` outputs.
#[inline(always)]
unsafe fn outputs<V: Vector, const M: usize>(t: &Line, channel: usize, column: usize) {
    // SAFETY: by the caller.
    unsafe {
        let start = if t.bias.is_null() {
            V::zero()
        } else {
            V::load(t.bias.add(channel))
        };
        let mut sums = [start; M];
        let source = t.source.add(column * t.pixel + channel);
        let mut weights = t.weights.add(channel);
        for ky in 0..t.taps[0] {
            for kx in 0..t.taps[1] {
                let weight = V::load(weights);
                let from = source.add(ky * t.tap_steps[0] + kx * t.tap_steps[1]);
                for (i, sum) in sums.iter_mut().enumerate() {
                    *sum = weight.mul_add(V::load(from.add(i * t.pixel)), *sum);
                }
                weights = weights.add(t.padded);
            }
        }
        let used = V::N.min(t.channels - channel);
        for (i, sum) in sums.into_iter().enumerate() {
            let to = t.out.add((column + i) * t.out_pixel + channel);
            if used == V::N {
                sum.store(to);
            } else {
                let mut values = [0.0f32; 16];
                sum.store(values.as_mut_ptr());
                to.copy_from_nonoverlapping(values.as_ptr(), used);
            }
        }
    }
}

/// One line of kernel taps and all outputs of an image.
pub struct Gradient {
    /// First value of the first output's first tap, and the strides of output lines, outputs and taps.
    pub source: *const f32,
    pub line: usize,
    pub pixel: usize,
    pub tap: usize,
    /// `[outputs, padded channels]`, in `lines` of `columns`.
    pub dy: *const f32,
    pub lines: usize,
    pub columns: usize,
    /// `[taps, padded channels]`, added to.
    pub sums: *mut f32,
    pub taps: usize,
    pub padded: usize,
}

/// Signature of a compiled [`gradient_line`].
pub type GradientFn = unsafe fn(&Gradient);

/// Adds an image's share to the gradient of a line of taps.
///
/// # Safety
/// As for [`line`].
#[inline(always)]
pub unsafe fn gradient_line<V: Vector>(t: &Gradient) {
    // SAFETY: by the caller.
    unsafe {
        for channel in (0..t.padded).step_by(V::N) {
            let mut tap = 0;
            while tap + 5 <= t.taps {
                taps::<V, 5>(t, channel, tap);
                tap += 5;
            }
            if tap + 3 <= t.taps {
                taps::<V, 3>(t, channel, tap);
                tap += 3;
            }
            while tap < t.taps {
                taps::<V, 1>(t, channel, tap);
                tap += 1;
            }
        }
    }
}

/// One register of channels of `M` taps.
#[inline(always)]
unsafe fn taps<V: Vector, const M: usize>(t: &Gradient, channel: usize, tap: usize) {
    // SAFETY: by the caller.
    unsafe {
        let to = t.sums.add(tap * t.padded + channel);
        // Even and odd outputs apart: twice as many sums that do not wait for each other.
        let mut sums = [[V::zero(); M]; 2];
        for (i, sum) in sums[0].iter_mut().enumerate() {
            *sum = V::load(to.add(i * t.padded));
        }
        for line in 0..t.lines {
            let source = t.source.add(line * t.line + tap * t.tap + channel);
            let dy = t.dy.add(line * t.columns * t.padded + channel);
            let mut add = |parity: usize, column: usize| {
                let dy = V::load(dy.add(column * t.padded));
                let from = source.add(column * t.pixel);
                for (i, sum) in sums[parity].iter_mut().enumerate() {
                    *sum = dy.mul_add(V::load(from.add(i * t.tap)), *sum);
                }
            };
            for pair in 0..t.columns / 2 {
                add(0, 2 * pair);
                add(1, 2 * pair + 1);
            }
            if t.columns % 2 == 1 {
                add(0, t.columns - 1);
            }
        }
        for (i, (even, odd)) in sums[0].into_iter().zip(sums[1]).enumerate() {
            even.add(odd).store(to.add(i * t.padded));
        }
    }
}
