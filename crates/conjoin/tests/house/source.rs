//! Rust source with everything taken out that the rules do not speak of: comments, literals, tests.

/// What the scanner is inside of.
enum State {
    Code,
    LineComment,
    /// Depth of nesting.
    BlockComment(usize),
    /// Ends at `"` and this number of `#`; a raw string has no escapes.
    Text {
        raw: bool,
        hashes: usize,
    },
}

/// The source with comments and literals as blanks; line breaks stay where they are.
pub fn code_only(source: &str) -> String {
    let chars: Vec<char> = source.chars().collect();
    let mut code = String::with_capacity(source.len());
    let mut state = State::Code;
    let mut at = 0;
    while at < chars.len() {
        let rest = &chars[at..];
        let (next, taken, kept) = match state {
            State::Code => step_code(rest, chars[..at].last().copied()),
            State::LineComment if rest[0] == '\n' => (State::Code, 1, false),
            State::LineComment => (state, 1, false),
            State::BlockComment(depth) => match rest {
                ['*', '/', ..] if depth == 1 => (State::Code, 2, false),
                ['*', '/', ..] => (State::BlockComment(depth - 1), 2, false),
                ['/', '*', ..] => (State::BlockComment(depth + 1), 2, false),
                _ => (state, 1, false),
            },
            State::Text { raw, hashes } => match rest {
                ['\\', _, ..] if !raw => (state, 2, false),
                ['"', tail @ ..] if closes(tail, hashes) => (State::Code, 1 + hashes, false),
                _ => (state, 1, false),
            },
        };
        for &c in &rest[..taken] {
            code.push(if kept || c == '\n' { c } else { ' ' });
        }
        at += taken;
        state = next;
    }
    code
}

fn closes(tail: &[char], hashes: usize) -> bool {
    tail.len() >= hashes && tail[..hashes].iter().all(|&c| c == '#')
}

/// In code: what comes next, how many characters that takes, and whether they are code.
fn step_code(rest: &[char], before: Option<char>) -> (State, usize, bool) {
    match rest {
        ['/', '/', ..] => (State::LineComment, 2, false),
        ['/', '*', ..] => (State::BlockComment(1), 2, false),
        ['"', ..] => (
            State::Text {
                raw: false,
                hashes: 0,
            },
            1,
            false,
        ),
        ['r', tail @ ..]
            if !before.is_some_and(|c| c.is_alphanumeric() && c != 'b' || c == '_') =>
        {
            let hashes = tail.iter().take_while(|&&c| c == '#').count();
            if tail.get(hashes) == Some(&'"') {
                (State::Text { raw: true, hashes }, 2 + hashes, false)
            } else {
                (State::Code, 1, true)
            }
        }
        // A character literal, unless it is a lifetime.
        ['\'', '\\', tail @ ..] => {
            let end = tail.iter().skip(1).position(|&c| c == '\'').unwrap_or(0);
            (State::Code, end + 4, false)
        }
        ['\'', _, '\'', ..] => (State::Code, 3, false),
        _ => (State::Code, 1, true),
    }
}

/// Code without the items that exist in tests alone, as blanks too.
pub fn without_tests(code: &str) -> String {
    const MARK: &str = "#[cfg(test)]";
    let mut kept = String::with_capacity(code.len());
    let mut rest = code;
    while let Some(start) = rest.find(MARK) {
        let (before, item) = rest.split_at(start);
        kept.push_str(before);
        let (item, after) = item.split_at(item_end(item));
        kept.extend(item.chars().map(|c| if c == '\n' { c } else { ' ' }));
        rest = after;
    }
    kept + rest
}

/// Where the first item ends: behind its closing brace, or behind a semicolon before any brace.
fn item_end(code: &str) -> usize {
    let mut depth = 0;
    for (at, c) in code.char_indices() {
        match c {
            '{' => depth += 1,
            '}' if depth == 1 => return at + 1,
            '}' => depth -= 1,
            ';' if depth == 0 => return at + 1,
            _ => {}
        }
    }
    code.len()
}

#[test]
fn comments_and_literals_are_taken_out() {
    let taken = |source: &str| {
        code_only(source)
            .split_whitespace()
            .collect::<Vec<_>>()
            .join(" ")
    };
    assert_eq!(taken("a // b.unwrap()\nc"), "a c");
    assert_eq!(taken("a /* b /* c */ d */ e"), "a e");
    assert_eq!(
        taken(r#"f("x \" y", 'z', '\'', '"', b"w") + g"#),
        "f( , , , , b ) + g"
    );
    assert_eq!(taken("r#\"a \" b\"# c for d"), "c for d");
    assert_eq!(taken("br\"\\\" c"), "b c");
    assert_eq!(taken("fn f<'a>(x: &'a str) {}"), "fn f<'a>(x: &'a str) {}");
    assert_eq!(code_only("a\n\"b\nc\"\nd").matches('\n').count(), 3);
}

#[test]
fn tests_are_taken_out() {
    let taken = |code: &str| {
        without_tests(code)
            .split_whitespace()
            .collect::<Vec<_>>()
            .join(" ")
    };
    assert_eq!(taken("a #[cfg(test)] mod tests { b { c } } d"), "a d");
    assert_eq!(taken("a #[cfg(test)] mod tests; d"), "a d");
    assert_eq!(
        taken("a #[cfg(test)] #[derive(B)] struct C; fn d() {}"),
        "a fn d() {}"
    );
}
