//! Tests of the node kind `recurrent`.

use super::*;
use crate::kinds::shared::testing::{
    assert_close, bind, build, inputs, options, position, random, refusal,
};

fn sequence() -> Contract {
    let dims = ["B".into(), "T".into(), 3.into()];
    Contract::new(Meaning::Features, dims).with_ragged(true)
}

fn initial() -> Contract {
    Contract::new(Meaning::Features, ["B".into(), 5.into()])
}

fn context() -> Contract {
    Contract::new(Meaning::Features, ["B".into(), 2.into()])
}

#[test]
fn contracts_and_lengths_of_both_directions() {
    let config: RecurrentConfig = options(r#"{"hidden": 5, "bidirectional": true, "cell": "gru"}"#);
    assert_eq!(config.stepping(), Stepping::No);
    let bound = bind(&config, &[("sequence", sequence())]);
    let outputs = config.outputs(&bound).unwrap();
    assert_eq!(outputs[0].contract.shape_text(), "[B, T, 10]");
    assert!(outputs[0].contract.ragged);
    assert_eq!(outputs[1].contract.shape_text(), "[B, 10]");

    let node = build(&config, &bound);
    let lengths = Some([4, 2].into());
    let value = Value::with_lengths(random([2, 4, 3]), lengths.clone());
    let inputs = inputs([("sequence", value)]);
    let out = node.forward(&inputs, &mut Context::evaluation()).unwrap();
    assert_eq!(out.0["states"].shape(), [2, 4, 10]);
    assert_eq!(out.0["states"].lengths, lengths);
    assert_eq!(out.0["final"].shape(), [2, 10]);
    let step = node.step(&inputs, &mut State::default(), &mut Context::evaluation());
    assert_eq!(step.unwrap_err(), NodeError::NotSteppable);
}

#[test]
fn steps_equal_one_pass() {
    for cell in ["lstm", "gru", "rnn"] {
        for wired in [false, true] {
            let text =
                format!(r#"{{"hidden": 5, "layers": 2, "cell": "{cell}", "initial": "all"}}"#);
            let config: RecurrentConfig = options(&text);
            assert_eq!(config.stepping(), Stepping::Stateful);
            let mut contracts = vec![("sequence", sequence())];
            contracts.extend(wired.then(|| ("initial", initial())));
            contracts.extend(wired.then(|| ("context", context())));
            let node = build(&config, &bind(&config, &contracts));
            let x: Value = random([2, 4, 3]).into();
            let before: Value = random([2, 5]).into();
            let around: Value = random([2, 2]).into();
            let given = |x: Value| {
                let mut given = inputs([("sequence", x)]);
                if wired {
                    given.insert("initial", before.clone());
                    given.insert("context", around.clone());
                }
                given
            };
            let mut context = Context::evaluation();
            let whole = node.forward(&given(x.clone()), &mut context).unwrap();
            let mut state = State::default();
            for t in 0..4 {
                let step = node
                    .step(&given(position(&x, t)), &mut state, &mut context)
                    .unwrap();
                assert_close(&step.0["states"], &position(&whole.0["states"], t));
            }
            assert_eq!(state.prefix.len(), if cell == "lstm" { 2 } else { 1 });
        }
    }
}

#[test]
fn a_context_is_features_at_every_position() {
    let config: RecurrentConfig = options(r#"{"hidden": 5, "cell": "gru"}"#);
    let with = build(
        &config,
        &bind(&config, &[("sequence", sequence()), ("context", context())]),
    );
    let (x, around): (Tensor<3>, Tensor<2>) = (random([2, 4, 3]), random([2, 2]));
    let mut context = Context::evaluation();
    let mut run = |node: &dyn Node, x: Tensor<3>, around: Option<Tensor<2>>| {
        let mut given = inputs([("sequence", x.into())]);
        if let Some(around) = around {
            given.insert("context", around.into());
        }
        node.forward(&given, &mut context).unwrap().0["states"].clone()
    };
    // A node that reads five features has the same weights.
    let dims = ["B".into(), "T".into(), 5.into()];
    let wide = Contract::new(Meaning::Features, dims);
    let plain = build(&config, &bind(&config, &[("sequence", wide)]));
    let repeated = |around: Tensor<2>| around.unsqueeze_dim::<3>(1).repeat_dim(1, 4);
    let joined = |around| Tensor::cat(vec![x.clone(), repeated(around)], 2);
    let found = run(with.as_ref(), x.clone(), Some(around.clone()));
    assert_close(&found, &run(plain.as_ref(), joined(around.clone()), None));
    let open = run(with.as_ref(), x.clone(), None);
    assert_close(
        &open,
        &run(plain.as_ref(), joined(around.zeros_like()), None),
    );
}

#[test]
fn a_step_goes_on_with_the_rows_that_were_picked() {
    let config: RecurrentConfig = options(r#"{"hidden": 5}"#);
    let node = build(&config, &bind(&config, &[("sequence", sequence())]));
    let mut context = Context::evaluation();
    let mut run = |x: Tensor<3>, state: &mut State| {
        let inputs = inputs([("sequence", x.into())]);
        node.step(&inputs, state, &mut context).unwrap().0["states"].clone()
    };
    let first = random([2, 1, 3]);
    let next: Tensor<3> = random([1, 1, 3]);
    let mut state = State::default();
    run(first.clone(), &mut state);
    state.select_rows(&[1, 0, 1]);
    let picked = run(next.clone().repeat_dim(0, 3), &mut state);
    let mut state = State::default();
    run(first.narrow(0, 1, 1), &mut state);
    let alone = run(next, &mut state);
    assert_close(&picked.clone().select_rows(&[0]), &alone);
    assert_close(&picked.select_rows(&[2]), &alone);
}

#[test]
fn flops_of_two_layers_and_directions() {
    let config: RecurrentConfig = options(r#"{"hidden": 5, "layers": 2, "bidirectional": true}"#);
    let bound = bind(&config, &[("sequence", sequence())]);
    // A direction has 20 rows of weights: for 3 inputs and 5 states in the first layer, for 10
    // inputs and 5 states in the second.
    let position = 2 * (20 * (3 + 5)) + 2 * (20 * (10 + 5));
    assert_eq!(config.flops(&bound, &|_| 7), 2.0 * 7.0 * position as f64);
}

#[test]
fn refuses_options_that_contradict_each_other() {
    let refused = |text: &str, contracts: &[(&str, Contract)]| {
        let config: RecurrentConfig = options(text);
        refusal(&config, &bind(&config, contracts))
    };
    let alone = [("sequence", sequence())];
    assert_eq!(
        refused(r#"{"hidden": 5, "reset_after": true}"#, &alone),
        "reset_after: expected only with cell = \"gru\", found with \"lstm\""
    );
    assert_eq!(
        refused(r#"{"hidden": 5, "dropout": 0.1}"#, &alone),
        "dropout: acts between layers, expected layers of at least 2, found 1"
    );
    assert_eq!(
        refused(
            r#"{"hidden": 5, "bidirectional": true}"#,
            &[("sequence", sequence()), ("initial", initial())]
        ),
        "input \"initial\": expected only with bidirectional = false"
    );
    assert!(refused(r#"{"hidden": 5, "layers": 0}"#, &alone).starts_with("layers:"));
}

#[test]
fn parameters_have_pytorch_names_and_follow_the_seed() {
    let config: RecurrentConfig = options(r#"{"hidden": 5, "bidirectional": true}"#);
    let bound = bind(&config, &[("sequence", sequence())]);
    let read = || {
        let mut found = Vec::new();
        build(&config, &bound).visit(&mut |param| {
            found.push((param.path.to_owned(), param.value().to_f32()));
        });
        found
    };
    let params = read();
    assert_eq!(params[0].0, "stack.layers.0.forward.weight_ih");
    assert_eq!(params[7].0, "stack.layers.0.backward.bias_hh");
    assert_eq!(params, read());
}
