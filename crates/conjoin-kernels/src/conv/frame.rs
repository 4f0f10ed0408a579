//! Padded copies of images.

/// A padded copy of some rows of an image.
#[derive(Clone, Copy)]
pub struct Frame {
    /// Zeros before the first and after the last row and column.
    pub before: [usize; 2],
    pub after: [usize; 2],
    /// Rows, columns and channels of the image.
    pub image: [usize; 3],
}

impl Frame {
    /// The frame of an image that is padded alike on both sides.
    pub fn even(padding: [usize; 2], image: [usize; 3]) -> Self {
        Self {
            before: padding,
            after: padding,
            image,
        }
    }

    /// Whether the frame is the image itself.
    pub fn is_bare(&self) -> bool {
        self.before == [0, 0] && self.after == [0, 0]
    }

    /// Rows with padding.
    pub fn rows(&self) -> usize {
        self.before[0] + self.image[0] + self.after[0]
    }

    /// Values in a framed row.
    pub fn line(&self) -> usize {
        (self.before[1] + self.image[1] + self.after[1]) * self.image[2]
    }

    /// Copies rows `first..first + count` of each framed image (row 0 is the first row of padding)
    /// into `frame`, which is resized.
    pub fn fill(&self, frame: &mut Vec<f32>, images: &[f32], first: usize, count: usize) {
        let (line, [height, width, channels]) = (self.line(), self.image);
        let (left, run) = (self.before[1] * channels, width * channels);
        let size = height * run;
        let number = images.len().checked_div(size).unwrap_or(1);
        frame.resize(number * count * line, 0.0);
        for (at, target) in frame.chunks_exact_mut(line.max(1)).enumerate() {
            let (image, row) = (&images[at / count * size..], at % count);
            let source = (first + row).wrapping_sub(self.before[0]);
            if source < height {
                target[..left].fill(0.0);
                target[left..left + run].copy_from_slice(&image[source * run..][..run]);
                target[left + run..].fill(0.0);
            } else {
                target.fill(0.0);
            }
        }
    }
}
