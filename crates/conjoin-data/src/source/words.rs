//! Words without pronunciations: column `letters` `[B, T]` (`l1 … ln <eos>`).

use super::Source;
use super::lexicon::{encode_letters, letters_vocabulary};
use crate::{Columns, Contract, DataError, Field, Sample};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};

/// A file of words, one a line; a character that the dictionary never uses becomes `<unk>`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct WordsConfig {
    /// The file, in UTF-8. Blank lines are passed over; case does not matter.
    pub path: PathBuf,
}

impl WordsConfig {
    /// Contract of the column.
    pub fn columns(&self) -> Columns {
        Columns::from([(
            "letters".to_owned(),
            Contract::tokens("T", letters_vocabulary()),
        )])
    }

    /// # Errors
    /// The file cannot be read, or has a word twice.
    pub fn open(&self) -> Result<WordsSource, DataError> {
        Ok(WordsSource {
            place: self.path.display().to_string(),
            words: read_words(&self.path)?,
        })
    }
}

/// A word and where it stands.
#[derive(Debug)]
pub(super) struct Entry {
    pub word: String,
    /// From 1.
    pub line: usize,
}

/// Reads a file of distinct words, one a line, in lower case.
pub(super) fn read_words(path: &Path) -> Result<Vec<Entry>, DataError> {
    let text = fs::read_to_string(path).map_err(|e| DataError::io(path, e))?;
    let mut seen = HashMap::new();
    let mut entries = Vec::new();
    for (line, content) in (1..).zip(text.lines()) {
        let word = content.trim().to_lowercase();
        if word.is_empty() {
            continue;
        }
        if let Some(first) = seen.insert(word.clone(), line) {
            return Err(DataError::format(
                format!("{} line {line}", path.display()),
                format!("`{word}`, which stands on line {first} already"),
                "each word once",
            ));
        }
        entries.push(Entry { word, line });
    }
    if entries.is_empty() {
        return Err(DataError::format(
            path.display().to_string(),
            "no word",
            "a word a line",
        ));
    }
    Ok(entries)
}

/// Words from a file or from the caller, such as those to predict.
#[derive(Debug)]
pub struct WordsSource {
    place: String,
    words: Vec<Entry>,
}

impl WordsSource {
    /// Words from elsewhere; `place` says where in messages, such as `standard input`.
    pub fn new(place: &str, words: impl IntoIterator<Item = String>) -> Self {
        let entry = |(line, word)| Entry { word, line };
        Self {
            place: place.to_owned(),
            words: (1..).zip(words).map(entry).collect(),
        }
    }
}

impl Source for WordsSource {
    fn len(&self) -> usize {
        self.words.len()
    }

    fn columns(&self) -> Columns {
        Columns::from([(
            "letters".to_owned(),
            Contract::tokens("T", letters_vocabulary()),
        )])
    }

    fn sample(&self, index: usize) -> Result<Sample, DataError> {
        let word = &self.words[index].word;
        Ok(Sample::new(word).with("letters", Field::Tokens(encode_letters(word))))
    }

    fn key(&self, index: usize) -> Cow<'_, str> {
        self.words[index].word.as_str().into()
    }

    fn location(&self, index: usize) -> String {
        format!("{} line {}", self.place, self.words[index].line)
    }

    fn length(&self, index: usize, column: &str) -> Option<usize> {
        (column == "letters").then(|| self.words[index].word.chars().count() + 1)
    }

    fn text(&self, index: usize) -> String {
        self.words[index].word.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    fn open(text: &[u8]) -> (tempfile::NamedTempFile, Result<WordsSource, DataError>) {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(text).unwrap();
        let config = WordsConfig {
            path: file.path().into(),
        };
        let source = config.open();
        (file, source)
    }

    #[test]
    fn reads_words_and_keeps_their_lines() {
        let (file, source) = open("Alpha\n\n  beta \n".as_bytes());
        let source = source.unwrap();
        assert_eq!(source.len(), 2);
        assert_eq!(source.key(1), "beta");
        assert_eq!(
            source.location(1),
            format!("{} line 3", file.path().display())
        );
        assert_eq!(source.length(0, "letters"), Some(6));
        assert_eq!(
            source.sample(0).unwrap().fields["letters"],
            Field::Tokens(encode_letters("alpha"))
        );
    }

    #[test]
    fn bad_files_are_named() {
        let (file, source) = open(b"one\ntwo\nOne\n");
        assert_eq!(
            source.unwrap_err().to_string(),
            format!(
                "{} line 3: found `one`, which stands on line 1 already, expected each word once",
                file.path().display()
            )
        );
        assert!(
            open(b"\n \n")
                .1
                .unwrap_err()
                .to_string()
                .contains("found no word")
        );
        assert!(matches!(
            open(b"\xff\xfe").1.unwrap_err(),
            DataError::Io { .. }
        ));
        let missing = WordsConfig {
            path: "no/such/file".into(),
        }
        .open()
        .unwrap_err();
        assert!(missing.to_string().starts_with("no/such/file: "));
    }

    #[test]
    fn words_of_the_caller_need_no_file() {
        let source = WordsSource::new("standard input", ["x".to_owned(), "y".to_owned()]);
        assert_eq!(source.location(1), "standard input line 2");
    }
}
