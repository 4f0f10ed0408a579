//! Transformer modules against PyTorch and Hugging Face, forward and every gradient, within the tolerance
//! of `harness`; `golden/transformer.py` and `golden/hugging_face.py` made the files. And what they promise
//! beyond: steps, initial values, shares of attention.

use crate::harness::{Golden, TOLERANCE, device};
use burn::module::{Module, ModuleVisitor, Param};
use burn::tensor::{Device, Distribution, Tensor};
use conjoin_nn::{
    Activation, Init, LayerNorm, Memory, Mode, MultiHeadAttention, MultiHeadOptions, NormOrder,
    PositionKind, TransformerDecoder, TransformerEncoder, TransformerOptions, Visible,
};

fn init() -> Init {
    Init::new(&device(), 1)
}

fn options(order: NormOrder, activation: Activation) -> TransformerOptions {
    TransformerOptions {
        size: 8,
        layers: 2,
        heads: 2,
        hidden: 12,
        activation,
        order,
        final_norm: order == NormOrder::Pre,
        embedding_norm: false,
        norm_epsilon: 1e-5,
        dropout: 0.5,
        positions: PositionKind::None,
        max_length: 7,
    }
}

/// Compares the golden states with themselves, off at every element by a multiple of what is allowed.
fn shifted(multiple: f32) {
    let golden = Golden::read("transformer-encoder-pre");
    let states = golden.tensor::<3>("out.states");
    let largest = values(states.clone())
        .iter()
        .fold(0.0_f32, |m, v| m.max(v.abs()));
    golden.check("out.states", &(states + multiple * TOLERANCE * largest));
}

#[test]
fn what_is_within_the_tolerance_is_taken() {
    shifted(0.9);
}

#[test]
#[should_panic(expected = "transformer-encoder-pre: out.states[0] is ")]
fn what_is_beyond_the_tolerance_is_refused() {
    shifted(1.1);
}

#[test]
#[should_panic(expected = "transformer-encoder-pre: out.states[0] is NaN")]
fn what_is_no_number_is_refused() {
    shifted(f32::NAN);
}

#[test]
fn layer_norm_alone_and_of_a_sum() {
    let golden = Golden::read("layer-norm");
    let norm = golden.load(LayerNorm::new(&init(), 8));
    let (x, residual) = (golden.input::<3>("x"), golden.input::<3>("residual"));
    let plain = norm.forward(x.clone());
    let (normalised, sum) = norm.forward_sum(x.clone(), residual.clone());
    let loss = golden.output("plain", plain)
        + golden.output("normalised", normalised)
        + golden.output("sum", sum);
    let gradients = loss.backward();
    golden.check_input_gradient("x", &x, &gradients);
    golden.check_input_gradient("residual", &residual, &gradients);
    golden.check_gradients(&norm, &gradients);
}

fn multi_head(name: &str, memory_size: usize) {
    let golden = Golden::read(name);
    let options = MultiHeadOptions {
        size: 8,
        memory: memory_size,
        heads: 2,
        dropout: 0.5,
    };
    let attention = golden.load(MultiHeadAttention::new(&init(), &options));
    let (queries, memory) = (golden.input::<3>("queries"), golden.input::<3>("memory"));
    let lengths = golden.lengths();
    let projected = attention.queries(queries.clone());
    let seen = attention.keys_values(memory.clone());
    let weights = attention.weights(projected.clone(), &seen, &lengths);
    golden.check("weights", &weights);
    let visible = Visible {
        lengths: &lengths,
        causal: false,
        mask: None,
    };
    let attended = attention.forward(projected, seen, visible, &mut Mode::evaluation());
    let gradients = golden.output("attended", attended).backward();
    golden.check_input_gradient("queries", &queries, &gradients);
    golden.check_input_gradient("memory", &memory, &gradients);
    golden.check_gradients(&attention, &gradients);
}

#[test]
fn attention_of_heads_with_one_projection_for_all() {
    multi_head("multi-head", 8);
}

#[test]
fn attention_of_heads_over_a_memory_of_another_size() {
    multi_head("multi-head-sizes", 6);
}

fn encoder(name: &str, options: &TransformerOptions) {
    let golden = Golden::read(name);
    let stack = golden.load(TransformerEncoder::new(&init(), options));
    let x = golden.input::<3>("x");
    let states = stack.forward(x.clone(), &golden.lengths(), &mut Mode::evaluation());
    let gradients = golden.output("states", states).backward();
    golden.check_input_gradient("x", &x, &gradients);
    golden.check_gradients(&stack, &gradients);
}

#[test]
fn encoder_with_norms_before() {
    let options = options(NormOrder::Pre, Activation::Gelu);
    encoder("transformer-encoder-pre", &options);
}

#[test]
fn encoder_with_norms_behind() {
    let options = options(NormOrder::Post, Activation::Relu);
    encoder("transformer-encoder-post", &options);
}

#[test]
fn positions_of_every_kind() {
    for (name, positions) in [
        ("transformer-sinusoidal", PositionKind::Sinusoidal),
        ("transformer-learned", PositionKind::Learned),
        ("transformer-rotary", PositionKind::Rotary),
    ] {
        let mut options = options(NormOrder::Post, Activation::Relu);
        (options.positions, options.layers) = (positions, 1);
        encoder(name, &options);
    }
}

fn decoder(name: &str, options: &TransformerOptions, memory_size: Option<usize>) {
    let golden = Golden::read(name);
    let stack = golden.load(TransformerDecoder::new(&init(), options, memory_size, true));
    let x = golden.input::<3>("x");
    let memory = memory_size.map(|_| {
        (
            golden.input::<3>("memory"),
            golden.lengths_of("memory_lengths"),
        )
    });
    let seen = memory.as_ref().map(|(states, lengths)| Memory {
        states,
        lengths,
        mask: None,
    });
    let mut mode = Mode::evaluation();
    let decoded = stack.forward(x.clone(), &golden.lengths(), seen, &mut mode);
    let gradients = golden.output("states", decoded.states).backward();
    golden.check_input_gradient("x", &x, &gradients);
    if let Some((memory, _)) = &memory {
        golden.check_input_gradient("memory", memory, &gradients);
    }
    golden.check_gradients(&stack, &gradients);

    // One position at a time, the states are those of PyTorch as well.
    let mut state = Vec::new();
    let [rows, steps, size] = x.dims();
    let alone: Vec<Tensor<3>> = (0..steps)
        .map(|t| {
            let x = x.clone().slice([0..rows, t..t + 1, 0..size]);
            stack.step(x, &mut state, seen, &mut mode).states
        })
        .collect();
    let states = conjoin_nn::sequence::clear_padding(Tensor::cat(alone, 1), &golden.lengths());
    golden.check("out.states", &states);
}

#[test]
fn decoder_with_norms_before() {
    let options = options(NormOrder::Pre, Activation::Relu);
    decoder("transformer-decoder-pre", &options, Some(8));
}

#[test]
fn decoder_with_norms_behind() {
    let options = options(NormOrder::Post, Activation::Gelu);
    decoder("transformer-decoder-post", &options, Some(8));
}

#[test]
fn decoder_over_a_memory_of_another_size() {
    let options = options(NormOrder::Pre, Activation::Gelu);
    decoder("transformer-decoder-pre-sizes", &options, Some(6));
}

#[test]
fn decoder_without_a_memory() {
    let mut options = options(NormOrder::Pre, Activation::Gelu);
    options.final_norm = false;
    decoder("transformer-decoder-alone", &options, None);
}

#[test]
fn berts_encoder() {
    let mut options = options(NormOrder::Post, Activation::Gelu);
    options.positions = PositionKind::Learned;
    (options.embedding_norm, options.norm_epsilon) = (true, 1e-12);
    encoder("bert-encoder", &options);
}

#[test]
fn marians_encoder_and_decoder() {
    let mut options = options(NormOrder::Post, Activation::Silu);
    options.positions = PositionKind::SinusoidalHalves;
    encoder("marian-encoder", &options);
    decoder("marian-decoder", &options, Some(8));
}

fn values<const D: usize>(tensor: Tensor<D>) -> Vec<f32> {
    tensor.into_data().try_to_vec().unwrap()
}

#[test]
fn weights_begin_with_the_variance_of_xavier_and_biases_with_zeros() {
    struct Check;
    impl ModuleVisitor for Check {
        fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
            let values = values(param.val());
            if D == 1 {
                assert!(values.iter().all(|v| *v == 0.0 || *v == 1.0));
                return;
            }
            let [rows, columns] = [param.lazy_shape()[0], param.lazy_shape()[1]];
            let expected = 2.0 / (rows + columns) as f32;
            let found = values.iter().map(|v| v * v).sum::<f32>() / values.len() as f32;
            assert!((found / expected - 1.0).abs() < 0.1, "{found} {expected}");
        }
    }
    let mut options = options(NormOrder::Pre, Activation::Relu);
    (options.size, options.hidden) = (64, 128);
    TransformerDecoder::new(&init(), &options, Some(48), false).visit(&mut Check);
}

#[test]
fn a_row_without_memory_is_a_row_without_attention() {
    let device = Device::flex();
    let options = options(NormOrder::Pre, Activation::Relu);
    let stack = TransformerDecoder::new(&Init::new(&device, 1), &options, Some(8), false);
    let random = |shape| Tensor::random(shape, Distribution::Uniform(-1.0, 1.0), &device);
    let (x, states) = (random([2, 3, 8]), random([2, 4, 8]));
    let run = |memory: Option<Memory<'_>>| {
        let mode = &mut Mode::evaluation();
        values(stack.forward(x.clone(), &[3, 3], memory, mode).states)
    };
    let lengths = [0, 4];
    let memory = Memory {
        states: &states,
        lengths: &lengths,
        mask: None,
    };
    // Biases begin with zeros, so that attending to nothing adds nothing.
    let (with, without) = (run(Some(memory)), run(None));
    for (a, b) in with[..24].iter().zip(&without[..24]) {
        assert!((a - b).abs() < 1e-6, "{a} and {b}");
    }
    assert_ne!(with[24..], without[24..]);
}
