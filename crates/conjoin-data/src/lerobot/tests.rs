//! Recordings written, cut, read.

use super::*;
use std::fs;
use std::path::Path;

fn features() -> Vec<Feature> {
    vec![
        Feature::image("observation.images.front", 16, 32),
        Feature::vector("observation.state", 3),
        Feature::vector("action", 2),
        Feature::vector("speed", 1),
    ]
}

fn frame(episode: usize, step: usize) -> Frame {
    let mut frame = Frame::default();
    let rgb = (0..16 * 32 * 3)
        .map(|i| ((i * 7 + step * 31 + episode * 17) % 256) as u8)
        .collect();
    let image = Image {
        width: 32,
        height: 16,
        rgb,
    };
    frame
        .images
        .insert("observation.images.front".to_owned(), image);
    let t = step as f32;
    frame
        .values
        .insert("observation.state".to_owned(), vec![t, -t, episode as f32]);
    frame.values.insert("action".to_owned(), vec![0.5 * t, 1.0]);
    frame.values.insert("speed".to_owned(), vec![t + 0.25]);
    frame
}

/// Five episodes of 3 to 7 frames, two a file.
fn record(root: &Path) {
    let config = RecorderConfig {
        episodes_per_file: 2,
        extra: serde_json::json!({"note": "x"}),
        ..RecorderConfig::default()
    };
    let mut recorder = Recorder::create(root, features(), config).unwrap();
    for episode in 0..5 {
        for step in 0..3 + episode {
            recorder.push(frame(episode, step)).unwrap();
        }
        recorder
            .end_episode(["drive", "park"][episode % 2])
            .unwrap();
    }
    recorder.finish().unwrap();
}

fn holds(recording: &Recording, episodes: usize) {
    assert_eq!(recording.len(), episodes);
    for episode in 0..episodes {
        let frames = recording.episode(episode).unwrap();
        assert_eq!(frames.len(), 3 + episode);
        for (step, found) in frames.iter().enumerate() {
            let wanted = frame(episode, step);
            assert_eq!(found.images, wanted.images);
            for (name, values) in &wanted.values {
                assert_eq!(&found.values[name], values, "{name}");
            }
            assert_eq!(found.values["frame_index"], [step as f32]);
            assert_eq!(found.values["episode_index"], [episode as f32]);
        }
    }
}

#[test]
fn what_was_recorded_is_read() {
    let folder = tempfile::tempdir().unwrap();
    record(folder.path());
    let recording = Recording::open(folder.path()).unwrap();
    holds(&recording, 5);
    assert_eq!(recording.notice(), None);
    assert_eq!(recording.info().extra["note"], "x");
    let stats = fs::read_to_string(folder.path().join("meta/stats.json")).unwrap();
    let stats: serde_json::Value = serde_json::from_str(&stats).unwrap();
    // Steps 0..n for n = 3..=7: 25 frames.
    assert_eq!(stats["action"]["count"][0], 25);
    assert_eq!(stats["observation.state"]["max"][0], 6.0);
    let mean = (3 + 6 + 10 + 15 + 21) as f64 / 25.0;
    assert!((stats["observation.state"]["mean"][0].as_f64().unwrap() - mean).abs() < 1e-9);
}

#[test]
fn a_truncated_file_leaves_the_episodes_before_it() {
    let folder = tempfile::tempdir().unwrap();
    record(folder.path());
    let last = folder.path().join("data/chunk-000/file-001.parquet");
    let bytes = fs::read(&last).unwrap();
    fs::write(&last, &bytes[..bytes.len() / 2]).unwrap();
    let recording = Recording::open(folder.path()).unwrap();
    holds(&recording, 2);
    let notice = recording.notice().unwrap();
    assert!(
        notice.starts_with("the recording was cut short: 2 of 5 episodes are whole"),
        "{notice}"
    );
    assert!(notice.contains("file-001.parquet"), "{notice}");
}

#[test]
fn a_recorder_that_never_ends_leaves_its_complete_files() {
    let folder = tempfile::tempdir().unwrap();
    let config = RecorderConfig {
        episodes_per_file: 2,
        ..RecorderConfig::default()
    };
    let mut recorder = Recorder::create(folder.path(), features(), config).unwrap();
    for episode in 0..3 {
        for step in 0..3 + episode {
            recorder.push(frame(episode, step)).unwrap();
        }
        recorder.end_episode("drive").unwrap();
    }
    recorder.push(frame(3, 0)).unwrap();
    // As after a kill: nothing more is run, and a file was under way.
    std::mem::forget(recorder);
    fs::write(
        folder.path().join("data/chunk-000/file-001.partial"),
        b"PAR1",
    )
    .unwrap();
    let recording = Recording::open(folder.path()).unwrap();
    holds(&recording, 2);
    assert!(recording.notice().unwrap().contains("file-001.partial"));
}

#[test]
fn a_dropped_recorder_keeps_the_ended_episodes() {
    let folder = tempfile::tempdir().unwrap();
    let mut recorder =
        Recorder::create(folder.path(), features(), RecorderConfig::default()).unwrap();
    for step in 0..3 {
        recorder.push(frame(0, step)).unwrap();
    }
    recorder.end_episode("drive").unwrap();
    recorder.push(frame(1, 0)).unwrap();
    drop(recorder);
    holds(&Recording::open(folder.path()).unwrap(), 1);
}

#[test]
fn wrong_frames_and_folders_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let mut recorder =
        Recorder::create(folder.path(), features(), RecorderConfig::default()).unwrap();
    let mut wrong = frame(0, 0);
    wrong.values.insert("action".to_owned(), vec![1.0]);
    assert_eq!(
        recorder.push(wrong).unwrap_err().to_string(),
        "feature action: found shape [1], expected shape [2]"
    );
    let mut wrong = frame(0, 0);
    wrong.values.insert("extra".to_owned(), vec![1.0]);
    assert!(
        recorder
            .push(wrong)
            .unwrap_err()
            .to_string()
            .contains("feature extra")
    );
    drop(recorder);
    fs::write(folder.path().join("x"), "x").unwrap();
    let refused = Recorder::create(folder.path(), features(), RecorderConfig::default());
    assert!(refused.unwrap_err().to_string().contains("an empty folder"));
    assert!(Recording::open(folder.path()).is_err());
}
