//! The recurrent layer that attends before each step: the fused operation against Burn's own, padding,
//! empty batches, threads. PyTorch's numbers are in the tests of conjoin-nn.

use crate::support::tracked::{device, leaf};
use crate::support::{close, random, same_bits, values};
use burn::tensor::Tensor;
use conjoin_kernels::rnn::attentive::{
    Attended, Cell, Memory, Score, Weights, attentive, reference,
};

#[derive(Clone, Copy, Debug, PartialEq)]
enum Compared {
    Dot,
    General,
    Additive,
}

/// Rows, steps, hidden units, positions, numbers of a key and of a value.
type Sizes = [usize; 6];

/// Output and gradients by name.
fn pass(
    cell: Cell,
    compared: Compared,
    [batch, steps, hidden, time, keys, size]: Sizes,
    fused: bool,
) -> Vec<(&'static str, Vec<f32>)> {
    let wide = cell.gates() * hidden;
    let keys = if compared == Compared::Dot {
        hidden
    } else {
        keys
    };
    let (pre, h0) = (leaf([batch, steps, wide], 1), leaf([batch, hidden], 2));
    let c0 = (cell == Cell::Lstm).then(|| leaf([batch, hidden], 3));
    let (key, value) = (leaf([batch, time, keys], 4), leaf([batch, time, size], 5));
    let weights = Weights {
        context: leaf([wide, size], 6),
        state: leaf([wide, hidden], 7),
        bias: leaf([wide], 8),
    };
    let (query, v) = (leaf([keys, hidden], 9), leaf([keys], 10));
    let score = match compared {
        Compared::Dot => Score::Dot { scale: 0.7 },
        Compared::General => Score::General {
            query: query.clone(),
        },
        Compared::Additive => Score::Additive {
            query: query.clone(),
            v: v.clone(),
        },
    };
    // Rows end at different steps and positions; some have none.
    let lengths: Vec<usize> = (0..batch).map(|row| steps - row % (steps + 1)).collect();
    let seen: Vec<usize> = (0..batch)
        .map(|row| (time + 1 + row) % (time + 1))
        .collect();
    let run = if fused {
        attentive
    } else {
        reference::attentive
    };
    let Attended {
        states,
        contexts,
        weights: shares,
    } = run(
        cell,
        pre.clone(),
        h0.clone(),
        c0.clone(),
        Memory {
            keys: key.clone(),
            values: value.clone(),
            lengths: &seen,
        },
        score,
        weights.clone(),
        &lengths,
    );
    fn weighted(x: &Tensor<3>, seed: u64) -> Tensor<1> {
        (x.clone() * random(x.dims(), seed, &device())).sum()
    }
    let loss = weighted(&states, 20) + weighted(&contexts, 21) + weighted(&shares, 22);
    let gradients = loss.backward();
    fn of<const D: usize>(x: &Tensor<D>, gradients: &burn::tensor::Gradients) -> Vec<f32> {
        values(x.grad(gradients).expect("a gradient"))
    }
    let mut all = vec![
        ("states", values(states)),
        ("contexts", values(contexts)),
        ("weights", values(shares)),
        ("d_pre", of(&pre, &gradients)),
        ("d_h0", of(&h0, &gradients)),
        ("d_keys", of(&key, &gradients)),
        ("d_values", of(&value, &gradients)),
        ("d_context", of(&weights.context, &gradients)),
        ("d_state", of(&weights.state, &gradients)),
        ("d_bias", of(&weights.bias, &gradients)),
    ];
    all.extend(c0.map(|c0| ("d_c0", of(&c0, &gradients))));
    if compared != Compared::Dot {
        all.push(("d_query", of(&query, &gradients)));
    }
    if compared == Compared::Additive {
        all.push(("d_v", of(&v, &gradients)));
    }
    all
}

const CELLS: [Cell; 2] = [Cell::Lstm, Cell::Gru];
const COMPARED: [Compared; 3] = [Compared::Dot, Compared::General, Compared::Additive];

#[test]
fn fused_equals_the_definition_forward_and_backward() {
    for cell in CELLS {
        for compared in COMPARED {
            for sizes in [
                [1, 1, 1, 1, 1, 1],
                [5, 4, 7, 6, 5, 9],
                [3, 2, 17, 19, 16, 33],
                [9, 3, 32, 5, 48, 24],
            ] {
                let fused = pass(cell, compared, sizes, true);
                let plain = pass(cell, compared, sizes, false);
                for ((name, fused), (_, plain)) in fused.iter().zip(&plain) {
                    let name = format!("{cell:?} {compared:?} {sizes:?}: {name}");
                    close(&name, fused, plain, 2e-5);
                }
            }
        }
    }
}

#[test]
fn the_number_of_threads_does_not_change_a_bit() {
    for cell in CELLS {
        for compared in COMPARED {
            let with = |threads: usize| {
                let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build();
                let sizes = [13, 5, 19, 7, 21, 18];
                pool.expect("a pool")
                    .install(|| pass(cell, compared, sizes, true))
            };
            let one = with(1);
            for threads in [2, 3, 7] {
                for ((name, left), (_, right)) in one.iter().zip(with(threads)) {
                    same_bits(&format!("{cell:?} {compared:?}: {name}"), left, &right);
                }
            }
        }
    }
}

#[test]
#[should_panic(expected = "the state's weight is [8, 3], expected [8, 2]")]
fn sizes_that_do_not_fit_are_named() {
    let memory = Memory {
        keys: leaf([1, 1, 2], 1),
        values: leaf([1, 1, 2], 2),
        lengths: &[1],
    };
    let weights = Weights {
        context: leaf([8, 2], 3),
        state: leaf([8, 3], 4),
        bias: leaf([8], 5),
    };
    let (h0, score) = (leaf([1, 2], 6), Score::Dot { scale: 1.0 });
    let c0 = Some(h0.clone());
    attentive(
        Cell::Lstm,
        leaf([1, 1, 8], 7),
        h0,
        c0,
        memory,
        score,
        weights,
        &[1],
    );
}
