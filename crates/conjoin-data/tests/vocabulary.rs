//! Vocabularies of every kind: trained from lines, written, read, and used both ways.

use conjoin_data::text::{
    SPECIALS, TextForm, TextTokenizer, TrainedVocabulary, VocabularyConfig, VocabularyKind,
};
use proptest::prelude::*;

const KINDS: [VocabularyKind; 4] = [
    VocabularyKind::Bpe,
    VocabularyKind::Unigram,
    VocabularyKind::Char,
    VocabularyKind::Word,
];

/// Some hundred lines of regular text in three scripts.
fn lines() -> Vec<String> {
    let subjects = [
        "The window",
        "Das Fenster",
        "Ein \"Absatz\"",
        "单元格",
        "A cell (B2)",
    ];
    let verbs = ["shows", "zeigt", "enthält nicht", "包含", "can't have"];
    let objects = [
        "the text.",
        "den Text!",
        "文本。",
        "3.5 lines, all told",
        "größere Zeilen?",
    ];
    let mut lines = Vec::new();
    for subject in subjects {
        for verb in verbs {
            for object in objects {
                lines.push(format!("{subject} {verb} {object}"));
            }
        }
    }
    lines.push("once: Ω".to_owned());
    lines
}

fn config(kind: VocabularyKind, size: usize) -> VocabularyConfig {
    VocabularyConfig {
        kind,
        size,
        form: TextForm::default(),
        coverage: 1.0,
        byte_fallback: false,
    }
}

fn train(config: &VocabularyConfig) -> TrainedVocabulary {
    let lines = lines();
    config.train(lines.iter().map(String::as_str)).unwrap()
}

fn tokenizer(config: &VocabularyConfig) -> TextTokenizer {
    TextTokenizer::parse("test", &train(config).file, "test").unwrap()
}

fn ids(tokenizer: &TextTokenizer, text: &str) -> Vec<i64> {
    let found = tokenizer.encode(&[text]).unwrap().remove(0);
    found.into_iter().map(i64::from).collect()
}

fn symbols(tokenizer: &TextTokenizer, text: &str) -> Vec<String> {
    let vocabulary = tokenizer.vocabulary();
    let symbol = |id| vocabulary.symbol(id).unwrap().to_owned();
    ids(tokenizer, text).into_iter().map(symbol).collect()
}

#[test]
fn special_symbols_come_first_and_sizes_are_kept() {
    for kind in KINDS {
        let trained = train(&config(kind, 100));
        let tokenizer = TextTokenizer::parse("test", &trained.file, "test").unwrap();
        let vocabulary = tokenizer.vocabulary();
        assert_eq!(vocabulary.symbols[..5], SPECIALS, "{kind:?}");
        assert_eq!(vocabulary.len(), trained.size, "{kind:?}");
        assert!(trained.size <= 100, "{kind:?}: {}", trained.size);
        let specials = [
            vocabulary.pad,
            vocabulary.bos,
            vocabulary.eos,
            vocabulary.unk,
        ];
        assert_eq!(specials, [Some(0), Some(1), Some(2), Some(3)]);
        assert_eq!(vocabulary.mask, Some(4));
    }
    assert_eq!(train(&config(VocabularyKind::Bpe, 100)).size, 100);
}

#[test]
fn text_comes_back_from_its_tokens() {
    for kind in KINDS {
        let tokenizer = tokenizer(&config(kind, 400));
        for line in lines() {
            let tokens = ids(&tokenizer, &line);
            assert!(!tokens.contains(&3), "{kind:?}: {line}");
            assert_eq!(tokenizer.decode(&tokens).unwrap(), line, "{kind:?}");
            let framed: Vec<i64> = [1].into_iter().chain(tokens).chain([2, 0, 0]).collect();
            assert_eq!(tokenizer.decode(&framed).unwrap(), line, "{kind:?}");
        }
    }
}

#[test]
fn training_gives_the_same_file_whatever_the_order_of_threads() {
    for kind in KINDS {
        let config = VocabularyConfig {
            byte_fallback: kind == VocabularyKind::Bpe,
            ..config(kind, if kind == VocabularyKind::Bpe { 380 } else { 90 })
        };
        let first = train(&config);
        for _ in 0..5 {
            assert_eq!(train(&config).file, first.file, "{kind:?}");
        }
        let other = VocabularyConfig {
            size: config.size - 2,
            ..config.clone()
        };
        if first.size == config.size {
            assert_ne!(train(&other).file, first.file, "{kind:?}");
        }
    }
}

#[test]
fn what_has_no_symbol_is_unknown_or_spelt_in_bytes() {
    let rare = VocabularyConfig {
        coverage: 0.999,
        ..config(VocabularyKind::Bpe, 120)
    };
    let trained = train(&rare);
    assert!(trained.covered < trained.characters);
    let unknown = tokenizer(&rare);
    let cut = symbols(&unknown, "once: ΩЖ");
    assert_eq!(cut[cut.len() - 2..], ["<unk>", "<unk>"]);
    let bytes = tokenizer(&VocabularyConfig {
        byte_fallback: true,
        size: 400,
        ..rare
    });
    let cut = symbols(&bytes, "once: ΩЖ");
    assert_eq!(
        cut[cut.len() - 4..],
        ["<0xCE>", "<0xA9>", "<0xD0>", "<0x96>"]
    );
    assert_eq!(bytes.decode(&ids(&bytes, "once: ΩЖ")).unwrap(), "once: ΩЖ");
}

#[test]
fn text_that_looks_like_a_special_symbol_is_text() {
    for kind in KINDS {
        let tokenizer = tokenizer(&config(kind, 400));
        let tokens = ids(&tokenizer, "The <eos> <mask>window");
        assert!(
            !tokens.iter().any(|t| [0, 1, 2, 4].contains(t)),
            "{kind:?}: {tokens:?}"
        );
    }
}

#[test]
fn symbols_are_of_the_kind_that_was_asked_for() {
    let cut = |kind, size| symbols(&tokenizer(&config(kind, size)), "The window can't");
    assert_eq!(
        cut(VocabularyKind::Word, 400),
        ["▁The", "▁window", "▁can", "'", "t"]
    );
    assert_eq!(cut(VocabularyKind::Char, 400).concat(), "▁The▁window▁can't");
    assert_eq!(cut(VocabularyKind::Char, 400).len(), 17);
    assert!(cut(VocabularyKind::Bpe, 400).len() < 8);
    assert!(cut(VocabularyKind::Unigram, 400).len() < 15);
    // The least frequent words have no symbol.
    let few = symbols(
        &tokenizer(&config(VocabularyKind::Word, 12)),
        "The window shows Ω",
    );
    assert_eq!(few.last().map(String::as_str), Some("<unk>"));
}

#[test]
fn the_hash_tells_tokenizers_apart_that_have_the_same_symbols() {
    let trained = train(&config(VocabularyKind::Bpe, 120));
    let read = |text: &str| TextTokenizer::parse("t", text, "t").unwrap();
    let (whole, flat) = (read(&trained.file), trained.file.replace("\n  ", ""));
    assert_eq!(whole.vocabulary().hash, read(&flat).vocabulary().hash);
    let other = trained.file.replace("\"NFC\"", "\"NFKC\"");
    assert_ne!(other, trained.file);
    assert_ne!(whole.vocabulary().hash, read(&other).vocabulary().hash);
    assert_eq!(
        whole.vocabulary().symbols,
        read(&other).vocabulary().symbols
    );
}

#[test]
fn options_out_of_range_are_refused() {
    let refusal = |config: &VocabularyConfig, lines: &[&str]| {
        config.train(lines.iter().copied()).unwrap_err().to_string()
    };
    assert_eq!(
        refusal(&config(VocabularyKind::Bpe, 7), &["abc"]),
        "option `size`: found 7, expected at least 9 symbols: the characters of the text need them"
    );
    assert_eq!(
        refusal(&config(VocabularyKind::Word, 5), &["abc"]),
        "option `size`: found 5, expected at least 6 symbols"
    );
    assert!(refusal(&config(VocabularyKind::Bpe, 99), &["", " "]).contains("found no text"));
    let bytes = VocabularyConfig {
        byte_fallback: true,
        ..config(VocabularyKind::Word, 400)
    };
    assert!(refusal(&bytes, &["abc"]).contains("`byte_fallback`"));
    let coverage = VocabularyConfig {
        coverage: 0.0,
        ..config(VocabularyKind::Bpe, 400)
    };
    assert!(refusal(&coverage, &["abc"]).contains("`coverage`"));
}

proptest! {
    #[test]
    fn any_text_comes_back_through_bytes(text in "\\PC{0,60}") {
        let config = VocabularyConfig {
            byte_fallback: true,
            ..config(VocabularyKind::Bpe, 400)
        };
        static TOKENIZER: std::sync::OnceLock<TextTokenizer> = std::sync::OnceLock::new();
        let tokenizer = TOKENIZER.get_or_init(|| tokenizer(&config));
        let text = TextForm::default().apply(&text);
        // `▁` is how spaces are written.
        prop_assume!(!text.contains('▁'));
        prop_assert_eq!(tokenizer.decode(&ids(tokenizer, &text)).unwrap(), text);
    }
}
