//! One example, before it becomes a row of a batch.

use crate::DataError;
use std::collections::BTreeMap;

/// The value of one column in one sample; shapes have no batch dimension.
#[derive(Debug, Clone, PartialEq)]
pub enum Field {
    /// `[T]` indices into a vocabulary.
    Tokens(Vec<i64>),
    /// One class index.
    Label(i64),
    /// Real numbers, row-major.
    Dense { shape: Vec<usize>, data: Vec<f32> },
}

impl Field {
    /// What this is, for messages: `tokens [7]`, `label`, `dense [28, 28, 1]`.
    pub fn describe(&self) -> String {
        match self {
            Self::Tokens(tokens) => format!("tokens [{}]", tokens.len()),
            Self::Label(_) => "label".to_owned(),
            Self::Dense { shape, .. } => format!("dense {shape:?}"),
        }
    }
}

/// Named fields and the key by which leaks between data sets are found.
#[derive(Debug, Clone, PartialEq)]
pub struct Sample {
    /// What the sample is about: a word, `train-images row 17`. Samples of two data sets with the
    /// same key are the same example.
    pub key: String,
    pub fields: BTreeMap<String, Field>,
}

impl Sample {
    pub fn new(key: impl Into<String>) -> Self {
        Self {
            key: key.into(),
            fields: BTreeMap::new(),
        }
    }

    /// Adds or replaces a field.
    #[must_use]
    pub fn with(mut self, column: &str, field: Field) -> Self {
        self.fields.insert(column.to_owned(), field);
        self
    }

    /// The indices of a token column.
    ///
    /// # Errors
    /// The column is missing or holds something else.
    pub fn tokens_mut(&mut self, column: &str) -> Result<&mut Vec<i64>, DataError> {
        match self.fields.get_mut(column) {
            Some(Field::Tokens(tokens)) => Ok(tokens),
            other => Err(wrong_field(&self.key, column, other.as_deref(), "tokens")),
        }
    }

    /// Shape and elements of a dense column.
    ///
    /// # Errors
    /// The column is missing or holds something else.
    pub fn dense_mut(
        &mut self,
        column: &str,
    ) -> Result<(&mut Vec<usize>, &mut Vec<f32>), DataError> {
        match self.fields.get_mut(column) {
            Some(Field::Dense { shape, data }) => Ok((shape, data)),
            other => Err(wrong_field(&self.key, column, other.as_deref(), "dense")),
        }
    }
}

fn wrong_field(key: &str, column: &str, found: Option<&Field>, expected: &str) -> DataError {
    DataError::format(
        format!("sample `{key}`, column `{column}`"),
        found.map_or_else(|| "nothing".to_owned(), Field::describe),
        expected,
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wrong_access_names_sample_column_and_kinds() {
        let mut sample = Sample::new("word").with("letters", Field::Tokens(vec![1, 2]));
        assert_eq!(sample.tokens_mut("letters").unwrap(), &[1, 2]);
        assert_eq!(
            sample.dense_mut("letters").unwrap_err().to_string(),
            "sample `word`, column `letters`: found tokens [2], expected dense"
        );
        assert_eq!(
            sample.tokens_mut("phonemes").unwrap_err().to_string(),
            "sample `word`, column `phonemes`: found nothing, expected tokens"
        );
    }
}
