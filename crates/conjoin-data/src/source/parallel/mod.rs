//! Parallel text: pairs of a text and its translation, as tokens of a tokenizer.
//!
//! Columns: `source` `[B, T]` (`s1 … sn <eos>`), `target_in` `[B, U]` (`<bos> t1 … tm`) and
//! `target_out` `[B, U]` (`t1 … tm <eos>`).

mod files;
mod mo;
mod po;
mod rows;
mod texts;

pub use rows::ParallelSource;
pub use texts::TextsSource;

use crate::text::{TextForm, TextTokenizer, UnicodeForm};
use crate::{Columns, Contract, DataError};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Texts and their translations.
///
/// Either `path` names one file of pairs, or `source_path` and `target_path` two plain files with a
/// sentence a line. Tokenizer files come from `conjoin data vocabulary`; they are read when the
/// recipe is checked. Scores compare with the text as it stands in the file.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ParallelConfig {
    /// A file of pairs: `.tsv`, `.jsonl`, `.po` or `.mo`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<PathBuf>,
    /// What `path` is, where its name does not end in it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub format: Option<PairFormat>,
    /// Source sentences, one a line.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source_path: Option<PathBuf>,
    /// Their translations, one a line.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target_path: Option<PathBuf>,
    /// Fields of a `.tsv` with source and target, counted from 1.
    #[serde(default = "first_two")]
    pub fields: [usize; 2],
    /// Keys of a `.jsonl` with source and target; a dot leads into an object within, as in
    /// `translation.en`.
    #[serde(default = "source_target")]
    pub keys: [String; 2],
    /// Read the entries of a `.po` that are marked fuzzy too.
    #[serde(default)]
    pub fuzzy: bool,
    /// Translate the other way: the target is the source.
    #[serde(default)]
    pub swap: bool,
    /// The tokenizer file of both sides, or of the source alone if there is a `target_tokenizer`.
    pub tokenizer: PathBuf,
    /// The tokenizer file of the target.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target_tokenizer: Option<PathBuf>,
    /// Most tokens of a text, begin or end included.
    #[serde(default = "default_length")]
    pub max_length: usize,
    /// What happens to pairs with a longer text: `error`, `truncate` (the text is cut), or `skip`
    /// (the pair is left out). How many it happened to is told.
    #[serde(default)]
    pub too_long: TooLong,
    /// What happens to pairs with an empty text: `error` or `skip`. A blank line of a `.tsv` or
    /// `.jsonl` is such a pair.
    #[serde(default)]
    pub empty: Empty,
    /// The normal form of Unicode that text is brought into: `nfc`, `nfkc` or `none`.
    #[serde(default)]
    pub normalise: UnicodeForm,
    /// Read text in lower case.
    #[serde(default)]
    pub lowercase: bool,
    /// Use only so many pairs, an even choice over the file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<usize>,
}

fn first_two() -> [usize; 2] {
    [1, 2]
}

fn source_target() -> [String; 2] {
    ["source", "target"].map(str::to_owned)
}

fn default_length() -> usize {
    256
}

/// Formats of a file of pairs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum PairFormat {
    /// Fields between tabs; nothing is quoted.
    Tsv,
    /// A JSON object a line.
    Jsonl,
    /// A gettext catalogue.
    Po,
    /// A compiled gettext catalogue.
    Mo,
}

/// What happens to pairs with too long a text.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum TooLong {
    #[default]
    Error,
    Truncate,
    Skip,
}

/// What happens to pairs with an empty text.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Empty {
    #[default]
    Error,
    Skip,
}

/// A text and its translation as they stand in the file.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Pair {
    /// Line or entry, from 1.
    pub line: usize,
    pub source: String,
    pub target: String,
}

impl Pair {
    /// The pair of a blank line.
    fn blank(line: usize) -> Self {
        Self {
            line,
            ..Self::default()
        }
    }
}

/// The pairs of one entry of a catalogue: the first form translates the singular, the last one the
/// plural. Entries without text or translation give none.
fn translated(
    id: &str,
    plural: Option<&str>,
    forms: Vec<&str>,
    line: usize,
    pairs: &mut Vec<Pair>,
) {
    let told = [(Some(id), forms.first()), (plural, forms.last())];
    for (source, target) in told {
        if let (Some(source), Some(target)) = (source, target)
            && !source.is_empty()
            && !target.is_empty()
        {
            pairs.push(Pair {
                line,
                source: source.to_owned(),
                target: (*target).to_owned(),
            });
        }
    }
}

/// Where the pairs are.
enum Place<'a> {
    One(&'a Path, PairFormat),
    Two(&'a Path, &'a Path),
}

impl ParallelConfig {
    /// Contracts of the columns; none where a tokenizer cannot be read, which
    /// `check` reports.
    pub fn columns(&self) -> Columns {
        match self.tokenizers() {
            Ok(sides) => sides.columns(),
            Err(_) => Columns::new(),
        }
    }

    pub(super) fn check(&self) -> Result<(), DataError> {
        self.place()?;
        if self.max_length < 2 {
            let found = self.max_length.to_string();
            return Err(DataError::config("max_length", found, "at least 2 tokens"));
        }
        if self.limit == Some(0) {
            return Err(DataError::config("limit", "0", "at least one pair"));
        }
        if self.fields.contains(&0) {
            let found = format!("{:?}", self.fields);
            return Err(DataError::config("fields", found, "numbers from 1"));
        }
        self.tokenizers().map(|_| ())
    }

    /// Files that must be there, by their key.
    pub fn files(&self) -> Vec<(&'static str, &Path)> {
        let all = [
            ("path", &self.path),
            ("source_path", &self.source_path),
            ("target_path", &self.target_path),
        ];
        all.into_iter()
            .filter_map(|(key, path)| Some((key, path.as_deref()?)))
            .collect()
    }

    /// Tokenizer files, by their key.
    pub fn tokenizer_files(&self) -> impl Iterator<Item = (&'static str, &Path)> {
        let target = self.target_tokenizer.as_deref();
        let target = target.map(|path| ("target_tokenizer", path));
        [("tokenizer", self.tokenizer.as_path())]
            .into_iter()
            .chain(target)
    }

    fn place(&self) -> Result<Place<'_>, DataError> {
        match (&self.path, &self.source_path, &self.target_path) {
            (Some(path), None, None) => Ok(Place::One(path, self.format_of(path)?)),
            (None, Some(source), Some(target)) if self.format.is_none() => {
                Ok(Place::Two(source, target))
            }
            (None, Some(_), Some(_)) => Err(DataError::config(
                "format",
                "the format of `path`, which is not given",
                "nothing: `source_path` and `target_path` are plain text",
            )),
            (path, source, target) => {
                let given = [
                    ("path", path.is_some()),
                    ("source_path", source.is_some()),
                    ("target_path", target.is_some()),
                ];
                let given: Vec<&str> = given
                    .iter()
                    .filter(|(_, is)| *is)
                    .map(|(k, _)| *k)
                    .collect();
                let found = match given.as_slice() {
                    [] => "no file".to_owned(),
                    given => format!("`{}`", given.join("`, `")),
                };
                let key = given.first().copied().unwrap_or("path");
                Err(DataError::config(
                    key,
                    found,
                    "either `path`, or `source_path` and `target_path`",
                ))
            }
        }
    }

    fn format_of(&self, path: &Path) -> Result<PairFormat, DataError> {
        if let Some(format) = self.format {
            return Ok(format);
        }
        let ending = path.extension().and_then(|ending| ending.to_str());
        match ending.map(str::to_lowercase).as_deref() {
            Some("tsv") => Ok(PairFormat::Tsv),
            Some("jsonl") => Ok(PairFormat::Jsonl),
            Some("po") => Ok(PairFormat::Po),
            Some("mo") => Ok(PairFormat::Mo),
            _ => Err(DataError::config(
                "path",
                format!("`{}`", path.display()),
                "a file name that ends in .tsv, .jsonl, .po or .mo, or the option `format`",
            )),
        }
    }

    /// The pairs as they stand in the file; source and target are in the wanted order.
    pub(super) fn pairs(&self) -> Result<Vec<Pair>, DataError> {
        let mut pairs = match self.place()? {
            Place::One(path, PairFormat::Tsv) => files::tsv(path, self.fields)?,
            Place::One(path, PairFormat::Jsonl) => files::jsonl(path, &self.keys)?,
            Place::One(path, PairFormat::Po) => po::read(path, self.fuzzy)?,
            Place::One(path, PairFormat::Mo) => mo::read(path)?,
            Place::Two(source, target) => files::lines(source, target)?,
        };
        if self.swap {
            for pair in &mut pairs {
                std::mem::swap(&mut pair.source, &mut pair.target);
            }
        }
        Ok(pairs)
    }

    /// The file, for messages.
    pub(super) fn named(&self) -> String {
        let path = self.path.as_ref().or(self.source_path.as_ref());
        path.map(|path| path.display().to_string())
            .unwrap_or_default()
    }

    /// What the number of a pair counts, for messages.
    pub(super) fn unit(&self) -> &'static str {
        match self.place() {
            Ok(Place::One(_, PairFormat::Mo)) => "entry",
            _ => "line",
        }
    }

    pub(super) fn form(&self) -> TextForm {
        TextForm {
            unicode: self.normalise,
            lowercase: self.lowercase,
        }
    }

    /// The tokenizers of both sides.
    pub(super) fn tokenizers(&self) -> Result<Tokenizers, DataError> {
        let open = |key: &str, path: &Path| {
            TextTokenizer::open(path).map_err(|error| {
                let found = match error {
                    DataError::Io { source, .. } => format!("`{}` ({source})", path.display()),
                    DataError::Format { place, found, .. } => format!("`{place}`: {found}"),
                    other => return other,
                };
                let expected = "a tokenizer file as `conjoin data vocabulary` writes it";
                DataError::config(key, found, expected)
            })
        };
        let source = open("tokenizer", &self.tokenizer)?;
        let target = match &self.target_tokenizer {
            Some(path) => open("target_tokenizer", path)?,
            None => Arc::clone(&source),
        };
        Ok(Tokenizers { source, target })
    }

    /// # Errors
    /// A file cannot be read or a pair is not as the options want it; file and line are named.
    pub fn open(&self) -> Result<ParallelSource, DataError> {
        ParallelSource::new(self)
    }
}

/// The tokenizers of both sides.
#[derive(Debug, Clone)]
pub(super) struct Tokenizers {
    pub source: Arc<TextTokenizer>,
    pub target: Arc<TextTokenizer>,
}

impl Tokenizers {
    fn columns(&self) -> Columns {
        let source = Contract::tokens("T", Arc::clone(self.source.vocabulary()));
        let target = Contract::tokens("U", Arc::clone(self.target.vocabulary()));
        [
            ("source", source),
            ("target_in", target.clone()),
            ("target_out", target),
        ]
        .map(|(name, contract)| (name.to_owned(), contract))
        .into()
    }

    /// The text of tokens of a column.
    fn detokenise(&self, column: &str, tokens: &[i64]) -> Option<String> {
        let tokenizer = match column {
            "source" => &self.source,
            "target_in" | "target_out" => &self.target,
            _ => return None,
        };
        tokenizer.decode(tokens).ok()
    }
}
