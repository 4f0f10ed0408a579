//! The loader as a whole, over sources that fail, stall and count.

use super::*;
use crate::source::{CmudictConfig, Part};
use crate::{Batch, Contract, Field, Sample, Vocabulary};
use std::borrow::Cow;
use std::collections::BTreeSet;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

/// Rows of `1 + index % 7` tokens; some cannot be read, one panics, each can take a while.
#[derive(Debug, Default)]
struct Fake {
    rows: usize,
    corrupt: BTreeSet<usize>,
    panics: Option<usize>,
    pause: Duration,
    reads: AtomicUsize,
}

impl Source for Fake {
    fn len(&self) -> usize {
        self.rows
    }

    fn columns(&self) -> Columns {
        let vocabulary = Vocabulary::new("v", ["<pad>", "a", "<mask>"]);
        Columns::from([("tokens".to_owned(), Contract::tokens("T", vocabulary))])
    }

    fn sample(&self, index: usize) -> Result<Sample, DataError> {
        self.reads.fetch_add(1, Ordering::Relaxed);
        thread::sleep(self.pause);
        assert!(self.panics != Some(index), "row {index} is cursed");
        if self.corrupt.contains(&index) {
            return Err(DataError::format(self.location(index), "rubbish", "tokens"));
        }
        Ok(Sample::new(self.key(index)).with("tokens", Field::Tokens(vec![1; 1 + index % 7])))
    }

    fn key(&self, index: usize) -> Cow<'_, str> {
        index.to_string().into()
    }

    fn location(&self, index: usize) -> String {
        format!("fake.bin row {index}")
    }

    fn length(&self, index: usize, column: &str) -> Option<usize> {
        (column == "tokens").then_some(1 + index % 7)
    }

    fn text(&self, index: usize) -> String {
        self.location(index)
    }
}

fn rows(rows: usize) -> Fake {
    Fake {
        rows,
        ..Fake::default()
    }
}

fn loader(source: Fake, config: LoaderConfig) -> Loader {
    Loader::new(Arc::new(source), &[], config, 7).unwrap()
}

fn take_all(iter: EpochIter) -> Vec<Batch> {
    iter.map(Result::unwrap).collect()
}

/// A transformed part of the dictionary, so that order, transforms and collation all take part.
fn dictionary(workers: usize) -> Loader {
    let config = CmudictConfig {
        split: Part::Valid,
        stress: false,
        words: None,
        limit: Some(600),
    };
    let mask = serde_json::from_str(r#"{"kind": "mask-tokens", "column": "letters"}"#).unwrap();
    let options = LoaderConfig {
        workers,
        ..LoaderConfig::of_tokens(256, "letters")
    };
    Loader::new(Arc::new(config.open().unwrap()), &[mask], options, 11).unwrap()
}

#[test]
fn any_number_of_workers_gives_the_same_batches() {
    for epoch in [0, 1] {
        let alone = take_all(dictionary(0).epoch(epoch, 0));
        assert_eq!(alone.len(), dictionary(0).batches_in_epoch(epoch));
        for workers in [1, 4] {
            assert_eq!(
                take_all(dictionary(workers).epoch(epoch, 0)),
                alone,
                "{workers} workers"
            );
        }
    }
    let [first, second] = [0, 1].map(|epoch| take_all(dictionary(1).epoch(epoch, 0)));
    assert_ne!(first, second);
}

#[test]
fn a_resumed_epoch_equals_the_rest_of_the_whole_one() {
    let loader = dictionary(2);
    let whole = take_all(loader.epoch(3, 0));
    for start in [1, 5, whole.len() - 1, whole.len(), whole.len() + 9] {
        let rest = take_all(loader.epoch(3, start));
        assert_eq!(rest, whole[start.min(whole.len())..], "from batch {start}");
    }
}

#[test]
fn a_resumed_epoch_reads_no_earlier_sample() {
    let source = Arc::new(rows(100));
    let config = LoaderConfig {
        workers: 0,
        ..LoaderConfig::of_size(10)
    };
    let loader = Loader::new(source.clone(), &[], config, 0).unwrap();
    let mut iter = loader.epoch(0, 8);
    iter.next().unwrap().unwrap();
    assert_eq!(iter.position(), 9);
    assert_eq!(source.reads.load(Ordering::Relaxed), 10);
}

#[test]
fn every_sample_comes_once_within_the_token_budget() {
    for batch in take_all(loader(rows(500), LoaderConfig::of_tokens(40, "tokens")).epoch(0, 0)) {
        let shape = &batch.columns["tokens"].array.shape;
        assert!(shape[0] * shape[1] <= 40);
    }
    let batches = take_all(loader(rows(500), LoaderConfig::of_tokens(40, "tokens")).epoch(0, 0));
    let mut seen: Vec<usize> = batches.into_iter().flat_map(|b| b.indices).collect();
    seen.sort_unstable();
    assert_eq!(seen, (0..500).collect::<Vec<_>>());
}

#[test]
fn the_first_corrupt_sample_ends_the_epoch_by_default() {
    for workers in [0, 1, 3] {
        let source = Fake {
            corrupt: [6, 25].into(),
            ..rows(40)
        };
        let config = LoaderConfig {
            workers,
            shuffle: false,
            ..LoaderConfig::of_size(5)
        };
        let loader = loader(source, config);
        let mut iter = loader.epoch(0, 0);
        assert_eq!(iter.next().unwrap().unwrap().indices, [0, 1, 2, 3, 4]);
        let error = iter.next().unwrap().unwrap_err();
        assert_eq!(
            error.to_string(),
            "fake.bin row 6: found rubbish, expected tokens"
        );
        assert!(iter.next().is_none(), "nothing follows an error");
    }
}

#[test]
fn corrupt_samples_within_the_budget_are_left_out_and_told() {
    for workers in [0, 1, 3] {
        let corrupt: BTreeSet<usize> = [6, 10, 11, 12, 13, 14].into();
        let source = Fake {
            corrupt: corrupt.clone(),
            ..rows(20)
        };
        let config = LoaderConfig {
            workers,
            shuffle: false,
            skip_budget: 6,
            ..LoaderConfig::of_size(5)
        };
        let loader = loader(source, config);
        let mut iter = loader.epoch(0, 0);
        let batches: Vec<Vec<usize>> = iter.by_ref().map(|b| b.unwrap().indices).collect();
        // The batch of rows 10 to 14 has nothing left and is passed over.
        let expected = [
            vec![0, 1, 2, 3, 4],
            vec![5, 7, 8, 9],
            vec![15, 16, 17, 18, 19],
        ];
        assert_eq!(batches, expected);
        let told: BTreeSet<usize> = iter.skipped().iter().map(|s| s.index).collect();
        assert_eq!(told, corrupt);
        assert!(iter.skipped()[0].message.starts_with("fake.bin row 6: "));
    }
}

#[test]
fn one_corrupt_sample_too_many_is_an_error() {
    let source = Fake {
        corrupt: [1, 2, 3].into(),
        ..rows(8)
    };
    let config = LoaderConfig {
        skip_budget: 2,
        shuffle: false,
        ..LoaderConfig::of_size(8)
    };
    let error = loader(source, config)
        .epoch(0, 0)
        .next()
        .unwrap()
        .unwrap_err();
    assert_eq!(
        error.to_string(),
        "fake.bin row 3: found rubbish, expected tokens (unreadable samples in this epoch: 3; option \
         `loader.skip_budget` allows 2)"
    );
}

#[test]
fn dropping_the_iterator_ends_the_workers_at_once() {
    let source = Arc::new(Fake {
        pause: Duration::from_millis(2),
        ..rows(100_000)
    });
    let config = LoaderConfig {
        workers: 3,
        ..LoaderConfig::of_size(10_000)
    };
    let loader = Loader::new(source.clone(), &[], config, 0).unwrap();
    let iter = loader.epoch(0, 0); // a batch takes 20 s
    thread::sleep(Duration::from_millis(20));
    let begin = Instant::now();
    drop(iter);
    assert!(begin.elapsed() < Duration::from_secs(2));
    assert_eq!(
        Arc::strong_count(&loader.recipe),
        1,
        "no thread holds the recipe"
    );
}

#[test]
fn workers_end_after_an_error_and_after_the_last_batch() {
    let source = Fake {
        corrupt: [0].into(),
        ..rows(1000)
    };
    let config = LoaderConfig {
        workers: 3,
        shuffle: false,
        ..LoaderConfig::of_size(2)
    };
    let failing = loader(source, config.clone());
    let mut iter = failing.epoch(0, 0);
    assert!(iter.next().unwrap().is_err());
    assert_eq!(
        Arc::strong_count(&failing.recipe),
        2,
        "the loader and the iterator alone"
    );

    let whole = loader(rows(20), config);
    let mut iter = whole.epoch(0, 0);
    assert_eq!(iter.by_ref().count(), 10);
    assert_eq!(Arc::strong_count(&whole.recipe), 2);
}

#[test]
fn workers_wait_when_their_queues_are_full() {
    let source = Arc::new(rows(1000));
    let config = LoaderConfig {
        workers: 2,
        prefetch: 3,
        ..LoaderConfig::of_size(10)
    };
    let loader = Loader::new(source.clone(), &[], config, 0).unwrap();
    let mut iter = loader.epoch(0, 0);
    iter.next().unwrap().unwrap();
    thread::sleep(Duration::from_millis(100));
    // One batch was taken; each worker holds three in its queue and one in its hands.
    assert_eq!(source.reads.load(Ordering::Relaxed), 10 * (1 + 2 * (3 + 1)));
}

#[test]
fn a_panic_in_a_source_becomes_an_error() {
    let source = Fake {
        panics: Some(3),
        ..rows(8)
    };
    let config = LoaderConfig {
        shuffle: false,
        ..LoaderConfig::of_size(2)
    };
    let loader = loader(source, config);
    let mut iter = loader.epoch(0, 0);
    assert!(iter.next().unwrap().is_ok());
    assert_eq!(
        iter.next().unwrap().unwrap_err().to_string(),
        "loader thread 0: it panicked: row 3 is cursed"
    );
    assert!(iter.next().is_none());
}

#[test]
fn a_source_that_cannot_be_batched_is_refused() {
    let refusal = |source, config| {
        Loader::new(Arc::new(source), &[], config, 0)
            .unwrap_err()
            .to_string()
    };
    assert_eq!(
        refusal(rows(10), LoaderConfig::of_tokens(6, "tokens")),
        "fake.bin row 6: found length 7 in column `tokens`, expected at most 6 (option \
         `loader.batch.tokens`)"
    );
    assert!(refusal(rows(0), LoaderConfig::of_size(1)).contains("found no sample"));
    let config = LoaderConfig {
        drop_last: true,
        ..LoaderConfig::of_size(11)
    };
    assert!(refusal(rows(10), config).contains("`loader.batch.size`: found 11 with `drop_last`"));
}
