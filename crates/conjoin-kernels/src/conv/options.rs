//! What a caller may choose about a convolution.

/// Options of a convolution over `N` axes (rows and columns, or time), as PyTorch's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConvOptions<const N: usize> {
    /// Step between outputs.
    pub stride: [usize; N],
    /// Zeros added on both sides.
    pub padding: [usize; N],
    /// Step between the taps of the kernel.
    pub dilation: [usize; N],
    /// Parts into which input and output channels are cut; part `i` of the output sees part `i` of
    /// the input alone.
    pub groups: usize,
}

impl<const N: usize> ConvOptions<N> {
    /// The same stride and padding on every axis; no dilation, one group.
    pub fn new(stride: usize, padding: usize) -> Self {
        Self {
            stride: [stride; N],
            padding: [padding; N],
            dilation: [1; N],
            groups: 1,
        }
    }

    /// With a dilation, the same on every axis.
    pub fn dilation(self, dilation: usize) -> Self {
        Self {
            dilation: [dilation; N],
            ..self
        }
    }

    /// With a number of groups.
    pub fn groups(self, groups: usize) -> Self {
        Self { groups, ..self }
    }
}

impl<const N: usize> Default for ConvOptions<N> {
    /// Stride 1, no padding, no dilation, one group.
    fn default() -> Self {
        Self::new(1, 0)
    }
}

impl ConvOptions<1> {
    /// The same along the columns of images of one row.
    pub(super) fn in_two(self) -> ConvOptions<2> {
        ConvOptions {
            stride: [1, self.stride[0]],
            padding: [0, self.padding[0]],
            dilation: [1, self.dilation[0]],
            groups: self.groups,
        }
    }
}
