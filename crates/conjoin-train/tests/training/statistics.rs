//! Running statistics of batch norm: they move with trained nodes, stay with frozen ones, are
//! stored, and do not take up a step that fails.

use crate::common::{Memory, Options, node_weights, plan, run, run_with, trainer, weights};
use conjoin_data::Field;
use conjoin_train::TrainError;
use serde_json::{Value, json};
use std::collections::BTreeMap;

fn see(extra: Value) -> Value {
    let mut stage = json!({
        "name": "see", "data": "train", "train": ["eye", "sight"], "objectives": {"see": 1.0},
        "steps": 4, "lr": 0.01, "checkpoint": {"every": 1, "keep": 9},
    });
    stage
        .as_object_mut()
        .unwrap()
        .extend(extra.as_object().unwrap().clone());
    stage
}

fn running(weights: BTreeMap<String, Vec<f32>>) -> BTreeMap<String, Vec<f32>> {
    let is_statistic = |path: &str| path.rsplit('.').next().unwrap().starts_with("running_");
    weights
        .into_iter()
        .filter(|(path, _)| is_statistic(path))
        .collect()
}

#[test]
fn they_move_with_every_batch_of_a_trained_node_and_stay_with_a_frozen_one() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().join("run");
    let frozen = see(json!({"name": "frozen", "train": ["sight"], "freeze": ["eye"]}));
    run(&plan(7, 4, [see(json!({})), frozen]), &root).0.unwrap();
    let at = |step| running(node_weights(&root, step, "eye"));
    assert!(at(1).len() >= 2, "{:?}", at(1).keys());
    assert_ne!(at(1), at(2));
    assert_ne!(
        node_weights(&root, 5, "sight"),
        node_weights(&root, 8, "sight")
    );
    assert_eq!(node_weights(&root, 4, "eye"), node_weights(&root, 8, "eye"));
    // Two batches a step move them twice.
    let both = dir.path().join("both");
    run(
        &plan(7, 4, [see(json!({"lr": 0.0, "accumulate": 2}))]),
        &both,
    )
    .0
    .unwrap();
    let single = dir.path().join("single");
    run(&plan(7, 4, [see(json!({"lr": 0.0, "steps": 8}))]), &single)
        .0
        .unwrap();
    let of = |root, step| running(node_weights(root, step, "eye"));
    assert_eq!(of(&both, 3), of(&single, 6));
}

#[test]
fn they_are_part_of_a_resumed_run() {
    struct Crash;
    impl conjoin_train::Listener for Crash {
        fn on(&mut self, event: &conjoin_train::Event) -> std::io::Result<()> {
            match event {
                conjoin_train::Event::Step { global_step: 3, .. } => {
                    Err(std::io::Error::other("crash"))
                }
                _ => Ok(()),
            }
        }
    }
    let dir = tempfile::tempdir().unwrap();
    let plan = plan(7, 4, [see(json!({"accumulate": 2, "ema": 0.9}))]);
    let whole = dir.path().join("whole");
    run(&plan, &whole).0.unwrap();
    let root = dir.path().join("crash");
    let options = Options {
        listeners: vec![Box::new(Crash)],
        ..Options::default()
    };
    run_with(&plan, &root, options).0.unwrap_err();
    run(&plan, &root).0.unwrap();
    assert_eq!(weights(&root, 4), weights(&whole, 4));
}

#[test]
fn a_step_that_fails_gives_them_back() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().join("run");
    let mut samples = Memory::new(8, 1).0;
    samples[5] = samples[5].clone().with(
        "y",
        Field::Dense {
            shape: vec![2],
            data: vec![f32::NAN, 0.0],
        },
    );
    let options = Options {
        samples: Some(samples),
        ..Options::default()
    };
    // Both batches are in the first step, one of them is good.
    let plan = plan(7, 4, [see(json!({"accumulate": 2}))]);
    let mut trainer = trainer(&plan, &root, options).unwrap();
    let state = |trainer: &conjoin_train::Trainer| {
        let mut all = Vec::new();
        let eye = trainer.graph().node("eye").unwrap();
        eye.visit(&mut |param| all.push((param.path.to_owned(), param.value().to_f32())));
        all
    };
    let before = state(&trainer);
    assert!(matches!(trainer.run(), Err(TrainError::NotFinite(_))));
    assert_eq!(state(&trainer), before);
}
