//! Texts without translations, such as those to translate: column `source` `[B, T]`.

use super::rows::{closed, too_long};
use super::{ParallelConfig, Tokenizers, TooLong};
use crate::source::Source;
use crate::{Columns, DataError, Sample};
use std::borrow::Cow;

/// Texts that a person hands over, with the options of parallel text.
#[derive(Debug)]
pub struct TextsSource {
    place: String,
    config: ParallelConfig,
    tokenizers: Tokenizers,
    /// As they were given, and in tokens.
    texts: Vec<(String, Vec<u32>)>,
}

impl TextsSource {
    /// `place` says in messages where the texts came from, such as `standard input`.
    ///
    /// # Errors
    /// The tokenizer cannot be read.
    pub fn new(
        config: &ParallelConfig,
        place: &str,
        texts: Vec<String>,
    ) -> Result<Self, DataError> {
        let tokenizers = config.tokenizers()?;
        let form = config.form();
        let formed: Vec<String> = texts.iter().map(|text| form.apply(text)).collect();
        let formed: Vec<&str> = formed.iter().map(String::as_str).collect();
        let tokens = tokenizers.source.encode(&formed)?;
        Ok(Self {
            place: place.to_owned(),
            config: config.clone(),
            tokenizers,
            texts: texts.into_iter().zip(tokens).collect(),
        })
    }

    fn tokens(&self, index: usize) -> &[u32] {
        let tokens = &self.texts[index].1;
        match self.config.too_long {
            TooLong::Truncate => &tokens[..tokens.len().min(self.config.max_length - 1)],
            TooLong::Error | TooLong::Skip => tokens,
        }
    }
}

impl Source for TextsSource {
    fn len(&self) -> usize {
        self.texts.len()
    }

    fn columns(&self) -> Columns {
        let mut columns = self.tokenizers.columns();
        columns.retain(|name, _| name == "source");
        columns
    }

    fn sample(&self, index: usize) -> Result<Sample, DataError> {
        let tokens = self.tokens(index);
        if tokens.len() >= self.config.max_length {
            return Err(too_long(self.location(index), tokens.len(), &self.config));
        }
        Ok(Sample::new(&self.texts[index].0).with("source", closed(tokens)))
    }

    fn key(&self, index: usize) -> Cow<'_, str> {
        self.texts[index].0.as_str().into()
    }

    fn location(&self, index: usize) -> String {
        format!("{} line {}", self.place, index + 1)
    }

    fn length(&self, index: usize, column: &str) -> Option<usize> {
        (column == "source").then(|| self.tokens(index).len() + 1)
    }

    /// Tokens of the text, the end symbol counted as in `max_length`.
    fn shortened(&self, index: usize) -> Option<(usize, usize)> {
        let (all, kept) = (self.texts[index].1.len(), self.tokens(index).len());
        (kept < all).then_some((all + 1, kept + 1))
    }

    fn text(&self, index: usize) -> String {
        self.texts[index].0.clone()
    }

    fn detokenise(&self, column: &str, tokens: &[i64]) -> Option<String> {
        self.tokenizers.detokenise(column, tokens)
    }
}
