//! The kernels' code that touches memory by itself, without Burn, so that tools which watch memory
//! compile and run it in seconds. `memory.sh` lays the kernels' sources beside this file.

#![allow(dead_code, clippy::inline_always)]

mod bf16;
pub mod blas;
mod buffer;
pub mod precision;
pub mod simd;

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
    mod frame;
    mod input_grad;
    pub mod options;
    mod packed;
    mod pass;
    pub mod paths;
    mod phase;
    pub mod shape;
    mod tile;
    mod vector;
    mod weight_grad;
    mod winograd;
}

mod rnn {
    pub mod panels;
}

#[cfg(test)]
mod tests;
