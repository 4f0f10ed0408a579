//! Columns, parts, memory, what does not fit.

use crate::support::*;
use conjoin_data::{DataError, Loader, LoaderConfig, Source};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

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
