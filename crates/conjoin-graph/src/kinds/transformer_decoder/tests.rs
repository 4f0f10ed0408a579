//! Tests of the kind `transformer-decoder`.

use super::*;
use crate::kinds::shared::testing::{
    assert_close, bind, build, inputs, options, position, random, refusal,
};

fn features(time: &str, size: usize) -> Contract {
    let dims = ["B".into(), time.into(), size.into()];
    Contract::new(Meaning::Features, dims).with_ragged(true)
}

/// With a memory of so many features, or none.
fn bound(config: &TransformerDecoderConfig, memory: Option<usize>) -> Bound {
    let mut contracts = vec![("sequence", features("U", 8))];
    contracts.extend(memory.map(|size| ("memory", features("T", size))));
    bind(config, &contracts)
}

fn config(rest: &str) -> TransformerDecoderConfig {
    options(&format!(r#"{{"layers": 2, "heads": 2{rest}}}"#))
}

const POSITIONS: [&str; 4] = [
    r#", "positions": "none""#,
    "",
    r#", "positions": "rotary""#,
    r#", "positions": "learned", "max_length": 40, "norm": "post""#,
];

fn given(sequence: Value, memory: Option<&Value>) -> Inputs {
    let mut given = inputs([("sequence", sequence)]);
    if let Some(memory) = memory {
        given.insert("memory", memory.clone());
    }
    given
}

#[test]
fn steps_equal_one_pass() {
    // More steps than a cache has room for at first.
    let steps = 35;
    for rest in POSITIONS {
        for size in [None, Some(8), Some(5)] {
            let config = config(&format!(r#"{rest}, "weights": true"#));
            assert_eq!(config.stepping(), Stepping::Stateful);
            let node = build(&config, &bound(&config, size));
            let x: Value = random([2, steps, 8]).into();
            let memory =
                size.map(|size| Value::with_lengths(random([2, 4, size]), Some([4, 2].into())));
            let mut context = Context::evaluation();
            let whole = given(x.clone(), memory.as_ref());
            let whole = node.forward(&whole, &mut context).unwrap();
            assert_eq!(whole.0.contains_key("weights"), size.is_some());
            let mut state = State::default();
            for t in 0..steps {
                let inputs = given(position(&x, t), memory.as_ref());
                let step = node.step(&inputs, &mut state, &mut context).unwrap();
                for (port, value) in &whole.0 {
                    assert_close(&step.0[port], &position(value, t));
                }
            }
            assert_eq!(state.prefix.len(), 4);
            assert_eq!(state.source.len(), if size.is_some() { 4 } else { 0 });
        }
    }
}

#[test]
fn steps_go_on_with_the_rows_that_were_picked() {
    for rest in POSITIONS {
        let config = config(rest);
        let node = build(&config, &bound(&config, Some(8)));
        let mut context = Context::evaluation();
        let x = random::<3>([3, 6, 8]);
        let memory = Value::with_lengths(random([2, 4, 8]), Some([4, 2].into()));
        let mut step = |x: Tensor<3>, memory: &Value, state: &mut State| {
            let inputs = given(x.into(), Some(memory));
            node.step(&inputs, state, &mut context).unwrap().0["states"].clone()
        };
        let at = |rows: usize, t: usize| x.clone().slice([0..rows, t..t + 1, 0..8]);
        let mut state = State::default();
        for t in 0..3 {
            step(at(2, t), &memory, &mut state);
        }
        // Both sequences that come out of the second row go their own ways.
        let rows = [1, 0, 1];
        state.select_rows(&rows);
        let picked = memory.clone().select_rows(&rows);
        let mut last = None;
        for t in 3..6 {
            last = Some(step(at(3, t), &picked, &mut state));
        }
        let last = last.unwrap();
        for (row, parent) in rows.into_iter().enumerate() {
            let begin = x.clone().slice([parent..parent + 1, 0..3, 0..8]);
            let end = x.clone().slice([row..row + 1, 3..6, 0..8]);
            let alone: Value = Tensor::cat(vec![begin, end], 1).into();
            let memory = memory.clone().select_rows(&[parent]);
            let whole = node
                .forward(&given(alone, Some(&memory)), &mut Context::evaluation())
                .unwrap();
            let expected = position(&whole.0["states"], 5);
            assert_close(&last.clone().select_rows(&[row]), &expected);
        }
    }
}

#[test]
fn a_position_sees_neither_what_follows_nor_padding() {
    let config = config(r#", "weights": true"#);
    let bound = bound(&config, Some(8));
    let outputs = config.outputs(&bound).unwrap();
    assert_eq!(outputs[0].contract.shape_text(), "[B, U, 8]");
    assert_eq!(outputs[1].contract.shape_text(), "[B, U, T]");
    assert_eq!(outputs[1].contract.meaning, Meaning::Weights);
    let node = build(&config, &bound);
    let run = |x: Tensor<3>, memory: Tensor<3>| {
        let x = Value::with_lengths(x, Some([3].into()));
        let memory = Value::with_lengths(memory, Some([2].into()));
        let inputs = given(x, Some(&memory));
        node.forward(&inputs, &mut Context::evaluation()).unwrap()
    };
    let (x, memory) = (random::<3>([1, 5, 8]), random::<3>([1, 4, 8]));
    let one = run(x.clone(), memory.clone());
    let weights = one.0["weights"].to_f32();
    assert!((weights[..2].iter().sum::<f32>() - 1.0).abs() < 1e-5);
    assert_eq!(weights[2..4], [0.0; 2]);
    let other = run(
        x.slice_assign([0..1, 2..5, 0..8], random([1, 3, 8])),
        memory.slice_assign([0..1, 2..4, 0..8], random([1, 2, 8])),
    );
    let (one, other) = (one.0["states"].to_f32(), other.0["states"].to_f32());
    assert_eq!(one[..16], other[..16]);
    assert_ne!(one[16..24], other[16..24]);
    assert_eq!(one[24..], [0.0; 16]);
}

#[test]
fn a_decoder_with_memory_runs_without_it_as_a_language_model() {
    let config = config("");
    let node = build(&config, &bound(&config, Some(5)));
    let mut names = Vec::new();
    node.visit(&mut |param| names.push((param.path.to_owned(), param.shape.clone())));
    let shape = |end: &str| {
        let name = format!("layers.1.multihead_attn.{end}");
        names
            .iter()
            .find(|(path, _)| *path == name)
            .unwrap()
            .1
            .clone()
    };
    assert_eq!(shape("q_proj_weight"), [8, 8]);
    assert_eq!(shape("k_proj_weight"), [8, 5]);
    assert_eq!(shape("v_proj_weight"), [8, 5]);
    assert_eq!(shape("in_proj_bias"), [24]);

    let alone = build(&config, &bound(&config, None));
    let mut fewer = Vec::new();
    alone.visit(&mut |param| fewer.push((param.path.to_owned(), param.shape.clone())));
    assert!(fewer.iter().all(|param| names.contains(param)));
    assert!(fewer.iter().all(|(name, _)| !name.contains("norm2")));
    let x: Value = random([2, 3, 8]).into();
    let run = |node: &dyn Node| {
        let inputs = given(x.clone(), None);
        node.forward(&inputs, &mut Context::evaluation()).unwrap().0["states"].clone()
    };
    assert_close(&run(node.as_ref()), &run(alone.as_ref()));
}

#[test]
fn dropout_acts_in_training_and_follows_the_seed() {
    let config = config(r#", "dropout": 0.3"#);
    let node = build(&config, &bound(&config, Some(8)));
    let (x, memory): (Value, Value) = (random([2, 3, 8]).into(), random([2, 4, 8]).into());
    let run = |context: &mut Context| {
        let inputs = given(x.clone(), Some(&memory));
        node.forward(&inputs, context).unwrap().0["states"].to_f32()
    };
    let one = run(&mut Context::training(1));
    assert_eq!(one, run(&mut Context::training(1)));
    assert_ne!(one, run(&mut Context::training(2)));
    assert_ne!(one, run(&mut Context::evaluation()));
}

#[test]
fn flops_with_and_without_memory() {
    let config = config(r#", "hidden": 12"#);
    let size = |name: &str| if name == "U" { 3 } else { 5 };
    // 3 positions see 6 pairs of each other.
    let own = 3 * (4 * 8 * 8 + 2 * 8 * 12) + 6 * 16;
    let flops = config.flops(&bound(&config, None), &size);
    assert_eq!(flops, 2.0 * 2.0 * own as f64);
    // Two projections of each position, two of each of 5 in the memory, 15 pairs.
    let across = 3 * 2 * 8 * 8 + 5 * 2 * 6 * 8 + 15 * 16;
    let flops = config.flops(&bound(&config, Some(6)), &size);
    assert_eq!(flops, 2.0 * 2.0 * (own + across) as f64);
}

#[test]
fn refuses_what_makes_no_sense() {
    let config: TransformerDecoderConfig = options(r#"{"layers": 2, "heads": 3}"#);
    assert_eq!(
        refusal(&config, &bound(&config, None)),
        "heads: expected a divisor of the 8 features of input \"sequence\", found 3"
    );
    let config: TransformerDecoderConfig =
        options(r#"{"layers": 1, "heads": 1, "positions": "learned", "max_length": 2}"#);
    let node = build(&config, &bound(&config, None));
    let mut state = State::default();
    let mut step = || {
        let inputs = given(random::<3>([1, 1, 8]).into(), None);
        node.step(&inputs, &mut state, &mut Context::evaluation())
    };
    step().unwrap();
    step().unwrap();
    assert_eq!(
        step().unwrap_err().to_string(),
        "input \"sequence\": expected at most max_length = 2 positions, found 3"
    );
}
