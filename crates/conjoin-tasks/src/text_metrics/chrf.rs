//! chrF (Popović 2015, "chrF: character n-gram F-score for automatic MT evaluation") and chrF++
//! (Popović 2017), as sacreBLEU 2 computes them.

use super::{TextMetricError, VERSION, check, is_space, ngrams, reference_count, words};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::hash::Hash;
use std::iter::Sum;
use std::ops::AddAssign;

/// Longest n-gram of characters where the options say nothing else.
const CHAR_ORDER: usize = 6;

/// Options of chrF.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ChrfOptions {
    /// Longest n-gram of characters.
    #[serde(default = "six")]
    pub char_order: usize,
    /// Longest n-gram of words; with 2 the metric is called chrF++.
    #[serde(default)]
    pub word_order: usize,
    /// How much more recall counts than precision.
    #[serde(default = "two")]
    pub beta: u32,
    /// Compare in lower case.
    #[serde(default)]
    pub lowercase: bool,
    /// Count spaces as characters.
    #[serde(default)]
    pub whitespace: bool,
}

fn six() -> usize {
    CHAR_ORDER
}

fn two() -> u32 {
    2
}

impl Default for ChrfOptions {
    fn default() -> Self {
        Self {
            char_order: six(),
            word_order: 0,
            beta: two(),
            lowercase: false,
            whitespace: false,
        }
    }
}

impl ChrfOptions {
    /// chrF++: words and pairs of words too.
    pub fn plus_plus() -> Self {
        Self {
            word_order: 2,
            ..Self::default()
        }
    }

    /// The name of the score: `chrF2`, `chrF2++`.
    pub fn name(&self) -> String {
        format!("chrF{}{}", self.beta, "+".repeat(self.word_order))
    }

    /// sacreBLEU's account of how a score came about; `references` is how many each sentence has.
    pub fn signature(&self, references: impl IntoIterator<Item = usize>) -> String {
        format!(
            "{}|case:{}|eff:yes|nc:{}|nw:{}|space:{}|{VERSION}",
            reference_count(references),
            if self.lowercase { "lc" } else { "mixed" },
            self.char_order,
            self.word_order,
            if self.whitespace { "yes" } else { "no" },
        )
    }
}

/// Counts of one order.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ChrfCounts {
    /// N-grams of the hypothesis; 0 where the reference has none.
    pub hypothesis: u64,
    pub reference: u64,
    pub matches: u64,
}

/// What chrF needs to know of one sentence, or of many after addition: orders of characters, then
/// of words.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ChrfStatistics {
    pub orders: Vec<ChrfCounts>,
}

/// The score of a sentence or corpus.
#[derive(Debug, Clone, PartialEq)]
pub struct ChrfScore {
    /// From 0 to 100.
    pub score: f64,
    /// `chrF2`, `chrF2++`.
    pub name: String,
}

/// chrF over sentences, each with one or more references.
///
/// # Errors
/// The lists differ in length, or a sentence has no reference.
pub fn corpus<H: AsRef<str>, R: AsRef<str>>(
    hypotheses: &[H],
    references: &[Vec<R>],
    options: &ChrfOptions,
) -> Result<ChrfScore, TextMetricError> {
    check(hypotheses, references)?;
    let sum: ChrfStatistics = hypotheses
        .iter()
        .zip(references)
        .map(|(hypothesis, references)| statistics(hypothesis.as_ref(), references, options))
        .sum();
    Ok(ChrfScore {
        score: sum.score(options),
        name: options.name(),
    })
}

/// The statistics of one sentence against the reference that gives it the best score.
pub fn statistics<R: AsRef<str>>(
    hypothesis: &str,
    references: &[R],
    options: &ChrfOptions,
) -> ChrfStatistics {
    let hypothesis = Text::new(hypothesis, options);
    let mut best = (f64::NEG_INFINITY, ChrfStatistics::default());
    for reference in references {
        let found = compare(
            &hypothesis,
            &Text::new(reference.as_ref(), options),
            options,
        );
        let score = found.score(options);
        if score > best.0 {
            best = (score, found);
        }
    }
    best.1
}

/// A sentence in the two ways it is counted.
struct Text {
    chars: Vec<char>,
    words: Vec<String>,
}

impl Text {
    fn new(line: &str, options: &ChrfOptions) -> Self {
        let line = if options.lowercase {
            line.to_lowercase()
        } else {
            line.to_owned()
        };
        let kept = |c: &char| options.whitespace || !is_space(*c);
        let mut cut = Vec::new();
        if options.word_order > 0 {
            for word in words(&line) {
                strip(word, &mut cut);
            }
        }
        Self {
            chars: line.chars().filter(kept).collect(),
            words: cut,
        }
    }
}

/// Sets apart a mark at the end of a word, or else one at its beginning.
fn strip(word: &str, out: &mut Vec<String>) {
    let mut chars = word.chars();
    let (first, last) = (chars.next(), chars.next_back());
    let mark = |c: Option<char>| {
        c.filter(char::is_ascii_punctuation)
            .map_or(0, char::len_utf8)
    };
    if last.is_none() {
        out.push(word.to_owned()); // one character
    } else if mark(last) > 0 {
        let (rest, mark) = word.split_at(word.len() - 1);
        out.extend([rest.to_owned(), mark.to_owned()]);
    } else if mark(first) > 0 {
        let (mark, rest) = word.split_at(1);
        out.extend([mark.to_owned(), rest.to_owned()]);
    } else {
        out.push(word.to_owned());
    }
}

fn compare(hypothesis: &Text, reference: &Text, options: &ChrfOptions) -> ChrfStatistics {
    let chars = (1..=options.char_order).map(|n| count(&hypothesis.chars, &reference.chars, n));
    let words = (1..=options.word_order).map(|n| count(&hypothesis.words, &reference.words, n));
    ChrfStatistics {
        orders: chars.chain(words).collect(),
    }
}

fn count<T: Eq + Hash>(hypothesis: &[T], reference: &[T], order: usize) -> ChrfCounts {
    let known = ngrams(reference, order);
    let mut found = ChrfCounts {
        reference: known.values().sum(),
        ..ChrfCounts::default()
    };
    for (ngram, count) in ngrams(hypothesis, order) {
        if !known.is_empty() {
            found.hypothesis += count;
        }
        found.matches += count.min(known.get(ngram).copied().unwrap_or(0));
    }
    found
}

impl ChrfStatistics {
    /// How many counts [`ChrfStatistics::counts`] gives.
    pub const COUNTS: usize = 3 * CHAR_ORDER;

    /// N-grams of the hypothesis, of the reference and of both, order by order: what is summed over
    /// sentences. Of the default options' orders, those of characters; orders of words are left out.
    pub fn counts(&self) -> [u32; Self::COUNTS] {
        std::array::from_fn(|i| {
            let counts = self.orders.get(i / 3).copied().unwrap_or_default();
            let count = [counts.hypothesis, counts.reference, counts.matches][i % 3];
            u32::try_from(count).unwrap_or(u32::MAX)
        })
    }

    /// The statistics of such counts.
    pub fn from_counts(counts: [u64; Self::COUNTS]) -> Self {
        let order = |&[hypothesis, reference, matches]: &[u64; 3]| ChrfCounts {
            hypothesis,
            reference,
            matches,
        };
        Self {
            orders: counts.as_chunks().0.iter().map(order).collect(),
        }
    }

    /// From 0 to 100: the F-score of precision and recall, each averaged over the orders for which
    /// both sides have n-grams.
    pub fn score(&self, options: &ChrfOptions) -> f64 {
        let factor = f64::from(options.beta).powi(2);
        let (mut precision, mut recall, mut orders) = (0.0, 0.0, 0.0);
        for counts in &self.orders {
            if counts.hypothesis > 0 && counts.reference > 0 {
                precision += counts.matches as f64 / counts.hypothesis as f64;
                recall += counts.matches as f64 / counts.reference as f64;
                orders += 1.0;
            }
        }
        if precision + recall == 0.0 {
            return 0.0;
        }
        let (precision, recall) = (precision / orders, recall / orders);
        100.0 * ((1.0 + factor) * precision * recall / (factor * precision + recall))
    }
}

impl AddAssign<&Self> for ChrfStatistics {
    fn add_assign(&mut self, other: &Self) {
        let orders = self.orders.len().max(other.orders.len());
        self.orders.resize(orders, ChrfCounts::default());
        for (sum, next) in self.orders.iter_mut().zip(&other.orders) {
            sum.hypothesis += next.hypothesis;
            sum.reference += next.reference;
            sum.matches += next.matches;
        }
    }
}

impl Sum for ChrfStatistics {
    fn sum<I: Iterator<Item = Self>>(all: I) -> Self {
        all.fold(Self::default(), |mut sum, next| {
            sum += &next;
            sum
        })
    }
}

impl fmt::Display for ChrfScore {
    /// As sacreBLEU prints it: `chrF2 = 59.73`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} = {:.2}", self.name, self.score)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_mark_a_word_is_set_apart_the_last_first() {
        let cut = |word: &str| {
            let mut out = Vec::new();
            strip(word, &mut out);
            out.join("|")
        };
        assert_eq!(cut("(hi)"), "(hi|)");
        assert_eq!(cut("(hi"), "(|hi");
        assert_eq!(cut("hi"), "hi");
        assert_eq!(cut("."), ".");
        assert_eq!(cut("ä."), "ä|.");
        assert_eq!(cut("„hi“"), "„hi“");
    }
}
