//! Numbers that are not finite, disks that are full.

use crate::common::{Memory, Options, node_weights, plan, run_with, trainer, weights};
use conjoin_data::{Field, Sample};
use conjoin_train::checkpoint::Store;
use conjoin_train::diagnose::Culprit;
use conjoin_train::{Plan, TrainError};
use serde_json::{Value, json};
use std::path::Path;
use std::process::Command;
use std::sync::Arc;

fn fit(extra: Value) -> Value {
    let mut stage = json!({
        "name": "fit", "data": "train", "train": ["line", "second"], "objectives": {"fit": 1.0},
        "steps": 6, "lr": 0.01, "checkpoint": {"every": 1, "keep": 9},
    });
    stage
        .as_object_mut()
        .unwrap()
        .extend(extra.as_object().unwrap().clone());
    stage
}

/// Samples of which each has the same `x`.
fn samples(x: f32) -> Vec<Sample> {
    let dense = |data: Vec<f32>| Field::Dense {
        shape: vec![data.len()],
        data,
    };
    let samples = Memory::new(8, 1).0.into_iter();
    samples
        .map(|sample| sample.with("x", dense(vec![x, 0.5, -0.5, 0.1])))
        .collect()
}

fn culprit(plan: &Arc<Plan>, samples: Vec<Sample>) -> (Culprit, String, u64) {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().join("run");
    let options = Options {
        samples: Some(samples),
        ..Options::default()
    };
    let error = run_with(plan, &root, options).0.unwrap_err();
    assert!(!error.is_users());
    let text = error.to_string();
    let TrainError::NotFinite(found) = error else {
        panic!("{text}");
    };
    assert_eq!(found.stage, "fit");
    let steps = Store::new(root.join("checkpoints")).steps().unwrap();
    assert!(
        steps.iter().all(|&step| step < found.global_step),
        "{steps:?}"
    );
    (found.culprit, text, found.step)
}

#[test]
fn a_bad_column_is_named() {
    let mut samples = Memory::new(8, 1).0;
    samples[5] = samples[5].clone().with(
        "x",
        Field::Dense {
            shape: vec![4],
            data: vec![0.0, f32::NAN, 0.0, 0.0],
        },
    );
    let (culprit, text, step) = culprit(&plan(7, 8, [fit(json!({}))]), samples);
    assert_eq!(
        culprit,
        Culprit::Column {
            column: "x".to_owned()
        }
    );
    assert_eq!(step, 1);
    assert!(
        text.starts_with("stage \"fit\", step 1 (step 1 of the run): column \"x\""),
        "{text}"
    );
}

/// A stage that begins with all weights of `second` at one value.
fn imported(dir: &Path, value: f32) -> Value {
    let tensors = [
        ("map.weight".to_owned(), vec![2, 3], vec![value; 6]),
        ("map.bias".to_owned(), vec![2], vec![value; 2]),
    ];
    let path = dir.join("second.safetensors");
    std::fs::write(
        &path,
        conjoin_graph::weights::encode(&tensors, None).unwrap(),
    )
    .unwrap();
    fit(json!({"weights": {"second": {"path": path}}}))
}

#[test]
fn the_first_module_with_a_bad_output_is_named() {
    let dir = tempfile::tempdir().unwrap();
    // Features near 1e10 times weights of 1e30 overflow.
    let plan = plan(7, 8, [imported(dir.path(), 1e30)]);
    let (culprit, text, _) = culprit(&plan, samples(1e10));
    let expected = Culprit::Output {
        term: "fit".to_owned(),
        port: "second.features".to_owned(),
        weights: false,
    };
    assert_eq!(culprit, expected);
    let expected = "loss \"fit\" is not finite; first was second.features, of module \"second\"";
    assert!(text.contains(expected), "{text}");
}

#[test]
fn weights_that_were_bad_before_are_told() {
    let dir = tempfile::tempdir().unwrap();
    let plan = plan(7, 8, [imported(dir.path(), f32::NAN)]);
    let (culprit, text, _) = culprit(&plan, samples(1.0));
    assert!(
        matches!(culprit, Culprit::Output { weights: true, .. }),
        "{culprit:?}"
    );
    assert!(
        text.contains("whose weights were not finite before the step"),
        "{text}"
    );
}

#[test]
fn a_loss_of_finite_values_is_named() {
    // Outputs near 1e25 are finite, their squares are not.
    let (culprit, text, step) = culprit(&plan(7, 8, [fit(json!({}))]), samples(1e25));
    assert_eq!(
        culprit,
        Culprit::Loss {
            term: "fit".to_owned()
        }
    );
    assert_eq!(step, 1);
    assert!(
        text.contains("loss \"fit\" is not finite, although everything it reads is"),
        "{text}"
    );
}

#[test]
fn a_bad_gradient_is_named_where_the_loss_is_finite() {
    // Outputs near 1e18: squares of 1e36 are finite; their gradient times the input of 1e22 is not.
    let stage = fit(json!({"objectives": {"fit": 1e20}}));
    let (culprit, text, _) = culprit(&plan(7, 8, [stage]), samples(1e17));
    let Culprit::Gradient { term, parameter } = culprit else {
        panic!("{culprit:?} {text}");
    };
    assert_eq!(
        (term.as_str(), parameter.as_str()),
        ("fit", "second/map.weight")
    );
}

#[test]
fn a_learning_rate_that_explodes_never_reaches_a_checkpoint() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().join("run");
    let stage = fit(json!({"lr": 1e12, "optimiser": {"kind": "sgd"}, "steps": 50}));
    let error = run_with(&plan(7, 8, [stage]), &root, Options::default())
        .0
        .unwrap_err();
    assert!(
        matches!(error, TrainError::NotFinite(_) | TrainError::Damaged { .. }),
        "{error}"
    );
    let steps = Store::new(root.join("checkpoints")).steps().unwrap();
    for step in steps {
        for node in ["line", "second"] {
            let weights = node_weights(&root, step, node);
            assert!(weights.values().flatten().all(|w| w.is_finite()));
        }
    }
    let left = std::fs::read_dir(root.join("checkpoints")).unwrap();
    assert!(
        left.into_iter()
            .all(|e| !e.unwrap().file_name().to_string_lossy().starts_with('.'))
    );
}

#[test]
fn weights_stay_as_they_were_before_the_bad_step() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().join("run");
    let mut samples = Memory::new(8, 1).0;
    samples[5] = samples[5].clone().with(
        "y",
        Field::Dense {
            shape: vec![2],
            data: vec![f32::INFINITY, 0.0],
        },
    );
    let options = Options {
        samples: Some(samples),
        ..Options::default()
    };
    // Batches of 4: the bad sample is in the first or the second step.
    let mut trainer = trainer(&plan(7, 4, [fit(json!({}))]), &root, options).unwrap();
    let error = trainer.run().unwrap_err();
    let TrainError::NotFinite(found) = error else {
        panic!("{error}");
    };
    let done = found.global_step - 1;
    let mut now = Vec::new();
    trainer
        .graph()
        .node("second")
        .unwrap()
        .visit(&mut |p| now.extend(p.value().to_f32()));
    assert!(now.iter().all(|w| w.is_finite()));
    if done > 0 {
        let kept: Vec<f32> = node_weights(&root, done, "second")
            .into_values()
            .flatten()
            .collect();
        let sorted = |mut v: Vec<f32>| {
            v.sort_by(f32::total_cmp);
            v
        };
        assert_eq!(sorted(now), sorted(kept));
    }
}

fn growing() -> Arc<Plan> {
    let all = [
        "symbols", "hidden", "output", "line", "second", "eye", "sight",
    ];
    plan(
        7,
        4,
        [
            fit(json!({"checkpoint": {"every": 0}, "steps": 2})),
            fit(
                json!({"name": "all", "train": all, "objectives": {"spell": 1.0, "fit": 1.0, "see": 1.0}, "ema": 0.9}),
            ),
        ],
    )
}

/// The other process of the test below; does nothing by itself.
#[test]
fn child() {
    let Ok(root) = std::env::var("CONJOIN_TEST_FULL") else {
        return;
    };
    let (outcome, _) = run_with(&growing(), Path::new(&root), Options::default());
    let error = outcome.unwrap_err();
    assert!(!error.is_users());
    println!("error: {error}");
    std::process::exit(42);
}

#[cfg(unix)]
#[test]
fn a_disk_without_room_leaves_the_previous_checkpoint() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().join("run");
    // Files may have eight blocks: enough for the end of the first stage, not for the optimiser's
    // state. The kernel refuses the write as it does on a full disk.
    let output = Command::new("sh")
        .args([
            "-c",
            "trap '' XFSZ; ulimit -f 8; exec \"$0\" --exact failures::child --nocapture",
        ])
        .arg(std::env::current_exe().unwrap())
        .env("CONJOIN_TEST_FULL", &root)
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert_eq!(output.status.code(), Some(42), "{text}");
    let expected = ".tmp-step-3/optimiser.safetensors: cannot write: File too large";
    assert!(text.contains(expected), "{text}");
    let store = Store::new(root.join("checkpoints"));
    assert_eq!(store.steps().unwrap(), [2]);
    store.read(2).unwrap();
    assert!(!root.join("checkpoints/.tmp-step-3").exists());
    // With room again the run goes on from there.
    let whole = dir.path().join("whole");
    run_with(&growing(), &whole, Options::default()).0.unwrap();
    run_with(&growing(), &root, Options::default()).0.unwrap();
    assert_eq!(weights(&root, 8), weights(&whole, 8));
}
