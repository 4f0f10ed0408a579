//! Frames a second through the loader: `cargo run --release -p conjoin-data --example lerobot_speed -- FOLDER
//! [WORKERS]`, for a recording of `conjoin data drive`, with the columns and grids of driving.

use conjoin_data::{DataSetConfig, LoaderConfig};
use serde_json::json;
use std::sync::Arc;
use std::time::Instant;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let folder = arguments.first().ok_or("the folder is missing")?;
    let workers: usize = arguments.get(1).map_or(Ok(1), |a| a.parse())?;
    let images = ["front", "left", "right"].map(|side| format!("observation.images.{side}"));
    let features = [
        ("state", "observation.state"),
        ("route", "observation.route"),
        ("agents", "truth.agents"),
        ("visible", "truth.visible"),
        ("futures", "truth.futures"),
        ("occupancy", "truth.occupancy"),
        ("lanes", "truth.lanes"),
        ("lanes_mask", "truth.lanes_mask"),
        ("light", "truth.light"),
        ("plan", "truth.plan"),
    ];
    let mut columns = json!({ "cameras": { "features": images } });
    for (column, feature) in features {
        columns[column] = json!({ "feature": feature });
    }
    let grid =
        |kind: &str| json!({"kind": kind, "cells": [32, 32], "extent": [-8.0, 40.0, -24.0, 24.0]});
    let config: DataSetConfig = serde_json::from_value(json!({
        "source": {"kind": "lerobot", "path": folder, "columns": columns},
        "transforms": [
            grid("boxes-to-grid"),
            grid("lines-to-grid"),
            {"kind": "one-hot-to-label", "column": "light", "into": "light_label",
             "classes": ["none", "green", "yellow", "red"]},
        ],
        "loader": LoaderConfig { workers, ..LoaderConfig::of_size(32) },
    }))?;
    let begun = Instant::now();
    let loader = config.loader(Arc::from(config.source.open()?), 1)?;
    println!("opened in {:.2} s", begun.elapsed().as_secs_f64());
    for note in loader.source().notes() {
        println!("{note}");
    }
    for epoch in 0..3 {
        let (begun, mut frames) = (Instant::now(), 0);
        for batch in loader.epoch(epoch, 0) {
            frames += batch?.size();
        }
        let seconds = begun.elapsed().as_secs_f64();
        let rate = frames as f64 / seconds;
        println!("epoch {epoch}: {frames} frames in {seconds:.2} s, {rate:.0} a second");
    }
    Ok(())
}
