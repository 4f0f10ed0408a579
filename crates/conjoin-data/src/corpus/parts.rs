//! Training, validation and test parts that share no page and, as far as can be told, no sentence.

use super::SegmentPair;
use super::near::Near;
use crate::source::Part;
use std::collections::HashSet;

/// Distinct pairs of each part.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Parts {
    pub train: Vec<SegmentPair>,
    pub valid: Vec<SegmentPair>,
    pub test: Vec<SegmentPair>,
    pub counts: PartCounts,
}

/// What became of the pairs.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct PartCounts {
    /// Pages of each part: training, validation, test.
    pub pages: [usize; 3],
    /// Pairs that stood in the same part before.
    pub repeated: usize,
    /// Pairs of the training part that were left out because one of their sides is near a segment
    /// of the validation or test part.
    pub train_near: usize,
    /// The same for the validation part and segments of the test part.
    pub valid_near: usize,
}

impl Parts {
    /// A page's part follows from the BLAKE3 hash of its path, as a word's part of the dictionary
    /// does: 90 % are for training, 5 % for validation, 5 % for testing.
    pub fn new(pages: &[(String, Vec<SegmentPair>)]) -> Self {
        let mut found = Self::default();
        let mut seen: [HashSet<&SegmentPair>; 3] = Default::default();
        for (page, pairs) in pages {
            let (number, part) = match Part::of(page) {
                Part::Train => (0, &mut found.train),
                Part::Valid => (1, &mut found.valid),
                Part::Test => (2, &mut found.test),
            };
            found.counts.pages[number] += 1;
            for pair in pairs {
                if seen[number].insert(pair) {
                    part.push(pair.clone());
                } else {
                    found.counts.repeated += 1;
                }
            }
        }
        let (mut sources, mut targets) = (Near::default(), Near::default());
        let mut hold_out = |pairs: &[SegmentPair], then: &mut Vec<SegmentPair>| {
            for (source, target) in pairs {
                sources.add(source);
                targets.add(target);
            }
            let before = then.len();
            then.retain(|(source, target)| !sources.has(source) && !targets.has(target));
            before - then.len()
        };
        found.counts.valid_near = hold_out(&found.test, &mut found.valid);
        found.counts.train_near = hold_out(&found.valid, &mut found.train);
        found
    }
}

/// Distinct pairs in the order in which they first stand.
pub fn distinct(pages: &[(String, Vec<SegmentPair>)]) -> Vec<SegmentPair> {
    let mut seen = HashSet::new();
    let pairs = pages.iter().flat_map(|(_, pairs)| pairs);
    pairs.filter(|pair| seen.insert(*pair)).cloned().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page_of(part: Part, after: usize) -> String {
        let names = (after..).map(|i| format!("page{i}.html"));
        names
            .into_iter()
            .find(|name| Part::of(name) == part)
            .unwrap_or_default()
    }

    fn pair(source: &str, target: &str) -> SegmentPair {
        (source.to_owned(), target.to_owned())
    }

    #[test]
    fn no_part_holds_what_a_later_one_tests() {
        let pages = [
            (
                page_of(Part::Train, 0),
                vec![
                    pair("A cell", "Zelle"),
                    pair("A row", "Zeile"),
                    pair("A row", "Zeile"),
                ],
            ),
            (
                page_of(Part::Train, 500),
                vec![pair("A line", "zeile!"), pair("Own", "Eigen")],
            ),
            (
                page_of(Part::Valid, 0),
                vec![pair("A cell", "Feld"), pair("a CELL 2", "Z")],
            ),
            (
                page_of(Part::Test, 0),
                vec![pair("a row.", "Reihe"), pair("Z", "z. 3")],
            ),
        ];
        let parts = Parts::new(&pages);
        assert_eq!(parts.test, pages[3].1);
        assert_eq!(parts.valid, [pair("A cell", "Feld")]);
        assert_eq!(
            parts.train,
            [pair("A line", "zeile!"), pair("Own", "Eigen")]
        );
        assert_eq!(
            parts.counts,
            PartCounts {
                pages: [2, 1, 1],
                repeated: 1,
                train_near: 2,
                valid_near: 1,
            }
        );
    }

    /// Not equal, but with most runs of letters in common, on either side.
    #[test]
    fn what_is_nearly_the_same_is_left_out_too() {
        let right =
            "The selected cells are moved to the right by one column, and all others follow.";
        let left = "The selected cells are moved to the left by one column, and all others follow.";
        let other = "Deletes the current record without asking; this cannot be undone later on.";
        let reworded = "Moves the chosen cells one column to the right, with all of the others.";
        let pages = [
            (
                page_of(Part::Train, 0),
                vec![
                    pair(left, "Eins"),
                    pair("One", left),
                    pair(other, "Zwei"),
                    pair(reworded, "Drei"),
                ],
            ),
            (
                page_of(Part::Valid, 0),
                vec![pair(left, "Vier"), pair("Five", "Fünf")],
            ),
            (page_of(Part::Test, 0), vec![pair(right, right)]),
        ];
        let parts = Parts::new(&pages);
        assert_eq!(parts.valid, [pair("Five", "Fünf")]);
        assert_eq!(parts.train, [pair(other, "Zwei"), pair(reworded, "Drei")]);
        assert_eq!((parts.counts.train_near, parts.counts.valid_near), (2, 1));
    }

    #[test]
    fn distinct_pairs_keep_their_order() {
        let pages = [
            (
                "a".to_owned(),
                vec![pair("x", "1"), pair("y", "2"), pair("x", "1")],
            ),
            ("b".to_owned(), vec![pair("y", "2"), pair("x", "3")]),
        ];
        let wanted = [pair("x", "1"), pair("y", "2"), pair("x", "3")];
        assert_eq!(distinct(&pages), wanted);
    }
}
