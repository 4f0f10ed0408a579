//! Fashion-MNIST as Debian installs it (`apt-get install dataset-fashion-mnist`).

use conjoin_data::source::{ClassNames, ClassPreset, IdxConfig, IdxSplit};
use conjoin_data::{Field, Loader, LoaderConfig, Source, TransformConfig};
use std::io::Write;
use std::path::Path;
use std::sync::Arc;

const FOLDER: &str = "/usr/share/datasets/fashion-mnist";

/// The config, or `None` with a line that the test harness does not capture.
fn config(test: &str, split: IdxSplit) -> Option<IdxConfig> {
    if !Path::new(FOLDER).is_dir() {
        let mut stderr = std::io::stderr();
        let _ = writeln!(
            stderr,
            "SKIPPED {test}: {FOLDER} is missing (dataset-fashion-mnist)"
        );
        return None;
    }
    Some(IdxConfig {
        dir: FOLDER.into(),
        split,
        take: None,
        classes: ClassNames::Preset(ClassPreset::FashionMnist),
        size: [28, 28],
    })
}

#[test]
fn has_the_published_counts_labels_and_pixels() {
    let Some(config) = config("has_the_published_counts_labels_and_pixels", IdxSplit::Test) else {
        return;
    };
    let source = config.open().unwrap();
    assert_eq!(source.len(), 10_000);
    let names: Vec<String> = (0..5).map(|i| source.text(i)).collect();
    assert_eq!(
        names,
        ["Ankle boot", "Pullover", "Trouser", "Trouser", "Shirt"]
    );
    let mut counts = [0; 10];
    let mut sum = 0.0;
    for index in 0..source.len() {
        let sample = source.sample(index).unwrap();
        let Field::Label(label) = sample.fields["label"] else {
            panic!()
        };
        counts[label as usize] += 1;
        let Field::Dense { shape, data } = &sample.fields["image"] else {
            panic!()
        };
        assert_eq!(shape, &[28, 28, 1]);
        sum += data.iter().map(|&v| f64::from(v)).sum::<f64>();
    }
    assert_eq!(counts, [1000; 10]);
    let mean = sum / (10_000.0 * 784.0);
    assert!((mean - 0.2868).abs() < 1e-3, "{mean}"); // of the test images
}

#[test]
fn ranges_cut_a_validation_part_off_the_training_images() {
    let Some(config) = config(
        "ranges_cut_a_validation_part_off_the_training_images",
        IdxSplit::Train,
    ) else {
        return;
    };
    let [train, valid] = [[0, 55_000], [55_000, 60_000]].map(|take| {
        IdxConfig {
            take: Some(take),
            ..config.clone()
        }
        .open()
        .unwrap()
    });
    assert_eq!((train.len(), valid.len()), (55_000, 5000));
    assert_eq!(valid.key(0), "train-images row 55000");
    assert_ne!(train.key(54_999), valid.key(0));
}

#[test]
fn batches_of_augmented_images_and_features() {
    let Some(config) = config("batches_of_augmented_images_and_features", IdxSplit::Test) else {
        return;
    };
    let transforms: Vec<TransformConfig> = serde_json::from_str(
        r#"[{"kind": "random-crop", "padding": 2}, {"kind": "horizontal-flip"},
            {"kind": "random-erase"},
            {"kind": "hog", "pixels_per_cell": [4, 4], "cells_per_block": [2, 2]}]"#,
    )
    .unwrap();
    let source = Arc::new(config.open().unwrap());
    let loader = Loader::new(source, &transforms, LoaderConfig::of_size(128), 1).unwrap();
    assert_eq!(loader.batches_in_epoch(0), 79);
    let begin = std::time::Instant::now();
    let mut rows = 0;
    for batch in loader.epoch(0, 0) {
        let batch = batch.unwrap();
        rows += batch.size();
        assert_eq!(
            batch.columns["image"].array.shape,
            [batch.size(), 28, 28, 1]
        );
        assert_eq!(batch.columns["hog"].array.shape, [batch.size(), 1296]);
    }
    assert_eq!(rows, 10_000);
    println!("{:.0} samples/s", 1e4 / begin.elapsed().as_secs_f64());
}
