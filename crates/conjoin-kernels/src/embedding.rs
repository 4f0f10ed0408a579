//! Rows of a table by index, with a gradient that is scattered in a fixed order.
//!
//! Shape legend: `V` rows of the table (the vocabulary), `D` numbers a row, `N` indices.

use std::sync::Arc;

use burn::backend::flex::FlexTensor;
use burn::tensor::{Int, Tensor};

use crate::buffer::{BLOCK, build_one};
use crate::flex::{Dense, Fused, apply, supported, tensor};
use crate::simd::{Isa, Kernel, run};

/// The rows `weight [V, D]` of `indices [B, T]`: `[B, T, D]`, as PyTorch's `embedding`.
///
/// The gradient of a row of `weight` is the sum of the gradients of its occurrences, in their order;
/// the row `padding` gets none (PyTorch's `padding_idx`), though it is looked up like any other. The
/// indices are checked on the host: on a device with memory of its own that costs reading them back.
///
/// Source: Bengio, Ducharme, Vincent and Jauvin, "A Neural Probabilistic Language Model" (2003).
///
/// # Panics
/// If an index, or `padding`, is none of the `V` rows.
#[track_caller]
pub fn embedding(weight: Tensor<2>, indices: Tensor<2, Int>, padding: Option<usize>) -> Tensor<3> {
    let ([rows, width], [batch, time]) = (weight.dims(), indices.dims());
    if let Some(padding) = padding {
        assert!(
            padding < rows,
            "embedding: padding {padding} is none of the {rows} rows of weight"
        );
    }
    let mut checked = Vec::with_capacity(batch * time);
    for (at, index) in indices.clone().into_data().iter::<i64>().enumerate() {
        let row = u32::try_from(index).ok();
        let row = row.filter(|row| (*row as usize) < rows);
        assert!(
            row.is_some(),
            "embedding: index {index} at [{}, {}] is none of the {rows} rows of weight",
            at / time,
            at % time
        );
        checked.extend(row);
    }
    if !supported(&weight) {
        return reference(weight, indices, padding);
    }
    let operation = Embedding {
        dims: [batch, time, width],
        rows,
        indices: Arc::new(checked),
        padding,
    };
    apply(operation, [weight.into_dispatch()])
}

/// [`embedding`] by Burn's own operations, for any device.
pub fn reference(weight: Tensor<2>, indices: Tensor<2, Int>, padding: Option<usize>) -> Tensor<3> {
    let (width, [batch, time]) = (weight.dims()[1], indices.dims());
    let looked_up = |weight: Tensor<2>| {
        let flat = indices.clone().reshape([batch * time]);
        weight.select(0, flat).reshape([batch, time, width])
    };
    let Some(padding) = padding else {
        return looked_up(weight);
    };
    let constant = looked_up(weight.clone().detach());
    let is_padding = indices
        .clone()
        .equal_elem(padding as i64)
        .reshape([batch, time, 1])
        .expand([batch, time, width]);
    looked_up(weight).mask_where(is_padding, constant)
}

#[derive(Clone, Debug)]
struct Embedding {
    dims: [usize; 3],
    rows: usize,
    indices: Arc<Vec<u32>>,
    padding: Option<usize>,
}

impl Fused<1> for Embedding {
    type Saved = ();

    fn forward(&self, [weight]: &[Dense; 1]) -> (FlexTensor, ()) {
        let width = self.dims[2].max(1);
        let weight = weight.values();
        let task = (BLOCK / width).max(1) * width;
        let y = build_one(self.dims.iter().product(), task, |first, y| {
            let indices = &self.indices[first / width..];
            for (y, index) in y.chunks_exact_mut(width).zip(indices) {
                y.copy_from_slice(&weight[*index as usize * width..][..width]);
            }
        });
        (tensor(y, self.dims), ())
    }

    fn backward(&self, (): (), dy: Dense, _: [bool; 1]) -> [Option<FlexTensor>; 1] {
        let width = self.dims[2];
        let (starts, order) = self.occurrences();
        let dy = dy.values();
        let rows = (BLOCK / width.max(1)).max(1);
        let dw = build_one(self.rows * width, rows * width, |first, dw| {
            run(Scatter {
                first: first / width,
                width,
                starts: &starts,
                order: &order,
                dy,
                dw,
            });
        });
        [Some(tensor(dw, [self.rows, width]))]
    }
}

impl Embedding {
    /// For every row of the table the positions where it occurs, in order: those of row `v` are
    /// `order[starts[v]..starts[v + 1]]`. The padding has none.
    fn occurrences(&self) -> (Vec<u32>, Vec<u32>) {
        let counted = |index: &u32| self.padding != Some(*index as usize);
        let mut starts = vec![0u32; self.rows + 1];
        for index in self.indices.iter().filter(|index| counted(index)) {
            starts[*index as usize + 1] += 1;
        }
        for row in 0..self.rows {
            starts[row + 1] += starts[row];
        }
        let mut next = starts.clone();
        let mut order = vec![0u32; starts[self.rows] as usize];
        for (position, index) in self.indices.iter().enumerate() {
            if counted(index) {
                let slot = &mut next[*index as usize];
                order[*slot as usize] = position as u32;
                *slot += 1;
            }
        }
        (starts, order)
    }
}

/// Sums the gradients of some rows of the table, which begin at row `first` and at 0.
struct Scatter<'a> {
    first: usize,
    width: usize,
    starts: &'a [u32],
    order: &'a [u32],
    dy: &'a [f32],
    dw: &'a mut [f32],
}

impl Kernel for Scatter<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Isa>(self, _: S) {
        for (row, dw) in self.dw.chunks_exact_mut(self.width).enumerate() {
            let row = self.first + row;
            let places = self.starts[row] as usize..self.starts[row + 1] as usize;
            for position in &self.order[places] {
                let dy = &self.dy[*position as usize * self.width..][..self.width];
                for (dw, dy) in dw.iter_mut().zip(dy) {
                    *dw += dy;
                }
            }
        }
    }
}
