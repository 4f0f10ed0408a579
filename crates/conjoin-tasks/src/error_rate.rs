//! Token and sequence error rates against the best-matching of several references: phoneme and
//! word error rate of grapheme-to-phoneme conversion.

use crate::alignment::distance;

/// Errors of one output against its best-matching reference.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ItemErrors {
    /// Edits to the best-matching reference.
    pub errors: usize,
    /// Length of that reference.
    pub length: usize,
}

impl ItemErrors {
    /// Compares with each reference; the best has the fewest errors relative to its length, the
    /// earlier one on a tie. Without references every token is an error.
    pub fn best<T: PartialEq>(references: &[Vec<T>], hypothesis: &[T]) -> Self {
        references
            .iter()
            .map(|reference| Self {
                errors: distance(reference, hypothesis),
                length: reference.len(),
            })
            .min_by(|a, b| a.rate().total_cmp(&b.rate()))
            .unwrap_or(Self {
                errors: hypothesis.len(),
                length: 0,
            })
    }

    fn rate(self) -> f64 {
        self.errors as f64 / self.length.max(1) as f64
    }
}

/// Sums over items.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ErrorRate {
    pub items: usize,
    pub wrong_items: usize,
    pub errors: usize,
    pub length: usize,
}

impl ErrorRate {
    pub fn add(&mut self, item: ItemErrors) {
        self.items += 1;
        self.wrong_items += usize::from(item.errors > 0);
        self.errors += item.errors;
        self.length += item.length;
    }

    /// Edits per reference token (PER where tokens are phonemes), as jiwer computes WER over a
    /// list of sentences: total edits over total reference length.
    pub fn token_error_rate(&self) -> f64 {
        self.errors as f64 / self.length.max(1) as f64
    }

    /// Share of items with any error (WER where items are words).
    pub fn item_error_rate(&self) -> f64 {
        self.wrong_items as f64 / self.items.max(1) as f64
    }
}

impl FromIterator<ItemErrors> for ErrorRate {
    fn from_iter<I: IntoIterator<Item = ItemErrors>>(items: I) -> Self {
        let mut total = Self::default();
        items.into_iter().for_each(|item| total.add(item));
        total
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn takes_the_best_reference() {
        let references = vec![vec![1, 2, 3, 4], vec![1, 2]];
        assert_eq!(
            ItemErrors::best(&references, &[1, 2]),
            ItemErrors {
                errors: 0,
                length: 2
            }
        );
        assert_eq!(
            ItemErrors::best(&references, &[1, 2, 3, 5]),
            ItemErrors {
                errors: 1,
                length: 4
            }
        );
    }

    #[test]
    fn no_output_is_all_deletions() {
        let item = ItemErrors::best(&[vec!["AA", "B"]], &[]);
        assert_eq!(
            item,
            ItemErrors {
                errors: 2,
                length: 2
            }
        );
        let total: ErrorRate = [item].into_iter().collect();
        assert_eq!(
            (total.token_error_rate(), total.item_error_rate()),
            (1.0, 1.0)
        );
    }
}
