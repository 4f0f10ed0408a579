//! Edits from one list of words to another when runs of words may also be moved, after Tercom
//! (Snover et al. 2006) with the limits and the order of preference of sacreBLEU's reading of it.
//!
//! The best edit distance with moves is hard to find, so Tercom goes step by step: it makes the
//! move that lowers the distance without moves the most, until none does. Scores depend on every
//! choice on the way; what looks arbitrary below is Tercom's.

use std::cmp::Reverse;

/// Longest run of words that is moved.
const MOST_WORDS: usize = 10;
/// Farthest place a run is looked for.
const MOST_DISTANCE: usize = 50;
/// Half the width of the band around the diagonal in which the distance is computed.
const BAND: usize = 25;
/// Moves that are tried for one sentence.
const MOST_MOVES: usize = 1000;

/// How a cell of the distance table was reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    Keep,
    Substitute,
    /// A word of the reference that the hypothesis lacks.
    Insert,
    /// A word of the hypothesis that the reference lacks.
    Delete,
}

/// Edits, each move counted as one, that turn the hypothesis into the reference.
pub(super) fn edits<T: PartialEq + Clone>(hypothesis: &[T], reference: &[T]) -> usize {
    if reference.is_empty() {
        return hypothesis.len();
    }
    let mut words = hypothesis.to_vec();
    let (mut moves, mut tried) = (0, 0);
    loop {
        let found = best_move(&words, reference, &mut tried);
        match found {
            Some(moved) if tried < MOST_MOVES => words = moved,
            _ => return moves + distance(&words, reference).0,
        }
        moves += 1;
    }
}

/// The hypothesis after the move that helps the most; `None` if none helps.
fn best_move<T: PartialEq + Clone>(
    words: &[T],
    reference: &[T],
    tried: &mut usize,
) -> Option<Vec<T>> {
    let (before, steps) = distance(words, reference);
    let alignment = Alignment::new(&steps);
    let mut best = None;
    for (start, at, length) in common_runs(words, reference) {
        // Neither what is right already nor what would land on something right is moved, nor a run
        // within itself.
        let wrong = |errors: &[bool], from: usize| errors[from..from + length].contains(&true);
        let place = alignment.behind[at + 1];
        let within = place > start && place <= start + length;
        if !wrong(&alignment.hypothesis, start) || !wrong(&alignment.reference, at) || within {
            continue;
        }
        let mut previous = None;
        for &target in &alignment.behind[at..=at + length] {
            if previous.replace(target) == Some(target) {
                continue;
            }
            let moved = shift(words, start, length, target);
            let after = distance(&moved, reference).0;
            *tried += 1;
            let rank = (
                before as i64 - after as i64,
                length,
                Reverse(start),
                Reverse(target),
            );
            if best.as_ref().is_none_or(|(found, _)| rank > *found) {
                best = Some((rank, moved));
            }
        }
        if *tried >= MOST_MOVES {
            break;
        }
    }
    best.filter(|((gain, ..), _)| *gain > 0)
        .map(|(_, moved)| moved)
}

/// Which words match, and where.
struct Alignment {
    /// Words of the hypothesis that are edited.
    hypothesis: Vec<bool>,
    /// Words of the reference that are edited.
    reference: Vec<bool>,
    /// Words of the hypothesis up to the counterpart of the reference's `i`-th word, from 1.
    behind: Vec<usize>,
}

impl Alignment {
    fn new(steps: &[Step]) -> Self {
        let mut found = Self {
            hypothesis: Vec::new(),
            reference: Vec::new(),
            behind: vec![0],
        };
        for step in steps {
            let wrong = *step != Step::Keep;
            if *step != Step::Insert {
                found.hypothesis.push(wrong);
            }
            if *step != Step::Delete {
                found.reference.push(wrong);
                found.behind.push(found.hypothesis.len());
            }
        }
        found
    }
}

/// Runs of words that both lists have: where they begin in each, and their length.
fn common_runs<T: PartialEq>(words: &[T], reference: &[T]) -> Vec<(usize, usize, usize)> {
    let mut runs = Vec::new();
    for start in 0..words.len() {
        let last = (start + MOST_DISTANCE + 1).min(reference.len());
        for at in start.saturating_sub(MOST_DISTANCE)..last {
            let pairs = words[start..].iter().zip(&reference[at..]);
            let same = pairs.take(MOST_WORDS).take_while(|(a, b)| a == b).count();
            runs.extend((1..=same).map(|length| (start, at, length)));
        }
    }
    runs
}

/// Moves a run of words to a position that is counted before the run is taken out.
fn shift<T: Clone>(words: &[T], start: usize, length: usize, target: usize) -> Vec<T> {
    let (run, end) = (&words[start..start + length], start + length);
    if target < start {
        [&words[..target], run, &words[target..start], &words[end..]].concat()
    } else if target > end {
        [&words[..start], &words[end..target], run, &words[target..]].concat()
    } else {
        // Into the run itself: it moves so far to the right.
        let to = (length + target).min(words.len());
        [&words[..start], &words[end..to], run, &words[to..]].concat()
    }
}

/// Edit distance without moves, and the steps from the first words on.
///
/// Only a band around the diagonal is computed. On a tie a substitution (or a match) goes before a
/// deletion, a deletion before an insertion.
fn distance<T: PartialEq>(words: &[T], reference: &[T]) -> (usize, Vec<Step>) {
    const FAR: usize = usize::MAX / 2;
    let (rows, columns) = (words.len(), reference.len() + 1);
    let mut costs: Vec<usize> = (0..columns).collect();
    let mut steps = vec![Step::Insert; (rows + 1) * columns];
    let ratio = match rows {
        0 => 1.0,
        _ => reference.len() as f64 / rows as f64,
    };
    let band = if (BAND as f64) < ratio / 2.0 {
        (ratio / 2.0 + BAND as f64).ceil() as usize
    } else {
        BAND
    };
    for i in 1..=rows {
        let diagonal = (i as f64 * ratio).floor() as usize;
        let end = if i == rows {
            columns
        } else {
            columns.min(diagonal + band)
        };
        let mut row = vec![FAR; columns];
        for j in diagonal.saturating_sub(band)..end {
            let mut best = (costs[j].saturating_add(1), Step::Delete);
            if j > 0 {
                let diagonal = if words[i - 1] == reference[j - 1] {
                    (costs[j - 1], Step::Keep)
                } else {
                    (costs[j - 1] + 1, Step::Substitute)
                };
                if diagonal.0 <= best.0 {
                    best = diagonal;
                }
                if row[j - 1] + 1 < best.0 {
                    best = (row[j - 1] + 1, Step::Insert);
                }
            }
            row[j] = best.0;
            steps[i * columns + j] = best.1;
        }
        costs = row;
    }
    let (mut i, mut j) = (rows, reference.len());
    let mut path = Vec::with_capacity(i.max(j));
    while i > 0 || j > 0 {
        let step = steps[i * columns + j];
        path.push(step);
        i -= usize::from(step != Step::Insert);
        j -= usize::from(step != Step::Delete);
    }
    path.reverse();
    (costs[reference.len()], path)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(hypothesis: &str, reference: &str) -> usize {
        let words = |text: &str| text.split(' ').map(str::to_owned).collect::<Vec<_>>();
        edits(&words(hypothesis), &words(reference))
    }

    #[test]
    fn a_moved_run_is_one_edit() {
        assert_eq!(of("a b c d e", "a b c d e"), 0);
        assert_eq!(of("c d a b e", "a b c d e"), 1);
        assert_eq!(of("a b x d e", "a b c d e"), 1);
        assert_eq!(of("e d c b a", "a b c d e"), 4);
        assert_eq!(edits(&["a", "b"], &[]), 2);
        assert_eq!(edits(&[], &["a", "b"]), 2);
    }

    #[test]
    fn a_run_can_move_both_ways() {
        let words = [0, 1, 2, 3, 4, 5];
        assert_eq!(shift(&words, 3, 2, 1), [0, 3, 4, 1, 2, 5]);
        assert_eq!(shift(&words, 1, 2, 5), [0, 3, 4, 1, 2, 5]);
        assert_eq!(shift(&words, 1, 2, 2), [0, 3, 1, 2, 4, 5]);
        assert_eq!(shift(&words, 4, 2, 6), words);
    }
}
