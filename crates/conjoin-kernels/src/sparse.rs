//! Sparse linear maps between rows of numbers, such as one that gathers and interpolates: one for all samples, or
//! one for each.
//!
//! Shape legend: `B` samples, `I` rows in, `O` rows out, `C` numbers a row. The map is stored row by row
//! (compressed sparse rows), once for the way there and once transposed for the way back, so that every
//! row of either result is summed by one task in a fixed order.

mod gated;

pub use gated::{gated_sparse_map, reference as gated_reference};

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
    fn new(
        inputs: usize,
        outputs: usize,
        mut fill: impl FnMut(usize, &mut Vec<(usize, f32)>),
    ) -> Self {
        let mut starts = Vec::with_capacity(outputs + 1);
        let (mut columns, mut weights) = (Vec::new(), Vec::new());
        let mut row = Vec::new();
        starts.push(0);
        for output in 0..outputs {
            row.clear();
            fill(output, &mut row);
            for &(column, weight) in &row {
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

    /// By counting: the entries of a row stay in the order of what they came from.
    fn transposed(&self) -> Self {
        let mut starts = vec![0; self.inputs + 1];
        for &column in &self.columns {
            starts[column as usize + 1] += 1;
        }
        for row in 0..self.inputs {
            starts[row + 1] += starts[row];
        }
        let mut next = starts.clone();
        let mut columns = vec![0; self.columns.len()];
        let mut weights = vec![0.0; self.columns.len()];
        for output in 0..self.outputs() {
            for (input, weight) in self.row(output) {
                let at = next[input];
                next[input] += 1;
                columns[at] = output as u32;
                weights[at] = weight;
            }
        }
        Self {
            inputs: self.outputs(),
            starts,
            columns,
            weights,
        }
    }
}

/// Maps blocks of rows of `width` numbers, one block a sample, by one map for all samples or by one for each.
fn product(maps: &[&Rows], from: &[f32], samples: usize, width: usize) -> Vec<f32> {
    let rows = maps.first().map_or(0, |map| map.outputs());
    let task = (BLOCK / width.max(1)).max(1) * width.max(1);
    build_one(samples * rows * width, task, |first, to| {
        run(Sums {
            maps,
            first: first / width,
            width,
            from,
            to,
        });
    })
}

impl SparseMap {
    /// The map from `inputs` rows to as many as `rows` has: each is the sum of the rows that it names
    /// times their weights.
    ///
    /// # Panics
    /// If a row is named that is none of the inputs.
    #[track_caller]
    pub fn new(inputs: usize, rows: &[Vec<(usize, f32)>]) -> Self {
        Self::from_fn(inputs, rows.len(), |output, row| {
            row.extend_from_slice(&rows[output]);
        })
    }

    /// As [`Self::new`], of rows that `fill` adds the entries of, one after the other.
    ///
    /// # Panics
    /// As [`Self::new`].
    #[track_caller]
    pub fn from_fn(
        inputs: usize,
        outputs: usize,
        fill: impl FnMut(usize, &mut Vec<(usize, f32)>),
    ) -> Self {
        let there = Rows::new(inputs, outputs, fill);
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
        maps: vec![map.clone()],
        samples,
        width,
    };
    apply(operation, [x.into_dispatch()])
}

/// As [`sparse_map`], with a map of its own for every sample; all of them read and make as many rows.
///
/// # Panics
/// If there are not as many maps as samples, the maps' sizes differ, or the samples do not have their number of rows.
#[track_caller]
pub fn sparse_maps(x: Tensor<3>, maps: &[SparseMap]) -> Tensor<3> {
    let [samples, inputs, width] = x.dims();
    expect("sparse_maps", "maps", &[maps.len()], &[samples]);
    let Some(expected) = maps.first().map(SparseMap::inputs) else {
        return x;
    };
    expect(
        "sparse_maps",
        "x",
        &[samples, inputs, width],
        &[samples, expected, width],
    );
    check_maps("sparse_maps", maps, samples, inputs);
    if !supported(&x) {
        return reference_of_each(x, maps);
    }
    let operation = Product {
        maps: maps.to_vec(),
        samples,
        width,
    };
    apply(operation, [x.into_dispatch()])
}

/// Panics unless there is one map or as many as samples, all of the same size, that read this many rows.
#[track_caller]
fn check_maps(operation: &'static str, maps: &[SparseMap], samples: usize, inputs: usize) {
    if maps.len() != 1 {
        expect(operation, "maps", &[maps.len()], &[samples]);
    }
    let outputs = maps.first().map_or(0, SparseMap::outputs);
    for map in maps {
        let found = [map.outputs(), map.inputs()];
        expect(operation, "a map", &found, &[outputs, inputs]);
    }
}

/// The map of a sample.
fn of_samples<'a>(maps: &[&'a Rows], sample: usize) -> &'a Rows {
    maps.get(sample).unwrap_or(&maps[0])
}

/// [`sparse_maps`] by Burn's own operations.
fn reference_of_each(x: Tensor<3>, maps: &[SparseMap]) -> Tensor<3> {
    let each = maps.iter().enumerate();
    let each = each.map(|(i, map)| reference(x.clone().narrow(0, i, 1), map));
    Tensor::cat(each.collect(), 0)
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
    /// One for all samples, or one for each.
    maps: Vec<SparseMap>,
    samples: usize,
    width: usize,
}

impl Fused<1> for Product {
    type Saved = ();

    fn forward(&self, [x]: &[Dense; 1]) -> (FlexTensor, ()) {
        let maps: Vec<&Rows> = self.maps.iter().map(|map| &*map.there).collect();
        let y = product(&maps, x.values(), self.samples, self.width);
        let outputs = self.maps.first().map_or(0, SparseMap::outputs);
        (tensor(y, [self.samples, outputs, self.width]), ())
    }

    fn backward(&self, (): (), dy: Dense, _: [bool; 1]) -> [Option<FlexTensor>; 1] {
        let maps: Vec<&Rows> = self.maps.iter().map(|map| &*map.back).collect();
        let dx = product(&maps, dy.values(), self.samples, self.width);
        let inputs = self.maps.first().map_or(0, SparseMap::inputs);
        [Some(tensor(dx, [self.samples, inputs, self.width]))]
    }
}

/// Some rows of [`product`], from row `first` of all samples on, which begin at 0.
struct Sums<'a> {
    maps: &'a [&'a Rows],
    first: usize,
    width: usize,
    from: &'a [f32],
    to: &'a mut [f32],
}

impl Kernel for Sums<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Isa>(self, _: S) {
        let [first, ..] = self.maps else { return };
        let (rows, sample) = (first.outputs(), first.inputs * self.width);
        for (row, to) in self.to.chunks_exact_mut(self.width).enumerate() {
            let row = self.first + row;
            let number = row / rows;
            let map = of_samples(self.maps, number);
            let from = &self.from[number * sample..][..sample];
            for (input, weight) in map.row(row % rows) {
                let from = &from[input * self.width..][..self.width];
                for (to, from) in to.iter_mut().zip(from) {
                    *to += weight * from;
                }
            }
        }
    }
}
