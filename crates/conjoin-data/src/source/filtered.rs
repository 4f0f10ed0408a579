//! A source without some of its samples.

use super::Source;
use crate::{Columns, DataError, Sample};
use std::borrow::Cow;
use std::collections::HashSet;
use std::sync::Arc;

/// The samples of another source whose keys are not excluded, renumbered in the same order.
#[derive(Debug)]
pub struct Filtered {
    inner: Arc<dyn Source>,
    kept: Vec<usize>,
}

impl Filtered {
    pub fn new(inner: Arc<dyn Source>, excluded: &HashSet<String>) -> Self {
        let keep = |i: &usize| !excluded.contains(inner.key(*i).as_ref());
        let kept = (0..inner.len()).filter(keep).collect();
        Self { inner, kept }
    }

    /// How many samples were left out.
    pub fn left_out(&self) -> usize {
        self.inner.len() - self.kept.len()
    }
}

impl Source for Filtered {
    fn len(&self) -> usize {
        self.kept.len()
    }

    fn columns(&self) -> Columns {
        self.inner.columns()
    }

    fn sample(&self, index: usize) -> Result<Sample, DataError> {
        self.inner.sample(self.kept[index])
    }

    fn key(&self, index: usize) -> Cow<'_, str> {
        self.inner.key(self.kept[index])
    }

    fn location(&self, index: usize) -> String {
        self.inner.location(self.kept[index])
    }

    fn length(&self, index: usize, column: &str) -> Option<usize> {
        self.inner.length(self.kept[index], column)
    }

    fn text(&self, index: usize) -> String {
        self.inner.text(self.kept[index])
    }

    fn references(&self, index: usize) -> Vec<Vec<i64>> {
        self.inner.references(self.kept[index])
    }

    fn reference_texts(&self, index: usize) -> Vec<String> {
        self.inner.reference_texts(self.kept[index])
    }

    fn detokenise(&self, column: &str, tokens: &[i64]) -> Option<String> {
        self.inner.detokenise(column, tokens)
    }

    fn shortened(&self, index: usize) -> Option<(usize, usize)> {
        self.inner.shortened(self.kept[index])
    }

    fn notes(&self) -> Vec<String> {
        self.inner.notes()
    }
}

#[cfg(test)]
mod tests {
    use super::super::WordsSource;
    use super::*;

    #[test]
    fn every_view_of_a_row_moves_together() {
        let words = ["a", "bb", "ccc", "dddd"].map(str::to_owned);
        let inner = Arc::new(WordsSource::new("list", words));
        let source = Filtered::new(inner, &HashSet::from(["bb".to_owned(), "zz".to_owned()]));
        assert_eq!((source.len(), source.left_out()), (3, 1));
        assert_eq!(source.key(1), "ccc");
        assert_eq!(source.sample(1).unwrap().key, "ccc");
        assert_eq!(source.location(1), "list line 3");
        assert_eq!(source.length(1, "letters"), Some(4));
        assert_eq!(source.text(2), "dddd");
    }
}
