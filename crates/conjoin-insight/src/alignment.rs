//! Which tokens of a prediction are wrong: a smallest edit path (Levenshtein 1966; Wagner and
//! Fischer 1974).

/// One column of an alignment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Edit<'a> {
    Match(&'a str),
    Substitution {
        reference: &'a str,
        predicted: &'a str,
    },
    /// Predicted, and not in the reference.
    Insertion(&'a str),
    /// In the reference, and not predicted.
    Deletion(&'a str),
}

impl Edit<'_> {
    pub fn is_error(&self) -> bool {
        !matches!(self, Self::Match(_))
    }
}

/// The columns of a smallest edit path. Among equal paths substitutions go first, then deletions.
pub fn align<'a>(reference: &'a [String], predicted: &'a [String]) -> Vec<Edit<'a>> {
    let width = predicted.len() + 1;
    // `cost[i * width + j]`: edits from the first i reference tokens to the first j predicted.
    let mut cost = vec![0_usize; (reference.len() + 1) * width];
    for i in 0..=reference.len() {
        for j in 0..=predicted.len() {
            cost[i * width + j] = match (i, j) {
                (0, _) => j,
                (_, 0) => i,
                _ => {
                    let differs = usize::from(reference[i - 1] != predicted[j - 1]);
                    (cost[(i - 1) * width + j - 1] + differs)
                        .min(cost[(i - 1) * width + j] + 1)
                        .min(cost[i * width + j - 1] + 1)
                }
            };
        }
    }
    let (mut i, mut j) = (reference.len(), predicted.len());
    let mut edits = Vec::with_capacity(i.max(j));
    while i > 0 || j > 0 {
        let here = cost[i * width + j];
        let differs = i > 0 && j > 0 && reference[i - 1] != predicted[j - 1];
        if i > 0 && j > 0 && here == cost[(i - 1) * width + j - 1] + usize::from(differs) {
            (i, j) = (i - 1, j - 1);
            edits.push(if differs {
                Edit::Substitution {
                    reference: &reference[i],
                    predicted: &predicted[j],
                }
            } else {
                Edit::Match(&reference[i])
            });
        } else if i > 0 && here == cost[(i - 1) * width + j] + 1 {
            i -= 1;
            edits.push(Edit::Deletion(&reference[i]));
        } else {
            j -= 1;
            edits.push(Edit::Insertion(&predicted[j]));
        }
    }
    edits.reverse();
    edits
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tokens(text: &str) -> Vec<String> {
        text.split_whitespace().map(str::to_owned).collect()
    }

    fn errors(reference: &str, predicted: &str) -> usize {
        let (reference, predicted) = (tokens(reference), tokens(predicted));
        align(&reference, &predicted)
            .iter()
            .filter(|edit| edit.is_error())
            .count()
    }

    #[test]
    fn every_kind_of_edit_is_found() {
        let (reference, predicted) = (tokens("T EH S L EY"), tokens("T EH Z L EY T"));
        let edits = align(&reference, &predicted);
        assert_eq!(
            edits[2],
            Edit::Substitution {
                reference: "S",
                predicted: "Z"
            }
        );
        assert_eq!(edits[5], Edit::Insertion("T"));
        assert_eq!(align(&tokens("A B"), &tokens("A"))[1], Edit::Deletion("B"));
    }

    #[test]
    fn the_path_is_as_short_as_the_distance() {
        assert_eq!(errors("k i t t e n", "s i t t i n g"), 3);
        assert_eq!(errors("s u n d a y", "s a t u r d a y"), 3);
        assert_eq!(errors("", "a b"), 2);
        assert_eq!(errors("a b", ""), 2);
        assert_eq!(errors("", ""), 0);
    }
}
