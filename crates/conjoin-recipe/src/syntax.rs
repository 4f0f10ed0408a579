//! Syntax errors, one for each mistake: behind the first one a TOML parser reports whatever it
//! stumbles over, so the statement at fault is blanked out and the rest parsed again.

use crate::diagnostic::{Diagnostic, Span};
use crate::tree::{self, Tree};

/// Parses the recipe's text; mistakes that stand apart are all reported.
pub(crate) fn parse(text: &str, errors: &mut Vec<Diagnostic>) -> Tree {
    let mut found = Vec::new();
    let tree = tree::parse(text, 0, &mut found);
    let mut rest = text.to_owned();
    let mut found = earliest(found);
    while let Some(error) = found {
        let Some((start, end)) = blank(&mut rest, error.span.start) else {
            errors.push(error);
            break;
        };
        errors.push(told_at_its_start(text, error, start, end));
        let mut again = Vec::new();
        tree::parse(&rest, 0, &mut again);
        // A key that is there twice was one mistake, wherever the other one stands.
        found = earliest(again).filter(|next| next.span.start >= start);
    }
    tree
}

fn earliest(found: Vec<Diagnostic>) -> Option<Diagnostic> {
    found.into_iter().min_by_key(|error| error.span.start)
}

/// Overwrites the statement that byte `at` belongs to, up to the end of its line, with spaces;
/// `None` when nothing was left of it. Where the statement before has an open bracket, that one is
/// at fault; a header goes with its table.
fn blank(text: &mut String, at: usize) -> Option<(usize, usize)> {
    let at = at.min(text.len());
    let end = text[at..].find('\n').map_or(text.len(), |end| at + end);
    let mut starts = Vec::new();
    let mut line_start = 0;
    for line in text[..end].split_inclusive('\n') {
        if begins_statement(line) {
            starts.push(line_start);
        }
        line_start += line.len();
    }
    let own = starts.pop().unwrap_or(0);
    let (start, end) = match starts.pop() {
        Some(before) if unclosed(&text[before..own]).is_some() => (before, own),
        _ => (own, end),
    };
    // Without its header a table's keys would join the table before.
    let end = if text[start..].trim_start().starts_with('[') {
        text[end..]
            .find("\n[")
            .map_or(text.len(), |next| end + next)
    } else {
        end
    };
    if text[start..end].trim().is_empty() {
        return None;
    }
    let blank: String = text[start..end]
        .chars()
        .map(|c| if c == '\n' { '\n' } else { ' ' })
        .collect();
    // Characters of several bytes become fewer spaces; positions behind them must not move.
    let lost = end - start - blank.len();
    text.replace_range(start..end, &(" ".repeat(lost) + &blank));
    Some((start, end))
}

/// A header, or a key with `=`.
fn begins_statement(line: &str) -> bool {
    let line = line.trim_start();
    if line.starts_with('[') {
        return true;
    }
    let key = line.split('=').next().unwrap_or_default();
    let bare = |c: char| c.is_ascii_alphanumeric() || "_-.\"' ".contains(c);
    key.len() < line.len() && !key.is_empty() && key.chars().all(bare)
}

/// A bracket that is never closed is found by the parser lines later; the message belongs to where
/// it was opened.
fn told_at_its_start(text: &str, error: Diagnostic, start: usize, end: usize) -> Diagnostic {
    let before = text
        .get(start..error.span.start.min(end))
        .unwrap_or_default();
    if !before.contains('\n') {
        return error;
    }
    match unclosed(before) {
        Some((offset, bracket)) => {
            let at = start + offset;
            let message = format!("not valid TOML: \"{bracket}\" is never closed");
            Diagnostic::new("syntax", Span::new(0, at..at + 1), message)
        }
        None => error,
    }
}

/// The last bracket of a statement that is open at its end.
fn unclosed(statement: &str) -> Option<(usize, char)> {
    let mut open = Vec::new();
    let mut quote = None;
    let mut comment = false;
    for (at, c) in statement.char_indices() {
        match (c, quote) {
            ('\n', _) => (quote, comment) = (None, false),
            _ if comment => {}
            ('#', None) => comment = true,
            ('"' | '\'', None) => quote = Some(c),
            (_, Some(mark)) if c == mark => quote = None,
            ('[' | '{', None) => open.push((at, c)),
            (']' | '}', None) => {
                open.pop();
            }
            _ => {}
        }
    }
    open.pop()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn messages(text: &str) -> Vec<(usize, String)> {
        let mut errors = Vec::new();
        parse(text, &mut errors);
        errors
            .into_iter()
            .map(|error| (error.span.start, error.message))
            .collect()
    }

    #[test]
    fn mistakes_apart_are_all_told_once() {
        let found = messages("a = \nb = { c = 1\n\n[x]\nd = 2\ne = [1, 2\nf = 3\ng == 4\n");
        let places: Vec<usize> = found.iter().map(|(at, _)| *at).collect();
        assert_eq!(places.len(), 4, "{found:?}");
        assert_eq!(
            found[1],
            (9, "not valid TOML: \"{\" is never closed".to_owned())
        );
        assert_eq!(
            found[2],
            (32, "not valid TOML: \"[\" is never closed".to_owned())
        );
    }

    #[test]
    fn a_table_twice_is_one_mistake() {
        let found = messages("[a]\nx = 1\n[b]\nx = 1\n[a]\nx = 2\n[b]\ny = 2\n");
        assert_eq!(found.len(), 2, "{found:?}");
        assert!(found[0].1.contains("duplicate key"));
    }

    #[test]
    fn a_sound_text_has_none() {
        assert!(messages("a = 1\nb = { c = [1,\n 2] }\n[x.y]\n\"é\" = 'ü'\n").is_empty());
    }

    #[test]
    fn wide_characters_keep_their_places() {
        let found = messages("é = 1 ü\nb = \n");
        assert_eq!(found.last().map(|(at, _)| *at), Some(14), "{found:?}");
    }
}
