//! Which tokens of an output are wrong: a smallest edit path (Levenshtein 1966; Wagner and Fischer
//! 1974), and its length.
//!
//! Time and memory are `O(len(reference) * len(output))`.

/// One column of an alignment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Edit<'a, T> {
    Match(&'a T),
    Substitution {
        reference: &'a T,
        output: &'a T,
    },
    /// In the output, and not in the reference.
    Insertion(&'a T),
    /// In the reference, and not in the output.
    Deletion(&'a T),
}

impl<T> Edit<'_, T> {
    pub fn is_error(&self) -> bool {
        !matches!(self, Self::Match(_))
    }
}

/// Fewest substitutions, deletions and insertions that turn one sequence into the other.
pub fn distance<T: PartialEq>(reference: &[T], output: &[T]) -> usize {
    Costs::new(reference, output).at(reference.len(), output.len())
}

/// The columns of a smallest edit path. Among equal paths substitutions go first, then deletions.
pub fn align<'a, T: PartialEq>(reference: &'a [T], output: &'a [T]) -> Vec<Edit<'a, T>> {
    let costs = Costs::new(reference, output);
    let (mut i, mut j) = (reference.len(), output.len());
    let mut edits = Vec::with_capacity(i.max(j));
    while i > 0 || j > 0 {
        let here = costs.at(i, j);
        let differs = i > 0 && j > 0 && reference[i - 1] != output[j - 1];
        if i > 0 && j > 0 && here == costs.at(i - 1, j - 1) + usize::from(differs) {
            (i, j) = (i - 1, j - 1);
            edits.push(if differs {
                Edit::Substitution {
                    reference: &reference[i],
                    output: &output[j],
                }
            } else {
                Edit::Match(&reference[i])
            });
        } else if i > 0 && here == costs.at(i - 1, j) + 1 {
            i -= 1;
            edits.push(Edit::Deletion(&reference[i]));
        } else {
            j -= 1;
            edits.push(Edit::Insertion(&output[j]));
        }
    }
    edits.reverse();
    edits
}

/// Edits from the first `i` reference tokens to the first `j` of the output, for all `i` and `j`.
struct Costs {
    values: Vec<usize>,
    width: usize,
}

impl Costs {
    fn new<T: PartialEq>(reference: &[T], output: &[T]) -> Self {
        let width = output.len() + 1;
        let mut costs = Self {
            values: vec![0; (reference.len() + 1) * width],
            width,
        };
        for i in 0..=reference.len() {
            for j in 0..=output.len() {
                costs.values[i * width + j] = match (i, j) {
                    (0, _) => j,
                    (_, 0) => i,
                    _ => {
                        let differs = usize::from(reference[i - 1] != output[j - 1]);
                        (costs.at(i - 1, j - 1) + differs)
                            .min(costs.at(i - 1, j) + 1)
                            .min(costs.at(i, j - 1) + 1)
                    }
                };
            }
        }
        costs
    }

    fn at(&self, i: usize, j: usize) -> usize {
        self.values[i * self.width + j]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tokens(text: &str) -> Vec<&str> {
        text.split_whitespace().collect()
    }

    #[test]
    fn every_kind_of_edit_is_found() {
        let (reference, output) = (tokens("T EH S L EY"), tokens("T EH Z L EY T"));
        let edits = align(&reference, &output);
        assert_eq!(
            edits[2],
            Edit::Substitution {
                reference: &"S",
                output: &"Z"
            }
        );
        assert_eq!(edits[5], Edit::Insertion(&"T"));
        let (two, one) = (tokens("A B"), tokens("A"));
        assert_eq!(align(&two, &one)[1], Edit::Deletion(&"B"));
    }

    #[test]
    fn known_distances_are_the_errors_of_the_path() {
        let chars = |text: &str| text.chars().collect::<Vec<_>>();
        for (a, b, expected) in [
            ("kitten", "sitting", 3),
            ("saturday", "sunday", 3),
            ("", "abc", 3),
            ("abc", "", 3),
            ("same", "same", 0),
            ("", "", 0),
        ] {
            let (a, b) = (chars(a), chars(b));
            assert_eq!(distance(&a, &b), expected, "{a:?} {b:?}");
            let edits = align(&a, &b);
            let errors = edits.iter().filter(|edit| edit.is_error()).count();
            assert_eq!(errors, expected, "{a:?} {b:?}");
        }
    }
}
