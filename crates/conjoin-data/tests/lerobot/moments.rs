//! Several recordings, frames before a sample's own, live frames.

use crate::support::*;
use conjoin_data::lerobot::{Feature, Frame, Recorder, RecorderConfig};
use conjoin_data::{ArrayData, Live, Source};
use serde_json::{Value, json};
use std::sync::Arc;

#[test]
fn recordings_of_one_kind_are_one_data_set() {
    let (first, second) = (recorded(3), recorded(2));
    let both = |change: Value| config(first.path(), change);
    let source = both(json!({"also": [second.path()]})).open().unwrap();
    assert_eq!(source.len(), (4 + 5 + 6) + (4 + 5));
    // The frames of the second follow those of the first, and say where they are from.
    let alone = config(second.path(), json!({})).open().unwrap();
    for (index, of) in [(15, 0), (23, 8)] {
        let (found, expected) = (source.sample(index).unwrap(), alone.sample(of).unwrap());
        assert_eq!(found, expected);
        assert!(found.key.ends_with(&second.path().display().to_string()));
    }
    // Choices are made in each.
    let chosen = both(json!({"also": [second.path()], "episodes": [1]}));
    assert_eq!(chosen.open().unwrap().len(), 5 + 5);

    let message = refusal(
        first.path(),
        json!({"also": [second.path()], "episodes": [2]}),
    );
    assert!(message.contains("`episodes[0]`: found 2"), "{message}");
    let none = second.path().join("none");
    let message = refusal(first.path(), json!({"also": [second.path(), none]}));
    assert!(
        message.starts_with("option `also[1]`: found `"),
        "{message}"
    );
    let other = tempfile::tempdir().unwrap();
    let mut recorder = Recorder::create(
        other.path(),
        vec![Feature::vector("state", 3)],
        RecorderConfig::default(),
    )
    .unwrap();
    let mut one = Frame::default();
    one.values.insert("state".to_owned(), vec![0.0; 3]);
    recorder.push(one).unwrap();
    recorder.end_episode("drive").unwrap();
    recorder.finish().unwrap();
    let state = json!({"state": {"feature": "state"}});
    let message = refusal(
        first.path(),
        json!({"also": [other.path()], "columns": state}),
    );
    assert!(
        message.starts_with("option `also[0]`: found column `state` as quantity"),
        "{message}"
    );
    let message = refusal(first.path(), json!({"also": [other.path()]}));
    assert!(
        message.starts_with("option `also[0]`: found columns."),
        "{message}"
    );
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
    let moments: Vec<Vec<&Frame>> = frames.iter().map(|frame| vec![frame]).collect();
    let batch = live.batch(&moments).unwrap();
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
    let batch = live.batch(&[vec![&frames[2]]]).unwrap();
    assert_eq!(batch.columns["cameras"].array.shape, [1, 2, 3, 4, 3]);
    let error = live
        .batch(&[vec![&Frame::default()]])
        .unwrap_err()
        .to_string();
    assert!(
        error.starts_with("live frame 0, feature images.front: found 0"),
        "{error}"
    );
    assert!(Live::new(&config, &["other"]).is_err());
}

#[test]
fn frames_before_are_stacked() {
    let folder = recorded(2);
    let columns = json!({
        "one": {"feature": "images.front"},
        "front": {"feature": "images.front", "delta_indices": [-3, -1, 0]},
        "cameras": {"features": VIEWS, "delta_indices": [-3, 0]},
        "apart": {"features": VIEWS, "delta_indices": [-3, 0], "stack": "views"},
        "one_apart": {"feature": "images.front", "delta_indices": [-3, 0], "stack": "views"},
        "state": {"feature": "state", "delta_indices": [-3, 0]},
    });
    // Three frames of each of two cameras are 3 * 3 channels, or two of each 4 views; two states [2, 2].
    for (stride, memory) in [(1, 64), (2, 64), (3, 64), (2, 0)] {
        let change = json!({"columns": columns, "stride": stride, "memory": memory});
        let source = config(folder.path(), change).open().unwrap();
        let contracts = source.columns();
        let sizes = |name: &str| -> Vec<Option<usize>> {
            contracts[name].dims[1..]
                .iter()
                .map(conjoin_data::Dim::size)
                .collect()
        };
        assert_eq!(sizes("front"), [3, 4, 9].map(Some));
        assert_eq!(sizes("cameras"), [2, 3, 4, 6].map(Some));
        assert_eq!(sizes("apart"), [4, 3, 4, 3].map(Some));
        assert_eq!(sizes("one_apart"), [2, 3, 4, 3].map(Some));
        assert_eq!(sizes("state"), [2, 2].map(Some));
        for index in 0..source.len() {
            let sample = source.sample(index).unwrap();
            let step = source.key(index);
            let words: Vec<&str> = step.split(' ').collect();
            let (episode, step): (usize, usize) =
                (words[1].parse().unwrap(), words[3].parse().unwrap());
            let at = |back: usize| frame(episode, step.saturating_sub(back));
            let pixel = |frame: &Frame, view: &str, at: usize| {
                f32::from(frame.images[view].rgb[at]) / 255.0
            };
            let (shape, front) = dense(&sample.fields["front"]);
            assert_eq!(shape, [3, 4, 9]);
            for (i, &value) in front.iter().enumerate() {
                let (place, channel) = (i / 9, i % 9);
                let then = at([3, 1, 0][channel / 3]);
                assert_eq!(value, pixel(&then, VIEWS[0], 3 * place + channel % 3));
            }
            let (shape, both) = dense(&sample.fields["cameras"]);
            assert_eq!(shape, [2, 3, 4, 6]);
            assert_eq!(both[12 * 6], pixel(&at(3), VIEWS[1], 0));
            assert_eq!(both[12 * 6 + 3], pixel(&at(0), VIEWS[1], 0));
            let (shape, apart) = dense(&sample.fields["apart"]);
            assert_eq!(shape, [4, 3, 4, 3]);
            let (_, one) = dense(&sample.fields["one_apart"]);
            for (image, numbers) in apart.chunks(36).enumerate() {
                let (then, view) = (at([3, 0][image / 2]), VIEWS[image % 2]);
                for (i, &value) in numbers.iter().enumerate() {
                    assert_eq!(value, pixel(&then, view, i));
                }
            }
            assert_eq!(one, [&apart[..36], &apart[72..108]].concat());
            let (shape, state) = dense(&sample.fields["state"]);
            assert_eq!(shape, [2, 2]);
            assert_eq!(state[..2], at(3).values["state"][..]);
            assert_eq!(state[2..], at(0).values["state"][..]);
        }
    }
    for wrong in [
        json!([0, -1]),
        json!([-1]),
        json!([-1, 0, 1]),
        json!([-2, -2, 0]),
    ] {
        let columns = json!({"c": {"feature": "state", "delta_indices": wrong}});
        let message = refusal(folder.path(), json!({"columns": columns}));
        assert!(
            message.starts_with("option `columns.c.delta_indices`: found ["),
            "{message}"
        );
    }
    let columns_apart =
        json!({"c": {"feature": "state", "delta_indices": [-1, 0], "stack": "views"}});
    let message = refusal(folder.path(), json!({"columns": columns_apart}));
    assert!(
        message.starts_with("option `columns.c.stack`: found views for the numbers of `state`"),
        "{message}"
    );
    // Live moments are their last frames.
    let mut config = data_set(folder.path());
    let conjoin_data::SourceConfig::Lerobot(source) = &mut config.source else {
        panic!("a recording");
    };
    source.columns = serde_json::from_value(columns).unwrap();
    config.transforms.clear();
    let names: Vec<&str> = VIEWS.into_iter().chain(["state"]).collect();
    let live = Live::new(&config, &names).unwrap();
    assert_eq!(live.history(), 3);
    let frames: Vec<Frame> = (0..5).map(|step| frame(0, step)).collect();
    let moments = [(0..1), (0..3), (1..5)].map(|steps| frames[steps].iter().collect::<Vec<_>>());
    let batch = live.batch(&moments).unwrap();
    let ArrayData::F32(states) = &batch.columns["state"].array.data else {
        panic!("states are numbers");
    };
    let first: Vec<f32> = states.iter().step_by(2).copied().collect();
    assert_eq!(first, [0.25, 0.25, 0.25, 2.25, 1.25, 4.25]);
}
