//! A whole run on Burn's own operations (`CONJOIN_KERNELS=burn`) follows the same losses as one on the fused
//! ones.

use serde_json::Value;
use std::path::Path;
use std::process::Command;

const RECIPE: &str = include_str!("support/small.toml");

/// Trains the small recipe; the losses of its steps, and the bytes of a node's weights.
fn train(dir: &Path, name: &str, kernels: Option<&str>) -> (Vec<f64>, Vec<u8>) {
    let recipe = dir.join("recipe.toml");
    std::fs::write(&recipe, RECIPE).unwrap();
    let run = dir.join(name);
    let mut command = Command::new(env!("CARGO_BIN_EXE_conjoin"));
    command.env_remove("CONJOIN_KERNELS").arg("train");
    command.arg(recipe).arg("--out").arg(&run);
    if let Some(kernels) = kernels {
        command.env("CONJOIN_KERNELS", kernels);
    }
    let output = command.output().unwrap();
    assert!(output.status.success(), "{output:?}");
    let metrics = std::fs::read_to_string(run.join("metrics.jsonl")).unwrap();
    let losses = metrics
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap())
        .filter(|event| event["event"] == "step")
        .filter_map(|event| event["loss"].as_f64())
        .collect();
    let weights = std::fs::read(run.join("checkpoints/step-4/encoder.safetensors")).unwrap();
    (losses, weights)
}

#[test]
fn burns_own_operations_train_the_same() {
    let dir = tempfile::tempdir().unwrap();
    let (fused, weights) = train(dir.path(), "fused", None);
    let (plain, others) = train(dir.path(), "plain", Some("burn"));
    assert_eq!(fused.len(), plain.len());
    assert!(fused.len() >= 4, "{fused:?}");
    for (fused, plain) in fused.iter().zip(&plain) {
        assert!(
            (fused - plain).abs() < 1e-3 * plain.abs(),
            "{fused} {plain}"
        );
    }
    // Sums in another order: other bytes, or the same code has run twice.
    assert!(weights != others, "the fused operations were not left out");
}
