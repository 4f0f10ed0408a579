//! The nearest valid name.

use std::fmt::Display;

/// How alike two names must be for one to be offered in place of the other.
const ALIKE: f64 = 0.55;
/// How alike two names must be for checking to go on as if the valid one had been written.
const SURE: f64 = 0.7;

/// The candidate most like `name`, if any is alike.
pub(crate) fn nearest<S: AsRef<str>>(
    name: &str,
    candidates: impl IntoIterator<Item = S>,
) -> Option<S> {
    best(name, candidates, ALIKE)
}

/// The candidate that was almost certainly meant.
pub(crate) fn meant<S: AsRef<str>>(
    name: &str,
    candidates: impl IntoIterator<Item = S>,
) -> Option<S> {
    best(name, candidates, SURE)
}

fn best<S: AsRef<str>>(
    name: &str,
    candidates: impl IntoIterator<Item = S>,
    threshold: f64,
) -> Option<S> {
    candidates
        .into_iter()
        .map(|candidate| (likeness(name, candidate.as_ref()), candidate))
        .filter(|(likeness, _)| *likeness >= threshold)
        .reduce(|best, next| if next.0 > best.0 { next } else { best })
        .map(|(_, candidate)| candidate)
}

/// 1 for names that differ in case and separators alone. Edit distance with transpositions decides
/// (Damerau 1964); a shared beginning (Winkler 1990) only breaks ties, because it likes short names
/// too much.
fn likeness(a: &str, b: &str) -> f64 {
    if a.len() > 3 && initials(a) == b {
        return 0.9;
    }
    let plain = |s: &str| s.to_lowercase().replace(['-', '_', ' '], "");
    let (a, b) = (plain(a), plain(b));
    if a == b {
        return 1.0;
    }
    let (short, long) = if a.len() < b.len() {
        (&a, &b)
    } else {
        (&b, &a)
    };
    let contained = if short.len() >= 3 && long.starts_with(short.as_str()) {
        0.7
    } else {
        0.0
    };
    let edits = strsim::normalized_damerau_levenshtein(&a, &b).max(contained);
    0.99 * edits + 0.01 * strsim::jaro_winkler(&a, &b)
}

/// `lr` of `learning_rate`.
fn initials(name: &str) -> String {
    name.split(['_', '-', ' '])
        .filter_map(|word| word.chars().next())
        .collect()
}

/// `did you mean "hidden"?`, or what there is to choose from.
pub(crate) fn help<S: AsRef<str>>(
    name: &str,
    what: &str,
    candidates: impl IntoIterator<Item = S>,
) -> String {
    let candidates: Vec<S> = candidates.into_iter().collect();
    match nearest(name, candidates.iter().map(AsRef::as_ref)) {
        Some(candidate) => format!("did you mean \"{candidate}\"?"),
        None if candidates.is_empty() => format!("there are no {what}"),
        None => format!("{what}: {}", list(candidates.iter().map(AsRef::as_ref))),
    }
}

/// `a, b, c`.
pub(crate) fn list<S: Display>(names: impl IntoIterator<Item = S>) -> String {
    let names: Vec<String> = names.into_iter().map(|name| name.to_string()).collect();
    names.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn typing_errors_find_their_word() {
        let keys = ["hidden", "layers", "bidirectional", "cell", "dropout"];
        for (wrong, right) in [
            ("hiden", "hidden"),
            ("hidden_", "hidden"),
            ("Hidden", "hidden"),
            ("bidirectionel", "bidirectional"),
            ("bi-directional", "bidirectional"),
            ("lyaers", "layers"),
        ] {
            assert_eq!(nearest(wrong, keys), Some(right), "{wrong}");
            assert_eq!(meant(wrong, keys), Some(right), "{wrong}");
        }
        assert_eq!(nearest("bidir", keys), Some("bidirectional"));
        assert_eq!(meant("learning_rate", ["lr", "train"]), Some("lr"));
    }

    #[test]
    fn strange_words_find_none() {
        assert_eq!(nearest("momentum", ["size", "cell", "kind"]), None);
        assert_eq!(nearest("x", ["y", "z"]), None);
        assert_eq!(help("x", "nodes", ["a1", "b1"]), "nodes: a1, b1");
        assert_eq!(help("x", "nodes", [""; 0]), "there are no nodes");
    }
}
