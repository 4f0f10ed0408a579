//! Every module against PyTorch, forward and gradient; `golden/make.py` made the files.

use crate::harness::{Golden, device};
use burn::tensor::Tensor;
use conjoin_nn::conv::Window;
use conjoin_nn::{
    Activation, Attention, AttentionOptions, Cell, ConvEncoder, ConvEncoderOptions, ConvNorm,
    Embedding, Init, Linear, Mode, Recurrent, RecurrentOptions, Reduce, Score,
};

fn init() -> Init {
    Init::new(&device(), 1)
}

#[test]
fn embedding() {
    let golden = Golden::read("embedding");
    let table = golden.load(Embedding::new(&init(), 7, 5, Some(2)));
    let y = table.forward(golden.integers("tokens"));
    let gradients = golden.output("y", y).backward();
    golden.check_gradients(&table, &gradients);
}

#[test]
fn linear_with_every_activation() {
    let golden = Golden::read("linear");
    let x = golden.input::<3>("x");
    let layers: Vec<(&str, Linear)> = [
        ("none", Activation::None),
        ("tanh", Activation::Tanh),
        ("relu", Activation::Relu),
        ("gelu", Activation::Gelu),
        ("sigmoid", Activation::Sigmoid),
    ]
    .into_iter()
    .map(|(name, activation)| (name, Linear::new(&init(), 6, 4, true, activation)))
    .collect();
    let loss = layers
        .into_iter()
        .map(|(name, layer)| golden.output(name, golden.load(layer).forward(x.clone())))
        .reduce(|a, b| a + b)
        .unwrap();
    golden.check_input_gradient("x", &x, &loss.backward());
}

fn recurrent(name: &str, cell: Cell, bidirectional: bool) {
    let golden = Golden::read(name);
    let options = RecurrentOptions {
        cell,
        input: 5,
        hidden: 7,
        layers: 2,
        bidirectional,
        dropout: 0.5,
        reset_after: true,
        initial_everywhere: name.ends_with("everywhere"),
    };
    let stack = golden.load(Recurrent::new(&init(), &options));
    let x = golden.input::<3>("x");
    let initial = (!bidirectional).then(|| golden.input::<2>("initial"));
    let mut mode = Mode::evaluation();
    let out = stack.forward(x.clone(), initial.clone(), &golden.lengths(), &mut mode);
    let loss = golden.output("states", out.states) + golden.output("last", out.last);
    let gradients = loss.backward();
    golden.check_input_gradient("x", &x, &gradients);
    if let Some(initial) = initial {
        golden.check_input_gradient("initial", &initial, &gradients);
    }
    golden.check_gradients(&stack, &gradients);
}

#[test]
fn lstm_of_two_layers_and_directions() {
    recurrent("lstm", Cell::Lstm, true);
}

#[test]
fn lstm_with_initial_state() {
    recurrent("lstm-initial", Cell::Lstm, false);
}

#[test]
fn gru_of_two_layers_and_directions() {
    recurrent("gru", Cell::Gru, true);
}

#[test]
fn gru_with_initial_state() {
    recurrent("gru-initial", Cell::Gru, false);
}

#[test]
fn gru_whose_layers_all_have_the_initial_state() {
    recurrent("gru-everywhere", Cell::Gru, false);
}

#[test]
fn rnn_of_two_layers_and_directions() {
    recurrent("rnn", Cell::Rnn, true);
}

#[test]
fn rnn_with_initial_state() {
    recurrent("rnn-initial", Cell::Rnn, false);
}

fn attention(name: &str, score: Score, memory: usize, common: usize) {
    let golden = Golden::read(name);
    let options = AttentionOptions {
        score,
        query: 6,
        memory,
        common,
        merge: Some(5),
    };
    let attention = golden.load(Attention::new(&init(), &options));
    let queries = golden.input::<3>("queries");
    let memory = golden.input::<3>("memory");
    let found = attention.forward(queries.clone(), memory.clone(), None, &golden.lengths());
    let loss = golden.output("attended", found.attended) + golden.output("weights", found.weights);
    let gradients = loss.backward();
    golden.check_input_gradient("queries", &queries, &gradients);
    golden.check_input_gradient("memory", &memory, &gradients);
    golden.check_gradients(&attention, &gradients);
}

#[test]
fn attention_by_dot_product() {
    attention("attention-dot", Score::Dot, 6, 6);
}

#[test]
fn attention_by_scaled_dot_product() {
    attention("attention-scaled-dot", Score::ScaledDot, 6, 6);
}

#[test]
fn attention_by_general_product() {
    attention("attention-general", Score::General, 4, 6);
}

#[test]
fn attention_by_additive_score() {
    attention("attention-additive", Score::Additive, 4, 7);
}

#[test]
fn convolution_with_batch_norm_residual_and_relu() {
    let golden = Golden::read("conv-norm");
    let window = Window {
        kernel: 3,
        stride: 2,
    };
    let block = golden.load(ConvNorm::new(&init(), 3, 4, window));
    let x = golden.input::<4>("x");
    let residual = golden.input::<4>("residual");
    let run = |mode: &mut Mode| block.forward(x.clone(), Some(residual.clone()), true, mode);
    let mut mode = Mode::training(1);
    let y = run(&mut mode);
    let gradients = golden.output("y", y).backward();
    golden.check_input_gradient("x", &x, &gradients);
    golden.check_input_gradient("residual", &residual, &gradients);
    golden.check_gradients(&block, &gradients);

    let statistics = mode.into_statistics();
    golden.check("stat.norm.running_mean", &statistics[0].value);
    golden.check("stat.norm.running_var", &statistics[1].value);
    let block = crate::harness::with_statistics(block.clone(), &statistics);
    let mut mode = Mode::evaluation();
    let y = block.forward(x.clone(), Some(residual.clone()), true, &mut mode);
    golden.check("eval.y", &y);
    assert!(mode.into_statistics().is_empty());
}

fn conv_encoder(name: &str, options: &ConvEncoderOptions) {
    let golden = Golden::read(name);
    let encoder = golden.load(ConvEncoder::new(&init(), options));
    let image = golden.input::<4>("image");
    let map: Tensor<4> = encoder.forward(image.clone(), &mut Mode::training(1));
    assert_eq!(map.dims()[1..], options.map());
    let gradients = golden.output("map", map).backward();
    golden.check_input_gradient("image", &image, &gradients);
    golden.check_gradients(&encoder, &gradients);
}

/// An encoder with the usual stem.
fn encoder(residual: bool, reduce: Reduce) -> ConvEncoderOptions {
    ConvEncoderOptions {
        image: [9, 7, 2],
        stem: 4,
        stem_window: Window {
            kernel: 3,
            stride: 1,
        },
        reduce_first: false,
        keep_size: false,
        widths: vec![4, 6],
        blocks: 2,
        residual,
        reduce,
    }
}

#[test]
fn residual_encoder_with_strides() {
    conv_encoder("encoder-residual", &encoder(true, Reduce::Stride));
}

#[test]
fn plain_encoder_with_max_pooling() {
    conv_encoder("encoder-plain", &encoder(false, Reduce::Max));
}

#[test]
fn encoder_with_a_large_strided_stem() {
    let options = ConvEncoderOptions {
        image: [11, 8, 2],
        stem_window: Window {
            kernel: 5,
            stride: 2,
        },
        blocks: 1,
        ..encoder(true, Reduce::Stride)
    };
    conv_encoder("encoder-strided-stem", &options);
}
