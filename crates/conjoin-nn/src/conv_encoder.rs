//! Convolutional feature extractor for images: plain or residual.
//!
//! Shapes: image `[B, H, W, C]`, map `[B, H', W', C']`.
//!
//! A stem (one convolution, which may halve the resolution), then stages of blocks; every stage halves it, the
//! first only where it is told to, or none keeps it. A residual block is the basic block of ResNet
//! v1 (He et al. 2016a): two 3x3 convolutions, the sum before the last ReLU, and a 1x1 projection
//! where the shape changes (their option B). A plain block is one 3x3 convolution. Each convolution
//! is followed by batch normalisation.

use crate::conv::{ConvNorm, Window};
use crate::init::Init;
use crate::mode::Mode;
use burn::module::Module;
use burn::tensor::Tensor;
use conjoin_kernels::pool::max_pool2d;

/// How the resolution is halved.
#[derive(
    Debug,
    Clone,
    Copy,
    Default,
    PartialEq,
    Eq,
    serde::Serialize,
    serde::Deserialize,
    schemars::JsonSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum Reduce {
    /// 2x2 max-pooling; an odd last row or column is left out.
    Max,
    /// A convolution with stride 2; odd sizes are rounded up.
    #[default]
    Stride,
}

/// The shape of a [`ConvEncoder`].
#[derive(Debug, Clone, PartialEq)]
pub struct ConvEncoderOptions {
    /// Height, width and channels of the image.
    pub image: [usize; 3],
    /// Channels behind the stem.
    pub stem: usize,
    /// Of the stem's convolution; the kernel is odd.
    pub stem_window: Window,
    /// The first stage halves the resolution, as every other stage does.
    pub reduce_first: bool,
    /// No stage halves the resolution.
    pub keep_size: bool,
    /// Channels of each stage.
    pub widths: Vec<usize>,
    /// Blocks in each stage.
    pub blocks: usize,
    pub residual: bool,
    pub reduce: Reduce,
}

/// One block of an encoder: what it reads and writes.
#[derive(Debug, Clone, Copy, PartialEq)]
struct BlockPlan {
    input: usize,
    output: usize,
    /// Height and width behind the block.
    size: [usize; 2],
    /// Max-pooling goes before the block.
    pool: bool,
    /// Of the block's first convolution.
    first: Window,
    residual: bool,
}

/// Kernel of the convolutions of blocks.
const KERNEL: usize = 3;

impl BlockPlan {
    fn second(self) -> Option<Window> {
        self.residual.then_some(Window {
            kernel: KERNEL,
            stride: 1,
        })
    }

    /// The shortcut changes shape with the block.
    fn projection(self) -> Option<Window> {
        let stride = self.first.stride;
        let changes = stride > 1 || self.input != self.output;
        (self.residual && changes).then_some(Window { kernel: 1, stride })
    }

    fn flops(self) -> f64 {
        let positions = (self.size[0] * self.size[1]) as f64;
        let conv = |window: Window, input: usize| {
            2.0 * positions * (window.kernel.pow(2) * input * self.output) as f64
        };
        conv(self.first, self.input)
            + self
                .second()
                .map_or(0.0, |window| conv(window, self.output))
            + self
                .projection()
                .map_or(0.0, |window| conv(window, self.input))
    }
}

impl ConvEncoderOptions {
    /// The stem and all blocks: the one place that knows how sizes follow from options.
    fn plan(&self) -> Vec<BlockPlan> {
        let [height, width, channels] = self.image;
        let mut size = [height, width];
        let mut input = channels;
        let mut add = |output: usize, pool: bool, first: Window, residual: bool| {
            if pool {
                size = size.map(|n| n / 2);
            }
            // As [`Window::output`], and 0 of 0.
            size = size.map(|n| n.div_ceil(first.stride));
            let plan = BlockPlan {
                input,
                output,
                size,
                pool,
                first,
                residual,
            };
            input = output;
            plan
        };
        let mut plans = vec![add(self.stem, false, self.stem_window, false)];
        for (stage, &output) in self.widths.iter().enumerate() {
            for block in 0..self.blocks {
                let reduce = block == 0 && !self.keep_size && (stage > 0 || self.reduce_first);
                let pool = reduce && self.reduce == Reduce::Max;
                let window = Window {
                    kernel: KERNEL,
                    stride: if reduce && !pool { 2 } else { 1 },
                };
                plans.push(add(output, pool, window, self.residual));
            }
        }
        plans
    }

    /// Height, width and channels of the map; 0 where pooling leaves nothing.
    pub fn map(&self) -> [usize; 3] {
        self.maps().pop().unwrap_or(self.image)
    }

    /// The same behind the stem and behind each stage.
    pub fn maps(&self) -> Vec<[usize; 3]> {
        self.plan()
            .into_iter()
            .step_by(self.blocks.max(1))
            .map(|block| [block.size[0], block.size[1], block.output])
            .collect()
    }

    /// Multiply-adds of the convolutions for one image, times two.
    pub fn flops(&self) -> f64 {
        self.plan().into_iter().map(BlockPlan::flops).sum()
    }
}

/// Plain or residual, by what it has.
#[derive(Module, Debug)]
struct Block {
    first: ConvNorm,
    second: Option<ConvNorm>,
    projection: Option<ConvNorm>,
    pool: bool,
}

impl Block {
    fn new(init: &Init, plan: BlockPlan) -> Self {
        let conv =
            |name, input, window| ConvNorm::new(&init.child(name), input, plan.output, window);
        Self {
            first: conv("first", plan.input, plan.first),
            second: plan
                .second()
                .map(|window| conv("second", plan.output, window)),
            projection: plan
                .projection()
                .map(|window| conv("projection", plan.input, window)),
            pool: plan.pool,
        }
    }

    fn forward(&self, x: Tensor<4>, mode: &mut Mode) -> Tensor<4> {
        let x = if self.pool { max_pool2d(x, 2, 2, 0) } else { x };
        let Some(second) = &self.second else {
            return self.first.forward(x, None, true, mode);
        };
        let shortcut = match &self.projection {
            Some(projection) => projection.forward(x.clone(), None, false, mode),
            None => x.clone(),
        };
        let y = self.first.forward(x, None, true, mode);
        second.forward(y, Some(shortcut), true, mode)
    }
}

/// Images to feature maps.
#[derive(Module, Debug)]
pub struct ConvEncoder {
    /// The stem is the first.
    blocks: Vec<Block>,
}

impl ConvEncoder {
    pub fn new(init: &Init, options: &ConvEncoderOptions) -> Self {
        let init = init.child("blocks");
        let blocks = options
            .plan()
            .into_iter()
            .enumerate()
            .map(|(index, plan)| Block::new(&init.child(&index.to_string()), plan))
            .collect();
        Self { blocks }
    }

    /// `[B, H, W, C]` to `[B, H', W', C']`.
    pub fn forward(&self, image: Tensor<4>, mode: &mut Mode) -> Tensor<4> {
        self.blocks
            .iter()
            .fold(image, |x, block| block.forward(x, mode))
    }

    /// The maps behind the stem and behind each stage of `blocks` blocks.
    pub fn stages(&self, image: Tensor<4>, blocks: usize, mode: &mut Mode) -> Vec<Tensor<4>> {
        let mut maps = Vec::new();
        let mut x = image;
        for (index, block) in self.blocks.iter().enumerate() {
            x = block.forward(x, mode);
            if index.is_multiple_of(blocks.max(1)) {
                maps.push(x.clone());
            }
        }
        maps
    }
}
