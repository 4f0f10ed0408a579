//! `conjoin compare` of finished runs: each is an arm, scored on the same items.

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
