//! What can go wrong between a file and a batch.

use std::io;
use std::path::{Path, PathBuf};

/// An error of reading, transforming or batching data. Every message names the place, what was
/// found there and what was expected.
#[derive(Debug, thiserror::Error)]
pub enum DataError {
    /// The operating system refused to read a file.
    #[error("{}: {source}", path.display())]
    Io { path: PathBuf, source: io::Error },

    /// A file or a sample does not hold what its format promises.
    #[error("{place}: found {found}, expected {expected}")]
    Format {
        /// File and line, row or byte.
        place: String,
        found: String,
        expected: String,
    },

    /// An option of a data set is wrong, alone or for the columns that reach it.
    #[error("option `{key}`: found {found}, expected {expected}")]
    Config {
        /// Path of the key below the data set's table, such as `transforms[1].column`.
        key: String,
        found: String,
        expected: String,
    },

    /// More samples of an epoch could not be read than `skip_budget` allows.
    #[error(
        "{error} (unreadable samples in this epoch: {found}; option `loader.skip_budget` allows \
         {budget})"
    )]
    SkipBudget {
        budget: usize,
        found: usize,
        error: Box<DataError>,
    },

    /// A loader thread could not start, or ended before its work was done.
    #[error("loader thread {worker}: {cause}")]
    Worker { worker: usize, cause: String },
}

impl DataError {
    pub(crate) fn io(path: &Path, source: io::Error) -> Self {
        Self::Io {
            path: path.to_owned(),
            source,
        }
    }

    pub(crate) fn format(
        place: impl Into<String>,
        found: impl Into<String>,
        expected: impl Into<String>,
    ) -> Self {
        Self::Format {
            place: place.into(),
            found: found.into(),
            expected: expected.into(),
        }
    }

    pub(crate) fn config(
        key: impl Into<String>,
        found: impl Into<String>,
        expected: impl Into<String>,
    ) -> Self {
        Self::Config {
            key: key.into(),
            found: found.into(),
            expected: expected.into(),
        }
    }

    /// The key below the data set's table, when the user's options are at fault.
    pub fn key(&self) -> Option<&str> {
        match self {
            Self::Config { key, .. } => Some(key),
            _ => None,
        }
    }

    /// The same error at another key.
    pub(crate) fn under(mut self, name: &str) -> Self {
        if let Self::Config { key, .. } = &mut self {
            name.clone_into(key);
        }
        self
    }

    /// Puts a parent's name before the key of a configuration error.
    pub(crate) fn below(mut self, parent: &str) -> Self {
        if let Self::Config { key, .. } = &mut self {
            *key = format!("{parent}.{key}");
        }
        self
    }
}
