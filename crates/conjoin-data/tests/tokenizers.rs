//! Lines get the indices that Python's `tokenizers` gives them: `golden/tokenizers` has vocabularies as
//! `conjoin data vocabulary` writes them, and in `ids.json` what Python makes of some lines with them
//! (`tests/external/tokenizers_agrees.py`, which also trains them anew).

use conjoin_data::source::{ParallelConfig, TextsSource};
use conjoin_data::text::{TextForm, TextTokenizer, UnicodeForm, VocabularyConfig, VocabularyKind};
use conjoin_data::{Field, Source};
use serde::Deserialize;
use serde_json::json;
use std::collections::BTreeMap;
use std::path::PathBuf;

const EOS: i64 = 2;
const UNK: i64 = 3;

#[derive(Deserialize)]
struct Golden {
    /// What the vocabularies are trained on.
    text: Vec<String>,
    lines: Vec<String>,
    /// Of every line, by vocabulary.
    ids: BTreeMap<String, Vec<Vec<i64>>>,
}

fn golden() -> Golden {
    serde_json::from_str(include_str!("golden/tokenizers/ids.json")).unwrap()
}

fn path(name: &str) -> PathBuf {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden/tokenizers");
    folder.join(format!("{name}.json"))
}

/// What the script tells the command.
fn config(name: &str) -> VocabularyConfig {
    let (kind, size) = match name {
        "bpe" => (VocabularyKind::Bpe, 150),
        "bytes" => (VocabularyKind::Bpe, 380),
        "unigram" => (VocabularyKind::Unigram, 140),
        "char" => (VocabularyKind::Char, 60),
        other => panic!("no vocabulary {other}"),
    };
    let form = if kind == VocabularyKind::Char {
        TextForm {
            unicode: UnicodeForm::Nfkc,
            lowercase: true,
        }
    } else {
        TextForm::default()
    };
    let byte_fallback = name == "bytes";
    VocabularyConfig {
        kind,
        size,
        form,
        coverage: if byte_fallback { 0.99 } else { 1.0 },
        byte_fallback,
    }
}

#[test]
fn the_vocabularies_are_those_that_training_gives() {
    let golden = golden();
    assert_eq!(golden.ids.len(), 4);
    for name in golden.ids.keys() {
        let trained = config(name).train(golden.text.iter().map(String::as_str));
        let trained = TextTokenizer::parse(name, &trained.unwrap().file, name).unwrap();
        let kept = TextTokenizer::open(&path(name)).unwrap();
        let (trained, kept) = (trained.vocabulary(), kept.vocabulary());
        assert_eq!(trained.symbols, kept.symbols, "{name}");
        // The scores of a unigram model end in digits that are the machine's.
        if name != "unigram" {
            assert_eq!(trained.hash, kept.hash, "{name}");
        }
    }
}

#[test]
fn every_line_has_the_indices_that_python_gives_it() {
    let golden = golden();
    for (name, expected) in &golden.ids {
        let form = config(name).form;
        let options = json!({
            "tokenizer": path(name),
            "normalise": form.unicode,
            "lowercase": form.lowercase,
            "max_length": 1000,
        });
        let options: ParallelConfig = serde_json::from_value(options).unwrap();
        let source = TextsSource::new(&options, "the golden lines", golden.lines.clone()).unwrap();
        assert_eq!((source.len(), expected.len()), (20, 20));
        for (index, (line, expected)) in golden.lines.iter().zip(expected).enumerate() {
            let sample = source.sample(index).unwrap();
            let closed: Vec<i64> = expected.iter().copied().chain([EOS]).collect();
            assert_eq!(
                sample.fields["source"],
                Field::Tokens(closed),
                "{name}: {line:?}"
            );
            assert_eq!(
                expected.is_empty(),
                line.trim().is_empty(),
                "{name}: {line:?}"
            );
        }
        let unknown = expected.iter().flatten().any(|&token| token == UNK);
        assert_eq!(unknown, name != "bytes", "{name}");
    }
}
