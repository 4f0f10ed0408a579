//! A recording of a few small episodes, and the options that read it.

use conjoin_data::lerobot::{Feature, Frame, Image, Recorder, RecorderConfig};
use conjoin_data::source::LerobotConfig;
use conjoin_data::{DataSetConfig, Field};
use serde_json::{Value, json};
use std::path::Path;

pub const VIEWS: [&str; 2] = ["images.front", "images.left"];

pub fn frame(episode: usize, step: usize) -> Frame {
    let mut frame = Frame::default();
    for (view, name) in VIEWS.iter().enumerate() {
        let rgb = (0..3 * 4 * 3)
            .map(|i| ((i * 11 + step * 5 + episode * 3 + view * 100) % 256) as u8)
            .collect();
        let image = Image {
            width: 4,
            height: 3,
            rgb,
        };
        frame.images.insert((*name).to_owned(), image);
    }
    let mut agents = vec![0.0; 24];
    let place = [1.0, step as f32, 0.5, 1.0, 0.0, 4.0, 2.0, 0.0, 0.0, 1.0];
    agents[..10].copy_from_slice(&place);
    let values = [
        ("truth.agents", agents),
        ("truth.visible", vec![1.0, 0.0]),
        ("state", vec![step as f32 + 0.25, episode as f32]),
        ("light", vec![0.0, 1.0, 0.0, 8.5]),
    ];
    frame.values = values
        .into_iter()
        .map(|(name, values)| (name.to_owned(), values))
        .collect();
    frame
}

/// Episodes of 4, 5, 6 … frames, two a file.
pub fn record(root: &Path, episodes: usize) {
    let mut features: Vec<Feature> = VIEWS.map(|name| Feature::image(name, 3, 4)).into();
    for (name, size) in [
        ("truth.agents", 24),
        ("truth.visible", 2),
        ("state", 2),
        ("light", 4),
    ] {
        features.push(Feature::vector(name, size));
    }
    let extra = json!({"columns": {
        "truth.agents": {"shape": [2, 12], "frame": "ego"},
        "truth.visible": {"range": [0, 1]},
    }});
    let config = RecorderConfig {
        episodes_per_file: 2,
        extra,
        ..RecorderConfig::default()
    };
    let mut recorder = Recorder::create(root, features, config).unwrap();
    for episode in 0..episodes {
        for step in 0..4 + episode {
            recorder.push(frame(episode, step)).unwrap();
        }
        recorder.end_episode("drive").unwrap();
    }
    recorder.finish().unwrap();
}

pub fn recorded(episodes: usize) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    record(folder.path(), episodes);
    folder
}

/// The options as a recipe would have them; `change` is merged in.
pub fn config(root: &Path, change: Value) -> LerobotConfig {
    let mut options = json!({
        "path": root,
        "columns": {
            "cameras": {"features": VIEWS},
            "agents": {"feature": "truth.agents"},
            "visible": {"feature": "truth.visible"},
            "state": {"feature": "state", "units": "m/s", "meaning": "features"},
            "light": {"feature": "light"},
        },
    });
    for (key, value) in change.as_object().unwrap() {
        options[key] = value.clone();
    }
    serde_json::from_value(options).unwrap()
}

pub fn dense(field: &Field) -> (&[usize], &[f32]) {
    match field {
        Field::Dense { shape, data } => (shape, data),
        other => panic!("{other:?}"),
    }
}

pub fn refusal(root: &Path, change: Value) -> String {
    config(root, change).open().unwrap_err().to_string()
}

pub fn data_set(root: &Path) -> DataSetConfig {
    let source = config(root, json!({}));
    let mut source = serde_json::to_value(source).unwrap();
    source["kind"] = json!("lerobot");
    let grid = json!({"cells": [6, 4], "extent": [0, 12, -4, 4]});
    let boxes = json!({"kind": "boxes-to-grid", "cells": grid["cells"], "extent": grid["extent"]});
    let label = json!({"kind": "one-hot-to-label", "column": "light", "into": "light_label",
                       "classes": ["none", "green", "red"]});
    serde_json::from_value(json!({
        "source": source,
        "transforms": [boxes, label],
        "loader": {"batch": {"size": 4}, "shuffle": false},
    }))
    .unwrap()
}
