//! What can go wrong in a world: an option, a name, a file.

use conjoin_data::DataError;

/// An error of building or recording a world. Every message names the place, what was found there
/// and what was expected.
#[derive(Debug, thiserror::Error)]
pub enum WorldError {
    /// A file or a value does not hold what its format promises.
    #[error("{place}: found {found}, expected {expected}")]
    Format {
        /// File, row or name.
        place: String,
        found: String,
        expected: String,
    },

    /// A recording cannot be written or read.
    #[error(transparent)]
    Recording(#[from] DataError),

    /// An option is wrong.
    #[error("option `{key}`: found {found}, expected {expected}")]
    Config {
        key: String,
        found: String,
        expected: String,
    },
}

impl WorldError {
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
}
