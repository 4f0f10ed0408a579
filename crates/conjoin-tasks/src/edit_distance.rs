//! Levenshtein distance and alignment between token sequences.

/// One step of an alignment between a reference and a hypothesis; indices into the two.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Edit {
    Match(usize, usize),
    Substitution(usize, usize),
    /// In the reference only.
    Deletion(usize),
    /// In the hypothesis only.
    Insertion(usize),
}

/// Fewest substitutions, deletions and insertions that turn one sequence into the other
/// (Levenshtein 1966), in `O(len(a) * len(b))` time and `O(len(b))` memory.
pub fn distance<T: PartialEq>(a: &[T], b: &[T]) -> usize {
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.iter().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, y) in b.iter().enumerate() {
            let substituted = diagonal + usize::from(x != y);
            diagonal = row[j + 1];
            row[j + 1] = substituted.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[b.len()]
}

/// A cheapest alignment; where several are equally cheap, matches and substitutions come before
/// deletions before insertions, seen from the end.
pub fn align<T: PartialEq>(reference: &[T], hypothesis: &[T]) -> Vec<Edit> {
    let (n, m) = (reference.len(), hypothesis.len());
    let width = m + 1;
    let mut cost = vec![0; (n + 1) * width];
    for i in 0..=n {
        for j in 0..=m {
            cost[i * width + j] = match (i, j) {
                (0, _) => j,
                (_, 0) => i,
                _ => {
                    let differ = usize::from(reference[i - 1] != hypothesis[j - 1]);
                    (cost[(i - 1) * width + j - 1] + differ)
                        .min(cost[(i - 1) * width + j] + 1)
                        .min(cost[i * width + j - 1] + 1)
                }
            };
        }
    }
    let (mut i, mut j) = (n, m);
    let mut edits = Vec::with_capacity(n.max(m));
    while i > 0 || j > 0 {
        let here = cost[i * width + j];
        if i > 0 && j > 0 {
            let same = reference[i - 1] == hypothesis[j - 1];
            if here == cost[(i - 1) * width + j - 1] + usize::from(!same) {
                i -= 1;
                j -= 1;
                edits.push(if same {
                    Edit::Match(i, j)
                } else {
                    Edit::Substitution(i, j)
                });
                continue;
            }
        }
        if i > 0 && here == cost[(i - 1) * width + j] + 1 {
            i -= 1;
            edits.push(Edit::Deletion(i));
        } else {
            j -= 1;
            edits.push(Edit::Insertion(j));
        }
    }
    edits.reverse();
    edits
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_distances() {
        let chars = |text: &str| text.chars().collect::<Vec<_>>();
        for (a, b, expected) in [
            ("kitten", "sitting", 3),
            ("saturday", "sunday", 3),
            ("", "abc", 3),
            ("abc", "", 3),
            ("same", "same", 0),
        ] {
            assert_eq!(distance(&chars(a), &chars(b)), expected, "{a} {b}");
        }
    }

    #[test]
    fn alignment_costs_the_distance_and_covers_both_sides() {
        let chars = |text: &str| text.chars().collect::<Vec<_>>();
        for (a, b) in [
            ("kitten", "sitting"),
            ("", "ab"),
            ("abcdef", "azced"),
            ("x", ""),
        ] {
            let (a, b) = (chars(a), chars(b));
            let edits = align(&a, &b);
            let cost = edits
                .iter()
                .filter(|edit| !matches!(edit, Edit::Match(..)))
                .count();
            assert_eq!(cost, distance(&a, &b));
            let covered = |deletions: bool| {
                edits
                    .iter()
                    .filter(|edit| match edit {
                        Edit::Match(..) | Edit::Substitution(..) => true,
                        Edit::Deletion(_) => deletions,
                        Edit::Insertion(_) => !deletions,
                    })
                    .count()
            };
            assert_eq!((covered(true), covered(false)), (a.len(), b.len()));
        }
    }
}
