//! A trained vector for each index.
//!
//! Shapes: indices `[B, T]`, weight `[vocabulary, size]`, output `[B, T, size]`.

use crate::init::{Fill, Init};
use burn::module::{Module, Param};
use burn::tensor::{Int, Tensor, module::embedding};

/// A table of vectors (`torch.nn.Embedding`). The padding index stands for the zero vector and
/// gets no gradient, whatever its row holds.
#[derive(Module, Debug)]
pub struct Embedding {
    weight: Param<Tensor<2>>,
    padding: Option<i64>,
    /// What vectors are multiplied by.
    scale: f64,
}

impl Embedding {
    /// Vectors begin as standard normals: Xavier's rule for the layer behind assumes inputs of unit
    /// variance.
    pub fn new(init: &Init, vocabulary: usize, size: usize, padding: Option<i64>) -> Self {
        Self::with_scale(init, vocabulary, size, padding, 1.0)
    }

    /// Vectors are multiplied by `sqrt(size)` (Vaswani et al. 2017, section 3.4) and begin smaller
    /// by as much.
    pub fn scaled(init: &Init, vocabulary: usize, size: usize, padding: Option<i64>) -> Self {
        Self::with_scale(init, vocabulary, size, padding, (size as f64).sqrt())
    }

    fn with_scale(
        init: &Init,
        vocabulary: usize,
        size: usize,
        padding: Option<i64>,
        scale: f64,
    ) -> Self {
        let std = scale.recip() as f32;
        Self {
            weight: init.param("weight", [vocabulary, size], Fill::Normal { std }),
            padding,
            scale,
        }
    }

    /// `[B, T]` indices below the vocabulary's size to `[B, T, size]`.
    pub fn forward(&self, indices: Tensor<2, Int>) -> Tensor<3> {
        let vectors = embedding(self.weight.val(), indices.clone());
        let vectors = if self.scale == 1.0 {
            vectors
        } else {
            vectors * self.scale
        };
        match self.padding {
            None => vectors,
            Some(padding) => {
                let mask = indices.equal_elem(padding).unsqueeze_dim::<3>(2);
                let dims = vectors.dims();
                vectors.mask_fill(mask.expand(dims), 0.0)
            }
        }
    }
}
