//! Imports go downward only:
//! `conjoin -> insight, recipe -> tasks -> train, world -> graph -> data, nn -> kernels ->
//! qp, safety`.

use crate::root;
use std::collections::BTreeMap;
use std::process::Command;

/// Layers from the bottom up. A crate may import crates of lower layers only, so those side by side
/// (data and nn, insight and recipe) never meet.
const LAYERS: [&[&str]; 8] = [
    &["qp", "safety"],
    &["kernels"],
    &["data", "nn"],
    &["graph"],
    &["train", "world"],
    &["tasks"],
    &["insight", "recipe"],
    &["conjoin"],
];

/// What stays out of a crate besides, by the crate's name and the start of a package's name.
const STRANGERS: [(&str, &str, &str); 5] = [
    ("qp", "burn", "the solver works on plain numbers"),
    ("data", "burn", "data knows nothing of tensors"),
    ("world", "burn", "simulators know nothing of tensors"),
    ("recipe", "clap", "only the binary reads arguments"),
    ("train", "indicatif", "only the binary prints"),
];

/// `conjoin-graph` is `graph`.
fn short(package: &str) -> &str {
    package.strip_prefix("conjoin-").unwrap_or(package)
}

fn layer(package: &str) -> Option<usize> {
    LAYERS
        .iter()
        .position(|crates| crates.contains(&short(package)))
}

/// What is wrong with the imports of each package.
fn violations(imports: &BTreeMap<String, Vec<String>>) -> Vec<String> {
    let mut found = Vec::new();
    for (package, dependencies) in imports {
        let Some(own) = layer(package) else {
            found.push(format!(
                "{package} has no layer: give it one in tests/house/arrows.rs"
            ));
            continue;
        };
        for dependency in dependencies {
            let is_ours = dependency == "conjoin" || dependency.starts_with("conjoin-");
            if is_ours && layer(dependency).is_none_or(|theirs| theirs >= own) {
                found.push(format!(
                    "{package} imports {dependency}, which is not below it"
                ));
            }
            for (_, _, why) in STRANGERS.iter().filter(|(name, stranger, _)| {
                *name == short(package) && dependency.starts_with(stranger)
            }) {
                found.push(format!("{package} imports {dependency}, but {why}"));
            }
        }
    }
    found
}

/// The names of all members and of everything they depend on, tests and build scripts included.
fn members() -> BTreeMap<String, Vec<String>> {
    let output = Command::new(env!("CARGO"))
        .args([
            "metadata",
            "--no-deps",
            "--offline",
            "--format-version",
            "1",
        ])
        .current_dir(root())
        .output()
        .unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "cargo metadata failed: {errors}");
    let metadata: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let name = |value: &serde_json::Value| value["name"].as_str().unwrap().to_owned();
    let packages = metadata["packages"].as_array().unwrap();
    packages
        .iter()
        .map(|package| {
            let dependencies = package["dependencies"].as_array().unwrap();
            (name(package), dependencies.iter().map(name).collect())
        })
        .collect()
}

#[test]
fn imports_go_downward_only() {
    let members = members();
    assert!(members.contains_key("conjoin") && members.contains_key("conjoin-kernels"));
    assert_eq!(violations(&members), Vec::<String>::new());
}

#[test]
fn wrong_arrows_are_found() {
    let imports = |package: &str, dependency: &str| {
        violations(&[(package.to_owned(), vec![dependency.to_owned()])].into())
    };
    assert!(imports("conjoin-train", "conjoin-graph").is_empty());
    assert!(imports("conjoin", "conjoin-kernels").is_empty());
    assert_eq!(
        imports("conjoin-data", "conjoin-nn"),
        ["conjoin-data imports conjoin-nn, which is not below it"]
    );
    assert_eq!(
        imports("conjoin-graph", "conjoin-tasks"),
        ["conjoin-graph imports conjoin-tasks, which is not below it"]
    );
    assert_eq!(
        imports("conjoin-data", "burn"),
        ["conjoin-data imports burn, but data knows nothing of tensors"]
    );
    assert_eq!(
        imports("conjoin-new", "serde"),
        ["conjoin-new has no layer: give it one in tests/house/arrows.rs"]
    );
}
