//! A fixed sparse linear map between rows of numbers, such as one that gathers and interpolates.
//!
//! Shape legend: `B` samples, `I` rows in, `O` rows out, `C` numbers a row. The map is stored row by row
//! (compressed sparse rows), once for the way there and once transposed for the way back, so that every
//! row of either result is summed by one task in a fixed order.

use std::sync::Arc;

use burn::backend::flex::FlexTensor;
use burn::tensor::{DType, IndexingUpdateOp, Int, Tensor, TensorData};

use crate::buffer::{BLOCK, build_one};
use crate::flex::{Dense, Fused, apply, supported, tensor};
use crate::shapes::expect;
use crate::simd::{Isa, Kernel, run};

/// A matrix `[O, I]` of which most entries are 0. A clone shares the numbers.
#[derive(Clone, Debug)]
pub struct SparseMap {
    there: Arc<Rows>,
    back: Arc<Rows>,
}

/// The entries of a sparse matrix, row by row.
#[derive(Debug)]
struct Rows {
    /// Columns of the matrix.
    inputs: usize,
    /// The entries of row `i` are those from `starts[i]` to `starts[i + 1]`.
    starts: Vec<usize>,
    columns: Vec<u32>,
    weights: Vec<f32>,
}

impl Rows {
    /// # Panics
    /// If an entry names a column that is none of the inputs.
    #[track_caller]
    fn new<'a>(inputs: usize, rows: impl ExactSizeIterator<Item = &'a [(usize, f32)]>) -> Self {
        let mut starts = Vec::with_capacity(rows.len() + 1);
        let (mut columns, mut weights) = (Vec::new(), Vec::new());
        starts.push(0);
        for (output, row) in rows.enumerate() {
            for &(column, weight) in row {
                assert!(
                    column < inputs,
                    "SparseMap::new: rows[{output}] names input {column}, expected one below {inputs}"
                );
                columns.push(column as u32);
                weights.push(weight);
            }
            starts.push(columns.len());
        }
        Self {
            inputs,
            starts,
            columns,
            weights,
        }
    }

    fn outputs(&self) -> usize {
        self.starts.len() - 1
    }

    fn row(&self, row: usize) -> impl Iterator<Item = (usize, f32)> + '_ {
        let range = self.starts[row]..self.starts[row + 1];
        let columns = self.columns[range.clone()].iter();
        columns
            .zip(&self.weights[range])
            .map(|(column, weight)| (*column as usize, *weight))
    }

    fn transposed(&self) -> Self {
        let mut rows = vec![Vec::new(); self.inputs];
        for output in 0..self.outputs() {
            for (input, weight) in self.row(output) {
                rows[input].push((output, weight));
            }
        }
        Self::new(self.outputs(), rows.iter().map(Vec::as_slice))
    }

    /// The map of `samples` blocks of rows of `width` numbers.
    fn product(&self, from: &[f32], samples: usize, width: usize) -> Vec<f32> {
        let rows = self.outputs();
        let task = (BLOCK / width.max(1)).max(1) * width.max(1);
        build_one(samples * rows * width, task, |first, to| {
            run(Sums {
                map: self,
                first: first / width,
                width,
                from,
                to,
            });
        })
    }
}

impl SparseMap {
    /// The map from `inputs` rows to as many as `rows` has: each is the sum of the rows that it names
    /// times their weights.
    ///
    /// # Panics
    /// If a row is named that is none of the inputs.
    #[track_caller]
    pub fn new(inputs: usize, rows: &[Vec<(usize, f32)>]) -> Self {
        let there = Rows::new(inputs, rows.iter().map(Vec::as_slice));
        Self {
            back: Arc::new(there.transposed()),
            there: Arc::new(there),
        }
    }

    /// Rows that it reads.
    pub fn inputs(&self) -> usize {
        self.there.inputs
    }

    /// Rows that it makes.
    pub fn outputs(&self) -> usize {
        self.there.outputs()
    }

    /// Entries of the matrix.
    pub fn terms(&self) -> usize {
        self.there.weights.len()
    }

    /// The rows and weights that make an output.
    ///
    /// # Panics
    /// If there is no such output.
    pub fn row(&self, output: usize) -> impl Iterator<Item = (usize, f32)> + '_ {
        self.there.row(output)
    }
}

/// `y [B, O, C]` from `x [B, I, C]` and a map `[O, I]`: `y[b, o, c] = Σ_i map[o, i] · x[b, i, c]`, summed over
/// the map's entries alone. The map gets no gradient.
///
/// As PyTorch's `torch.sparse.mm` of each sample. Source: Saad, "Iterative Methods for Sparse Linear
/// Systems" (2003), section 3.4, of matrices in compressed rows.
///
/// # Panics
/// If the samples do not have the map's number of rows.
#[track_caller]
pub fn sparse_map(x: Tensor<3>, map: &SparseMap) -> Tensor<3> {
    let [samples, inputs, width] = x.dims();
    expect(
        "sparse_map",
        "x",
        &[samples, inputs, width],
        &[samples, map.inputs(), width],
    );
    if !supported(&x) {
        return reference(x, map);
    }
    let operation = Product {
        map: map.clone(),
        samples,
        width,
    };
    apply(operation, [x.into_dispatch()])
}

/// [`sparse_map`] by Burn's own operations, for any device.
pub fn reference(x: Tensor<3>, map: &SparseMap) -> Tensor<3> {
    let ([samples, _, width], device, dtype) = (x.dims(), x.device(), x.dtype());
    let zeros = Tensor::zeros([samples, map.outputs(), width], (&device, dtype));
    let terms = map.terms();
    if terms == 0 {
        return zeros;
    }
    let integers = |numbers: Vec<i64>| -> Tensor<1, Int> {
        Tensor::from_data(TensorData::new(numbers, [terms]), (&device, DType::I64))
    };
    let from = map.there.columns.iter().map(|column| i64::from(*column));
    let to = (0..map.outputs()).flat_map(|row| map.row(row).map(move |_| row as i64));
    let weights = TensorData::new(map.there.weights.clone(), [1, terms, 1]);
    let parts =
        x.select(1, integers(from.collect())) * Tensor::from_data(weights, (&device, dtype));
    zeros.select_assign(1, integers(to.collect()), parts, IndexingUpdateOp::Add)
}

#[derive(Clone, Debug)]
struct Product {
    map: SparseMap,
    samples: usize,
    width: usize,
}

impl Fused<1> for Product {
    type Saved = ();

    fn forward(&self, [x]: &[Dense; 1]) -> (FlexTensor, ()) {
        let y = self.map.there.product(x.values(), self.samples, self.width);
        (
            tensor(y, [self.samples, self.map.outputs(), self.width]),
            (),
        )
    }

    fn backward(&self, (): (), dy: Dense, _: [bool; 1]) -> [Option<FlexTensor>; 1] {
        let dx = self.map.back.product(dy.values(), self.samples, self.width);
        [Some(tensor(
            dx,
            [self.samples, self.map.inputs(), self.width],
        ))]
    }
}

/// Some rows of [`Rows::product`], from row `first` of all samples on, which begin at 0.
struct Sums<'a> {
    map: &'a Rows,
    first: usize,
    width: usize,
    from: &'a [f32],
    to: &'a mut [f32],
}

impl Kernel for Sums<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Isa>(self, _: S) {
        let (rows, sample) = (self.map.outputs(), self.map.inputs * self.width);
        for (row, to) in self.to.chunks_exact_mut(self.width).enumerate() {
            let row = self.first + row;
            let from = &self.from[row / rows * sample..][..sample];
            for (input, weight) in self.map.row(row % rows) {
                let from = &from[input * self.width..][..self.width];
                for (to, from) in to.iter_mut().zip(from) {
                    *to += weight * from;
                }
            }
        }
    }
}
