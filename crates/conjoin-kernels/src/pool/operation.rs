//! Pooling by windows as operations on Flex tensors; the kernels know slices alone.

use std::sync::Arc;

use burn::backend::flex::FlexTensor;

use super::average::AvgPool;
use super::max;
use super::window::Window;
use crate::flex::{Dense, Fused, tensor};

#[derive(Clone, Debug)]
pub struct MaxPool(pub Window);

impl Fused<1> for MaxPool {
    /// For every output the tap of its window that won.
    type Saved = Arc<Vec<u8>>;

    fn forward(&self, [x]: &[Dense; 1]) -> (FlexTensor, Self::Saved) {
        let (y, taps) = max::forward(self.0, x.values());
        (tensor(y, self.0.out_dims()), Arc::new(taps))
    }

    fn backward(&self, taps: Self::Saved, dy: Dense, _: [bool; 1]) -> [Option<FlexTensor>; 1] {
        let dx = max::backward(self.0, &taps, dy.values());
        [Some(tensor(dx, self.0.dims))]
    }
}

impl Fused<1> for AvgPool {
    type Saved = ();

    fn forward(&self, [x]: &[Dense; 1]) -> (FlexTensor, ()) {
        let y = AvgPool::forward(self, x.values());
        (tensor(y, self.window.out_dims()), ())
    }

    fn backward(&self, (): (), dy: Dense, _: [bool; 1]) -> [Option<FlexTensor>; 1] {
        let dx = AvgPool::backward(self, dy.values());
        [Some(tensor(dx, self.window.dims))]
    }
}
