//! Sizes of a convolution.

use super::options::ConvOptions;

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
    /// Output rows and columns.
    pub out: [usize; 2],
    /// Kernel rows and columns.
    pub kernel: [usize; 2],
    /// Step between outputs, zeros on both sides, step between taps, and parts of the channels.
    pub stride: [usize; 2],
    pub padding: [usize; 2],
    pub dilation: [usize; 2],
    pub groups: usize,
}

impl ConvShape {
    /// The sizes of `conv2d(x [B, H, W, C], w [O, kh, kw, C / groups])`; `name` is the operation's.
    ///
    /// # Panics
    /// If channels, groups and weight do not fit together, a stride or dilation is 0, or the kernel is
    /// larger than the padded image.
    #[track_caller]
    pub fn new(name: &str, x: [usize; 4], w: [usize; 4], options: ConvOptions<2>) -> Self {
        let [batch, height, width, channels] = x;
        let [filters, kh, kw, group_channels] = w;
        let kernel = [kh, kw];
        check(name, kernel, [channels, filters], options);
        assert!(
            group_channels * options.groups == channels,
            "{name}: x has {channels} channels in {} groups, w is {w:?} and reads {group_channels} a group",
            options.groups
        );
        let reach = |axis: usize| options.dilation[axis] * (kernel[axis] - 1) + 1;
        let padded = |axis: usize| [height, width][axis] + 2 * options.padding[axis];
        assert!(
            reach(0) <= padded(0) && reach(1) <= padded(1),
            "{name}: a {kh}x{kw} kernel with dilation {:?} does not fit a {height}x{width} image \
             with padding {:?}",
            options.dilation,
            options.padding
        );
        let out = [0, 1].map(|axis| (padded(axis) - reach(axis)) / options.stride[axis] + 1);
        Self {
            batch,
            height,
            width,
            channels,
            filters,
            out,
            kernel,
            stride: options.stride,
            padding: options.padding,
            dilation: options.dilation,
            groups: options.groups,
        }
    }

    /// The convolution whose input gradient is `conv_transpose2d(x [B, H, W, C], w [C, kh, kw, O / groups])`:
    /// its input has the size of the transposed convolution's output, and the other way round.
    ///
    /// # Panics
    /// If channels, groups and weight do not fit together, a stride or dilation is 0, the output padding
    /// reaches both stride and dilation, or nothing would come out.
    #[track_caller]
    pub fn transposed(
        name: &str,
        x: [usize; 4],
        w: [usize; 4],
        options: ConvOptions<2>,
        output_padding: [usize; 2],
    ) -> Self {
        let [batch, out_rows, out_columns, filters] = x;
        let [weight_filters, kh, kw, group_channels] = w;
        let (kernel, channels) = ([kh, kw], group_channels * options.groups);
        check(name, kernel, [channels, filters], options);
        assert!(
            weight_filters == filters,
            "{name}: x has {filters} channels, w is {w:?} and takes {weight_filters}"
        );
        let size = |axis: usize, inputs: usize| {
            let (stride, dilation) = (options.stride[axis], options.dilation[axis]);
            let extra = output_padding[axis];
            assert!(
                extra < stride.max(dilation),
                "{name}: output padding {extra} must be below the stride {stride} or the dilation {dilation}"
            );
            let full =
                inputs.saturating_sub(1) * stride + dilation * (kernel[axis] - 1) + extra + 1;
            let cut = 2 * options.padding[axis];
            assert!(
                inputs > 0 && full > cut,
                "{name}: nothing is left of {inputs} inputs on axis {axis} with padding {}",
                options.padding[axis]
            );
            full - cut
        };
        Self {
            batch,
            height: size(0, out_rows),
            width: size(1, out_columns),
            channels,
            filters,
            out: [out_rows, out_columns],
            kernel,
            stride: options.stride,
            padding: options.padding,
            dilation: options.dilation,
            groups: options.groups,
        }
    }

    /// Values of one input image.
    pub fn image(&self) -> usize {
        self.height * self.width * self.channels
    }

    /// Pixels of one output image.
    pub fn out_pixels(&self) -> usize {
        self.out[0] * self.out[1]
    }

    /// Values of one output image.
    pub fn out_image(&self) -> usize {
        self.out_pixels() * self.filters
    }

    /// Taps of the kernel.
    pub fn taps(&self) -> usize {
        self.kernel[0] * self.kernel[1]
    }

    /// Input channels of a group.
    pub fn group_channels(&self) -> usize {
        self.channels / self.groups
    }

    /// Filters of a group.
    pub fn group_filters(&self) -> usize {
        self.filters / self.groups
    }

    /// Values of one filter: kernel rows x columns x channels of its group.
    pub fn filter(&self) -> usize {
        self.taps() * self.group_channels()
    }

    /// The sizes of `x [B, H, W, C]`.
    pub fn input_dims(&self) -> [usize; 4] {
        [self.batch, self.height, self.width, self.channels]
    }

    /// The sizes of `y [B, Ho, Wo, O]`.
    pub fn output_dims(&self) -> [usize; 4] {
        [self.batch, self.out[0], self.out[1], self.filters]
    }

    /// The sizes of `w [O, kh, kw, C / groups]`.
    pub fn weight_dims(&self) -> [usize; 4] {
        let [kh, kw] = self.kernel;
        [self.filters, kh, kw, self.group_channels()]
    }
}

/// What holds for every convolution.
#[track_caller]
fn check(name: &str, kernel: [usize; 2], [channels, filters]: [usize; 2], options: ConvOptions<2>) {
    let ConvOptions {
        stride,
        dilation,
        groups,
        ..
    } = options;
    assert!(
        !stride.contains(&0) && !dilation.contains(&0),
        "{name}: stride {stride:?} and dilation {dilation:?} must be above 0"
    );
    assert!(
        !kernel.contains(&0) && channels > 0 && filters > 0,
        "{name}: the kernel {kernel:?} and the {channels} and {filters} channels must be above 0"
    );
    assert!(
        groups > 0 && channels % groups == 0 && filters % groups == 0,
        "{name}: {channels} and {filters} channels do not divide into {groups} groups"
    );
}
