//! From a small map back to a large one, with what the encoder saw on the way: the right half of U-Net
//! (Ronneberger et al. 2015).
//!
//! Shapes: map `[B, H, W, C]`; level `i` of the decoder gives `[B, 2^i H, 2^i W, widths[i - 1]]`; a skip
//! has the height and width of its level and any channels.
//!
//! A level doubles height and width by a transposed 2x2 convolution with stride 2, puts the skip's
//! channels behind its own, and applies 3x3 convolutions, each with batch normalisation and ReLU.

use crate::conv::{ConvNorm, Window};
use crate::init::{Fill, Init};
use crate::mode::Mode;
use burn::module::{Module, Param};
use burn::tensor::Tensor;
use conjoin_kernels::conv::{ConvOptions, conv_transpose2d};

/// The shape of a [`ConvDecoder`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConvDecoderOptions {
    /// Height, width and channels of the map.
    pub map: [usize; 3],
    /// Channels of each level.
    pub widths: Vec<usize>,
    /// Channels of each level's skip; 0 where there is none.
    pub skips: Vec<usize>,
    /// 3x3 convolutions of a level.
    pub blocks: usize,
}

const WINDOW: Window = Window {
    kernel: 3,
    stride: 1,
};

impl ConvDecoderOptions {
    /// Height and width of a level, counted from 0.
    pub fn size(&self, level: usize) -> [usize; 2] {
        [self.map[0], self.map[1]].map(|size| size << (level + 1))
    }

    /// Channels in front of each level, and of its skip, and behind it.
    fn channels(&self) -> impl Iterator<Item = [usize; 3]> {
        let before = std::iter::once(&self.map[2]).chain(&self.widths);
        let levels = before.zip(&self.skips).zip(&self.widths);
        levels.map(|((&before, &skip), &width)| [before, skip, width])
    }

    /// Multiply-adds for one map, times two.
    pub fn flops(&self) -> f64 {
        self.channels()
            .enumerate()
            .map(|(level, [before, skip, width])| {
                let positions: usize = self.size(level).iter().product();
                // Each output of the transposed convolution has one tap of the map.
                let taps = before * width
                    + 9 * width * (width + skip)
                    + 9 * width * width * (self.blocks - 1);
                2.0 * (positions * taps) as f64
            })
            .sum()
    }
}

#[derive(Module, Debug)]
struct Level {
    /// `[C, 2, 2, O]`
    weight: Param<Tensor<4>>,
    /// `[O]`
    bias: Param<Tensor<1>>,
    blocks: Vec<ConvNorm>,
}

/// Maps to larger maps.
#[derive(Module, Debug)]
pub struct ConvDecoder {
    levels: Vec<Level>,
}

impl ConvDecoder {
    pub fn new(init: &Init, options: &ConvDecoderOptions) -> Self {
        let init = init.child("levels");
        let levels = options
            .channels()
            .enumerate()
            .map(|(level, [before, skip, width])| {
                let init = init.child(&level.to_string());
                let fill = Fill::HeNormal { fan_in: before };
                let blocks = init.child("blocks");
                Level {
                    weight: init.param("weight", [before, 2, 2, width], fill),
                    bias: init.param("bias", [width], Fill::Constant(0.0)),
                    blocks: (0..options.blocks)
                        .map(|block| {
                            let input = if block == 0 { width + skip } else { width };
                            ConvNorm::new(&blocks.child(&block.to_string()), input, width, WINDOW)
                        })
                        .collect(),
                }
            })
            .collect();
        Self { levels }
    }

    /// `skips` are those of the levels in order; a level without one has `None`.
    pub fn forward(
        &self,
        map: Tensor<4>,
        skips: Vec<Option<Tensor<4>>>,
        mode: &mut Mode,
    ) -> Tensor<4> {
        let skips = skips.into_iter().chain(std::iter::repeat(None));
        self.levels.iter().zip(skips).fold(map, |x, (level, skip)| {
            let options = ConvOptions::new(2, 0);
            let (weight, bias) = (level.weight.val(), level.bias.val());
            let up = conv_transpose2d(x, weight, Some(bias), options, [0, 0]);
            let joined = match skip {
                Some(skip) => Tensor::cat(vec![up, skip], 3),
                None => up,
            };
            level
                .blocks
                .iter()
                .fold(joined, |x, block| block.forward(x, None, true, mode))
        })
    }
}
