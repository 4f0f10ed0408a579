//! Linear layers with their activations, activations, dropout, embedding, rotary positions, sparse maps.

use super::law::{Law, few};
use crate::support::tracked::integers;
use conjoin_kernels::activation::{self, Activation, activate};
use conjoin_kernels::dropout::{self, dropout};
use conjoin_kernels::embedding::{self, embedding};
use conjoin_kernels::linear::{self, linear};
use conjoin_kernels::rotary::{self, rotary};
use conjoin_kernels::sparse::{self, SparseMap, sparse_map};
use proptest::prelude::*;

const ACTIVATIONS: [Activation; 7] = [
    Activation::None,
    Activation::Relu,
    Activation::Tanh,
    Activation::Sigmoid,
    Activation::Gelu,
    Activation::GeluTanh,
    Activation::Silu,
];

fn affine([rows, inputs, outputs]: [usize; 3], bias: bool, activation: Activation) -> Law {
    let name = format!("linear {rows} x {inputs} to {outputs}, {activation:?}, bias {bias}");
    Law::new(name, move |pass| {
        let run = if pass.fused {
            linear
        } else {
            linear::reference
        };
        let (x, w) = (pass.leaf([rows, inputs]), pass.leaf([outputs, inputs]));
        let bias = bias.then(|| pass.leaf([outputs]));
        pass.give(run(x, w, bias, activation));
    })
}

fn active(x: [usize; 3], kind: Activation) -> Law {
    Law::new(format!("{kind:?} of {x:?}"), move |pass| {
        let run = if pass.fused {
            activate
        } else {
            activation::reference
        };
        let x = pass.leaf(x) * 6.0;
        pass.give(run(x, kind));
    })
}

fn dropped(x: [usize; 3], p: f64, seed: u64) -> Law {
    Law::new(format!("dropout of {x:?}, {p}"), move |pass| {
        let run = if pass.fused {
            dropout
        } else {
            dropout::reference
        };
        let x = pass.leaf(x);
        pass.give(run(x, p, seed));
    })
}

fn looked_up([rows, width]: [usize; 2], indices: [usize; 2], padding: Option<usize>) -> Law {
    let name = format!("embedding of {rows} x {width}, {indices:?}, {padding:?}");
    Law::new(name, move |pass| {
        let run = if pass.fused {
            embedding
        } else {
            embedding::reference
        };
        let weight = pass.leaf([rows, width]);
        pass.give(run(weight, integers(indices, rows, 5), padding));
    })
}

fn turned([rows, time, pairs]: [usize; 3], heads: usize, first: usize) -> Law {
    let name = format!("rotary of {rows} x {time}, {heads} heads of {pairs} pairs, {first}");
    Law::new(name, move |pass| {
        let run = if pass.fused {
            rotary
        } else {
            rotary::reference
        };
        let x = pass.leaf([rows, time, 2 * heads * pairs]);
        pass.give(run(x, heads, first, 10_000.0));
    })
}

/// Output `o` reads the inputs `o`, `2 o` and `3 o`, wrapped; every fifth reads none.
fn gathered([samples, inputs, width]: [usize; 3], outputs: usize) -> Law {
    let name = format!("sparse_map of {samples} x {inputs} x {width} to {outputs}");
    let entries = |o: usize| (1..4).map(move |i| (i * o % inputs, 0.3 * i as f32 - 0.5));
    let rows = (0..outputs).map(|o| {
        if o % 5 == 4 {
            vec![]
        } else {
            entries(o).collect()
        }
    });
    let map = SparseMap::new(inputs, &rows.collect::<Vec<_>>());
    Law::new(name, move |pass| {
        let run = if pass.fused {
            sparse_map
        } else {
            sparse::reference
        };
        let x = pass.leaf([samples, inputs, width]);
        pass.give(run(x, &map));
    })
}

proptest! {
    #![proptest_config(few())]

    #[test]
    fn linear_layers_are_lawful(sizes in [1..40_usize, 1..40, 1..40], bias in any::<bool>()) {
        for activation in ACTIVATIONS {
            affine(sizes, bias, activation).holds();
        }
    }

    #[test]
    fn functions_of_elements_are_lawful(
        x in [1..6_usize, 1..20, 1..20], p in 0.0..0.9_f64, seed in any::<u64>(),
    ) {
        for kind in &ACTIVATIONS[1..] {
            active(x, *kind).holds();
        }
        dropped(x, p, seed).holds();
    }

    #[test]
    fn tables_and_maps_are_lawful(
        table in [1..30_usize, 1..40], indices in [1..6_usize, 1..20], padded in any::<bool>(),
        heads in 1..4_usize, first in 0..50_usize, outputs in 1..30_usize,
    ) {
        looked_up(table, indices, padded.then_some(table[0] / 2)).holds();
        turned([indices[0], indices[1], table[1]], heads, first).holds();
        gathered([indices[0], table[0], table[1]], outputs).holds();
    }
}

#[test]
fn ones_primes_and_several_blocks() {
    for activation in ACTIVATIONS {
        affine([1, 1, 1], true, activation).holds();
        affine([131, 67, 139], true, activation).holds();
    }
    active([1, 1, 1], Activation::Gelu).holds();
    active([3, 83, 89], Activation::Silu).holds();
    dropped([1, 1, 1], 0.5, 1).holds();
    dropped([3, 83, 89], 0.3, 2).holds();
    looked_up([1, 1], [1, 1], None).holds();
    looked_up([53, 331], [7, 31], Some(3)).holds();
    turned([1, 1, 1], 1, 0).holds();
    turned([3, 61, 47], 3, 5).holds();
    gathered([1, 1, 1], 1).holds();
    gathered([3, 127, 31], 211).holds();
}

#[test]
fn an_empty_batch_is_lawful() {
    for activation in ACTIVATIONS {
        affine([0, 3, 5], true, activation).holds_for_nothing(&[&[0, 5]]);
        affine([0, 3, 5], false, activation).holds_for_nothing(&[&[0, 5]]);
        active([0, 3, 5], activation).holds_for_nothing(&[&[0, 3, 5]]);
    }
    dropped([0, 3, 5], 0.5, 1).holds_for_nothing(&[&[0, 3, 5]]);
    looked_up([3, 5], [0, 7], Some(1)).holds_for_nothing(&[&[0, 7, 5]]);
    looked_up([3, 5], [7, 0], None).holds_for_nothing(&[&[7, 0, 5]]);
    turned([0, 3, 5], 2, 1).holds_for_nothing(&[&[0, 3, 20]]);
    gathered([0, 3, 5], 7).holds_for_nothing(&[&[0, 7, 5]]);
}
