//! `conjoin diagnose` on short runs of the built-in systems: what stands in its page and its JSON, and
//! what it says to wrong input.

use serde_json::Value;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Output};
use std::sync::LazyLock;

fn conjoin(arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_conjoin"));
    command.args(arguments).output().unwrap()
}

fn recipe(name: &str) -> String {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    root.join("recipes").join(name).display().to_string()
}

/// A run of a recipe with other settings.
fn train(name: &str, sets: &[&str]) -> (tempfile::TempDir, String) {
    let dir = tempfile::tempdir().unwrap();
    let run = dir.path().join("run").display().to_string();
    let recipe = recipe(name);
    let mut arguments = vec!["train", recipe.as_str(), "--out", run.as_str()];
    for set in sets {
        arguments.extend(["--set", set]);
    }
    let output = conjoin(&arguments);
    assert!(output.status.success(), "{output:?}");
    (dir, run)
}

/// A few steps of g2p with small modules.
static G2P: LazyLock<(tempfile::TempDir, String)> = LazyLock::new(|| {
    let sets = [
        "nodes.letters.size=16",
        "nodes.encoder.hidden=16",
        "nodes.phonemes.size=16",
        "nodes.bridge.size=32",
        "nodes.decoder.hidden=32",
        "data.train.source.limit=400",
        "data.spellings.source.limit=400",
        "data.valid.source.limit=60",
        "data.test.source.limit=60",
        "stages.letter-model.epochs=1",
        "stages.phoneme-model.epochs=1",
        "stages.joint.epochs=2",
        "task.max_length=12",
    ];
    train("g2p.toml", &sets)
});

fn json(arguments: &[&str]) -> Value {
    let output = conjoin(&[&["diagnose", "--json"], arguments].concat());
    assert!(output.status.success(), "{output:?}");
    serde_json::from_slice(&output.stdout).unwrap()
}

fn texts(rows: &Value, key: &str) -> Vec<String> {
    let rows = rows.as_array().unwrap().iter();
    rows.map(|row| row[key].as_str().unwrap().to_owned())
        .collect()
}

#[test]
fn g2p_has_every_part_and_a_page_of_its_own() {
    let run = G2P.1.as_str();
    let told = json(&[run, "--batches", "1", "--gradient-batches", "2"]);
    assert_eq!(
        (told["items"].as_u64(), told["items_in_data"].as_u64()),
        (Some(60), Some(60))
    );
    assert_eq!(texts(&told["scores"], "metric"), ["wer", "per"]);

    // Its own output is the one interface whose truth the data has.
    let oracle = &told["oracle"];
    assert_eq!(texts(&oracle["rows"], "to"), ["phonemes.tokens"]);
    assert_eq!(texts(&oracle["rows"], "truth"), ["data.phonemes_in"]);
    assert_eq!(oracle["rows"][0]["alone"], oracle["rows"][0]["together"]);
    let untold = texts(&oracle["untold"], "to");
    assert!(
        untold.contains(&"attention.memory".to_owned()),
        "{untold:?}"
    );

    let rows = &told["probes"]["rows"];
    let probed = texts(rows, "to");
    for wire in [
        "letters.tokens",
        "phonemes.tokens",
        "attention.memory",
        "decoder.initial",
    ] {
        assert!(probed.contains(&wire.to_owned()), "{probed:?}");
    }
    // The letters' own head is no part of the task; the classes of the output are a contract alone.
    assert!(probed.iter().all(|wire| !wire.starts_with("letter_head")));
    assert!(!probed.contains(&"output.classes".to_owned()));
    for row in rows.as_array().unwrap() {
        assert_eq!(row["cells"].as_array().unwrap().len(), 3);
    }

    let gradients = &told["gradients"];
    assert_eq!(
        texts(&gradients["losses"], "objective"),
        ["letters", "phonemes"]
    );
    assert_eq!(
        texts(&gradients["losses"], "stage"),
        ["letter-model", "joint"]
    );
    let meeting = texts(&gradients["cosines"], "module");
    assert_eq!(meeting, ["letters", "encoder"]);

    let gates = &told["gates"]["rows"];
    let verdicts = texts(gates, "stage");
    assert_eq!(verdicts, ["letter-model", "phoneme-model", "joint"]);
    assert!(gates[0]["then"].is_f64() && gates[0]["change"]["low"].is_f64());
    assert_eq!(gates[2]["verdict"], "last");

    let page = std::fs::read_to_string(Path::new(run).join("diagnose.html")).unwrap();
    for id in ["findings", "oracle", "shortcuts", "gradients", "gates"] {
        assert!(page.contains(&format!("<section id=\"{id}\">")), "{id}");
    }
    let namespaces = page.matches("http://www.w3.org/2000/svg").count();
    assert_eq!(
        page.matches("http").count(),
        namespaces + page.matches("http-equiv").count()
    );
    assert!(!page.contains("<script") && !page.contains("NaN"));
}

#[test]
fn the_same_run_gives_the_same_diagnosis_and_text_for_people() {
    let run = G2P.1.as_str();
    let only = [
        "--only",
        "probe,gates",
        "--interface",
        "letters.tokens,attention.memory",
    ];
    let out = Path::new(run).join("other.html").display().to_string();
    let arguments = [&[run, "--out", &out], &only[..]].concat();
    let mut first = json(&arguments);
    let mut second = json(&arguments);
    for told in [&mut first, &mut second] {
        told.as_object_mut().unwrap().remove("date");
    }
    assert_eq!(first, second);
    assert!(first["oracle"].is_null() && first["gradients"].is_null());
    assert_eq!(
        texts(&first["probes"]["rows"], "to"),
        ["letters.tokens", "attention.memory"]
    );
    let output = conjoin(&[&["diagnose"], &arguments[..]].concat());
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.contains("Shortcuts: change of WER"), "{text}");
    assert!(text.contains("Gates: each stage's own loss"), "{text}");
    assert!(text.contains("With 60 items only large effects"), "{text}");
    assert!(text.trim_end().ends_with("other.html"), "{text}");
}

#[test]
fn wrong_input_is_told_and_nothing_is_written() {
    let refused = |arguments: &[&str]| {
        let output = conjoin(&[&["diagnose"], arguments].concat());
        assert_eq!(output.status.code(), Some(2), "{output:?}");
        String::from_utf8(output.stderr).unwrap()
    };
    let run = G2P.1.as_str();
    let said = refused(&[run, "--interface", "attention.memroy"]);
    assert!(
        said.contains("--interface attention.memroy: the task has no such interface"),
        "{said}"
    );
    assert!(said.contains("attention.memory"), "{said}");
    let said = refused(&[run, "--only", "probe", "--skip", "probe"]);
    assert!(said.contains("leave no part"), "{said}");
    let said = refused(&[run, "--data", "valdi"]);
    assert!(said.contains("valdi"), "{said}");
    refused(&[run, "--only", "probes"]);
    refused(&[run, "--batches", "0"]);
    refused(&["no/such/run"]);

    // A run that was ended before its first checkpoint.
    let dir = tempfile::tempdir().unwrap();
    let empty = dir.path().join("run");
    std::fs::create_dir_all(empty.join("checkpoints")).unwrap();
    for file in ["recipe.toml", "run.json"] {
        std::fs::copy(Path::new(run).join(file), empty.join(file)).unwrap();
    }
    let said = refused(&[&empty.display().to_string()]);
    assert!(said.contains("the run has no checkpoint yet"), "{said}");
    assert!(!empty.join("diagnose.html").exists());
}

#[test]
fn fashion_has_no_interface_with_a_truth_and_says_so_by_name() {
    if !Path::new("/usr/share/datasets/fashion-mnist").exists() {
        // A line that the test harness does not capture.
        let said =
            "SKIPPED fashion_has_no_interface_with_a_truth: dataset-fashion-mnist is missing";
        writeln!(std::io::stderr(), "{said}").unwrap();
        return;
    }
    let sets = [
        "nodes.features.stem=4",
        "nodes.features.widths=[4, 4]",
        "nodes.hidden.size=8",
        "data.test.source.take=[0,250]",
        "data.test.loader.batch.size=50",
        "data.train.loader.batch.size=16",
        "data.rotations.loader.batch.size=16",
        "stages.pretext.epochs=0.001",
        "stages.probe.epochs=0.001",
        "stages.joined.epochs=0.001",
    ];
    let (_dir, run) = train("fashion.toml", &sets);
    let told = json(&[&run, "--batches", "2", "--gradient-batches", "1"]);
    assert_eq!(
        (told["items"].as_u64(), told["items_in_data"].as_u64()),
        (Some(100), Some(250))
    );
    assert_eq!(
        texts(&told["scores"], "metric"),
        ["accuracy", "cross-entropy"]
    );
    assert_eq!(told["oracle"]["rows"], serde_json::json!([]));
    let findings: Vec<&str> = told["findings"]
        .as_array()
        .unwrap()
        .iter()
        .map(|f| f.as_str().unwrap())
        .collect();
    assert_eq!(
        findings[0],
        "None of the 2 interfaces between nodes has a ground truth: hidden.features (from \
         features.features) and classifier.features (from hidden.features)."
    );
    let probed = texts(&told["probes"]["rows"], "to");
    assert_eq!(
        probed,
        ["features.image", "hidden.features", "classifier.features"]
    );
    let gates = texts(&told["gates"]["rows"], "stage");
    assert_eq!(gates, ["pretext", "probe", "joined"]);
}
