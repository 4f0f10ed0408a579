//! The kernels' code that touches memory by itself, without Burn, so that tools which watch memory
//! compile and run it in seconds. `memory.sh` lays the kernels' sources beside this file.

#![allow(dead_code, clippy::inline_always)]

mod bf16;
pub mod blas;
mod buffer;
pub mod precision;
mod scratch;
pub mod simd;

/// In the place of the kernels' activations, which work on Burn's tensors too: enough to run what follows a
/// convolution.
mod activation {
    use crate::simd::Isa;

    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    pub enum Activation {
        #[default]
        None,
        Relu,
    }

    impl Activation {
        #[inline(always)]
        pub fn apply<S: Isa>(self, _: S, values: &mut [f32]) {
            if self == Self::Relu {
                values.iter_mut().for_each(|value| *value = value.max(0.0));
            }
        }
    }
}

mod attention {
    mod heads {
        pub mod tiles;
    }
    #[cfg(test)]
    pub use heads::tiles;
}

mod conv {
    mod depthwise;
    mod direct;
    pub mod finish;
    pub mod folded;
    mod frame;
    mod input_grad;
    pub mod options;
    mod packed;
    mod pass;
    pub mod paths;
    mod phase;
    pub mod rows;
    pub mod shape;
    mod shared;
    mod tile;
    mod vector;
    mod weight_grad;
    mod winograd;
}

mod pool {
    pub mod average;
    pub mod max;
    pub mod window;
}

mod rnn {
    pub mod panels;
}

#[cfg(test)]
mod tests;
