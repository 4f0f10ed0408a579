//! Evaluation, early stopping, the best checkpoint, gates, scores, interfaces, timing.

use crate::common::{Options, node_weights, plan, run, run_with, steps};
use conjoin_graph::Graph;
use conjoin_train::checkpoint::{self, Store};
use conjoin_train::{Event, Outcome, Scorer, StagePlan, TrainError};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

fn fit(extra: Value) -> Value {
    let mut stage = json!({
        "name": "fit", "data": "train", "train": ["line", "second"], "objectives": {"fit": 1.0},
        "steps": 20, "lr": 0.05, "optimiser": {"kind": "sgd"},
    });
    stage
        .as_object_mut()
        .unwrap()
        .extend(extra.as_object().unwrap().clone());
    stage
}

fn scores(events: &[Event]) -> Vec<(u64, BTreeMap<String, f64>, bool)> {
    let evaluated = |event: &Event| match event {
        Event::Evaluated {
            global_step,
            scores,
            best,
            ..
        } => Some((*global_step, scores.clone(), *best)),
        _ => None,
    };
    events.iter().filter_map(evaluated).collect()
}

#[test]
fn evaluations_come_when_due_and_at_the_end() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().join("run");
    let stage = fit(json!({"evaluate": {"data": "valid", "every": 6}}));
    let (outcome, recorder) = run(&plan(7, 8, [stage]), &root);
    outcome.unwrap();
    let scores = scores(&recorder.events());
    assert_eq!(
        scores.iter().map(|s| s.0).collect::<Vec<_>>(),
        [6, 12, 18, 20]
    );
    assert!(
        scores
            .iter()
            .all(|(_, s, _)| s["fit"] == s["total"] && s.len() == 2)
    );
    assert!(
        scores
            .windows(2)
            .all(|pair| pair[1].1["fit"] < pair[0].1["fit"])
    );
    assert!(scores.iter().all(|s| s.2));
}

#[test]
fn the_mean_over_batches_counts_every_position_once() {
    // 9 samples in batches of 8: the last batch has one.
    let total = |batch: usize| {
        let dir = tempfile::tempdir().unwrap();
        let stage = json!({"name": "spell", "data": "train", "train": ["symbols", "hidden", "output"],
            "objectives": {"spell": 0.5}, "steps": 1, "lr": 0.0,
            "evaluate": {"data": "valid"}});
        let (outcome, recorder) = run(&plan(7, batch, [stage]), &dir.path().join("run"));
        outcome.unwrap();
        let (_, scores, _) = scores(&recorder.events()).remove(0);
        assert!((scores["total"] - 0.5 * scores["spell"]).abs() < 1e-12);
        scores["spell"]
    };
    assert!((total(8) - total(9)).abs() < 1e-6);
}

#[test]
fn early_stopping_hands_on_the_best_weights() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().join("run");
    // A learning rate at which the loss falls first and rises later would depend on luck; the
    // sign of the objective makes the watched score worse from the first step on.
    let stage = fit(json!({
        "objectives": {"fit-second": 1.0}, "train": ["second"],
        "evaluate": {"data": "valid", "every": 2},
        "early_stopping": {"metric": "fit-second", "patience": 3},
        "checkpoint": {"every": 1, "keep": 1},
    }));
    let (outcome, recorder) = run(&plan(7, 8, [stage]), &root);
    assert_eq!(outcome.unwrap(), Outcome::Finished { global_step: 8 });
    let events = recorder.events();
    let best: Vec<bool> = scores(&events).iter().map(|s| s.2).collect();
    assert_eq!(best, [true, false, false, false]);
    let early = events.iter().find_map(|e| match e {
        Event::StageFinished { early, .. } => early.clone(),
        _ => None,
    });
    assert_eq!(
        early.unwrap(),
        "fit-second did not improve in 3 evaluations"
    );
    let store = Store::new(root.join("checkpoints"));
    // The best one stays although only one other is kept.
    assert_eq!(store.steps().unwrap(), [2, 8]);
    assert_eq!(
        node_weights(&root, 2, "second"),
        node_weights(&root, 8, "second")
    );
    assert_eq!(checkpoint::best(&store).unwrap().unwrap().step, 2);
}

#[test]
fn a_metric_that_is_not_there_is_the_users_error() {
    let dir = tempfile::tempdir().unwrap();
    let stage = fit(json!({
        "evaluate": {"data": "valid", "every": 2},
        "early_stopping": {"metric": "bleu", "patience": 3},
    }));
    let error = run(&plan(7, 8, [stage]), &dir.path().join("run"))
        .0
        .unwrap_err();
    assert!(error.is_users());
    assert!(
        error
            .to_string()
            .contains("\"bleu\", the evaluation has fit, total"),
        "{error}"
    );
}

/// Two stages: the second makes the first one's objective worse.
fn gated(on_fail: &str, tolerance: f64) -> [Value; 2] {
    let harm = json!({
        "name": "harm", "objectives": {"fit-second": 1.0}, "train": ["second"], "lr": 0.1, "steps": 5,
        "gate": [{"stage": "fit", "objective": "fit", "data": "valid", "tolerance": tolerance,
            "on_fail": on_fail}],
    });
    [fit(json!({})), fit(harm)]
}

fn gate(events: &[Event]) -> (f64, f64, bool) {
    let told = |event: &Event| match event {
        Event::Gate {
            before,
            after,
            passed,
            ..
        } => Some((*before, *after, *passed)),
        _ => None,
    };
    events.iter().find_map(told).unwrap()
}

#[test]
fn a_failed_gate_ends_the_run_and_keeps_the_checkpoints() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().join("run");
    let (outcome, recorder) = run(&plan(7, 8, gated("fail", 0.01)), &root);
    let error = outcome.unwrap_err();
    assert!(matches!(error, TrainError::Gate { .. }) && !error.is_users());
    assert!(
        error.to_string().contains("tolerance of 1.000 %"),
        "{error}"
    );
    let (before, after, passed) = gate(&recorder.events());
    assert!(after > before * 1.01 && !passed);
    assert_eq!(Store::new(root.join("checkpoints")).steps().unwrap(), [20]);
}

#[test]
fn a_gate_can_roll_back_warn_or_pass() {
    let dir = tempfile::tempdir().unwrap();
    let run_gated = |on_fail: &str, tolerance: f64| {
        let root = dir.path().join(format!("{on_fail}-{tolerance}"));
        let (outcome, recorder) = run(&plan(7, 8, gated(on_fail, tolerance)), &root);
        outcome.unwrap();
        let weights = |step| node_weights(&root, step, "second");
        (
            weights(20) == weights(25),
            gate(&recorder.events()).2,
            recorder.messages().len(),
        )
    };
    assert_eq!(run_gated("roll-back", 0.01), (true, false, 1));
    assert_eq!(run_gated("warn", 0.01), (false, false, 1));
    assert_eq!(run_gated("fail", 1e6), (false, true, 0));
}

/// Stage, data set and number of batches.
type Asked = (String, String, Option<usize>);

/// Gives scores that it was told to give, and remembers what it was asked.
struct Told {
    scores: Vec<f64>,
    asked: Arc<Mutex<Vec<Asked>>>,
}

impl Scorer for Told {
    fn data(&self) -> &'static str {
        "test"
    }

    fn scores(
        &mut self,
        graph: &Graph,
        stage: &StagePlan,
        data: &str,
        batches: Option<usize>,
    ) -> Result<BTreeMap<String, f64>, Box<dyn std::error::Error + Send + Sync>> {
        assert!(graph.names().count() == 7);
        let asked = (stage.config.name.clone(), data.to_owned(), batches);
        self.asked.lock().unwrap().push(asked);
        if self.scores.is_empty() {
            return Err("nothing left to say".into());
        }
        Ok([("accuracy".to_owned(), self.scores.remove(0))].into())
    }

    fn larger_is_better(&self, metric: &str) -> bool {
        metric == "accuracy"
    }
}

#[test]
fn a_tasks_scores_can_be_watched_and_come_after_each_stage() {
    let dir = tempfile::tempdir().unwrap();
    let stage = fit(json!({
        "evaluate": {"data": "valid", "every": 2, "batches": 1, "task": true},
        "early_stopping": {"metric": "accuracy", "patience": 2, "min_change": 0.05},
    }));
    let asked = Arc::default();
    let scorer = Told {
        scores: vec![0.5, 0.7, 0.72, 0.74, 0.9],
        asked: Arc::clone(&asked),
    };
    let options = Options {
        scorer: Some(Box::new(scorer)),
        ..Options::default()
    };
    let (outcome, recorder) = run_with(&plan(7, 8, [stage]), &dir.path().join("run"), options);
    assert_eq!(outcome.unwrap(), Outcome::Finished { global_step: 8 });
    let best: Vec<bool> = scores(&recorder.events()).iter().map(|s| s.2).collect();
    assert_eq!(best, [true, true, false, false, false]);
    let asked = asked.lock().unwrap();
    assert_eq!(asked[0], ("fit".to_owned(), "valid".to_owned(), Some(1)));
    assert_eq!(asked[4], ("fit".to_owned(), "test".to_owned(), None));
}

#[test]
fn a_stage_may_go_unscored_but_for_the_last() {
    let dir = tempfile::tempdir().unwrap();
    let stage = |name: &str| fit(json!({"name": name, "scored": false}));
    let asked = Arc::default();
    let options = Options {
        scorer: Some(Box::new(Told {
            scores: vec![0.5],
            asked: Arc::clone(&asked),
        })),
        ..Options::default()
    };
    let plan = plan(7, 8, [stage("first"), stage("second")]);
    let (outcome, _) = run_with(&plan, &dir.path().join("run"), options);
    outcome.unwrap();
    let asked = asked.lock().unwrap();
    assert_eq!(*asked, [("second".to_owned(), "test".to_owned(), None)]);
}

#[test]
fn a_scorer_that_fails_ends_the_run_with_its_words_and_loses_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().join("run");
    let scored = |scores: &[f64]| Options {
        scorer: Some(Box::new(Told {
            scores: scores.to_vec(),
            asked: Arc::default(),
        })),
        ..Options::default()
    };
    let plan = plan(7, 8, [fit(json!({}))]);
    let (outcome, recorder) = run_with(&plan, &root, scored(&[]));
    let error = outcome.unwrap_err().to_string();
    assert_eq!(
        error,
        "stage \"fit\": scores on data set \"test\": nothing left to say"
    );
    let trained = steps(&recorder.events()).len();
    assert!(trained > 0);
    // Resumed, it scores what was trained.
    let (outcome, recorder) = run_with(&plan, &root, scored(&[0.5]));
    let global_step = trained as u64;
    assert_eq!(outcome.unwrap(), Outcome::Finished { global_step });
    let events = recorder.events();
    assert_eq!(steps(&events).len(), 0);
    assert_eq!(scores(&events).len(), 1);
}

#[test]
fn interfaces_and_times_are_told_at_the_end_of_a_stage() {
    let dir = tempfile::tempdir().unwrap();
    let (outcome, recorder) = run(&plan(7, 8, [fit(json!({}))]), &dir.path().join("run"));
    outcome.unwrap();
    let events = recorder.events();
    let mut ports = Vec::new();
    for event in &events {
        if let Event::Interface {
            port,
            shape,
            min,
            max,
            mean,
            std,
            ..
        } = event
        {
            assert!(min <= mean && mean <= max && *std > 0.0);
            ports.push((port.as_str(), shape.clone()));
        }
    }
    assert_eq!(
        ports,
        [
            ("line.features", vec![8, 3]),
            ("second.features", vec![8, 2])
        ]
    );
    let timing = events.iter().find_map(|event| match event {
        Event::Timing {
            forward, backward, ..
        } => Some((forward.clone(), *backward)),
        _ => None,
    });
    let (forward, backward) = timing.unwrap();
    assert!(forward.keys().eq(["line", "second"]) && backward > 0.0);
    assert_eq!(steps(&events).len(), 20);
    let order = |wanted: fn(&Event) -> bool| events.iter().position(wanted).unwrap();
    let finished = order(|e| matches!(e, Event::StageFinished { .. }));
    assert!(finished < order(|e| matches!(e, Event::Checkpoint { .. })));
}
