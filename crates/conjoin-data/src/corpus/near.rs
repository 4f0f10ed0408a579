//! Segments that are equal or nearly so.
//!
//! Two segments are near if what is left of them in lower case, without digits, punctuation and
//! spaces, is equal, or if at least seven tenths of their runs of five letters are shared (Jaccard
//! index of the sets of runs).

use std::collections::{HashMap, HashSet};
use unicode_normalization::UnicodeNormalization;

/// Letters in a run.
const RUN: usize = 5;
/// Share of runs from which on segments are near.
const SHARE: f64 = 0.7;
/// Segments with fewer runs are compared for equality alone.
const FEWEST: usize = 8;

/// The letters of a segment in lower case, compatibility forms resolved.
pub(super) fn letters(segment: &str) -> String {
    let folded = segment.nfkc().flat_map(char::to_lowercase);
    folded.filter(|c| c.is_alphabetic()).collect()
}

/// Segments to which others may be near.
#[derive(Debug, Default)]
pub(super) struct Near {
    equal: HashSet<String>,
    /// Number of runs of each segment.
    sizes: Vec<usize>,
    /// Segments that have a run.
    having: HashMap<String, Vec<u32>>,
}

impl Near {
    pub fn add(&mut self, segment: &str) {
        let letters = letters(segment);
        if letters.is_empty() || self.equal.contains(&letters) {
            return;
        }
        let runs = runs(&letters);
        if runs.len() >= FEWEST {
            let number = self.sizes.len() as u32;
            self.sizes.push(runs.len());
            for run in runs {
                self.having.entry(run).or_default().push(number);
            }
        }
        self.equal.insert(letters);
    }

    /// Whether a segment is near one that was added.
    pub fn has(&self, segment: &str) -> bool {
        let letters = letters(segment);
        if self.equal.contains(&letters) {
            return true;
        }
        let runs = runs(&letters);
        if runs.len() < FEWEST {
            return false;
        }
        let mut shared: HashMap<u32, usize> = HashMap::new();
        for run in &runs {
            for &number in self.having.get(run).map_or(&[][..], Vec::as_slice) {
                *shared.entry(number).or_default() += 1;
            }
        }
        shared.into_iter().any(|(number, shared)| {
            let all = runs.len() + self.sizes[number as usize] - shared;
            shared as f64 >= SHARE * all as f64
        })
    }
}

/// The different runs of letters.
fn runs(letters: &str) -> HashSet<String> {
    let letters: Vec<char> = letters.chars().collect();
    letters
        .windows(RUN)
        .map(|run| run.iter().collect())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn case_digits_and_marks_make_no_difference_a_word_in_many_little() {
        let mut near = Near::default();
        near.add("Click the OK button (step 3).");
        near.add("The selected cells are moved to the right by one column, and all others follow.");
        near.add("Short");
        assert!(near.has("click the ok-button: Step 12!"));
        assert!(
            near.has(
                "The selected cells are moved to the left by one column, and all others follow."
            )
        );
        assert!(!near.has("The selected rows are copied to a new sheet by one click."));
        assert!(near.has("SHORT"));
        assert!(!near.has("Shorts"));
        assert!(!near.has("7"));
    }
}
