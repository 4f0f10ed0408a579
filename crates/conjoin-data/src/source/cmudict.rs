//! Spellings and pronunciations, split by word.
//!
//! Columns: `letters` `[B, T]` (`l1 … ln <eos>`), `phonemes_in` `[B, U]` (`<bos> p1 … pm`) and
//! `phonemes_out` `[B, U]` (`p1 … pm <eos>`).

use super::Source;
use super::lexicon::{Lexicon, Part, Pronunciation, encode_letters, rank};
use super::lexicon::{letters_vocabulary, phonemes_vocabulary};
use super::words::read_words;
use crate::text::{BOS, EOS};
use crate::{Columns, Contract, DataError, Field, Sample};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use std::path::PathBuf;

/// The CMU Pronouncing Dictionary, which is built in.
///
/// The split is by word: the first 8 bytes of the BLAKE3 hash of the word, mod 100, put 90 % of the
/// words into training, 5 % into validation and 5 % into testing, with all their pronunciations.
/// For training each pronunciation is a sample; otherwise each word is one, scored against all of
/// its pronunciations. Pronunciations that differ in stress alone count once unless `stress` is on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CmudictConfig {
    /// Which part: train, valid or test.
    pub split: Part,
    /// Keep the stress of vowels: 69 symbols instead of 39.
    #[serde(default)]
    pub stress: bool,
    /// A file of words, one a line, that is this part instead; leave these words out of the other
    /// data sets with `exclude`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub words: Option<PathBuf>,
    /// Use only so many words, an even choice over the alphabet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<usize>,
}

impl CmudictConfig {
    /// Contracts of the three columns.
    pub fn columns(&self) -> Columns {
        let phonemes = phonemes_vocabulary(self.stress);
        Columns::from([
            (
                "letters".to_owned(),
                Contract::tokens("T", letters_vocabulary()),
            ),
            (
                "phonemes_in".to_owned(),
                Contract::tokens("U", phonemes.clone()),
            ),
            ("phonemes_out".to_owned(), Contract::tokens("U", phonemes)),
        ])
    }

    pub(super) fn check(&self) -> Result<(), DataError> {
        match self.limit {
            Some(0) => Err(DataError::config("limit", "0", "at least one word")),
            _ => Ok(()),
        }
    }

    /// # Errors
    /// The file of `words` cannot be read, or has a word that the dictionary lacks.
    pub fn open(&self) -> Result<CmudictSource, DataError> {
        let lexicon = Lexicon::builtin()?;
        let mut words = match &self.words {
            None => (0..lexicon.words.len())
                .filter(|&i| Part::of(lexicon.words[i].spelling) == self.split)
                .collect(),
            Some(path) => {
                let mut positions = Vec::new();
                for entry in read_words(path)? {
                    let position = lexicon.position(&entry.word).ok_or_else(|| {
                        DataError::format(
                            format!("{} line {}", path.display(), entry.line),
                            format!("`{}`", entry.word),
                            "a word of the CMU Pronouncing Dictionary",
                        )
                    })?;
                    positions.push(position);
                }
                positions
            }
        };
        if let Some(limit) = self.limit {
            words.sort_by_cached_key(|&i| rank(lexicon.words[i].spelling));
            words.truncate(limit);
            words.sort_unstable();
        }
        let mut source = CmudictSource {
            lexicon,
            config: self.clone(),
            rows: Vec::new(),
        };
        for word in words {
            match self.split {
                Part::Train => source.rows.extend(source.distinct(word).map(|p| (word, p))),
                Part::Valid | Part::Test => source.rows.push((word, 0)),
            }
        }
        Ok(source)
    }
}

/// An opened part of the dictionary.
#[derive(Debug)]
pub struct CmudictSource {
    lexicon: &'static Lexicon,
    config: CmudictConfig,
    /// Word, and which of its pronunciations.
    rows: Vec<(usize, usize)>,
}

impl CmudictSource {
    fn spelling(&self, index: usize) -> &'static str {
        self.lexicon.words[self.rows[index].0].spelling
    }

    fn pronunciation(&self, index: usize) -> &'static Pronunciation {
        let (word, which) = self.rows[index];
        &self.lexicon.words[word].pronunciations[which]
    }

    fn phonemes(&self, p: &'static Pronunciation) -> impl ExactSizeIterator<Item = i64> + use<> {
        self.lexicon.phonemes(p, self.config.stress)
    }

    /// Which pronunciations of a word differ from all before them.
    fn distinct(&self, word: usize) -> impl Iterator<Item = usize> + use<> {
        let all = &self.lexicon.words[word].pronunciations;
        let read: Vec<Vec<i64>> = all.iter().map(|p| self.phonemes(p).collect()).collect();
        (0..read.len()).filter(move |&i| !read[..i].contains(&read[i]))
    }
}

impl Source for CmudictSource {
    fn len(&self) -> usize {
        self.rows.len()
    }

    fn columns(&self) -> Columns {
        self.config.columns()
    }

    fn sample(&self, index: usize) -> Result<Sample, DataError> {
        let word = self.spelling(index);
        let phonemes = || self.phonemes(self.pronunciation(index));
        let input = [BOS].into_iter().chain(phonemes()).collect();
        let output = phonemes().chain([EOS]).collect();
        Ok(Sample::new(word)
            .with("letters", Field::Tokens(encode_letters(word)))
            .with("phonemes_in", Field::Tokens(input))
            .with("phonemes_out", Field::Tokens(output)))
    }

    fn key(&self, index: usize) -> Cow<'_, str> {
        self.spelling(index).into()
    }

    fn location(&self, index: usize) -> String {
        let line = self.pronunciation(index).line;
        format!("cmudict.dict line {line} (`{}`)", self.spelling(index))
    }

    fn length(&self, index: usize, column: &str) -> Option<usize> {
        match column {
            "letters" => Some(self.spelling(index).chars().count() + 1),
            "phonemes_in" | "phonemes_out" => {
                Some(self.phonemes(self.pronunciation(index)).len() + 1)
            }
            _ => None,
        }
    }

    fn text(&self, index: usize) -> String {
        let vocabulary = phonemes_vocabulary(self.config.stress);
        let symbols: Vec<&str> = self
            .phonemes(self.pronunciation(index))
            .filter_map(|i| vocabulary.symbol(i))
            .collect();
        format!("{}: {}", self.spelling(index), symbols.join(" "))
    }

    fn references(&self, index: usize) -> Vec<Vec<i64>> {
        let word = self.rows[index].0;
        let all = &self.lexicon.words[word].pronunciations;
        self.distinct(word)
            .map(|i| self.phonemes(&all[i]).collect())
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;
    use std::io::Write;

    fn config(split: Part) -> CmudictConfig {
        CmudictConfig {
            split,
            stress: false,
            words: None,
            limit: None,
        }
    }

    fn words_of(source: &CmudictSource) -> HashSet<&'static str> {
        (0..source.len()).map(|i| source.spelling(i)).collect()
    }

    fn list(text: &str) -> tempfile::NamedTempFile {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(text.as_bytes()).unwrap();
        file
    }

    #[test]
    fn parts_are_disjoint_and_cover_every_word() {
        let [train, valid, test] =
            [Part::Train, Part::Valid, Part::Test].map(|p| config(p).open().unwrap());
        let [a, b, c] = [&train, &valid, &test].map(words_of);
        assert!(a.is_disjoint(&b) && b.is_disjoint(&c) && a.is_disjoint(&c));
        assert_eq!(a.len() + b.len() + c.len(), 125_929);
        assert!(
            train.len() > a.len(),
            "training has several pronunciations of some words"
        );
        assert_eq!(valid.len(), b.len());
        assert_eq!(test.len(), c.len());
    }

    #[test]
    fn columns_shift_by_one_and_close_with_eos() {
        let file = list("Hello\n");
        let source = CmudictConfig {
            words: Some(file.path().into()),
            ..config(Part::Test)
        };
        let source = source.open().unwrap();
        assert_eq!(source.len(), 1);
        assert_eq!(source.key(0), "hello");
        assert_eq!(source.text(0), "hello: HH AH L OW");
        let phonemes = phonemes_vocabulary(false);
        let ids = |symbols: &str| -> Vec<i64> {
            symbols
                .split(' ')
                .map(|s| phonemes.index(s).unwrap())
                .collect()
        };
        let sample = source.sample(0).unwrap();
        assert_eq!(
            sample.fields["phonemes_in"],
            Field::Tokens(ids("<bos> HH AH L OW"))
        );
        assert_eq!(
            sample.fields["phonemes_out"],
            Field::Tokens(ids("HH AH L OW <eos>"))
        );
        assert_eq!(
            sample.fields["letters"],
            Field::Tokens(encode_letters("hello"))
        );
        assert_eq!(source.references(0), [ids("HH AH L OW"), ids("HH EH L OW")]);
        for column in ["letters", "phonemes_in", "phonemes_out"] {
            let Field::Tokens(tokens) = &sample.fields[column] else {
                panic!()
            };
            assert_eq!(source.length(0, column), Some(tokens.len()));
        }
        assert_eq!(
            source.columns().keys().collect::<Vec<_>>(),
            sample.fields.keys().collect::<Vec<_>>()
        );
    }

    #[test]
    fn pronunciations_that_differ_in_stress_alone_count_once() {
        // "a" is AH0 and EY1; "addict" is AH0 D IH1 K T and AE1 D IH2 K T; "abstract" differs in
        // stress and vowel. "absent" and "affix" hold both sorts.
        let count = |stress| {
            let config = CmudictConfig {
                stress,
                ..config(Part::Train)
            };
            config.open().unwrap().len()
        };
        assert!(count(true) > count(false));
        let file = list("increase\n");
        let both = |stress| {
            let config = CmudictConfig {
                stress,
                words: Some(file.path().into()),
                ..config(Part::Test)
            };
            config.open().unwrap().references(0).len()
        };
        assert_eq!((both(true), both(false)), (2, 1)); // IH0 N K R IY1 S, IH1 N K R IY2 S
    }

    #[test]
    fn limit_takes_an_even_choice() {
        let source = CmudictConfig {
            limit: Some(500),
            ..config(Part::Valid)
        }
        .open()
        .unwrap();
        assert_eq!(source.len(), 500);
        let initials: HashSet<u8> = words_of(&source).iter().map(|w| w.as_bytes()[0]).collect();
        assert!(initials.len() > 20);
        let error = CmudictConfig {
            limit: Some(0),
            ..config(Part::Valid)
        }
        .check()
        .unwrap_err();
        assert_eq!(
            error.to_string(),
            "option `limit`: found 0, expected at least one word"
        );
    }

    #[test]
    fn a_listed_word_outside_the_dictionary_is_named() {
        let file = list("hello\n\nqwxzt\n");
        let path = file.path();
        let config = CmudictConfig {
            words: Some(path.into()),
            ..config(Part::Test)
        };
        assert_eq!(
            config.open().unwrap_err().to_string(),
            format!(
                "{} line 3: found `qwxzt`, expected a word of the CMU Pronouncing Dictionary",
                path.display()
            )
        );
    }

    #[test]
    fn unknown_options_are_refused() {
        let read = serde_json::from_str::<super::super::SourceConfig>;
        assert!(read(r#"{"kind": "cmudict", "split": "test"}"#).is_ok());
        let error = read(r#"{"kind": "cmudict", "split": "test", "stres": true}"#).unwrap_err();
        assert!(
            error.to_string().contains("unknown field `stres`"),
            "{error}"
        );
    }
}
