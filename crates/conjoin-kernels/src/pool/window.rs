//! Where the windows of a pooling lie.

use std::ops::Range;

/// Sizes of a pooling.
#[derive(Clone, Copy, Debug)]
pub struct Window {
    pub dims: [usize; 4],
    pub out: [usize; 2],
    pub kernel: usize,
    stride: usize,
    padding: usize,
}

impl Window {
    #[track_caller]
    pub fn new(name: &str, dims: [usize; 4], kernel: usize, stride: usize, padding: usize) -> Self {
        let [_, height, width, channels] = dims;
        assert!(channels > 0, "{name}: x {dims:?} has no channels");
        assert!(
            stride > 0 && kernel > 0,
            "{name}: the kernel {kernel} and the stride {stride} must be above 0"
        );
        assert!(
            2 * padding <= kernel,
            "{name}: padding {padding} exceeds half the kernel {kernel}"
        );
        assert!(
            kernel <= height.min(width) + 2 * padding,
            "{name}: a kernel of {kernel} exceeds the padded {height}x{width} image"
        );
        let out = [height, width].map(|size| (size + 2 * padding - kernel) / stride + 1);
        Self {
            dims,
            out,
            kernel,
            stride,
            padding,
        }
    }

    /// Values of a row of pixels, and of a row of outputs.
    pub fn line(&self) -> usize {
        self.dims[2] * self.dims[3]
    }

    pub fn out_line(&self) -> usize {
        self.out[1] * self.dims[3]
    }

    /// Values of an image, and of its output.
    pub fn image(&self) -> usize {
        self.dims[1] * self.line()
    }

    pub fn out_image(&self) -> usize {
        self.out[0] * self.out_line()
    }

    pub fn out_dims(&self) -> [usize; 4] {
        [self.dims[0], self.out[0], self.out[1], self.dims[3]]
    }

    /// The taps of an output's window that lie in the image, along an axis (0 or 1).
    #[inline(always)]
    pub fn taps(&self, axis: usize, output: usize) -> Range<usize> {
        let start = output * self.stride;
        let end = (self.dims[axis + 1] + self.padding).saturating_sub(start);
        self.padding.saturating_sub(start)..end.min(self.kernel)
    }

    /// The pixel under a tap of an output's window, which must lie in the image.
    #[inline(always)]
    pub fn pixel(&self, output: usize, tap: usize) -> usize {
        output * self.stride + tap - self.padding
    }

    /// The outputs whose windows hold a pixel.
    #[inline(always)]
    pub fn outputs(&self, axis: usize, pixel: usize) -> Range<usize> {
        let at = pixel + self.padding;
        let first = (at + 1).saturating_sub(self.kernel).div_ceil(self.stride);
        first..(at / self.stride + 1).min(self.out[axis])
    }

    /// The tap of an output's window that lies on a pixel of [`Window::outputs`].
    #[inline(always)]
    pub fn tap(&self, output: usize, pixel: usize) -> usize {
        pixel + self.padding - output * self.stride
    }

    /// Whether the windows are pairs of pixels side by side.
    pub fn is_halving(&self) -> bool {
        (self.kernel, self.stride, self.padding) == (2, 2, 0)
    }
}

/// Rows of a task, a multiple of `step`: a whole image, or less where there are few images. Every value
/// is computed alike wherever the cut falls, so the choice may depend on the number of threads.
pub fn rows_per_task(images: usize, rows: usize, step: usize) -> usize {
    let wanted = 4 * rayon::current_num_threads();
    let tasks = wanted.div_ceil(images.max(1));
    rows.div_ceil(tasks).max(1).next_multiple_of(step)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn taps_and_outputs_are_the_two_views_of_the_same_pairs() {
        for kernel in 1..6 {
            for stride in 1..5 {
                for padding in 0..=kernel / 2 {
                    let window = Window::new("test", [1, 7, 7, 1], kernel, stride, padding);
                    let by_output = (0..window.out[0]).flat_map(|output| {
                        let taps = window.taps(0, output);
                        taps.map(move |tap| (window.pixel(output, tap), output, tap))
                    });
                    let mut by_output: Vec<_> = by_output.collect();
                    let by_pixel = (0..7).flat_map(|pixel| {
                        let outputs = window.outputs(0, pixel);
                        outputs.map(move |output| (pixel, output, window.tap(output, pixel)))
                    });
                    by_output.sort_unstable();
                    assert_eq!(by_output, by_pixel.collect::<Vec<_>>());
                }
            }
        }
    }
}
