//! A trained vector for each index.
//!
//! Shapes: indices `[B, T]`, weight `[vocabulary, size]`, output `[B, T, size]`.

use crate::init::{Fill, Init};
use burn::module::{Module, Param};
use burn::tensor::{Int, Tensor};
use conjoin_kernels::embedding::embedding;

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

    /// The table, `[vocabulary, size]`, for a module that uses the same one.
    pub fn weight(&self) -> Tensor<2> {
        self.weight.val()
    }

    /// `[B, T]` indices below the vocabulary's size to `[B, T, size]`.
    pub fn forward(&self, indices: Tensor<2, Int>) -> Tensor<3> {
        look_up(self.weight(), indices, self.padding, self.scale)
    }
}

/// Rows of a table `[vocabulary, size]` by index, multiplied by `scale`; the padding index gives
/// zeros.
///
/// # Panics
/// If an index is none of the table's rows.
pub fn look_up(
    table: Tensor<2>,
    indices: Tensor<2, Int>,
    padding: Option<i64>,
    scale: f64,
) -> Tensor<3> {
    // What is masked below has no gradient to scatter.
    let masked = padding
        .and_then(|padding| usize::try_from(padding).ok())
        .filter(|padding| *padding < table.dims()[0]);
    let vectors = embedding(table, indices.clone(), masked);
    let vectors = if scale == 1.0 {
        vectors
    } else {
        vectors * scale
    };
    match padding {
        None => vectors,
        Some(padding) => {
            let mask = indices.equal_elem(padding).unsqueeze_dim::<3>(2);
            let dims = vectors.dims();
            vectors.mask_fill(mask.expand(dims), 0.0)
        }
    }
}
