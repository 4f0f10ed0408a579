//! What modules promise beyond PyTorch's numbers: steps, dropout, padding, initial values.

use burn::tensor::{Device, Distribution, Int, Tensor};
use conjoin_nn::conv::Window;
use conjoin_nn::sequence::at;
use conjoin_nn::{
    Attention, AttentionOptions, Cell, ConvEncoder, ConvEncoderOptions, Embedding, Init, Mode,
    Recurrent, RecurrentOptions, Reduce, Score,
};

fn device() -> Device {
    Device::flex()
}

fn init(seed: u64) -> Init {
    Init::new(&device(), seed)
}

fn random<const D: usize>(shape: [usize; D]) -> Tensor<D> {
    Tensor::random(shape, Distribution::Uniform(-1.0, 1.0), &device())
}

fn values<const D: usize>(tensor: Tensor<D>) -> Vec<f32> {
    tensor.into_data().try_to_vec().unwrap()
}

fn assert_close<const D: usize>(a: Tensor<D>, b: Tensor<D>) {
    assert_eq!(a.dims(), b.dims());
    for (i, (a, b)) in values(a).into_iter().zip(values(b)).enumerate() {
        assert!((a - b).abs() < 1e-5, "element {i}: {a} and {b}");
    }
}

fn options(cell: Cell, reset_after: bool) -> RecurrentOptions {
    RecurrentOptions {
        cell,
        input: 3,
        hidden: 5,
        layers: 2,
        bidirectional: false,
        dropout: 0.5,
        reset_after,
        initial_everywhere: false,
    }
}

#[test]
fn steps_equal_one_pass() {
    for (cell, reset_after, everywhere) in [
        (Cell::Lstm, true, false),
        (Cell::Lstm, true, true),
        (Cell::Gru, true, false),
        (Cell::Gru, false, false),
        (Cell::Rnn, true, true),
    ] {
        let mut options = options(cell, reset_after);
        options.initial_everywhere = everywhere;
        let stack = Recurrent::new(&init(3), &options);
        let (x, initial) = (random([4, 6, 3]), random([4, 5]));
        let mut mode = Mode::evaluation();
        let whole = stack.forward(x.clone(), Some(initial.clone()), &[6; 4], &mut mode);
        let mut state = stack.initial_state(Some(initial), &at(x.clone(), 0));
        for t in 0..6 {
            state = stack.step(at(x.clone(), t), state, &mut mode);
            let output = state.layers[1].hidden.clone();
            assert_close(output, at(whole.states.clone(), t));
        }
        assert_close(state.layers[1].hidden.clone(), whole.last);
    }
}

#[test]
fn the_reset_conventions_differ() {
    let run = |reset_after| {
        let stack = Recurrent::new(&init(3), &options(Cell::Gru, reset_after));
        let x = Tensor::ones([1, 4, 3], &device());
        values(stack.forward(x, None, &[4], &mut Mode::evaluation()).last)
    };
    assert_ne!(run(true), run(false));
}

#[test]
fn states_are_zero_behind_the_length_and_last_is_the_last_valid_one() {
    let mut options = options(Cell::Lstm, true);
    options.bidirectional = true;
    let stack = Recurrent::new(&init(3), &options);
    let x = random([2, 4, 3]);
    let mut mode = Mode::evaluation();
    let padded = stack.forward(x.clone(), None, &[4, 2], &mut mode);
    let tail = padded.states.clone().slice([1..2, 2..4, 0..10]);
    assert_eq!(values(tail), [0.0; 20]);
    let short = stack.forward(x.slice([1..2, 0..2, 0..3]), None, &[2], &mut mode);
    assert_close(padded.last.slice([1..2, 0..10]), short.last);
    assert_close(padded.states.slice([1..2, 0..2, 0..10]), short.states);
}

#[test]
fn dropout_acts_in_training_only_and_follows_the_seed() {
    let stack = Recurrent::new(&init(3), &options(Cell::Gru, true));
    let x = random([2, 4, 3]);
    let run = |seed: Option<u64>| {
        let mut mode = seed.map_or_else(Mode::evaluation, Mode::training);
        values(stack.forward(x.clone(), None, &[4, 4], &mut mode).states)
    };
    assert_eq!(run(Some(1)), run(Some(1)));
    assert_ne!(run(Some(1)), run(Some(2)));
    assert_ne!(run(Some(1)), run(None));
    assert_eq!(run(None), run(None));
}

#[test]
fn padding_stands_for_the_zero_vector() {
    let table = Embedding::new(&init(3), 4, 3, Some(1));
    let tokens = Tensor::<2, Int>::from_data([[0, 1], [1, 3]], &device());
    let y = values(table.forward(tokens));
    assert_eq!(y[3..9], [0.0; 6]);
    assert!(y[..3].iter().chain(&y[9..]).all(|v| *v != 0.0));
}

#[test]
fn attention_with_cached_keys_equals_attention_without() {
    let options = AttentionOptions {
        score: Score::Additive,
        query: 3,
        memory: 4,
        common: 5,
        merge: None,
    };
    let attention = Attention::new(&init(3), &options);
    let (queries, memory) = (random([2, 3, 3]), random([2, 6, 4]));
    let lengths = [6, 2];
    let keys = attention.keys(&memory);
    assert!(keys.is_some());
    let a = attention.forward(queries.clone(), memory.clone(), None, &lengths);
    let b = attention.forward(queries, memory, keys, &lengths);
    assert_close(a.weights.clone(), b.weights);
    assert_close(a.attended, b.attended);
    let behind = a.weights.slice([1..2, 0..3, 2..6]);
    assert_eq!(values(behind), [0.0; 12]);
}

#[test]
fn the_map_has_the_size_that_the_options_promise() {
    for residual in [true, false] {
        for reduce in [Reduce::Max, Reduce::Stride] {
            for (reduce_first, keep_size, kernel, stride) in [
                (true, false, 3, 1),
                (false, false, 3, 1),
                (true, true, 5, 1),
                (true, false, 3, 2),
                (false, false, 7, 2),
            ] {
                let options = ConvEncoderOptions {
                    image: [13, 10, 2],
                    stem: 3,
                    stem_window: Window { kernel, stride },
                    reduce_first,
                    keep_size,
                    widths: vec![4, 5],
                    blocks: 2,
                    residual,
                    reduce,
                };
                let encoder = ConvEncoder::new(&init(3), &options);
                let map = encoder.forward(random([2, 13, 10, 2]), &mut Mode::evaluation());
                assert_eq!(map.dims()[1..], options.map(), "{options:?}");
                if keep_size {
                    assert_eq!(options.map(), [13, 10, 5]);
                }
            }
        }
    }
}

#[test]
fn recurrent_parameters_begin_as_documented() {
    use burn::module::{Module, ModuleVisitor, Param};
    struct Collect(Vec<(String, Vec<f32>)>, Vec<String>);
    impl ModuleVisitor for Collect {
        fn enter_module(&mut self, name: &str, _: &str) {
            self.1.push(name.to_owned());
        }
        fn exit_module(&mut self, _: &str, _: &str) {
            self.1.pop();
        }
        fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
            self.0.push((self.1.join("."), values(param.val())));
        }
    }
    let mut found = Collect(Vec::new(), Vec::new());
    let mut options = options(Cell::Lstm, true);
    options.bidirectional = true;
    Recurrent::new(&init(3), &options).visit(&mut found);
    let names: Vec<&str> = found.0.iter().map(|(name, _)| name.as_str()).collect();
    let expected: Vec<String> = ["0", "1"]
        .iter()
        .flat_map(|layer| {
            ["forward", "backward"].iter().flat_map(move |direction| {
                ["weight_ih", "weight_hh", "bias_ih", "bias_hh"]
                    .iter()
                    .map(move |part| format!("layers.{layer}.{direction}.{part}"))
            })
        })
        .collect();
    assert_eq!(names, expected);
    // The forget gate is the second of four blocks of 5.
    let bias = &found.0[2].1;
    assert_eq!(bias[5..10], [1.0; 5]);
    assert!(bias[..5].iter().chain(&bias[10..]).all(|v| *v == 0.0));
    // Layers and directions do not begin alike.
    assert_ne!(found.0[1].1, found.0[5].1);
    assert_ne!(found.0[1].1, found.0[9].1);
}
