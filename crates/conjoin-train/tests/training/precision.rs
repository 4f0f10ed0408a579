//! Stages in bfloat16: what is rounded, what is not, and that training gets as far.

use crate::common::{losses, plan, run};
use conjoin_train::Event;
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// The events of a run of one stage in a precision.
fn events(precision: &str, stage: Value) -> Vec<Event> {
    let mut config = json!({
        "name": "only", "data": "train", "precision": precision,
        "evaluate": {"data": "valid", "every": 1},
    });
    let table = config.as_object_mut().unwrap();
    table.extend(stage.as_object().unwrap().clone());
    let dir = tempfile::tempdir().unwrap();
    let (outcome, recorder) = run(&plan(5, 4, [config]), &dir.path().join("run"));
    outcome.unwrap();
    recorder.events()
}

fn spell(steps: u64, lr: f64) -> Value {
    json!({"train": ["symbols", "hidden", "output"], "objectives": {"spell": 1.0},
        "steps": steps, "lr": lr})
}

fn see(steps: u64, lr: f64) -> Value {
    json!({"train": ["eye", "sight"], "objectives": {"see": 1.0}, "steps": steps, "lr": lr})
}

fn scores(events: &[Event]) -> Vec<BTreeMap<String, f64>> {
    let scores = |event: &Event| match event {
        Event::Evaluated { scores, .. } => Some(scores.clone()),
        _ => None,
    };
    events.iter().filter_map(scores).collect()
}

#[test]
fn steps_are_rounded_and_evaluation_is_not() {
    // Without a learning rate all weights stay what they are.
    for stage in [spell(3, 0.0), see(3, 0.0)] {
        let (full, half) = (events("f32", stage.clone()), events("bf16", stage));
        for (full, half) in losses(&full).into_iter().zip(losses(&half)) {
            let error = (full - half).abs() / full;
            assert!(error > 0.0, "nothing was rounded");
            assert!(error < 0.01, "{full} became {half}");
        }
        let found = scores(&half);
        assert_eq!(found.len(), 3);
        if !found[0].keys().any(|name| name.starts_with("see")) {
            assert_eq!(found, scores(&full));
        }
    }
}

#[test]
fn training_gets_as_far() {
    let mean = |losses: &[f64]| losses.iter().sum::<f64>() / losses.len() as f64;
    for stage in [spell(150, 0.02), see(150, 0.01)] {
        let (full, half) = (events("f32", stage.clone()), events("bf16", stage));
        let (full, half) = (losses(&full), losses(&half));
        let (begin, end) = (mean(&full[..10]), mean(&full[140..]));
        let rounded = mean(&half[140..]);
        assert!(
            end < 0.5 * begin,
            "single precision does not learn: {begin} to {end}"
        );
        assert!(
            (rounded - end).abs() < 0.1 * begin,
            "from {begin} to {end}, in bfloat16 to {rounded}"
        );
    }
}

#[test]
fn single_precision_is_what_a_stage_without_the_option_has() {
    let mut stage = spell(2, 0.02);
    let losses = |events: Vec<Event>| losses(&events);
    let asked = losses(events("f32", stage.clone()));
    stage["name"] = json!("only");
    stage["data"] = json!("train");
    let dir = tempfile::tempdir().unwrap();
    let (outcome, recorder) = run(&plan(5, 4, [stage]), &dir.path().join("run"));
    outcome.unwrap();
    assert_eq!(losses(recorder.events()), asked);
}
