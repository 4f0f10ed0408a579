//! Recordings as data sets: columns, parts, memory, what does not fit, live frames.

use conjoin_data::lerobot::{Feature, Frame, Image, Recorder, RecorderConfig};
use conjoin_data::source::LerobotConfig;
use conjoin_data::{
    ArrayData, DataError, DataSetConfig, Field, Live, Loader, LoaderConfig, Source,
};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

const VIEWS: [&str; 2] = ["images.front", "images.left"];

fn frame(episode: usize, step: usize) -> Frame {
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
fn record(root: &Path, episodes: usize) {
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

fn recorded(episodes: usize) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    record(folder.path(), episodes);
    folder
}

/// The options as a recipe would have them; `change` is merged in.
fn config(root: &Path, change: Value) -> LerobotConfig {
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

fn dense(field: &Field) -> (&[usize], &[f32]) {
    match field {
        Field::Dense { shape, data } => (shape, data),
        other => panic!("{other:?}"),
    }
}

fn refusal(root: &Path, change: Value) -> String {
    config(root, change).open().unwrap_err().to_string()
}

#[test]
fn contracts_come_from_the_description() {
    let folder = recorded(1);
    let columns = config(folder.path(), json!({})).columns();
    let cameras = &columns["cameras"];
    assert_eq!(cameras.to_string(), "image [B, 2, 3, 4, 3]");
    assert_eq!(cameras.range, Some((0.0, 1.0)));
    assert_eq!(columns["agents"].to_string(), "quantity [B, 2, 12]");
    assert_eq!(columns["agents"].frame.as_deref(), Some("ego"));
    assert_eq!(columns["visible"].range, Some((0.0, 1.0)));
    assert_eq!(columns["state"].to_string(), "features [B, 2]");
    assert_eq!(columns["state"].units.as_deref(), Some("m/s"));
    let source = config(folder.path(), json!({})).open().unwrap();
    assert_eq!(source.columns(), columns);
    let single = json!({"columns": {"front": {"feature": "images.front"},
                                    "flat": {"feature": "truth.agents", "shape": [24]}}});
    let columns = config(folder.path(), single).columns();
    assert_eq!(columns["front"].to_string(), "image [B, 3, 4, 3]");
    assert_eq!(columns["flat"].to_string(), "quantity [B, 24]");
}

#[test]
fn samples_are_the_frames() {
    let folder = recorded(3);
    // Nothing fits into no memory: every frame comes from the file.
    for memory in [64, 0] {
        let source = config(folder.path(), json!({"memory": memory}))
            .open()
            .unwrap();
        assert_eq!(source.len(), 4 + 5 + 6);
        assert_eq!(source.notes().len(), usize::from(memory == 0));
        // Backwards, so that no order is relied on.
        for index in (0..source.len()).rev() {
            let (episode, step) = match index {
                0..4 => (0, index),
                4..9 => (1, index - 4),
                _ => (2, index - 9),
            };
            let sample = source.sample(index).unwrap();
            let name = format!(
                "episode {episode} frame {step} of {}",
                folder.path().display()
            );
            assert_eq!(sample.key, name);
            assert_eq!(source.key(index), name);
            let wanted = frame(episode, step);
            let (shape, pixels) = dense(&sample.fields["cameras"]);
            assert_eq!(shape, [2, 3, 4, 3]);
            let rgb = VIEWS.iter().flat_map(|view| &wanted.images[*view].rgb);
            assert!(
                rgb.map(|&b| f32::from(b) / 255.0)
                    .eq(pixels.iter().copied())
            );
            for (column, feature) in [("agents", "truth.agents"), ("state", "state")] {
                assert_eq!(dense(&sample.fields[column]).1, wanted.values[feature]);
            }
        }
    }
}

#[test]
fn parts_share_no_episode_and_strides_leave_frames_out() {
    let folder = recorded(10);
    let episodes = |change: Value| -> BTreeSet<String> {
        let source = config(folder.path(), change).open().unwrap();
        let keys = (0..source.len()).map(|i| source.key(i).into_owned());
        keys.map(|key| key.split(" frame").next().unwrap().to_owned())
            .collect()
    };
    let train = episodes(json!({"split": "train", "valid_share": 0.3}));
    let valid = episodes(json!({"split": "valid", "valid_share": 0.3}));
    assert_eq!((train.len(), valid.len()), (7, 3));
    assert!(train.is_disjoint(&valid));
    assert_eq!(
        episodes(json!({"episodes": [7, 2]})),
        ["episode 2", "episode 7"].map(str::to_owned).into()
    );
    let source = config(folder.path(), json!({"episodes": [3], "stride": 3}))
        .open()
        .unwrap();
    // Seven frames: 0, 3, 6.
    assert_eq!(source.len(), 3);
    assert!(source.key(2).starts_with("episode 3 frame 6 of"));
    let state = |i: usize| dense(&source.sample(i).unwrap().fields["state"]).1[0];
    assert_eq!([state(0), state(1), state(2)], [0.25, 3.25, 6.25]);
}

#[test]
fn a_recording_that_was_cut_short_is_read_up_to_its_last_whole_episode() {
    let folder = recorded(5);
    let last = folder.path().join("data/chunk-000/file-002.parquet");
    let bytes = std::fs::read(&last).unwrap();
    std::fs::write(&last, &bytes[..bytes.len() / 2]).unwrap();
    let source = config(folder.path(), json!({})).open().unwrap();
    assert_eq!(source.len(), 4 + 5 + 6 + 7);
    let notes = source.notes();
    assert!(
        notes[0].starts_with("the recording was cut short: 4 of 5"),
        "{notes:?}"
    );
    let message = refusal(folder.path(), json!({"episodes": [4]}));
    assert!(
        message.starts_with("option `episodes`: found none of the 4 whole"),
        "{message}"
    );
    assert!(message.contains("cut short"), "{message}");
}

#[test]
fn options_that_do_not_fit_are_named() {
    let folder = recorded(2);
    let refusal = |change: Value| refusal(folder.path(), change);
    let column = |json: Value| refusal(json!({"columns": {"c": json}}));
    assert_eq!(
        column(json!({"feature": "truth.agnets"})),
        "option `columns.c.feature`: found `truth.agnets`, expected a feature of the recording: \
         `images.front`, `images.left`, `truth.agents`, `truth.visible`, `state`, `light`, \
         `next.done`, `timestamp`, `frame_index`, `episode_index`, `index`, `task_index`"
    );
    assert_eq!(
        column(json!({"feature": "truth.agents", "shape": [3, 12]})),
        "option `columns.c.shape`: found [3, 12] (36 numbers), expected sizes of the 24 numbers of \
         `truth.agents`"
    );
    assert_eq!(
        column(json!({"features": ["images.front", "state"]})),
        "option `columns.c.features[1]`: found `state` of float32 [2], expected image [3, 4, 3] like \
         `images.front`"
    );
    assert_eq!(
        column(json!({})),
        "option `columns.c`: found neither, expected either `feature` or `features`"
    );
    assert!(
        column(json!({"feature": "state", "meaning": "image"})).contains("`columns.c.meaning`")
    );
    assert_eq!(
        column(json!({"feature": "truth.agents", "frame": "world"})),
        "option `columns.c.frame`: found `world`, expected `ego`, as the recording notes it"
    );
    assert!(column(json!({"feature": "state", "range": [1.0, 0.0]})).contains("`columns.c.range`"));
    assert!(refusal(json!({"columns": {}})).contains("at least one column"));
    assert!(refusal(json!({"stride": 0})).contains("`stride`"));
    assert!(refusal(json!({"valid_share": 1.0})).contains("`valid_share`"));
    assert!(refusal(json!({"episodes": [0], "split": "valid"})).contains("one of the two"));
    assert_eq!(
        refusal(json!({"episodes": [1, 2]})),
        "option `episodes[1]`: found 2, expected a number below 2"
    );
    assert!(
        refusal(json!({"path": "no/where"})).starts_with("option `path`: found `no/where/meta")
    );
    assert!(
        config(Path::new("no/where"), json!({}))
            .columns()
            .is_empty()
    );
}

#[test]
fn numbers_out_of_their_range_are_refused_where_they_are() {
    let folder = recorded(1);
    let change = json!({"columns": {"state": {"feature": "state", "range": [0.0, 2.0]}}});
    let source = config(folder.path(), change).open().unwrap();
    assert!(source.sample(1).is_ok());
    let message = source.sample(2).unwrap_err().to_string();
    assert!(message.starts_with("episode 0 frame 2 of "), "{message}");
    assert!(message.ends_with("column `state`: found 2.25, expected numbers from 0 to 2"));
}

fn data_set(root: &Path) -> DataSetConfig {
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

#[test]
fn live_frames_become_what_training_saw() {
    let folder = recorded(2);
    let config = data_set(folder.path());
    let source: Arc<dyn Source> = Arc::from(config.source.open().unwrap());
    let loader = config.loader(source, 1).unwrap();
    let trained = loader.epoch(0, 0).next().unwrap().unwrap();
    let names: Vec<&str> = VIEWS
        .into_iter()
        .chain(["truth.agents", "truth.visible", "state", "light"])
        .collect();
    let live = Live::new(&config, &names).unwrap();
    assert_eq!(live.columns(), loader.columns());
    let frames: Vec<Frame> = (0..4).map(|step| frame(0, step)).collect();
    let batch = live.batch(&frames.iter().collect::<Vec<_>>()).unwrap();
    assert_eq!(batch.columns, trained.columns);
    let ArrayData::F32(heat) = &batch.columns["heat"].array.data else {
        panic!("heat is made of numbers");
    };
    assert_eq!(heat.iter().filter(|&&v| v == 1.0).count(), 4);

    // On the road there is no truth: what needs it is not there.
    let driving: Vec<&str> = VIEWS.into_iter().chain(["state"]).collect();
    let live = Live::new(&config, &driving).unwrap();
    let columns: Vec<&String> = live.columns().keys().collect();
    assert_eq!(columns, ["cameras", "state"]);
    let batch = live.batch(&[&frames[2]]).unwrap();
    assert_eq!(batch.columns["cameras"].array.shape, [1, 2, 3, 4, 3]);
    let error = live.batch(&[&Frame::default()]).unwrap_err().to_string();
    assert!(
        error.starts_with("live frame 0, feature images.front: found 0"),
        "{error}"
    );
    assert!(Live::new(&config, &["other"]).is_err());
}

#[test]
fn workers_share_the_decoded_frames() {
    let folder = recorded(4);
    let source = Arc::new(config(folder.path(), json!({})).open().unwrap());
    let make = |workers| {
        let options = LoaderConfig {
            workers,
            ..LoaderConfig::of_size(3)
        };
        let loader = Loader::new(source.clone(), &[], options, 5).unwrap();
        let batches: Result<Vec<_>, DataError> = loader.epoch(1, 0).collect();
        batches.unwrap()
    };
    assert_eq!(make(4), make(0));
}
