//! The pairs of a file, cut into tokens when it is opened.

use super::{Empty, Pair, ParallelConfig, Tokenizers, TooLong};
use crate::source::Source;
use crate::text::{BOS, EOS};
use crate::{Columns, DataError, Field, Sample};
use std::borrow::Cow;

/// Texts that are cut together.
const CHUNK: usize = 4096;

/// One pair.
#[derive(Debug)]
struct Row {
    /// Line or entry, from 1.
    line: usize,
    /// In the form that the tokenizer got.
    source: String,
    /// As it stands in the file.
    target: String,
    source_tokens: Vec<u32>,
    target_tokens: Vec<u32>,
}

/// Opened parallel text.
#[derive(Debug)]
pub struct ParallelSource {
    file: String,
    /// What rows' numbers count.
    unit: &'static str,
    tokenizers: Tokenizers,
    rows: Vec<Row>,
    notes: Vec<String>,
}

impl ParallelSource {
    pub(super) fn new(config: &ParallelConfig) -> Result<Self, DataError> {
        let tokenizers = config.tokenizers()?;
        let file = config.named();
        let mut pairs = config.pairs()?;
        if let Some(limit) = config.limit {
            pairs.sort_by_cached_key(|pair| *blake3::hash(pair.source.as_bytes()).as_bytes());
            pairs.truncate(limit);
            pairs.sort_by_key(|pair| pair.line);
        }
        let mut reader = Reader {
            config,
            file: &file,
            all: pairs.len(),
            empty: 0,
            long: 0,
            first_long: 0,
        };
        let mut rows = Vec::with_capacity(pairs.len());
        let mut pairs = pairs.into_iter();
        loop {
            let chunk: Vec<Pair> = pairs.by_ref().take(CHUNK).collect();
            if chunk.is_empty() {
                break;
            }
            reader.chunk(chunk, &tokenizers, &mut rows)?;
        }
        let notes = reader.notes();
        if rows.is_empty() {
            return Err(DataError::format(
                file,
                "no pair",
                "a text and its translation",
            ));
        }
        Ok(Self {
            file,
            unit: config.unit(),
            tokenizers,
            rows,
            notes,
        })
    }
}

/// What is counted while pairs are read.
struct Reader<'a> {
    config: &'a ParallelConfig,
    file: &'a str,
    all: usize,
    empty: usize,
    long: usize,
    /// The line of the first pair that was too long.
    first_long: usize,
}

impl Reader<'_> {
    fn place(&self, line: usize) -> String {
        format!("{} {} {line}", self.file, self.config.unit())
    }

    fn chunk(
        &mut self,
        chunk: Vec<Pair>,
        tokenizers: &Tokenizers,
        rows: &mut Vec<Row>,
    ) -> Result<(), DataError> {
        let form = self.config.form();
        let mut kept = Vec::with_capacity(chunk.len());
        for pair in chunk {
            let texts = [form.apply(&pair.source), form.apply(&pair.target)];
            let Some(empty) = texts.iter().position(String::is_empty) else {
                kept.push((pair, texts));
                continue;
            };
            if self.config.empty == Empty::Error {
                let side = ["source", "target"][empty];
                let found = format!("an empty {side}");
                let expected = "text, or the option `empty = \"skip\"`";
                return Err(DataError::format(self.place(pair.line), found, expected));
            }
            self.empty += 1;
        }
        let side = |i: usize| kept.iter().map(|(_, t)| t[i].as_str()).collect::<Vec<_>>();
        let sources = tokenizers.source.encode(&side(0))?;
        let targets = tokenizers.target.encode(&side(1))?;
        let cut = sources.into_iter().zip(targets);
        for ((pair, [source, _]), (mut source_tokens, mut target_tokens)) in
            kept.into_iter().zip(cut)
        {
            let most = self.config.max_length - 1;
            let longest = source_tokens.len().max(target_tokens.len());
            if longest > most {
                match self.config.too_long {
                    TooLong::Error => {
                        return Err(too_long(self.place(pair.line), longest, self.config));
                    }
                    TooLong::Truncate | TooLong::Skip if self.long == 0 => {
                        self.first_long = pair.line;
                    }
                    TooLong::Truncate | TooLong::Skip => {}
                }
                self.long += 1;
                if self.config.too_long == TooLong::Skip {
                    continue;
                }
                source_tokens.truncate(most);
                target_tokens.truncate(most);
            }
            rows.push(Row {
                line: pair.line,
                source,
                target: pair.target,
                source_tokens,
                target_tokens,
            });
        }
        Ok(())
    }

    fn notes(&self) -> Vec<String> {
        let (file, all) = (self.file, self.all);
        let mut notes = Vec::new();
        if self.empty > 0 {
            notes.push(format!(
                "{file}: {} of {all} pairs left out: a text is empty",
                self.empty
            ));
        }
        if self.long > 0 {
            let how = match self.config.too_long {
                TooLong::Skip => "left out",
                TooLong::Truncate | TooLong::Error => "cut",
            };
            notes.push(format!(
                "{file}: {} of {all} pairs {how}: longer than {} tokens, the first at {} {}",
                self.long,
                self.config.max_length,
                self.config.unit(),
                self.first_long
            ));
        }
        notes
    }
}

/// A text has more tokens than it may.
pub(super) fn too_long(place: String, tokens: usize, config: &ParallelConfig) -> DataError {
    let expected = format!(
        "at most {}, or the option `too_long = \"truncate\"`",
        config.max_length
    );
    DataError::format(place, format!("a text of {} tokens", tokens + 1), expected)
}

/// `t1 … tn <eos>`.
pub(super) fn closed(tokens: &[u32]) -> Field {
    Field::Tokens(tokens.iter().map(|&t| i64::from(t)).chain([EOS]).collect())
}

impl Source for ParallelSource {
    fn len(&self) -> usize {
        self.rows.len()
    }

    fn columns(&self) -> Columns {
        self.tokenizers.columns()
    }

    fn sample(&self, index: usize) -> Result<Sample, DataError> {
        let row = &self.rows[index];
        let target = row.target_tokens.iter().map(|&t| i64::from(t));
        let begun = [BOS].into_iter().chain(target).collect();
        Ok(Sample::new(&row.source)
            .with("source", closed(&row.source_tokens))
            .with("target_in", Field::Tokens(begun))
            .with("target_out", closed(&row.target_tokens)))
    }

    /// The source text: another translation of it is the same example.
    fn key(&self, index: usize) -> Cow<'_, str> {
        self.rows[index].source.as_str().into()
    }

    fn location(&self, index: usize) -> String {
        format!("{} {} {}", self.file, self.unit, self.rows[index].line)
    }

    fn length(&self, index: usize, column: &str) -> Option<usize> {
        let row = &self.rows[index];
        match column {
            "source" => Some(row.source_tokens.len() + 1),
            "target_in" | "target_out" => Some(row.target_tokens.len() + 1),
            _ => None,
        }
    }

    fn text(&self, index: usize) -> String {
        let row = &self.rows[index];
        format!("{} → {}", row.source, row.target)
    }

    fn reference_texts(&self, index: usize) -> Vec<String> {
        vec![self.rows[index].target.clone()]
    }

    fn detokenise(&self, column: &str, tokens: &[i64]) -> Option<String> {
        self.tokenizers.detokenise(column, tokens)
    }

    fn notes(&self) -> Vec<String> {
        self.notes.clone()
    }
}
