//! What an optimiser step does: gradients, accumulation, clipping, penalties, averages, updates of
//! some nodes only.

use crate::common::{Memory, Options, losses, node_weights, plan, run, run_with, steps, weights};
use conjoin_train::{Event, Listener, Outcome};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::Path;

type Weights = BTreeMap<String, Vec<f32>>;

fn fit(extra: Value) -> Value {
    let mut stage = json!({
        "name": "fit", "data": "train", "train": ["line", "second"], "objectives": {"fit": 1.0},
        "steps": 1, "lr": 0.1, "optimiser": {"kind": "sgd"},
    });
    let table = stage.as_object_mut().unwrap();
    table.extend(extra.as_object().unwrap().clone());
    stage
}

/// Weights of both nodes after a run of one stage, and its events.
fn trained(batch: usize, stage: Value) -> ([Weights; 2], Vec<Event>) {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().join("run");
    // As many samples as two batches of 8 have, so that every order gives the same two.
    let options = Options {
        samples: Some(Memory::new(16, 1).0),
        ..Options::default()
    };
    let (outcome, recorder) = run_with(&plan(7, batch, [stage]), &root, options);
    let Outcome::Finished { global_step } = outcome.unwrap() else {
        panic!("interrupted");
    };
    let of = |node| node_weights(&root, global_step, node);
    ([of("line"), of("second")], recorder.events())
}

fn start() -> [Weights; 2] {
    trained(16, fit(json!({"lr": 0.0}))).0
}

/// Differences of all weights, in one row.
fn change(a: &[Weights; 2], b: &[Weights; 2]) -> Vec<f32> {
    let flat = |w: &[Weights; 2]| -> Vec<f32> {
        w.iter()
            .flat_map(|node| node.values().flatten().copied())
            .collect()
    };
    flat(a)
        .into_iter()
        .zip(flat(b))
        .map(|(x, y)| x - y)
        .collect()
}

fn close(a: &[f32], b: &[f32], tolerance: f32) {
    assert_eq!(a.len(), b.len());
    for (x, y) in a.iter().zip(b) {
        assert!((x - y).abs() <= tolerance, "{x} {y}");
    }
}

fn norm(values: &[f32]) -> f32 {
    values.iter().map(|x| x * x).sum::<f32>().sqrt()
}

#[test]
fn both_kinds_of_loss_fall() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().join("run");
    let stages = [
        json!({"name": "spell", "data": "train", "train": ["symbols", "hidden", "output"],
            "objectives": {"spell": 1.0}, "epochs": 20.0, "lr": 0.03}),
        fit(json!({"steps": 120, "optimiser": {"kind": "adam"}, "lr": 0.05})),
    ];
    let (outcome, recorder) = run(&plan(7, 4, stages), &root);
    // 22 samples in batches of 4 are 6 batches an epoch.
    assert_eq!(outcome.unwrap(), Outcome::Finished { global_step: 240 });
    let events = recorder.events();
    assert_eq!(steps(&events), (1..=240).collect::<Vec<_>>());
    let losses = losses(&events);
    assert!(
        losses[0] > 1.2 && losses[119] < 0.2,
        "{} {}",
        losses[0],
        losses[119]
    );
    assert!(
        losses[120] > 0.3 && losses[239] < 0.02,
        "{} {}",
        losses[120],
        losses[239]
    );
}

#[test]
fn accumulated_batches_equal_a_larger_one() {
    let (large, _) = trained(16, fit(json!({})));
    let (small, events) = trained(4, fit(json!({"accumulate": 4})));
    close(&change(&large, &small), &[0.0; 23], 1e-6);
    assert!(norm(&change(&large, &start())) > 1e-2);
    assert!(
        events
            .iter()
            .any(|e| matches!(e, Event::Step { samples: 16, .. }))
    );
}

#[test]
fn clipping_shortens_the_step_and_keeps_its_direction() {
    let begin = start();
    let free = change(&trained(16, fit(json!({}))).0, &begin);
    let (clipped, events) = trained(16, fit(json!({"clip_norm": 0.01})));
    let clipped = change(&clipped, &begin);
    // A step of SGD is the gradient times the learning rate.
    assert!(
        (norm(&clipped) - 0.1 * 0.01).abs() < 1e-6,
        "{}",
        norm(&clipped)
    );
    let scale = norm(&clipped) / norm(&free);
    let expected: Vec<f32> = free.iter().map(|x| x * scale).collect();
    close(&clipped, &expected, 1e-6);
    let told = events.iter().find_map(|e| match e {
        Event::Step { grad_norm, .. } => *grad_norm,
        _ => None,
    });
    assert!((told.unwrap() as f32 - norm(&free) / 0.1).abs() < 1e-4);
    let (loose, _) = trained(16, fit(json!({"clip_norm": 1e6})));
    close(&change(&loose, &begin), &free, 0.0);
}

#[test]
fn penalties_have_terms_and_gradients() {
    let begin = start();
    let free = change(&trained(16, fit(json!({}))).0, &begin);
    let penalties = json!({"regularise": {"line": {"l1": 0.5, "l2": 0.25}}});
    let (with, events) = trained(16, fit(penalties));
    let with = change(&with, &begin);
    let line: Vec<f32> = begin[0].values().flatten().copied().collect();
    let second = free.len() - line.len();
    let expected: Vec<f32> = line
        .iter()
        .map(|w| {
            let sign = if *w == 0.0 { 0.0 } else { w.signum() };
            -0.1 * (0.5 * sign + 0.25 * w)
        })
        .chain(std::iter::repeat_n(0.0, second))
        .zip(&free)
        .map(|(penalty, free)| penalty + free)
        .collect();
    close(&with, &expected, 1e-6);
    let Some(Event::Step { terms, loss, .. }) =
        events.iter().find(|e| matches!(e, Event::Step { .. }))
    else {
        panic!("no step");
    };
    let l1: f64 = line.iter().map(|w| f64::from(w.abs())).sum::<f64>() * 0.5;
    let l2: f64 = line.iter().map(|w| f64::from(w * w)).sum::<f64>() * 0.125;
    assert!((terms["l1.line"] - l1).abs() < 1e-5 && (terms["l2.line"] - l2).abs() < 1e-5);
    assert!((loss - terms.values().sum::<f64>()).abs() < 1e-9);
}

#[test]
fn objectives_that_update_some_nodes_leave_the_others_alone() {
    let begin = start();
    let both = |first: f64, second: f64| {
        fit(json!({"objectives": {"fit-first": first, "fit-second": second}}))
    };
    let split = |(after, _): ([Weights; 2], _)| {
        let all = change(&after, &begin);
        (all[..15].to_vec(), all[15..].to_vec())
    };
    let (line, second) = split(trained(16, both(1.0, 1.0)));
    let (line_free, _) = split(trained(16, fit(json!({}))));
    // `line` follows the squared error alone, whatever the weight of the other objective.
    close(&line, &line_free, 1e-6);
    assert!(norm(&line) > 1e-3 && norm(&second) > 1e-3);
    let (line_doubled, second_same) = split(trained(16, both(2.0, 1.0)));
    close(&second, &second_same, 1e-7);
    close(
        &line_doubled,
        &line.iter().map(|x| 2.0 * x).collect::<Vec<_>>(),
        1e-6,
    );
    // The weight of `fit-second` is negative: its loss rises, against `fit-first`.
    let rises = fit(
        json!({"objectives": {"fit-second": 1.0}, "steps": 30, "lr": 0.02, "train": ["second"]}),
    );
    let (_, events) = trained(16, rises);
    let term = |event: &Event| match event {
        Event::Step { terms, .. } => Some(terms["fit-second"]),
        _ => None,
    };
    let terms: Vec<f64> = events.iter().filter_map(term).collect();
    assert!(terms[29] > terms[0] * 1.05, "{} {}", terms[0], terms[29]);
}

#[test]
fn averaged_weights_follow_the_formula_and_are_handed_on() {
    let at = |steps: u64| trained(16, fit(json!({"steps": steps}))).0;
    let (averaged, _) = trained(16, fit(json!({"steps": 3, "ema": 0.75})));
    let begin = start();
    let path: Vec<Vec<f32>> = (1..=3).map(|s| change(&at(s), &begin)).collect();
    // The first step copies; then 0.75 of the average and 0.25 of the weight.
    let expected: Vec<f32> = (0..path[0].len())
        .map(|i| 0.75 * (0.75 * path[0][i] + 0.25 * path[1][i]) + 0.25 * path[2][i])
        .collect();
    close(&change(&averaged, &begin), &expected, 1e-6);
}

#[test]
fn the_mean_of_the_latest_weights_is_handed_on() {
    let at = |steps: u64| trained(16, fit(json!({"steps": steps}))).0;
    let average = json!({"last": 2, "every": 2});
    let (averaged, _) = trained(16, fit(json!({"steps": 5, "average": average})));
    let begin = start();
    // After steps 2, 4 and, because it is the last, 5; of these the latest two.
    let path: Vec<Vec<f32>> = [4, 5].map(|s| change(&at(s), &begin)).into();
    let pairs = path[0].iter().zip(&path[1]);
    let expected: Vec<f32> = pairs.map(|(a, b)| (a + b) / 2.0).collect();
    close(&change(&averaged, &begin), &expected, 1e-6);
}

#[test]
fn learning_rates_and_optimisers_are_the_nodes_own() {
    let begin = start();
    let stage = fit(
        json!({"lr": {"line": 0.0, "second": 0.02}, "optimisers": {"second": {"kind": "adam"}}}),
    );
    let (after, events) = trained(16, stage);
    let all = change(&after, &begin);
    close(&all[..15], &[0.0; 15], 0.0);
    // The first step of Adam has the size of the learning rate.
    close(
        &all[15..].iter().map(|x| x.abs()).collect::<Vec<_>>(),
        &[0.02; 8],
        1e-5,
    );
    let Some(Event::Step { lr, .. }) = events.iter().find(|e| matches!(e, Event::Step { .. }))
    else {
        panic!("no step");
    };
    assert_eq!(
        lr,
        &BTreeMap::from([("line".to_owned(), 0.0), ("second".to_owned(), 0.02)])
    );
}

#[test]
fn frozen_nodes_keep_every_bit() {
    let begin = start();
    let (after, events) = trained(
        16,
        fit(json!({"train": ["second"], "freeze": ["line"], "steps": 5})),
    );
    assert_eq!(after[0], begin[0]);
    assert_ne!(after[1], begin[1]);
    let started = events.iter().find_map(|e| match e {
        Event::StageStarted {
            trained, frozen, ..
        } => Some((trained.clone(), frozen.clone())),
        _ => None,
    });
    let (trained, frozen) = started.unwrap();
    assert_eq!(trained, BTreeMap::from([("second".to_owned(), 8)]));
    assert_eq!(frozen, ["line"]);
}

#[test]
fn predictions_are_fed_back_by_schedule() {
    let stage = |start: f64, end: f64| {
        json!({"name": "spell", "data": "train", "train": ["symbols", "hidden", "output"],
            "objectives": {"spell": 1.0}, "steps": 6, "lr": 0.03,
            "inputs": {"symbols.tokens": {"from": "data.tokens", "to": "output.logits",
                "share": {"start": start, "end": end}}}})
    };
    let run_stage = |start, end| {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().join("run");
        let (outcome, recorder) = run(&plan(7, 4, [stage(start, end)]), &root);
        outcome.unwrap();
        let share = |e: &Event| match e {
            Event::Step { shares, .. } => Some(shares["symbols.tokens"]),
            _ => None,
        };
        let events = recorder.events();
        let shares: Vec<f64> = events.iter().filter_map(share).collect();
        (weights(&root, 6), shares)
    };
    let (truth, shares) = run_stage(0.0, 0.0);
    assert_eq!(shares, [0.0; 6]);
    let (mixed, shares) = run_stage(0.5, 1.0);
    assert_eq!(shares[0], 0.5);
    assert!(shares.windows(2).all(|pair| pair[0] < pair[1]));
    assert_ne!(truth, mixed);
    let (again, _) = run_stage(0.5, 1.0);
    assert_eq!(mixed, again);
}

#[test]
fn a_node_can_begin_again_or_take_weights_from_elsewhere() {
    let dir = tempfile::tempdir().unwrap();
    let first = dir.path().join("first");
    run(&plan(7, 16, [fit(json!({"steps": 3}))]), &first)
        .0
        .unwrap();
    let still = |name: &str, extra: Value| {
        let mut stage = json!({"name": name, "lr": 0.0});
        stage
            .as_object_mut()
            .unwrap()
            .extend(extra.as_object().unwrap().clone());
        fit(stage)
    };
    let path = |p: &Path| p.display().to_string();
    let file = first.join("checkpoints/step-3/second.safetensors");
    let stages = [
        still(
            "import",
            json!({"weights": {"line": {"path": path(&first)}, "second": {"path": path(&file)}}}),
        ),
        still("reset", json!({"reset": ["line"]})),
    ];
    let root = dir.path().join("second");
    let (outcome, recorder) = run(&plan(7, 16, stages), &root);
    outcome.unwrap();
    let of = |root: &Path, step, node: &str| node_weights(root, step, node);
    assert_eq!(of(&root, 1, "line"), of(&first, 3, "line"));
    assert_eq!(of(&root, 2, "second"), of(&first, 3, "second"));
    assert_eq!(of(&root, 2, "line"), start()[0]);
    let messages = recorder.messages();
    let told = messages
        .iter()
        .find(|m| m.contains("\"line\" from"))
        .unwrap();
    assert!(
        told.contains("2 used (map.weight, map.bias), none missing, none unused"),
        "{told}"
    );
}

#[test]
fn a_run_that_ended_within_a_stage_gives_its_averaged_weights() {
    struct Crash;
    impl Listener for Crash {
        fn on(&mut self, event: &Event) -> std::io::Result<()> {
            match event {
                Event::Step { global_step: 5, .. } => Err(std::io::Error::other("crash")),
                _ => Ok(()),
            }
        }
    }
    let dir = tempfile::tempdir().unwrap();
    let cut = dir.path().join("cut");
    let options = Options {
        listeners: vec![Box::new(Crash)],
        ..Options::default()
    };
    let stage = |steps: u64| fit(json!({"steps": steps, "ema": 0.5, "checkpoint": {"every": 4}}));
    run_with(&plan(7, 16, [stage(9)]), &cut, options)
        .0
        .unwrap_err();
    // The same steps as a whole stage, which hands on its averages.
    let whole = dir.path().join("whole");
    run(&plan(7, 16, [stage(4)]), &whole).0.unwrap();
    assert_ne!(
        node_weights(&cut, 4, "line"),
        node_weights(&whole, 4, "line")
    );
    let import = fit(json!({"lr": 0.0, "weights": {"line": {"path": cut}}}));
    let root = dir.path().join("import");
    run(&plan(7, 16, [import]), &root).0.unwrap();
    assert_eq!(
        node_weights(&root, 1, "line"),
        node_weights(&whole, 4, "line")
    );
}

#[test]
fn weights_that_do_not_fit_are_the_users_error() {
    let dir = tempfile::tempdir().unwrap();
    let first = dir.path().join("first");
    run(&plan(7, 16, [fit(json!({}))]), &first).0.unwrap();
    let file = first.join("checkpoints/step-1/second.safetensors");
    let stage = fit(json!({"weights": {"line": {"path": file.display().to_string()}}}));
    let error = run(&plan(7, 16, [stage]), &dir.path().join("second"))
        .0
        .unwrap_err();
    assert!(error.is_users());
    let text = error.to_string();
    assert!(
        text.contains("node \"line\"") && text.contains("expected shape"),
        "{text}"
    );
}

#[test]
fn how_data_was_read_is_told_once_for_all_stages() {
    let dir = tempfile::tempdir().unwrap();
    let stages = ["one", "two"].map(|name| fit(json!({"name": name})));
    let mut samples = Memory::new(8, 1).0;
    samples[0].key = "noted".to_owned();
    let options = Options {
        samples: Some(samples),
        ..Options::default()
    };
    let plan = plan(7, 4, stages);
    let (result, recorder) = run_with(&plan, &dir.path().join("run"), options);
    result.unwrap();
    let told = recorder.messages();
    let told: Vec<&String> = told
        .iter()
        .filter(|text| text.starts_with("data "))
        .collect();
    assert_eq!(told, ["data train: half of it left out"]);
}
