//! A sparse map whose entries are scaled by gates of the rows that they read.
//!
//! Shape legend: `B` samples, `I` rows in, `K` gates a row, `O` rows out, `C` numbers a row. The map has a column for
//! each gate of each row, `[O, I K]`. The product of rows and gates, `K` times as large as the rows, is never made.

use burn::backend::flex::FlexTensor;
use burn::tensor::Tensor;

use super::{Rows, SparseMap, check_maps, of_samples};
use crate::buffer::{BLOCK, build, build_one};
use crate::flex::{Dense, Fused, apply, supported, tensor};
use crate::shapes::expect;
use crate::simd::{Isa, Kernel, run};

/// `y [B, O, C]` from `x [B, I, C]`, gates `g [B, I, K]` and maps `[O, I K]`, one for all samples or one for each:
/// `y[b, o, c] = Σ_i Σ_k map[o, i K + k] · g[b, i, k] · x[b, i, c]`, summed over the map's entries alone. The maps get no
/// gradient.
///
/// With a distribution over `K` depths as gates it takes the features of a view to where they lie in space (Philion and
/// Fidler 2020, "Lift, Splat, Shoot"; like Huang and Huang 2022, "BEVPoolv2", without their outer product).
///
/// # Panics
/// If the gates are not of the rows of `x`, there are neither 1 map nor as many as samples, or a map does not read that
/// many gates.
#[track_caller]
pub fn gated_sparse_map(x: Tensor<3>, gates: Tensor<3>, maps: &[SparseMap]) -> Tensor<3> {
    let [samples, inputs, width] = x.dims();
    let [.., each] = gates.dims();
    expect(
        "gated_sparse_map",
        "gates",
        &gates.dims(),
        &[samples, inputs, each],
    );
    check_maps("gated_sparse_map", maps, samples, inputs * each);
    if !(supported(&x) && supported(&gates)) {
        return reference(x, gates, maps);
    }
    let operation = Gated {
        maps: maps.to_vec(),
        samples,
        inputs,
        gates: each,
        width,
    };
    apply(operation, [x.into_dispatch(), gates.into_dispatch()])
}

/// [`gated_sparse_map`] by Burn's own operations, for any device.
pub fn reference(x: Tensor<3>, gates: Tensor<3>, maps: &[SparseMap]) -> Tensor<3> {
    let ([samples, inputs, width], [.., each]) = (x.dims(), gates.dims());
    let product = x.unsqueeze_dim::<4>(2) * gates.unsqueeze_dim::<4>(3);
    let product = product.reshape([samples, inputs * each, width]);
    match maps {
        [map] => super::reference(product, map),
        maps => super::reference_of_each(product, maps),
    }
}

#[derive(Clone, Debug)]
struct Gated {
    /// One for all samples, or one for each.
    maps: Vec<SparseMap>,
    samples: usize,
    inputs: usize,
    gates: usize,
    width: usize,
}

impl Fused<2> for Gated {
    /// The rows and their gates.
    type Saved = [Dense; 2];

    fn forward(&self, [x, gates]: &[Dense; 2]) -> (FlexTensor, [Dense; 2]) {
        let maps: Vec<&Rows> = self.maps.iter().map(|map| &*map.there).collect();
        let (rows, width) = (maps.first().map_or(0, |map| map.outputs()), self.width);
        let task = (BLOCK / width.max(1)).max(1) * width.max(1);
        let y = build_one(self.samples * rows * width, task, |first, to| {
            run(Sums {
                of: self,
                maps: &maps,
                first: first / width,
                x: x.values(),
                gates: gates.values(),
                to,
            });
        });
        let saved = [x.clone(), gates.clone()];
        (tensor(y, [self.samples, rows, width]), saved)
    }

    fn backward(&self, [x, gates]: [Dense; 2], dy: Dense, _: [bool; 2]) -> [Option<FlexTensor>; 2] {
        let maps: Vec<&Rows> = self.maps.iter().map(|map| &*map.back).collect();
        let rows = (BLOCK / self.width.max(1)).max(1);
        let all = self.samples * self.inputs;
        let sizes: Vec<[usize; 2]> = crate::buffer::pieces(all, rows)
            .map(|rows| [rows * self.width, rows * self.gates])
            .collect();
        let [dx, dgates] = build(&sizes, |task, [dx, dgates]| {
            run(Gradients {
                of: self,
                maps: &maps,
                first: task * rows,
                x: x.values(),
                gates: gates.values(),
                dy: dy.values(),
                dx,
                dgates,
            });
        });
        [Some(x.like(dx)), Some(gates.like(dgates))]
    }
}

/// Some rows of the result, from row `first` of all samples on, which begin at 0.
struct Sums<'a> {
    of: &'a Gated,
    maps: &'a [&'a Rows],
    first: usize,
    x: &'a [f32],
    gates: &'a [f32],
    to: &'a mut [f32],
}

impl Kernel for Sums<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Isa>(self, _: S) {
        let Gated { inputs, width, .. } = *self.of;
        let Some(rows) = self.maps.first().map(|map| map.outputs()) else {
            return;
        };
        let each = self.of.gates;
        for (row, to) in self.to.chunks_exact_mut(width).enumerate() {
            let row = self.first + row;
            let sample = row / rows;
            let x = &self.x[sample * inputs * width..][..inputs * width];
            let gates = &self.gates[sample * inputs * each..][..inputs * each];
            for (gate, weight) in of_samples(self.maps, sample).row(row % rows) {
                let scale = weight * gates[gate];
                let from = &x[gate / each * width..][..width];
                for (to, from) in to.iter_mut().zip(from) {
                    *to += scale * from;
                }
            }
        }
    }
}

/// The gradients of some rows and of their gates, from row `first` of all samples on, which begin at 0.
struct Gradients<'a> {
    of: &'a Gated,
    /// Transposed: a row for each gate.
    maps: &'a [&'a Rows],
    first: usize,
    x: &'a [f32],
    gates: &'a [f32],
    dy: &'a [f32],
    dx: &'a mut [f32],
    dgates: &'a mut [f32],
}

impl Kernel for Gradients<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Isa>(self, _: S) {
        let Gated { inputs, width, .. } = *self.of;
        let each = self.of.gates;
        let Some(outputs) = self.maps.first().map(|map| map.inputs) else {
            return;
        };
        let (dx, dgates) = (
            self.dx.chunks_exact_mut(width),
            self.dgates.chunks_exact_mut(each.max(1)),
        );
        for (row, (dx, dgates)) in dx.zip(dgates).enumerate() {
            let row = self.first + row;
            let (sample, input) = (row / inputs, row % inputs);
            let x = &self.x[row * width..][..width];
            let dy = &self.dy[sample * outputs * width..][..outputs * width];
            let map = of_samples(self.maps, sample);
            for (k, dgate) in dgates.iter_mut().enumerate() {
                let gate = self.gates[row * each + k];
                for (output, weight) in map.row(input * each + k) {
                    let dy = &dy[output * width..][..width];
                    let mut product = 0.0;
                    for ((dx, x), dy) in dx.iter_mut().zip(x).zip(dy) {
                        *dx += weight * gate * dy;
                        product += x * dy;
                    }
                    *dgate += weight * product;
                }
            }
        }
    }
}
