//! Padded copies of images with repeated channels in whole registers.

/// How an image is copied.
pub struct Spread {
    /// Zeros before the first and after the last row and column.
    pub before: [usize; 2],
    pub after: [usize; 2],
    /// Rows, columns and channels of the image.
    pub image: [usize; 3],
    /// How often each channel stands there.
    pub times: usize,
    /// Channels of the copy.
    pub padded: usize,
}

impl Spread {
    /// Rows with padding.
    pub fn rows(&self) -> usize {
        self.before[0] + self.image[0] + self.after[0]
    }

    /// Values of a row of the copy.
    pub fn line(&self) -> usize {
        (self.before[1] + self.image[1] + self.after[1]) * self.padded
    }

    /// Copies rows `first..first + count` of the padded image into `frame`, which is resized.
    pub fn fill(&self, frame: &mut Vec<f32>, image: &[f32], first: usize, count: usize) {
        let ([height, width, channels], padded) = (self.image, self.padded);
        let left = self.before[1] * padded;
        frame.resize(count * self.line(), 0.0);
        for (row, target) in frame.chunks_exact_mut(self.line()).enumerate() {
            let source = (first + row).wrapping_sub(self.before[0]);
            if source >= height {
                target.fill(0.0);
                continue;
            }
            let (start, rest) = target.split_at_mut(left);
            let (pixels, end) = rest.split_at_mut(width * padded);
            start.fill(0.0);
            end.fill(0.0);
            let from = &image[source * width * channels..][..width * channels];
            if padded == channels {
                pixels.copy_from_slice(from);
                continue;
            }
            for (to, from) in pixels
                .chunks_exact_mut(padded)
                .zip(from.chunks_exact(channels))
            {
                let (used, unused) = to.split_at_mut(channels * self.times);
                if self.times == 1 {
                    used.copy_from_slice(from);
                } else {
                    for (to, from) in used.chunks_exact_mut(self.times).zip(from) {
                        to.fill(*from);
                    }
                }
                unused.fill(0.0);
            }
        }
    }
}
