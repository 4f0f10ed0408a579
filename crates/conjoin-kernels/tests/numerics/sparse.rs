//! Sparse maps and losses of yes or no against Burn's own operations, value and gradient, and for any
//! number of threads. (Against PyTorch: `conjoin-nn/tests/modules/birds_eye.rs`,
//! `conjoin-train/tests/training/losses.rs`.)

use crate::support::tracked::{device, leaf, noise};
use crate::support::{close, numbers, same_bits, values};
use burn::tensor::Tensor;
use conjoin_kernels::binary_loss::{self, BinaryLoss, binary_loss};
use conjoin_kernels::sparse::{
    self, SparseMap, gated_reference, gated_sparse_map, sparse_map, sparse_maps,
};

/// A map whose rows have 0 to 5 entries, some of them twice the same row.
fn map(inputs: usize, outputs: usize, seed: u64) -> SparseMap {
    let numbers = numbers(outputs * 10, seed);
    let rows: Vec<Vec<(usize, f32)>> = (0..outputs)
        .map(|row| {
            let numbers = &numbers[row * 10..][..10];
            let entry = |i: usize| {
                let input = (numbers[i].abs() * inputs as f32) as usize;
                (input.min(inputs - 1), numbers[5 + i])
            };
            (0..row % 6).map(entry).collect()
        })
        .collect();
    SparseMap::new(inputs, &rows)
}

type Product = fn(Tensor<3>, &SparseMap) -> Tensor<3>;

fn product(run: Product, sizes: [usize; 4]) -> [Vec<f32>; 2] {
    let [samples, inputs, outputs, width] = sizes;
    let map = map(inputs, outputs, 3);
    let x = leaf([samples, inputs, width], 4);
    let y = run(x.clone(), &map);
    assert_eq!(y.dims(), [samples, outputs, width]);
    let gradients = (y.clone() * noise([samples, outputs, width], 5))
        .sum()
        .backward();
    [values(y), values(x.grad(&gradients).unwrap())]
}

#[test]
fn a_sparse_map_equals_burns_operations() {
    for sizes in [
        [2, 7, 11, 3],
        [3, 40, 9, 16],
        [1, 5, 6, 1],
        [5, 300, 700, 33],
    ] {
        let [y, dx] = product(sparse_map, sizes);
        let [want_y, want_dx] = product(sparse::reference, sizes);
        close("y", &y, &want_y, 1e-6);
        close("dx", &dx, &want_dx, 1e-6);
    }
}

#[test]
fn every_sample_may_have_a_map_of_its_own() {
    let (samples, inputs, outputs, width) = (3, 40, 90, 5);
    let maps: Vec<SparseMap> = (0..samples as u64)
        .map(|seed| map(inputs, outputs, 7 + seed))
        .collect();
    let x = leaf([samples, inputs, width], 4);
    let noise = noise([samples, outputs, width], 5);
    let run = |y: Tensor<3>| {
        let gradients = (y.clone() * noise.clone()).sum().backward();
        [values(y), values(x.grad(&gradients).unwrap())]
    };
    let found = run(sparse_maps(x.clone(), &maps));
    let each = maps.iter().enumerate();
    let each = each.map(|(i, map)| sparse_map(x.clone().narrow(0, i, 1), map));
    let wanted = run(Tensor::cat(each.collect(), 0));
    assert_eq!(found, wanted);
}

type Gated = fn(Tensor<3>, Tensor<3>, &[SparseMap]) -> Tensor<3>;

/// The result and both gradients, by `count` maps.
fn gated(
    run: Gated,
    [samples, inputs, gates, outputs, width]: [usize; 5],
    count: u64,
) -> [Vec<f32>; 3] {
    let maps: Vec<SparseMap> = (0..count)
        .map(|seed| map(inputs * gates, outputs, 3 + seed))
        .collect();
    let x = leaf([samples, inputs, width], 4);
    let scales = leaf([samples, inputs, gates], 6);
    let y = run(x.clone(), scales.clone(), &maps);
    assert_eq!(y.dims(), [samples, outputs, width]);
    let gradients = (y.clone() * noise([samples, outputs, width], 5))
        .sum()
        .backward();
    let gradient = |x: Tensor<3>| values(x.grad(&gradients).unwrap());
    [values(y), gradient(x), gradient(scales)]
}

#[test]
fn a_gated_map_equals_burns_operations() {
    for sizes in [
        [2, 7, 3, 11, 3],
        [3, 40, 1, 9, 16],
        [1, 5, 4, 6, 1],
        [4, 300, 6, 700, 33],
    ] {
        for count in [1, sizes[0] as u64] {
            let found = gated(gated_sparse_map, sizes, count);
            let wanted = gated(gated_reference, sizes, count);
            for (name, (found, wanted)) in
                ["y", "dx", "dgates"].iter().zip(found.iter().zip(&wanted))
            {
                close(name, found, wanted, 1e-5);
            }
        }
    }
}

#[test]
fn entries_are_summed_and_missing_ones_are_zero() {
    let map = SparseMap::new(2, &[vec![(1, 2.0), (1, 0.5)], vec![], vec![(0, -1.0)]]);
    assert_eq!((map.inputs(), map.outputs(), map.terms()), (2, 3, 3));
    let x = Tensor::<3>::from_floats([[[1.0, 2.0], [3.0, 4.0]]], &device());
    let y = values(sparse_map(x.clone(), &map));
    assert_eq!(y, [7.5, 10.0, 0.0, 0.0, -1.0, -2.0]);
    assert_eq!(values(sparse_map(x.inner(), &map)), y);
}

#[test]
fn a_map_of_nothing_is_zero() {
    let map = SparseMap::new(2, &[vec![], vec![]]);
    for run in [sparse_map as Product, sparse::reference] {
        assert_eq!(values(run(leaf([1, 2, 3], 1), &map)), [0.0; 6]);
    }
}

const LOSSES: [BinaryLoss; 4] = [
    BinaryLoss::CrossEntropy {
        positive_weight: 1.0,
    },
    BinaryLoss::CrossEntropy {
        positive_weight: 3.0,
    },
    BinaryLoss::Focal {
        alpha: 2.0,
        beta: 4.0,
    },
    BinaryLoss::Focal {
        alpha: 1.5,
        beta: 3.0,
    },
];

type Loss = fn(Tensor<1>, Tensor<1>, Option<Tensor<1>>, BinaryLoss) -> Tensor<1>;

fn summed(run: Loss, loss: BinaryLoss, size: usize, weighted: bool) -> [Vec<f32>; 2] {
    let x = leaf([size], 1);
    let scaled = x.clone() * 6.0;
    // Every seventh is a centre.
    let targets: Vec<f32> = numbers(size, 2)
        .into_iter()
        .enumerate()
        .map(|(i, t)| if i % 7 == 0 { 1.0 } else { t.abs().min(1.0) })
        .collect();
    let targets = Tensor::<1>::from_floats(targets.as_slice(), &device());
    let weights = weighted.then(|| noise([size], 3).abs());
    let sum = run(scaled, targets, weights, loss);
    let gradients = (sum.clone() * 0.3).backward();
    [values(sum), values(x.grad(&gradients).unwrap())]
}

#[test]
fn binary_losses_equal_burns_operations() {
    for loss in LOSSES {
        for (size, weighted) in [(1, false), (50, true), (40_000, false), (40_000, true)] {
            let [sum, dx] = summed(binary_loss, loss, size, weighted);
            let [want_sum, want_dx] = summed(binary_loss::reference, loss, size, weighted);
            close("sum", &sum, &want_sum, 1e-5);
            close("dx", &dx, &want_dx, 1e-5);
        }
    }
}

#[test]
fn large_logits_stay_finite() {
    for loss in LOSSES {
        let x = Tensor::<1>::from_floats([200.0, -200.0, 200.0, -200.0], &device()).require_grad();
        let targets = Tensor::<1>::from_floats([1.0, 1.0, 0.0, 0.0], &device());
        let sum = binary_loss(x.clone(), targets, None, loss);
        let gradient = values(x.grad(&sum.backward()).unwrap());
        let largest = match loss {
            BinaryLoss::CrossEntropy { positive_weight } => positive_weight,
            BinaryLoss::Focal { .. } => 1.0,
        };
        assert_eq!(values(sum), [200.0 * (1.0 + largest)]);
        assert_eq!(gradient, [0.0, -largest, 1.0, 0.0]);
    }
}

#[test]
fn the_bits_do_not_depend_on_the_number_of_threads() {
    let results = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(threads)
            .build()
            .unwrap();
        pool.install(|| {
            let mut all = Vec::from(product(sparse_map, [5, 300, 700, 33]));
            let maps = [3, 4].map(|seed| map(300, 700, seed));
            all.extend(gated(gated_sparse_map, [4, 300, 6, 700, 33], 1));
            all.push(values(sparse_maps(noise([2, 300, 33], 6), &maps)));
            all.extend(summed(binary_loss, LOSSES[2], 100_000, true));
            all
        })
    };
    let one = results(1);
    for threads in [2, 5] {
        for (one, many) in one.iter().zip(&results(threads)) {
            same_bits(&format!("{threads} threads"), one, many);
        }
    }
}
