//! `conjoin compare` of arms that share their first stages, and of finished runs.

use serde_json::Value;
use std::path::Path;
use std::process::{Command, Output};

const RECIPE: &str = include_str!("support/small.toml");

fn conjoin(folder: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_conjoin"));
    command.current_dir(folder).args(arguments);
    command.output().unwrap()
}

fn refused(folder: &Path, arguments: &[&str], says: &str) {
    let output = conjoin(folder, arguments);
    let told = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{arguments:?}: {told}");
    assert!(told.contains(says), "{arguments:?}: {told}");
}

#[test]
fn finished_runs_are_compared() {
    let folder = tempfile::tempdir().unwrap();
    let here = folder.path();
    std::fs::write(here.join("small.toml"), RECIPE).unwrap();
    let train = |out: &str, set: &str| {
        let arguments = ["train", "small.toml", "--set", set, "--out", out];
        let output = conjoin(here, &arguments);
        assert!(output.status.success(), "{output:?}");
    };
    train("one", "seed=1");
    train("two", "seed=2");
    train("fewer", "data.test.source.limit=19");

    let output = conjoin(here, &["compare", "one", "two", "--json", "--out", "both"]);
    assert!(output.status.success(), "{output:?}");
    let told: Value = serde_json::from_slice(&output.stdout).unwrap();
    let arms = told["metrics"][0]["arms"].as_array().unwrap();
    assert_eq!(
        (&arms[0]["arm"], &arms[1]["arm"]),
        (&"one".into(), &"two".into())
    );
    // The scores are those that the runs themselves end with.
    let scores = |run: &str| -> Value {
        let output = conjoin(here, &["eval", run, "--json"]);
        let told: Value = serde_json::from_slice(&output.stdout).unwrap();
        told["scores"]["per"].clone()
    };
    let (first, second) = (scores("one"), scores("two"));
    let value = |arm: &Value| arm["score"]["value"].as_f64().unwrap();
    assert!((value(&arms[0]) - first.as_f64().unwrap()).abs() < 1e-12);
    assert!((value(&arms[1]) - second.as_f64().unwrap()).abs() < 1e-12);
    let page = std::fs::read_to_string(here.join("both/report.html")).unwrap();
    assert!(page.contains("one, seed 1") && page.contains("two, seed 2"));

    // A run of before outcomes were kept is scored anew, with the same result.
    std::fs::remove_file(here.join("two/outcomes.json")).unwrap();
    let again = conjoin(here, &["compare", "one", "two", "--json"]);
    assert!(again.status.success(), "{again:?}");
    assert_eq!(output.stdout, again.stdout);
    // So is one whose outcomes an older build wrote, whatever they held.
    std::fs::write(
        here.join("two/outcomes.json"),
        r#"{"arm": "joined", "metrics": {"per": {"shares": [1, 2]}}}"#,
    )
    .unwrap();
    let again = conjoin(here, &["compare", "one", "two", "--json"]);
    assert!(again.status.success(), "{again:?}");
    assert_eq!(output.stdout, again.stdout);
    let said = String::from_utf8_lossy(&again.stderr);
    assert!(
        said.contains("two/outcomes.json: written by another build"),
        "{said}"
    );

    refused(
        here,
        &["compare", "one", "fewer"],
        "was scored on other items than the first",
    );
    refused(here, &["compare", "one"], "one run cannot be compared");
    refused(here, &["compare", "one", "one"], "named twice");
    refused(
        here,
        &["compare", "one", "small.toml"],
        "expected one recipe, or run directories",
    );
    refused(
        here,
        &["compare", "one", "two", "--seeds", "2"],
        "--seeds: finished runs",
    );
    refused(here, &["compare", "one", "none"], "none: expected");
    refused(here, &["compare", "none.toml"], "none.toml");
    std::fs::write(here.join("two/outcomes.json"), "{").unwrap();
    refused(here, &["compare", "one", "two"], "two/outcomes.json: EOF");
}

/// A second stage, and arms with it and without.
const ARMS: &str = r#"
[[stages]]
name = "more"
data = "train"
train = ["phonemes", "decoder", "output"]
freeze = ["letters", "encoder"]
objectives = { spell = 1.0 }
steps = 2
lr = 0.01

[arms]
default = "long"
short = ["joint"]
long = ["joint", "more"]
"#;

#[test]
fn stages_that_arms_share_are_trained_once() {
    let folder = tempfile::tempdir().unwrap();
    let here = folder.path();
    std::fs::write(here.join("arms.toml"), format!("{RECIPE}{ARMS}")).unwrap();
    let compare = [
        "compare",
        "arms.toml",
        "--arms",
        "short,long",
        "--seeds",
        "2",
        "--json",
        "--out",
        "both",
    ];
    let also = ["--also", "brief:task.max_length=6"];
    let output = conjoin(here, &[&compare[..], &also].concat());
    assert!(output.status.success(), "{output:?}");
    let told = String::from_utf8_lossy(&output.stderr);
    for seed in [1, 2] {
        let shared = format!("1 of 2 stages are those of both/short-{seed}");
        assert!(told.contains(&shared), "{told}");
    }
    // Every seed of both arms, and the same weights scored otherwise.
    let table: Value = serde_json::from_slice(&output.stdout).unwrap();
    let arms = table["metrics"][0]["arms"].as_array().unwrap();
    let names: Vec<&str> = arms
        .iter()
        .map(|arm| arm["arm"].as_str().unwrap())
        .collect();
    assert_eq!(names, ["short", "short, brief", "long", "long, brief"]);
    assert_eq!(table["seeds"], serde_json::json!([1, 2]));

    // Trained from its beginning, the arm ends with the same weights.
    let whole = [
        "train",
        "arms.toml",
        "--arm",
        "long",
        "--set",
        "seed=2",
        "--out",
        "whole",
    ];
    assert!(conjoin(here, &whole).status.success());
    let weights = |run: &str| -> Vec<(String, Vec<u8>)> {
        let last = here.join(run).join("checkpoints/step-6");
        let mut files: Vec<_> = std::fs::read_dir(last)
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .filter(|path| path.extension().is_some_and(|e| e == "safetensors"))
            .map(|path| {
                let name = path.file_name().unwrap().to_string_lossy().into_owned();
                (name, std::fs::read(path).unwrap())
            })
            .collect();
        files.sort();
        files
    };
    assert!(weights("whole").len() > 4);
    assert_eq!(weights("both/long-2"), weights("whole"));
    // Its events are those of the whole run too, but for the times.
    let steps = |run: &str| {
        let text = std::fs::read_to_string(here.join(run).join("metrics.jsonl")).unwrap();
        text.lines()
            .filter(|line| line.contains("\"event\":\"step\""))
            .count()
    };
    assert_eq!(steps("both/long-2"), 6);

    // Nothing is done twice.
    let again = conjoin(here, &[&compare[..], &also, &["--resume"]].concat());
    assert_eq!(output.stdout, again.stdout);
    // Outcomes of an older build are made anew from the weights.
    let path = here.join("both/long-2/outcomes.json");
    let mut kept: Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
    let format = kept["format"].as_u64().unwrap();
    kept["format"] = (format - 1).into();
    std::fs::write(&path, kept.to_string()).unwrap();
    let again = conjoin(here, &[&compare[..], &also, &["--resume"]].concat());
    assert_eq!(output.stdout, again.stdout);
    let told = String::from_utf8_lossy(&again.stderr);
    assert!(
        told.contains("long-2/outcomes.json: written by another build"),
        "{told}"
    );
    assert!(!String::from_utf8_lossy(&again.stderr).contains("arm short"));
    let fresh = ["compare", "arms.toml", "--out", "none"];
    let with = |more: &[&'static str]| [&fresh[..], more].concat();
    refused(here, &with(&["--baselines"]), "\"transduction\" has none");
    refused(here, &with(&["--also", "own"]), "expected NAME:KEY=VALUE");
    refused(here, &with(&["--also", "own:task.beem=2"]), "beem");
    assert!(!here.join("none").exists());
}
