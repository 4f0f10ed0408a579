//! Sources: where samples come from.
//!
//! A [`SourceConfig`] tells the contracts of its columns without touching data, so that a recipe is
//! checked first (a tokenizer is no data: its vocabulary is part of the
//! contracts; nor is the description of a recording); [`SourceConfig::open`] reads the data.

mod classes;
mod cmudict;
mod filtered;
mod idx;
mod idx_file;
mod image_files;
mod lerobot;
mod lexicon;
mod parallel;
mod random;
mod words;

pub use classes::{ClassNames, ClassPreset};
pub use cmudict::{CmudictConfig, CmudictSource};
pub use filtered::Filtered;
pub use idx::{IdxConfig, IdxSource, IdxSplit};
pub use image_files::ImageFiles;
pub use lerobot::{
    LerobotBound, LerobotColumn, LerobotConfig, LerobotMeaning, LerobotOversample, LerobotRowBound,
    LerobotSampler, LerobotSource, LerobotSplit, LerobotUndersample,
};
pub use lexicon::{CMUDICT_LICENCE, Part, encode_letters, letters_vocabulary, phonemes_vocabulary};
pub use parallel::{Empty, PairFormat, ParallelConfig, ParallelSource, TextsSource, TooLong};
pub use random::{RandomColumn, RandomConfig, RandomKind, RandomSource};
pub use words::{WordsConfig, WordsSource};

use crate::{Columns, DataError, Sample};
use std::borrow::Cow;
use std::fmt::Debug;

/// A finite list of samples with random access from any thread.
pub trait Source: Send + Sync + Debug {
    /// Number of samples.
    fn len(&self) -> usize;

    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Contracts of the fields of every sample; equal to what the config promised.
    fn columns(&self) -> Columns;

    /// Reads one sample; `index < len()`.
    ///
    /// # Errors
    /// The sample cannot be read; the message names file and row. The loader may skip it.
    fn sample(&self, index: usize) -> Result<Sample, DataError>;

    /// What the sample is about; equal keys are the same example (see [`Sample::key`]).
    fn key(&self, index: usize) -> Cow<'_, str>;

    /// File and line or row, for messages.
    fn location(&self, index: usize) -> String;

    /// Entries of a ragged column, known without building the sample; `None` for a column that is
    /// missing or not ragged.
    fn length(&self, index: usize, column: &str) -> Option<usize>;

    /// The sample in words, for reports.
    fn text(&self, index: usize) -> String;

    /// Every right answer, without begin and end symbols, for scoring against the best-matching
    /// one; empty where the target columns are the only answer.
    fn references(&self, _index: usize) -> Vec<Vec<i64>> {
        Vec::new()
    }

    /// Every right answer as the text that it was before it became tokens; empty where the source
    /// has no text.
    fn reference_texts(&self, _index: usize) -> Vec<String> {
        Vec::new()
    }

    /// The text of tokens of a column, without special symbols; `None` for a column whose tokens are
    /// not pieces of text.
    fn detokenise(&self, _column: &str, _tokens: &[i64]) -> Option<String> {
        None
    }

    /// Entries of a sample before and after it was cut to the longest that is allowed; `None` where it is
    /// whole, or nobody counts.
    fn shortened(&self, _index: usize) -> Option<(usize, usize)> {
        None
    }

    /// What a person should know of how the data was read: how much was left out or cut, and why.
    fn notes(&self) -> Vec<String> {
        Vec::new()
    }
}

crate::closed_kinds! {
    /// A source, chosen by `kind`.
    pub enum SourceConfig {
        /// Spellings and pronunciations of the CMU Pronouncing Dictionary, which is built in.
        Cmudict(CmudictConfig) = "cmudict",
        /// Images and labels in the IDX files of MNIST and Fashion-MNIST, plain or gzipped.
        Idx(IdxConfig) = "idx",
        /// Frames of a recording: images and numbers in the layout of LeRobotDataset v3.0.
        Lerobot(LerobotConfig) = "lerobot",
        /// Texts and their translations as tokens: two plain files, TSV, JSON lines, gettext.
        Parallel(ParallelConfig) = "parallel",
        /// Random samples of declared shapes, to measure time and memory before data is there.
        Random(RandomConfig) = "random",
        /// Spellings from a file of words, one a line.
        Words(WordsConfig) = "words",
    }
}

impl SourceConfig {
    /// Contracts of the columns, without reading any data but tokenizers and descriptions of recordings;
    /// no columns where one cannot be read.
    pub fn columns(&self) -> Columns {
        match self {
            Self::Cmudict(config) => config.columns(),
            Self::Idx(config) => config.columns(),
            Self::Lerobot(config) => config.columns(),
            Self::Parallel(config) => config.columns(),
            Self::Random(config) => config.columns(),
            Self::Words(config) => config.columns(),
        }
    }

    /// Finds mistakes in the options themselves, without reading any data but tokenizers and descriptions
    /// of recordings.
    ///
    /// # Errors
    /// [`DataError::Config`] with a key below the source's table.
    pub fn check(&self) -> Result<(), DataError> {
        match self {
            Self::Cmudict(config) => config.check(),
            Self::Idx(config) => config.check(),
            Self::Lerobot(config) => config.check(),
            Self::Parallel(config) => config.check(),
            Self::Random(config) => config.check(),
            Self::Words(_) => Ok(()),
        }
    }

    /// Reads the data.
    ///
    /// # Errors
    /// An option is wrong, or a file is missing or malformed.
    pub fn open(&self) -> Result<Box<dyn Source>, DataError> {
        self.check()?;
        Ok(match self {
            Self::Cmudict(config) => Box::new(config.open()?),
            Self::Idx(config) => Box::new(config.open()?),
            Self::Lerobot(config) => Box::new(config.open()?),
            Self::Parallel(config) => Box::new(config.open()?),
            Self::Random(config) => Box::new(config.open()),
            Self::Words(config) => Box::new(config.open()?),
        })
    }

    /// Inputs that a person hands over: words or texts where the source has such, paths of image
    /// files where it has images. `place` says in messages where they came from.
    ///
    /// # Errors
    /// The source has nothing that could be handed over, or a tokenizer cannot be read.
    pub fn raw(&self, place: &str, inputs: Vec<String>) -> Result<Box<dyn Source>, DataError> {
        Ok(match self {
            Self::Cmudict(_) | Self::Words(_) => Box::new(WordsSource::new(
                place,
                inputs.into_iter().map(|word| word.trim().to_lowercase()),
            )),
            Self::Idx(config) => Box::new(ImageFiles::new(
                config,
                inputs.into_iter().map(Into::into).collect(),
            )),
            Self::Parallel(config) => Box::new(TextsSource::new(config, place, inputs)?),
            Self::Lerobot(_) | Self::Random(_) => {
                let expected = "a source of words, texts or images, which inputs can stand for";
                return Err(DataError::config("source.kind", self.kind(), expected));
            }
        })
    }
}
