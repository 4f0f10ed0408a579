//! Parallel text from files to batches: columns, forms, lengths, what is left out and what is told.

mod formats;

use conjoin_data::source::{ParallelConfig, SourceConfig};
use conjoin_data::text::{TextForm, VocabularyConfig, VocabularyKind};
use conjoin_data::{DataSetConfig, Field, Sample, Source};
use serde_json::{Value, json};
use std::fs;
use std::path::PathBuf;
use std::sync::Arc;

const ENGLISH: &str = "The cell.\nTwo words\nA very long line of many words that goes on\nÄ b\n";
const GERMAN: &str = "Die Zelle.\nZwei Wörter\nKurz\nA\u{308}  B\n";

/// Files with a character vocabulary of both.
struct Folder(tempfile::TempDir);

impl Folder {
    fn new() -> Self {
        let folder = Self(tempfile::tempdir().unwrap());
        folder.write("t.en", ENGLISH);
        folder.write("t.de", GERMAN);
        for (name, lines) in [
            ("both", [ENGLISH, GERMAN].concat()),
            ("de", GERMAN.to_owned()),
        ] {
            let vocabulary = VocabularyConfig {
                kind: VocabularyKind::Char,
                size: 200,
                form: TextForm::default(),
                coverage: 1.0,
                byte_fallback: false,
            };
            let trained = vocabulary.train(lines.lines()).unwrap();
            folder.write(&format!("{name}.json"), &trained.file);
        }
        folder
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn write(&self, name: &str, text: impl AsRef<[u8]>) {
        fs::write(self.path(name), text).unwrap();
    }

    /// Options over those of two plain files; names of files are resolved.
    fn config(&self, options: Value) -> ParallelConfig {
        let mut all = json!({ "tokenizer": "both.json" });
        if options.get("path").is_none() {
            all["source_path"] = "t.en".into();
            all["target_path"] = "t.de".into();
        }
        for (key, value) in options.as_object().unwrap() {
            all[key] = value.clone();
        }
        for (key, value) in all.as_object_mut().unwrap() {
            if key.ends_with("path") || key.ends_with("tokenizer") {
                *value = json!(self.path(value.as_str().unwrap()));
            }
        }
        serde_json::from_value(all).unwrap()
    }

    fn open(&self, options: Value) -> Arc<dyn Source> {
        let config = SourceConfig::Parallel(self.config(options));
        config.open().unwrap().into()
    }

    /// The error of opening, without the folder's name.
    fn refusal(&self, options: Value) -> String {
        let config = SourceConfig::Parallel(self.config(options));
        let place = format!("{}/", self.0.path().display());
        config.open().unwrap_err().to_string().replace(&place, "")
    }
}

fn tokens(sample: &Sample, column: &str) -> Vec<i64> {
    match &sample.fields[column] {
        Field::Tokens(tokens) => tokens.clone(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn columns_shift_by_one_and_close_with_eos() {
    let folder = Folder::new();
    let source = folder.open(json!({}));
    assert_eq!(source.len(), 4);
    let names: Vec<String> = source.columns().keys().cloned().collect();
    assert_eq!(names, ["source", "target_in", "target_out"]);
    assert_eq!(source.columns()["source"].shape_text(), "[B, T]");
    assert_eq!(source.columns()["target_in"].shape_text(), "[B, U]");
    let sample = source.sample(0).unwrap();
    assert_eq!(sample.key, "The cell.");
    let (begun, closed) = (tokens(&sample, "target_in"), tokens(&sample, "target_out"));
    assert_eq!((begun[0], closed.last()), (1, Some(&2)));
    assert_eq!(begun[1..], closed[..closed.len() - 1]);
    assert_eq!(tokens(&sample, "source").last(), Some(&2));
    for column in ["source", "target_in", "target_out"] {
        assert_eq!(
            source.length(0, column),
            Some(tokens(&sample, column).len())
        );
        let text = source.detokenise(column, &tokens(&sample, column)).unwrap();
        assert_eq!(
            text,
            if column == "source" {
                "The cell."
            } else {
                "Die Zelle."
            }
        );
    }
    assert_eq!(source.detokenise("other", &[5]), None);
    assert_eq!(source.reference_texts(0), ["Die Zelle."]);
    assert_eq!(source.text(0), "The cell. → Die Zelle.");
    assert!(source.location(1).ends_with("t.en line 2"));
    assert!(source.notes().is_empty());
}

#[test]
fn text_is_brought_into_form_but_references_stay_raw() {
    let folder = Folder::new();
    let of = |options: Value| {
        let source = folder.open(options);
        let sample = source.sample(3).unwrap();
        let text = source.detokenise("target_out", &tokens(&sample, "target_out"));
        (
            text.unwrap(),
            source.reference_texts(3).remove(0),
            source.key(3).into_owned(),
        )
    };
    let raw = "A\u{308}  B".to_owned();
    assert_eq!(
        of(json!({})),
        ("Ä B".to_owned(), raw.clone(), "Ä b".to_owned())
    );
    // The vocabulary has an `ä` of neither case but the capital one.
    assert_eq!(of(json!({"lowercase": true})).2, "ä b");
    let swapped = of(json!({"swap": true}));
    assert_eq!((swapped.1, swapped.2), ("Ä b".to_owned(), "Ä B".to_owned()));
}

#[test]
fn sides_can_have_tokenizers_of_their_own() {
    let folder = Folder::new();
    let source = folder.open(json!({"target_tokenizer": "de.json"}));
    let columns = source.columns();
    let vocabulary = |name: &str| columns[name].vocabulary.clone().unwrap();
    assert_ne!(vocabulary("source").hash, vocabulary("target_in").hash);
    assert_eq!(vocabulary("target_in").hash, vocabulary("target_out").hash);
    assert_eq!(
        (
            vocabulary("source").name.as_str(),
            vocabulary("target_in").name.as_str()
        ),
        ("both", "de")
    );
    assert_eq!(vocabulary("target_in").mask, Some(4));
}

#[test]
fn long_texts_are_refused_cut_or_left_out_as_told() {
    let folder = Folder::new();
    assert_eq!(
        folder.refusal(json!({"max_length": 20})),
        "t.en line 3: found a text of 45 tokens, expected at most 20, or the option `too_long = \
         \"truncate\"`"
    );
    let cut = folder.open(json!({"max_length": 20, "too_long": "truncate"}));
    assert_eq!((cut.len(), cut.length(2, "source")), (4, Some(20)));
    let sample = cut.sample(2).unwrap();
    assert_eq!(tokens(&sample, "source").last(), Some(&2));
    assert!(
        cut.notes()[0]
            .ends_with("t.en: 1 of 4 pairs cut: longer than 20 tokens, the first at line 3")
    );
    let kept = folder.open(json!({"max_length": 20, "too_long": "skip"}));
    assert_eq!(
        (kept.len(), kept.key(2).into_owned()),
        (3, "Ä b".to_owned())
    );
    assert!(kept.location(2).ends_with("line 4"));
    assert!(kept.notes()[0].contains("1 of 4 pairs left out: longer than 20 tokens"));
    assert_eq!(folder.open(json!({"max_length": 45})).len(), 4);
    // A text of 100,000 characters.
    folder.write("long.tsv", format!("{}\tb\n", "x ".repeat(50_000)));
    let long = folder.open(json!({"path": "long.tsv", "too_long": "truncate", "max_length": 64}));
    assert_eq!(long.length(0, "source"), Some(64));
}

#[test]
fn empty_texts_are_refused_or_left_out_as_told() {
    let folder = Folder::new();
    folder.write("e.tsv", "a\tb\n\t\nc\t \n");
    assert_eq!(
        folder.refusal(json!({"path": "e.tsv"})),
        "e.tsv line 2: found an empty source, expected text, or the option `empty = \"skip\"`"
    );
    let kept = folder.open(json!({"path": "e.tsv", "empty": "skip"}));
    assert_eq!(kept.len(), 1);
    assert!(kept.notes()[0].ends_with("e.tsv: 2 of 3 pairs left out: a text is empty"));
    // A line with nothing in it is a pair like any other.
    let pair = "{\"source\": \"a\", \"target\": \"b\"}";
    folder.write("b.tsv", "a\tb\n\nc\td\n");
    folder.write("b.jsonl", format!("{pair}\n \n{pair}\n"));
    for name in ["b.tsv", "b.jsonl"] {
        let refusal = folder.refusal(json!({ "path": name }));
        let expected = format!("{name} line 2: found an empty source, expected text, or");
        assert!(refusal.starts_with(&expected), "{refusal}");
        let kept = folder.open(json!({"path": name, "empty": "skip"}));
        assert_eq!(kept.len(), 2);
        assert!(kept.location(1).ends_with(&format!("{name} line 3")));
        assert!(kept.notes()[0].ends_with("1 of 3 pairs left out: a text is empty"));
    }
    folder.write("none.tsv", "\t\n");
    let refusal = folder.refusal(json!({"path": "none.tsv", "empty": "skip"}));
    assert!(refusal.starts_with("none.tsv: found no pair"), "{refusal}");
}

#[test]
fn a_file_can_be_read_in_part_and_evenly() {
    let folder = Folder::new();
    let lines: Vec<String> = (0..100).map(|i| format!("{i}\tx")).collect();
    folder.write("n.tsv", lines.join("\n"));
    let few = folder.open(json!({"path": "n.tsv", "limit": 10}));
    let keys: Vec<usize> = (0..10).map(|i| few.key(i).parse().unwrap()).collect();
    assert_eq!(few.len(), 10);
    assert!(keys.is_sorted() && keys[9] > 50 && keys[0] < 50, "{keys:?}");
}

#[test]
fn wrong_options_are_named() {
    let folder = Folder::new();
    folder.write("t.txt", "a\tb\n");
    folder.write("no.json", "{}");
    for (options, wanted) in [
        (
            json!({"path": "t.tsv", "source_path": "t.en"}),
            "option `path`: found `path`, `source_path`, expected either `path`, or `source_path` and \
          `target_path`",
        ),
        (
            json!({"path": "t.txt"}),
            "option `path`: found `t.txt`, expected a file name that ends in \
          .tsv, .jsonl, .po or .mo, or the option `format`",
        ),
        (
            json!({"max_length": 1}),
            "option `max_length`: found 1, expected at least 2 tokens",
        ),
        (
            json!({"limit": 0}),
            "option `limit`: found 0, expected at least one pair",
        ),
        (
            json!({"fields": [0, 1]}),
            "option `fields`: found [0, 1], expected numbers from 1",
        ),
        (
            json!({"format": "tsv"}),
            "option `format`: found the format of `path`",
        ),
        (
            json!({"tokenizer": "none.json"}),
            "option `tokenizer`: found `none.json` (No such file",
        ),
        (
            json!({"target_tokenizer": "no.json"}),
            "option `target_tokenizer`: found `no.json`: no \
          tokenizer (",
        ),
    ] {
        let found = folder.refusal(options);
        let wanted = wanted.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(found.starts_with(&wanted), "{found}");
    }
    assert_eq!(
        folder.open(json!({"path": "t.txt", "format": "tsv"})).len(),
        1
    );
}

#[test]
fn raw_inputs_are_read_like_the_source() {
    let folder = Folder::new();
    let config = folder.config(json!({"max_length": 12}));
    let texts = vec![" The  cell. ".to_owned(), "x".repeat(50)];
    let source = SourceConfig::Parallel(config)
        .raw("standard input", texts)
        .unwrap();
    let first = source.sample(0).unwrap();
    let told = source.detokenise("source", &tokens(&first, "source"));
    assert_eq!(told.as_deref(), Some("The cell."));
    assert_eq!(
        source.sample(1).unwrap_err().to_string(),
        "standard input line 2: found a text of 52 tokens, expected at most 12, or the option \
         `too_long = \"truncate\"`"
    );
    assert_eq!((source.shortened(0), source.shortened(1)), (None, None));
}

#[test]
fn raw_inputs_that_are_cut_say_from_where_to_where() {
    let folder = Folder::new();
    // Subwords of bytes, so that nothing is unknown.
    let vocabulary = VocabularyConfig {
        kind: VocabularyKind::Bpe,
        size: 300,
        form: TextForm::default(),
        coverage: 1.0,
        byte_fallback: true,
    };
    let trained = vocabulary.train([ENGLISH, GERMAN]).unwrap();
    folder.write("bpe.json", &trained.file);
    let options = json!({"max_length": 12, "too_long": "truncate", "tokenizer": "bpe.json"});
    let config = SourceConfig::Parallel(folder.config(options));
    // One word of 100,000 characters; as many words.
    let texts = [
        "x".repeat(100_000),
        "words ".repeat(100_000),
        "The cell.".to_owned(),
    ];
    let source = config.raw("standard input", texts.into()).unwrap();
    let (from, to) = source.shortened(0).unwrap();
    assert!(from > 50_000 && to == 12, "{from} {to}");
    let (from, to) = source.shortened(1).unwrap();
    assert!(from >= 100_001 && to == 12, "{from} {to}");
    assert_eq!(source.shortened(2), None);
    for index in 0..2 {
        let sample = source.sample(index).unwrap();
        let tokens = tokens(&sample, "source");
        assert_eq!((tokens.len(), tokens.last()), (12, Some(&2)));
        assert_eq!(source.length(index, "source"), Some(12));
    }
}

#[test]
fn a_side_can_be_masked_and_batches_are_padded() {
    let folder = Folder::new();
    let config = json!({
        "source": {"kind": "parallel", "source_path": folder.path("t.en"),
                   "target_path": folder.path("t.de"), "tokenizer": folder.path("both.json")},
        "transforms": [{"kind": "mask-tokens", "column": "source"}],
        "loader": {"batch": {"tokens": 100, "column": "source"}, "shuffle": false},
    });
    let config: DataSetConfig = serde_json::from_value(config).unwrap();
    let columns = config.columns().unwrap();
    assert_eq!(columns["source_target"].ignore, Some(-100));
    let loader = config
        .loader(config.source.open().unwrap().into(), 0)
        .unwrap();
    let rows: usize = loader.epoch(0, 0).map(|batch| batch.unwrap().size()).sum();
    assert_eq!(rows, 4);
}

#[test]
fn an_example_of_another_set_is_found_by_its_source_text() {
    let folder = Folder::new();
    folder.write("test.tsv", "The  cell.\tanother translation\n");
    let set = |source: Value, exclude: Value| {
        let mut source = source;
        source["kind"] = "parallel".into();
        source["tokenizer"] = json!(folder.path("both.json"));
        json!({"source": source, "loader": {"batch": {"size": 2}}, "exclude": exclude})
    };
    let sets = json!({
        "train": set(json!({"source_path": folder.path("t.en"),
                            "target_path": folder.path("t.de")}), json!(["test"])),
        "test": set(json!({"path": folder.path("test.tsv")}), json!([])),
    });
    let sets = serde_json::from_value(sets).unwrap();
    let train = conjoin_data::dataset::open("train", &sets).unwrap();
    assert_eq!(
        (train.len(), train.key(0).into_owned()),
        (3, "Two words".to_owned())
    );
    assert_eq!(train.reference_texts(0), ["Zwei Wörter"]);
}
