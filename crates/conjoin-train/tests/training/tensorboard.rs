//! Writes the run that `tests/external/tensorboard_reads.py` compares; run by hand with
//! `CONJOIN_TENSORBOARD_RUN=DIR cargo test --release --test training tensorboard`.

use crate::common::{Options, plan, run_with};
use conjoin_train::listeners::{JsonLines, TensorBoard};
use conjoin_train::{Event, Listener, Outcome};
use serde_json::json;
use std::path::PathBuf;

/// Opens the files of a run when they are first needed: a new run wants an empty directory.
struct Files {
    root: PathBuf,
    listeners: Option<(JsonLines, TensorBoard)>,
    /// Fails at this step.
    crash: Option<u64>,
}

impl Files {
    fn listeners(&mut self) -> std::io::Result<[&mut dyn Listener; 2]> {
        if self.listeners.is_none() {
            let lines = JsonLines::open(self.root.join("metrics.jsonl"))?;
            let board = TensorBoard::create(&self.root.join("events"))?;
            self.listeners = Some((lines, board));
        }
        let (lines, board) = self.listeners.as_mut().unwrap();
        Ok([lines, board])
    }
}

impl Listener for Files {
    fn on(&mut self, event: &Event) -> std::io::Result<()> {
        for listener in self.listeners()? {
            listener.on(event)?;
        }
        match (event, self.crash) {
            (Event::Step { global_step, .. }, Some(crash)) if *global_step == crash => {
                Err(std::io::Error::other("crash"))
            }
            _ => Ok(()),
        }
    }

    fn rewind(&mut self, global_step: u64) -> std::io::Result<()> {
        for listener in self.listeners()? {
            listener.rewind(global_step)?;
        }
        Ok(())
    }
}

#[test]
fn a_resumed_run_has_a_file_a_process() {
    let dir = tempfile::tempdir().unwrap();
    let wanted = std::env::var_os("CONJOIN_TENSORBOARD_RUN").map(PathBuf::from);
    let root = wanted.unwrap_or_else(|| dir.path().join("run"));
    let spell = json!({"name": "spell", "data": "train", "train": ["symbols", "hidden", "output"],
        "objectives": {"spell": 1.0}, "steps": 30, "lr": 0.02, "clip_norm": 1.0,
        "inputs": {"symbols.tokens": {"from": "data.tokens", "to": "output.logits"}},
        "evaluate": {"data": "valid", "every": 10}, "checkpoint": {"every": 7}});
    let live = |crash: Option<u64>| {
        let files = Files {
            root: root.clone(),
            listeners: None,
            crash,
        };
        let options = Options {
            listeners: vec![Box::new(files)],
            ..Options::default()
        };
        run_with(&plan(7, 4, [spell.clone()]), &root, options).0
    };
    live(Some(18)).unwrap_err();
    assert_eq!(live(None).unwrap(), Outcome::Finished { global_step: 30 });
    assert_eq!(std::fs::read_dir(root.join("events")).unwrap().count(), 2);
}
