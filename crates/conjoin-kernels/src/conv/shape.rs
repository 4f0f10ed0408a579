//! Sizes of a convolution.

/// A 2-D convolution over NHWC images: every size that the kernels need.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConvShape {
    /// Images.
    pub batch: usize,
    /// Input rows, columns and channels.
    pub height: usize,
    pub width: usize,
    pub channels: usize,
    /// Output channels.
    pub filters: usize,
    /// Kernel rows and columns.
    pub kernel: [usize; 2],
    /// Step between outputs, the same in both directions.
    pub stride: usize,
    /// Zeros added on every side.
    pub padding: usize,
}

impl ConvShape {
    /// The sizes of `conv2d(x [B, H, W, C], w [O, kh, kw, C])`.
    ///
    /// # Panics
    /// If the channels differ, the stride is 0 or the kernel is larger than the padded image.
    pub fn new(x: [usize; 4], w: [usize; 4], stride: usize, padding: usize) -> Self {
        let [batch, height, width, channels] = x;
        let [filters, kh, kw, weight_channels] = w;
        assert_eq!(
            channels, weight_channels,
            "conv2d: the image and the weight differ in channels"
        );
        assert!(stride > 0, "conv2d: the stride is 0");
        assert!(
            kh > 0 && kw > 0 && kh <= height + 2 * padding && kw <= width + 2 * padding,
            "conv2d: a {kh}x{kw} kernel does not fit a {height}x{width} image with padding {padding}"
        );
        Self {
            batch,
            height,
            width,
            channels,
            filters,
            kernel: [kh, kw],
            stride,
            padding,
        }
    }

    /// Output rows.
    pub fn out_height(&self) -> usize {
        (self.height + 2 * self.padding - self.kernel[0]) / self.stride + 1
    }

    /// Output columns.
    pub fn out_width(&self) -> usize {
        (self.width + 2 * self.padding - self.kernel[1]) / self.stride + 1
    }

    /// Values of one input image.
    pub fn image(&self) -> usize {
        self.height * self.width * self.channels
    }

    /// Values of one output image.
    pub fn out_image(&self) -> usize {
        self.out_height() * self.out_width() * self.filters
    }

    /// Values of one filter: kernel rows x columns x channels.
    pub fn filter(&self) -> usize {
        self.kernel[0] * self.kernel[1] * self.channels
    }

    /// The same convolution with each image as one long row where that changes nothing (a 1x1 kernel,
    /// stride 1, no padding): longer rows fill the register tiles better.
    pub fn flattened(self) -> Self {
        if self.kernel == [1, 1] && self.stride == 1 && self.padding == 0 {
            Self {
                height: 1,
                width: self.height * self.width,
                ..self
            }
        } else {
            self
        }
    }
}
