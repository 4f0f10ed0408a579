//! A tokenizer file: `tokenizer.json` as the crate `tokenizers` reads and writes it.

use super::SPECIALS;
use crate::{DataError, Vocabulary};
use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;
use tokenizers::Tokenizer;

/// Cuts text into the symbols of a vocabulary, and joins symbols to text.
#[derive(Debug)]
pub struct TextTokenizer {
    inner: Tokenizer,
    vocabulary: Arc<Vocabulary>,
}

/// A file as it was when it was read.
type Known = HashMap<PathBuf, (u64, Option<SystemTime>, Arc<TextTokenizer>)>;

impl TextTokenizer {
    /// Reads a tokenizer file; the vocabulary is named for it. A file that was read before and has
    /// not changed since is not read again, so that both sides of a text share one.
    ///
    /// # Errors
    /// The file cannot be read, is no tokenizer, or lacks `<pad>`, `<bos>`, `<eos>` or `<unk>`.
    pub fn open(path: &Path) -> Result<Arc<Self>, DataError> {
        static KNOWN: Mutex<Option<Known>> = Mutex::new(None);
        let about = fs::metadata(path).map_err(|e| DataError::io(path, e))?;
        let state = (about.len(), about.modified().ok());
        let mut known = KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
        let known = known.get_or_insert_default();
        if let Some((size, time, found)) = known.get(path)
            && (*size, *time) == state
        {
            return Ok(Arc::clone(found));
        }
        let text = fs::read_to_string(path).map_err(|e| DataError::io(path, e))?;
        let name = path.file_stem().map_or_else(
            || "tokenizer".to_owned(),
            |stem| stem.to_string_lossy().into_owned(),
        );
        let found = Arc::new(Self::parse(&name, &text, &path.display().to_string())?);
        known.insert(path.to_owned(), (state.0, state.1, Arc::clone(&found)));
        Ok(found)
    }

    /// Reads the text of a tokenizer file; `place` is named in errors.
    ///
    /// # Errors
    /// As [`TextTokenizer::open`].
    pub fn parse(name: &str, text: &str, place: &str) -> Result<Self, DataError> {
        let wrong = |found: String| {
            let expected = "a tokenizer file as `conjoin data vocabulary` writes it";
            DataError::format(place, found, expected)
        };
        let mut inner: Tokenizer = text
            .parse()
            .map_err(|error: tokenizers::Error| wrong(format!("no tokenizer ({error})")))?;
        // Lengths are the recipe's business, and what a text says is never a special symbol.
        inner.with_padding(None);
        inner
            .with_truncation(None)
            .map_err(|e| wrong(e.to_string()))?;
        inner.set_encode_special_tokens(true);
        let size = inner.get_vocab_size(true) as u32;
        let symbols: Option<Vec<String>> = (0..size).map(|id| inner.id_to_token(id)).collect();
        let symbols = symbols.ok_or_else(|| wrong("indices with gaps".to_owned()))?;
        for special in &SPECIALS[..4] {
            if !symbols.iter().any(|symbol| symbol == special) {
                return Err(wrong(format!("a vocabulary without {special}")));
            }
        }
        // The same symbols cut in another way are not the same tokens; the file's layout does not
        // matter.
        let whole = inner.to_string(false).map_err(|e| wrong(e.to_string()))?;
        Ok(Self {
            inner,
            vocabulary: Vocabulary::of_tokenizer(name, symbols, whole.as_bytes()),
        })
    }

    /// The symbols, with a hash over the whole tokenizer.
    pub fn vocabulary(&self) -> &Arc<Vocabulary> {
        &self.vocabulary
    }

    /// The tokens of each text, without begin and end.
    ///
    /// # Errors
    /// The tokenizer refuses a text.
    pub fn encode(&self, texts: &[&str]) -> Result<Vec<Vec<u32>>, DataError> {
        let encoded = self.inner.encode_batch_fast(texts.to_vec(), false);
        let encoded = encoded.map_err(|error| {
            let place = format!("tokenizer {}", self.vocabulary.name);
            DataError::format(place, error.to_string(), "text that it can cut")
        })?;
        Ok(encoded
            .iter()
            .map(|tokens| tokens.get_ids().to_vec())
            .collect())
    }

    /// The text of tokens; special symbols are left out.
    ///
    /// # Errors
    /// The tokenizer refuses the tokens.
    pub fn decode(&self, tokens: &[i64]) -> Result<String, DataError> {
        let ordinary = |&token: &i64| {
            let special = self.vocabulary.is_special(token);
            u32::try_from(token).ok().filter(|_| !special)
        };
        let tokens: Vec<u32> = tokens.iter().filter_map(ordinary).collect();
        self.inner.decode(&tokens, true).map_err(|error| {
            let place = format!("tokenizer {}", self.vocabulary.name);
            DataError::format(place, error.to_string(), "tokens that it can join")
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_tokenizer_is_refused() {
        let refusal = |text: &str| {
            let error = TextTokenizer::parse("t", text, "t.json").unwrap_err();
            error.to_string()
        };
        assert!(
            refusal("{").starts_with("t.json: found no tokenizer ("),
            "{}",
            refusal("{")
        );
        let bare = r#"{"version": "1.0", "truncation": null, "padding": null, "added_tokens": [],
            "normalizer": null, "pre_tokenizer": null, "post_processor": null, "decoder": null,
            "model": {"type": "WordLevel", "vocab": {"a": 0}, "unk_token": "a"}}"#;
        assert_eq!(
            refusal(bare),
            "t.json: found a vocabulary without <pad>, expected a tokenizer file as `conjoin data \
             vocabulary` writes it"
        );
        let gap = bare.replace(r#"{"a": 0}"#, r#"{"a": 0, "b": 2}"#);
        assert!(refusal(&gap).contains("indices with gaps"));
    }

    #[test]
    fn a_missing_file_is_named() {
        let error = TextTokenizer::open(Path::new("no/such.json")).unwrap_err();
        assert!(error.to_string().starts_with("no/such.json: "));
    }
}
