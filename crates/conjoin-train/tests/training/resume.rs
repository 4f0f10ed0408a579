//! A run that was cut off anywhere and resumed ends with the weights of the uninterrupted one, byte
//! for byte.

use crate::common::{Options, plan, run, run_with, steps, trainer, weights};
use conjoin_train::listeners::{JsonLines, jsonl};
use conjoin_train::{Event, Listener, Outcome, Plan, TrainError};
use serde_json::json;
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// Four stages with everything that has a state: dropout, accumulation, momentum, averages, fed
/// back predictions, early stopping, a gate that rolls back, a reset; one in bfloat16.
fn eventful() -> Arc<Plan> {
    let spell = ["symbols", "hidden", "output"];
    plan(
        11,
        4,
        [
            json!({"name": "spell", "data": "train", "train": spell, "objectives": {"spell": 1.0},
                "steps": 5, "lr": 0.02, "accumulate": 2, "ema": 0.8, "precision": "bf16",
                "inputs": {"symbols.tokens": {"from": "data.tokens", "to": "output.logits",
                    "share": {"start": 0.2, "end": 0.6}}},
                "evaluate": {"data": "valid", "every": 2}, "checkpoint": {"every": 2, "keep": 1}}),
            json!({"name": "fit", "data": "train", "train": ["line", "second"], "lr": 0.3,
                "objectives": {"fit-first": 1.0, "fit-second": 0.1}, "steps": 7,
                "optimiser": {"kind": "rmsprop", "momentum": 0.5, "centered": true},
                "evaluate": {"data": "valid", "every": 1, "batches": 2},
                "early_stopping": {"metric": "fit-first", "patience": 2}}),
            json!({"name": "again", "data": "train", "train": spell, "reset": ["hidden"],
                "objectives": {"spell": 1.0}, "epochs": 0.5, "lr": 40.0, "clip_norm": 0.5,
                "optimiser": {"kind": "sgd", "momentum": 0.9},
                "gate": [{"stage": "spell", "objective": "spell", "data": "valid", "tolerance": 0.0,
                    "on_fail": "roll-back"}],
                "schedule": {"kind": "cosine", "warmup": 1}, "checkpoint": {"every": 1}}),
            json!({"name": "mean", "data": "train", "train": ["line", "second"], "lr": 0.1,
                "objectives": {"fit-first": 1.0}, "steps": 5, "average": {"last": 2, "every": 1},
                "checkpoint": {"every": 1}}),
        ],
    )
}

/// Fails after so many events, as a full disk or a crash would.
struct Crash(usize);

impl Listener for Crash {
    fn on(&mut self, _: &Event) -> std::io::Result<()> {
        self.0 = self
            .0
            .checked_sub(1)
            .ok_or_else(|| std::io::Error::other("crash"))?;
        Ok(())
    }
}

fn metrics(root: &Path) -> Box<dyn Listener> {
    fs::create_dir_all(root).unwrap();
    Box::new(Late(root.join("metrics.jsonl"), None))
}

/// Opens its file when it is first needed: a new run wants an empty directory.
struct Late(std::path::PathBuf, Option<JsonLines>);

impl Late {
    fn file(&mut self) -> std::io::Result<&mut JsonLines> {
        if self.1.is_none() {
            self.1 = Some(JsonLines::open(&self.0)?);
        }
        Ok(self.1.as_mut().unwrap())
    }
}

impl Listener for Late {
    fn on(&mut self, event: &Event) -> std::io::Result<()> {
        self.file()?.on(event)
    }

    fn rewind(&mut self, global_step: u64) -> std::io::Result<()> {
        self.file()?.rewind(global_step)
    }
}

/// One process' life: with a crash after some events, or to the end.
fn live(plan: &Arc<Plan>, root: &Path, crash: Option<usize>) -> Result<Outcome, TrainError> {
    let mut options = Options::default();
    options.listeners.push(metrics(root));
    if let Some(events) = crash {
        options.listeners.push(Box::new(Crash(events)));
    }
    run_with(plan, root, options).0
}

/// The files of one checkpoint.
type Weights = BTreeMap<String, Vec<u8>>;

/// Every checkpoint of a finished run, and the steps that its metrics record.
fn results(root: &Path) -> (BTreeMap<u64, Weights>, Vec<u64>) {
    let store = conjoin_train::checkpoint::Store::new(root.join("checkpoints"));
    let checkpoints = store.steps().unwrap().into_iter();
    let checkpoints = checkpoints
        .map(|step| (step, weights(root, step)))
        .collect();
    (
        checkpoints,
        steps(&jsonl::read(&root.join("metrics.jsonl")).unwrap()),
    )
}

#[test]
fn a_crash_at_any_event_changes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let plan = eventful();
    let whole = dir.path().join("whole");
    assert!(matches!(
        live(&plan, &whole, None),
        Ok(Outcome::Finished { .. })
    ));
    let expected = results(&whole);
    let last = *expected.1.last().unwrap();
    assert_eq!(expected.1, (1..=last).collect::<Vec<_>>());
    let events = jsonl::read(&whole.join("metrics.jsonl")).unwrap();
    let stopped = |e: &Event| matches!(e, Event::StageFinished { early: Some(_), .. });
    assert!(events.iter().any(stopped), "no early stop in {events:?}");
    let rolled = |e: &Event| matches!(e, Event::Gate { passed: false, .. });
    assert!(events.iter().any(rolled), "no gate in {events:?}");
    for (crash, event) in events.iter().enumerate() {
        let root = dir.path().join(format!("crash-{crash}"));
        let error = live(&plan, &root, Some(crash)).unwrap_err();
        assert!(matches!(error, TrainError::Listener(_)), "{error}");
        // What a process leaves that dies while it writes a checkpoint.
        let partial = root.join("checkpoints/.tmp-step-1");
        fs::create_dir_all(&partial).unwrap();
        fs::write(partial.join("line.safetensors"), b"half").unwrap();
        live(&plan, &root, None).unwrap();
        assert!(!partial.exists());
        assert_eq!(
            results(&root),
            expected,
            "after a crash at event {crash}: {event:?}"
        );
        fs::remove_dir_all(&root).unwrap();
    }
}

#[test]
fn many_crashes_in_one_run_change_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let plan = eventful();
    let whole = dir.path().join("whole");
    live(&plan, &whole, None).unwrap();
    let root = dir.path().join("crashes");
    let mut lives = 0;
    // Every process gets a little further than a checkpoint.
    while live(&plan, &root, Some(14)).is_err() {
        lives += 1;
        assert!(lives < 100, "no progress");
    }
    assert!(lives > 2, "{lives}");
    assert_eq!(results(&root), results(&whole));
}

#[test]
fn an_interrupted_run_writes_a_checkpoint_and_goes_on() {
    let dir = tempfile::tempdir().unwrap();
    let plan = eventful();
    let whole = dir.path().join("whole");
    live(&plan, &whole, None).unwrap();
    let root = dir.path().join("interrupted");
    let mut interruptions = 0;
    loop {
        // Set from the start: each process makes one step.
        let mut options = Options {
            interrupt: Arc::new(AtomicBool::new(false)),
            ..Options::default()
        };
        struct Interrupt(Arc<AtomicBool>);
        impl Listener for Interrupt {
            fn on(&mut self, event: &Event) -> std::io::Result<()> {
                if matches!(event, Event::Step { .. }) {
                    self.0.store(true, Ordering::Relaxed);
                }
                Ok(())
            }
        }
        options.listeners.push(metrics(&root));
        options
            .listeners
            .push(Box::new(Interrupt(options.interrupt.clone())));
        match run_with(&plan, &root, options).0.unwrap() {
            Outcome::Finished { .. } => break,
            Outcome::Interrupted { .. } => interruptions += 1,
        }
    }
    assert!(interruptions > 8, "{interruptions}");
    let (found, steps) = results(&root);
    let (expected, expected_steps) = results(&whole);
    assert_eq!(steps, expected_steps);
    let last = expected.keys().max().unwrap();
    assert_eq!(found[last], expected[last]);
}

#[test]
fn a_damaged_checkpoint_is_named_and_the_one_before_is_used() {
    let dir = tempfile::tempdir().unwrap();
    let plan = eventful();
    let whole = dir.path().join("whole");
    live(&plan, &whole, None).unwrap();
    let (expected, _) = results(&whole);
    let last = *expected.keys().max().unwrap();
    type Harm = fn(&Path);
    let harms: [Harm; 3] = [
        |file| {
            let mut bytes = fs::read(file).unwrap();
            let middle = bytes.len() / 2;
            bytes[middle] ^= 0x10;
            fs::write(file, bytes).unwrap();
        },
        |file| {
            let bytes = fs::read(file).unwrap();
            fs::write(file, &bytes[..bytes.len() - 1]).unwrap();
        },
        |file| fs::remove_file(file).unwrap(),
    ];
    for harm in harms {
        harm(&whole.join(format!("checkpoints/step-{last}/hidden.safetensors")));
        let mut options = Options::default();
        options.listeners.push(metrics(&whole));
        let (outcome, recorder) = run_with(&plan, &whole, options);
        assert_eq!(outcome.unwrap(), Outcome::Finished { global_step: last });
        let messages = recorder.messages();
        let named = format!("step-{last}/hidden.safetensors");
        assert!(messages.iter().any(|m| m.contains(&named)), "{messages:?}");
        let (found, steps) = results(&whole);
        assert_eq!(found[&last], expected[&last]);
        assert_eq!(steps, (1..=last).collect::<Vec<_>>());
    }
}

#[test]
fn a_finished_run_is_left_as_it_is() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().join("run");
    let plan = eventful();
    live(&plan, &root, None).unwrap();
    let before = results(&root);
    let (outcome, recorder) = run(&plan, &root);
    assert!(matches!(outcome, Ok(Outcome::Finished { .. })));
    assert!(steps(&recorder.events()).is_empty());
    assert_eq!(results(&root), before);
}

#[test]
fn another_recipe_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().join("run");
    live(&eventful(), &root, None).unwrap();
    let other = plan(
        12,
        4,
        [
            json!({"name": "fit", "data": "train", "train": ["line", "second"],
        "objectives": {"fit": 1.0}, "steps": 1, "lr": 0.1}),
        ],
    );
    let error = run(&other, &root).0.unwrap_err();
    assert!(error.is_users());
    assert!(
        error.to_string().contains("seed 11, the recipe has 12"),
        "{error}"
    );
    let error = trainer(&eventful(), &root, Options::default()).map(|t| {
        let second = trainer(&eventful(), &root, Options::default());
        drop(t);
        second.unwrap_err()
    });
    assert!(matches!(error, Ok(TrainError::RunLocked(_))));
}

/// The other process of the test below; does nothing by itself.
#[test]
fn child() {
    let Ok(root) = std::env::var("CONJOIN_TEST_RUN") else {
        return;
    };
    live(&eventful_and_long(), Path::new(&root), None).unwrap();
}

fn eventful_and_long() -> Arc<Plan> {
    let mut plan = (*eventful()).clone();
    for stage in &mut plan.stages {
        stage.config.steps = Some(150);
        stage.config.epochs = None;
        stage.config.checkpoint.every = 7;
        if let Some(stopping) = &mut stage.config.early_stopping {
            stopping.patience = 60;
        }
        if let Some(evaluate) = &mut stage.config.evaluate {
            evaluate.every = 11;
        }
    }
    Arc::new(plan)
}

#[test]
fn killed_processes_change_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let start = |root: &Path| {
        Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "resume::child"])
            .env("CONJOIN_TEST_RUN", root)
            .stdout(Stdio::null())
            .spawn()
            .unwrap()
    };
    let whole = dir.path().join("whole");
    assert!(start(&whole).wait().unwrap().success());
    let root = dir.path().join("killed");
    let size = || fs::metadata(root.join("metrics.jsonl")).map_or(0, |m| m.len());
    let mut kills = 0;
    for extra in [100u64, 7_000, 13_000, 31_000, 17_000, 3_000] {
        let mut child = start(&root);
        let begun = size();
        let grown = || size() > begun + extra;
        while !grown() && child.try_wait().unwrap().is_none() {
            std::thread::sleep(Duration::from_millis(1));
        }
        // SIGKILL on Unix: nothing of the process runs any more.
        kills += usize::from(child.kill().is_ok() && !child.wait().unwrap().success());
    }
    assert!(kills >= 4, "{kills}");
    assert!(start(&root).wait().unwrap().success());
    assert_eq!(results(&root), results(&whole));
}
