//! LSTM, GRU, their steps, and the layer that attends before each step.

use super::law::{Law, few};
use conjoin_kernels::rnn::attentive::{self, Cell, Memory, Score, Weights};
use conjoin_kernels::rnn::{self, reference};
use proptest::prelude::*;

/// Rows, steps, inputs, hidden units.
type Sizes = [usize; 4];

/// Lengths of rows from 0 to all steps.
fn lengths(rows: usize, steps: usize) -> Vec<usize> {
    (0..rows)
        .map(|row| (steps + row * 3) % (steps + 1))
        .collect()
}

fn lstm([batch, time, inputs, hidden]: Sizes, reverse: bool) -> Law {
    let name = format!("lstm {batch} x {time}, {inputs} to {hidden}, reverse {reverse}");
    Law::new(name, move |pass| {
        let run = if pass.fused {
            rnn::lstm
        } else {
            reference::lstm
        };
        let x = pass.leaf([batch, time, inputs]);
        let (h0, c0) = (pass.leaf([batch, hidden]), pass.leaf([batch, hidden]));
        let (w_ih, w_hh) = (
            pass.leaf([4 * hidden, inputs]),
            pass.leaf([4 * hidden, hidden]),
        );
        let (bias, lengths) = (pass.leaf([4 * hidden]), lengths(batch, time));
        pass.give(run(
            x,
            h0,
            c0,
            w_ih * 0.5,
            w_hh * 0.5,
            bias,
            &lengths,
            reverse,
        ));
    })
}

fn gru([batch, time, inputs, hidden]: Sizes, reverse: bool, after: bool) -> Law {
    let name = format!("gru {batch} x {time}, {inputs} to {hidden}, {reverse}, after {after}");
    Law::new(name, move |pass| {
        let run = if pass.fused { rnn::gru } else { reference::gru };
        let (x, h0) = (pass.leaf([batch, time, inputs]), pass.leaf([batch, hidden]));
        let (w_ih, w_hh) = (
            pass.leaf([3 * hidden, inputs]),
            pass.leaf([3 * hidden, hidden]),
        );
        let (b_ih, b_hh) = (pass.leaf([3 * hidden]), pass.leaf([3 * hidden]));
        let (w_ih, w_hh, lengths) = (w_ih * 0.5, w_hh * 0.5, lengths(batch, time));
        pass.give(run(x, h0, w_ih, w_hh, b_ih, b_hh, &lengths, reverse, after));
    })
}

fn lstm_step([batch, _, inputs, hidden]: Sizes) -> Law {
    Law::new(
        format!("lstm_step {batch}, {inputs} to {hidden}"),
        move |pass| {
            let run = if pass.fused {
                rnn::lstm_step
            } else {
                reference::lstm_step
            };
            let (x, h, c) = (
                pass.leaf([batch, inputs]),
                pass.leaf([batch, hidden]),
                pass.leaf([batch, hidden]),
            );
            let (w_ih, w_hh) = (
                pass.leaf([4 * hidden, inputs]),
                pass.leaf([4 * hidden, hidden]),
            );
            let (h, c) = run(x, h, c, w_ih, w_hh, pass.leaf([4 * hidden]));
            pass.give(h);
            pass.give(c);
        },
    )
}

fn gru_step([batch, _, inputs, hidden]: Sizes, after: bool) -> Law {
    let name = format!("gru_step {batch}, {inputs} to {hidden}, after {after}");
    Law::new(name, move |pass| {
        let run = if pass.fused {
            rnn::gru_step
        } else {
            reference::gru_step
        };
        let (x, h) = (pass.leaf([batch, inputs]), pass.leaf([batch, hidden]));
        let (w_ih, w_hh) = (
            pass.leaf([3 * hidden, inputs]),
            pass.leaf([3 * hidden, hidden]),
        );
        let (b_ih, b_hh) = (pass.leaf([3 * hidden]), pass.leaf([3 * hidden]));
        pass.give(run(x, h, w_ih, w_hh, b_ih, b_hh, after));
    })
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Compared {
    Dot,
    General,
    Additive,
}

const COMPARED: [Compared; 3] = [Compared::Dot, Compared::General, Compared::Additive];

/// Rows, steps, hidden units, positions, numbers of a key and of a value.
fn attending(cell: Cell, compared: Compared, sizes: [usize; 6]) -> Law {
    let [batch, steps, hidden, time, keys, size] = sizes;
    let keys = if compared == Compared::Dot {
        hidden
    } else {
        keys
    };
    let wide = cell.gates() * hidden;
    Law::new(
        format!("attentive {cell:?} {compared:?} {sizes:?}"),
        move |pass| {
            let run = if pass.fused {
                attentive::attentive
            } else {
                attentive::reference::attentive
            };
            let (pre, h0) = (pass.leaf([batch, steps, wide]), pass.leaf([batch, hidden]));
            let c0 = (cell == Cell::Lstm).then(|| pass.leaf([batch, hidden]));
            let memory = Memory {
                keys: pass.leaf([batch, time, keys]),
                values: pass.leaf([batch, time, size]),
                lengths: &lengths(batch, time),
            };
            let score = match compared {
                Compared::Dot => Score::Dot { scale: 0.7 },
                Compared::General => Score::General {
                    query: pass.leaf([keys, hidden]),
                },
                Compared::Additive => Score::Additive {
                    query: pass.leaf([keys, hidden]),
                    v: pass.leaf([keys]),
                },
            };
            let weights = Weights {
                context: pass.leaf([wide, size]),
                state: pass.leaf([wide, hidden]),
                bias: pass.leaf([wide]),
            };
            let found = run(
                cell,
                pre,
                h0,
                c0,
                memory,
                score,
                weights,
                &lengths(batch, steps),
            );
            pass.give(found.states);
            pass.give(found.contexts);
            pass.give(found.weights);
        },
    )
}

proptest! {
    #![proptest_config(few())]

    #[test]
    fn recurrent_layers_are_lawful(
        sizes in [1..7_usize, 1..6, 1..20, 1..24], reverse in any::<bool>(), after in any::<bool>(),
    ) {
        lstm(sizes, reverse).holds();
        gru(sizes, reverse, after).holds();
        lstm_step(sizes).holds();
        gru_step(sizes, after).holds();
    }

    #[test]
    fn attentive_layers_are_lawful(
        sizes in [1..5_usize, 1..5, 1..20, 1..8, 1..20, 1..20],
        cell in prop::sample::select(vec![Cell::Lstm, Cell::Gru]),
        compared in prop::sample::select(COMPARED.to_vec()),
    ) {
        attending(cell, compared, sizes).holds();
    }
}

#[test]
fn ones_primes_and_several_tasks() {
    for sizes in [[1, 1, 1, 1], [23, 7, 19, 37]] {
        for reverse in [false, true] {
            lstm(sizes, reverse).holds();
            gru(sizes, reverse, true).holds();
            gru(sizes, reverse, false).holds();
        }
        lstm_step(sizes).holds();
        gru_step(sizes, true).holds();
        gru_step(sizes, false).holds();
    }
    for compared in COMPARED {
        attending(Cell::Lstm, compared, [1; 6]).holds();
        attending(Cell::Gru, compared, [11, 3, 17, 7, 13, 19]).holds();
    }
}

#[test]
fn an_empty_batch_is_lawful() {
    let sizes = [0, 3, 5, 7];
    for reverse in [false, true] {
        lstm(sizes, reverse).holds_for_nothing(&[&[0, 3, 7]]);
        gru(sizes, reverse, true).holds_for_nothing(&[&[0, 3, 7]]);
        gru(sizes, reverse, false).holds_for_nothing(&[&[0, 3, 7]]);
    }
    lstm_step(sizes).holds_for_nothing(&[&[0, 7], &[0, 7]]);
    gru_step(sizes, true).holds_for_nothing(&[&[0, 7]]);
    gru_step(sizes, false).holds_for_nothing(&[&[0, 7]]);
    // Without hidden units.
    let sizes = [2, 3, 5, 0];
    lstm(sizes, false).holds_for_nothing(&[&[2, 3, 0]]);
    lstm_step(sizes).holds_for_nothing(&[&[2, 0], &[2, 0]]);
    for after in [true, false] {
        gru(sizes, false, after).holds_for_nothing(&[&[2, 3, 0]]);
        gru_step(sizes, after).holds_for_nothing(&[&[2, 0]]);
    }
    for cell in [Cell::Lstm, Cell::Gru] {
        for compared in COMPARED {
            let expected: [&[usize]; 3] = [&[0, 3, 5], &[0, 3, 6], &[0, 3, 4]];
            attending(cell, compared, [0, 3, 5, 4, 2, 6]).holds_for_nothing(&expected);
        }
    }
}
