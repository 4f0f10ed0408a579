//! The recipes of the repository check clean, and what comes out of them is what they say.

use conjoin_recipe::{Checked, Diagnostics, Recipe, check, check_trained, diff, list, summary};
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../recipes")
}

fn read(name: &str) -> String {
    fs::read_to_string(folder().join(name)).unwrap()
}

fn g2p(sets: &[&str], arm: Option<&str>) -> Result<Checked, Diagnostics> {
    let sets: Vec<String> = sets.iter().map(|set| (*set).to_owned()).collect();
    check(&read("g2p.toml"), "g2p.toml", &sets, &[], arm)
}

#[test]
fn every_recipe_checks_clean() {
    for entry in fs::read_dir(folder()).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|extension| extension != "toml") {
            continue;
        }
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        match check(&read(&name), &name, &[], &[], None) {
            Ok(checked) => assert!(checked.warnings.is_empty(), "{}", checked.warnings),
            Err(found) if found.iter().all(|d| d.code == "missing-file") => {
                // A line that the test harness does not capture.
                let said = format!("SKIPPED the check of {name}: its data is not there");
                writeln!(std::io::stderr(), "{said}\n{found}").unwrap();
            }
            Err(found) => panic!("{found}"),
        }
    }
}

#[test]
fn the_plan_follows_the_arm() {
    let names = |checked: &Checked| -> Vec<String> {
        checked
            .plan
            .stages
            .iter()
            .map(|stage| stage.config.name.clone())
            .collect()
    };
    let checked = g2p(&[], None).unwrap();
    assert_eq!(checked.arm.as_deref(), Some(checked.arms[0].0.as_str()));
    assert_eq!(names(&checked), checked.arms[0].1.stages);
    for (arm, stages) in &checked.arms {
        assert_eq!(names(&g2p(&[], Some(arm)).unwrap()), stages.stages);
        assert_eq!(
            checked.plan_of(arm).unwrap().stages.len(),
            stages.stages.len()
        );
    }
    assert!(checked.plan_of("nobody").is_none());
}

#[test]
fn overrides_reach_the_plan_and_the_text() {
    let checked = g2p(
        &[
            "stages.joint.epochs=1.5",
            "stages.joint.ema=0.99",
            "data.test.source.limit=7",
            "objectives.letters.loss.smoothing=0.25",
            "seed=11",
        ],
        None,
    )
    .unwrap();
    let joint = &checked.plan.stage("joint").unwrap().config;
    assert_eq!((joint.epochs, joint.ema), (Some(1.5), Some(0.99)));
    assert_eq!(checked.plan.seed, 11);
    // The text that a run stores reads back as the same recipe, comments included.
    let again = check(&checked.resolved, "recipe.toml", &[], &[], None).unwrap();
    assert_eq!(again.plan.stage("joint").unwrap().config, *joint);
    assert_eq!(
        again.plan.data["test"].config,
        checked.plan.data["test"].config
    );
    let loss = |checked: &Checked| {
        let stage = checked
            .plan
            .stages
            .iter()
            .find(|s| s.config.objectives.contains_key("letters"));
        stage.unwrap().objectives[0].config.loss.clone()
    };
    assert_eq!(loss(&again), loss(&checked));
    assert!(format!("{:?}", loss(&again)).contains("0.25"));
    assert!(
        checked
            .resolved
            .starts_with(read("g2p.toml").lines().next().unwrap())
    );
}

#[test]
fn weights_that_are_there_can_be_wired_otherwise() {
    // No stage reads the attention any more.
    let sets = ["nodes.output.in.features=decoder.states".to_owned()];
    let refused = check(SMALL, "small.toml", &sets, &[], None).unwrap_err();
    let unused = |found: &Diagnostics| found.iter().all(|d| d.code == "unused");
    assert!(unused(&refused), "{refused}");
    assert!(refused.to_string().contains("\"attention\" is trained"));
    let checked = check_trained(SMALL, "small.toml", &sets, &[], None).unwrap();
    assert!(checked.warnings.is_empty(), "{}", checked.warnings);
    let to = conjoin_graph::PortRef::new("output", "features");
    assert_eq!(checked.plan.wiring[&to].from.to_string(), "decoder.states");
    // What is wrong otherwise is as wrong as ever.
    let wrong = ["nodes.output.in.features=encoder.final".to_owned()];
    assert!(check_trained(SMALL, "small.toml", &wrong, &[], None).is_err());
}

#[test]
fn arms_change_lengths() {
    let checked = g2p(
        &["arms.short={stages=[\"joint\"], epochs={joint=0.5}}"],
        Some("short"),
    )
    .unwrap();
    assert_eq!(checked.plan.stages[0].config.epochs, Some(0.5));
}

#[test]
fn feedback_is_found_from_the_wires() {
    let checked = g2p(&[], None).unwrap();
    let joint = checked.plan.stage("joint").unwrap();
    let feedback: Vec<String> = joint
        .route
        .feedback()
        .map(|(to, _, _)| to.to_string())
        .collect();
    assert_eq!(feedback, ["phonemes.tokens"]);
}

#[test]
fn changed_keys_are_named() {
    let text = read("g2p.toml");
    let before = Recipe::parse(&text, "a", &[]).unwrap();
    let after = Recipe::parse(&text, "b", &["stages.joint.epochs=77".to_owned()]).unwrap();
    let changes = diff::diff(&before, &after);
    assert_eq!(changes.len(), 1);
    assert_eq!(changes[0].key, "stages.joint.epochs");
    let resolved = Recipe::parse(after.resolved(), "c", &[]).unwrap();
    assert!(diff::diff(&after, &resolved).is_empty());
}

#[test]
fn the_summary_counts_weights() {
    let checked = check(SMALL, "small.toml", &[], &[], None).unwrap();
    let summary = summary::summarise(&checked).unwrap();
    let count = |name: &str| {
        summary
            .nodes
            .iter()
            .find(|node| node.name == name)
            .unwrap()
            .parameters
    };
    let letters = checked.plan.data["train"].columns["letters"]
        .vocabulary
        .clone()
        .unwrap()
        .len();
    let phonemes = checked.plan.data["train"].columns["phonemes_out"]
        .vocabulary
        .clone()
        .unwrap()
        .len();
    assert_eq!(count("letters"), letters * 8);
    assert_eq!(count("output"), phonemes * 16 + phonemes);
    // PyTorch's count for nn.LSTM(8, 16): 4 * 16 * (8 + 16) weights and twice 64 biases.
    assert_eq!(count("encoder"), 4 * 16 * (8 + 16) + 2 * 64);
    assert_eq!(
        summary.parameters,
        summary.nodes.iter().map(|n| n.parameters).sum::<usize>()
    );
    let joint = &summary.stages[0];
    assert_eq!(joint.trained_parameters, summary.parameters);
    // Weights, gradients and two moments, 4 bytes each.
    assert_eq!(joint.memory, summary.parameters * 16);
    let text = summary.to_string();
    assert!(text.contains("features [B, T, 16]"), "{text}");
    assert!(
        serde_json::to_value(&summary).unwrap()["nodes"][1]["flops"]
            .as_f64()
            .unwrap()
            > 0.0
    );
}

#[test]
fn the_list_knows_every_option() {
    let groups = list::all(&[]);
    let text: String = groups.iter().map(ToString::to_string).collect();
    for word in [
        "recurrent",
        "hidden",
        "cross-entropy",
        "smoothing",
        "adamw",
        "beta1",
        "cmudict",
        "coverage_penalty",
        "top_p",
    ] {
        assert!(text.contains(word), "{word}");
    }
    let nodes = groups.iter().find(|group| group.name == "nodes").unwrap();
    let recurrent = nodes
        .kinds
        .iter()
        .find(|kind| kind.name == "recurrent")
        .unwrap();
    let option = |name: &str| recurrent.options.iter().find(|o| o.name == name).unwrap();
    assert!(option("hidden").required && !option("layers").required);
    assert_eq!(option("layers").default, Some(1.into()));
    assert_eq!(option("cell").kind, "\"lstm\" | \"gru\" | \"rnn\"");
    assert!(
        groups
            .iter()
            .flat_map(|g| &g.kinds)
            .all(|kind| !kind.about.is_empty())
    );
    for group in &groups {
        for kind in &group.kinds {
            for option in &kind.options {
                assert!(
                    !option.about.is_empty(),
                    "{} {} {}",
                    group.name,
                    kind.name,
                    option.name
                );
            }
        }
    }
}

const SMALL: &str = include_str!("small.toml");
