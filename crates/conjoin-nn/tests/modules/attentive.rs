//! The decoder that attends before each step against a loop over PyTorch's cells, forward and gradient;
//! `golden/attentive.py` made the files.

use crate::harness::{Golden, device};
use burn::tensor::Tensor;
use conjoin_nn::{
    AttentionOptions, AttentiveCell, AttentiveDecoder, AttentiveMemory, AttentiveOptions, Init,
    Mode, Score,
};

fn options(
    cell: AttentiveCell,
    score: Score,
    layers: usize,
    initial_everywhere: bool,
    merge: Option<usize>,
) -> AttentiveOptions {
    let dot = matches!(score, Score::Dot | Score::ScaledDot);
    AttentiveOptions {
        cell,
        input: 3,
        layers,
        dropout: 0.5,
        initial_everywhere,
        attention: AttentionOptions {
            score,
            query: 7,
            memory: if dot { 7 } else { 6 },
            common: 4,
            merge,
        },
    }
}

fn check(name: &str, options: &AttentiveOptions) {
    let golden = Golden::read(&format!("attentive-{name}"));
    let decoder = golden.load(AttentiveDecoder::new(&Init::new(&device(), 1), options));
    let (x, values) = (golden.input::<3>("x"), golden.input::<3>("memory"));
    let initial = golden.input::<2>("initial");
    let memory = AttentiveMemory {
        values: values.clone(),
        keys: None,
        lengths: &golden.lengths_of("memory_lengths"),
    };
    let mode = &mut Mode::evaluation();
    let lengths = golden.lengths();
    let out = decoder.forward(x.clone(), Some(initial.clone()), memory, &lengths, mode);
    let loss: Tensor<1> = golden.output("states", out.states)
        + golden.output("attended", out.attended)
        + golden.output("weights", out.weights);
    let gradients = loss.backward();
    golden.check_input_gradient("x", &x, &gradients);
    golden.check_input_gradient("memory", &values, &gradients);
    golden.check_input_gradient("initial", &initial, &gradients);
    golden.check_gradients(&decoder, &gradients);
}

#[test]
fn lstm_with_the_additive_score() {
    let cell = AttentiveCell::Lstm;
    check(
        "lstm-additive",
        &options(cell, Score::Additive, 2, true, Some(5)),
    );
}

#[test]
fn gru_with_the_additive_score() {
    let cell = AttentiveCell::Gru;
    check(
        "gru-additive",
        &options(cell, Score::Additive, 1, false, None),
    );
}

#[test]
fn lstm_with_the_general_product() {
    let cell = AttentiveCell::Lstm;
    check(
        "lstm-general",
        &options(cell, Score::General, 1, false, Some(5)),
    );
}

#[test]
fn gru_with_the_general_product() {
    let cell = AttentiveCell::Gru;
    check(
        "gru-general",
        &options(cell, Score::General, 2, false, Some(5)),
    );
}

#[test]
fn lstm_with_the_scaled_product() {
    let cell = AttentiveCell::Lstm;
    check(
        "lstm-scaled-dot",
        &options(cell, Score::ScaledDot, 1, false, None),
    );
}

#[test]
fn gru_with_the_plain_product() {
    let cell = AttentiveCell::Gru;
    check("gru-dot", &options(cell, Score::Dot, 2, true, None));
}
