//! The tokenisers of sacreBLEU that need no model: `13a` (mteval-v13a of WMT), `zh`, `char`, `none`.

use super::{is_space, words};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How BLEU cuts text into tokens.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum BleuTokeniser {
    /// WMT's, for languages with spaces between words.
    #[default]
    #[serde(rename = "13a")]
    Mteval13a,
    /// Each Chinese character is a token, the rest as `13a`.
    #[serde(rename = "zh")]
    Zh,
    /// Each character is a token.
    #[serde(rename = "char")]
    Char,
    /// Text is tokenised already: tokens stand between spaces.
    #[serde(rename = "none")]
    None,
}

impl BleuTokeniser {
    /// The name that a signature gives it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Mteval13a => "13a",
            Self::Zh => "zh",
            Self::Char => "char",
            Self::None => "none",
        }
    }

    /// The tokens of a line.
    pub fn tokens(self, line: &str) -> Vec<String> {
        let line = line.trim_end_matches(is_space);
        let text = match self {
            Self::Mteval13a => western(&format!(" {} ", unescape(line))),
            Self::Zh => western(&spread(line.trim_matches(is_space), is_chinese)),
            Self::Char => spread(line, |_| true),
            Self::None => line.to_owned(),
        };
        words(&text).into_iter().map(str::to_owned).collect()
    }
}

/// What `13a` does in any language: joins lines, resolves SGML's entities.
fn unescape(line: &str) -> String {
    let line = line.replace("<skipped>", "").replace("-\n", "");
    let line = line.replace('\n', " ");
    line.replace("&quot;", "\"")
        .replace("&amp;", "&")
        .replace("&lt;", "<")
        .replace("&gt;", ">")
}

/// What `13a` does in Western languages; each step is one of its regular expressions, which find
/// matches from left to right without overlap.
fn western(line: &str) -> String {
    let symbol =
        |c: char| matches!(c, '{'..='~' | '['..='`' | ' '..='&' | '('..='+' | ':'..='@' | '/');
    let stop = |c: char| c == '.' || c == ',';
    let other = |c: char| !c.is_ascii_digit();
    let line = spread(line, symbol);
    let line = pairs(
        &line,
        |a, b| other(a) && stop(b),
        |out, a, b| {
            out.extend([a, ' ', b, ' ']);
        },
    );
    let line = pairs(
        &line,
        |a, b| stop(a) && other(b),
        |out, a, b| {
            out.extend([' ', a, ' ', b]);
        },
    );
    pairs(
        &line,
        |a, b| a.is_ascii_digit() && b == '-',
        |out, a, b| {
            out.extend([a, ' ', b, ' ']);
        },
    )
}

/// Puts spaces around some characters.
fn spread(line: &str, apart: impl Fn(char) -> bool) -> String {
    let mut out = String::with_capacity(2 * line.len());
    for c in line.chars() {
        if apart(c) {
            out.extend([' ', c, ' ']);
        } else {
            out.push(c);
        }
    }
    out
}

/// Rewrites pairs of neighbours from left to right; a pair that was rewritten is passed over.
fn pairs(
    line: &str,
    matches: impl Fn(char, char) -> bool,
    write: impl Fn(&mut String, char, char),
) -> String {
    let mut out = String::with_capacity(2 * line.len());
    let mut rest = line.chars().peekable();
    while let Some(first) = rest.next() {
        match rest.peek() {
            Some(&second) if matches(first, second) => {
                write(&mut out, first, second);
                rest.next();
            }
            _ => out.push(first),
        }
    }
    out
}

/// The characters that sacreBLEU's `zh` sets apart. Two of its ranges are written as `\u20000` to
/// `\u2a6d6` and `\u2f800` to `\u2fa1d`, which Python reads as four digits and a further character;
/// what they hold when compared as strings is kept, since published scores contain it.
fn is_chinese(c: char) -> bool {
    matches!(c,
        '\u{3400}'..='\u{4db5}'
        | '\u{4e00}'..='\u{9fa5}'
        | '\u{9fa6}'..='\u{9fbb}'
        | '\u{f900}'..='\u{fa2d}'
        | '\u{fa30}'..='\u{fa6a}'
        | '\u{fa70}'..='\u{fad9}'
        | '\u{2001}'..='\u{2a6d}'
        | '\u{2f81}'..='\u{2fa1}'
        | '\u{ff00}'..='\u{ffef}'
        | '\u{2e80}'..='\u{2eff}'
        | '\u{3000}'..='\u{303f}'
        | '\u{31c0}'..='\u{31ef}'
        | '\u{2f00}'..='\u{2fdf}'
        | '\u{2ff0}'..='\u{2fff}'
        | '\u{3100}'..='\u{312f}'
        | '\u{31a0}'..='\u{31bf}'
        | '\u{fe10}'..='\u{fe1f}'
        | '\u{fe30}'..='\u{fe4f}'
        | '\u{3200}'..='\u{33ff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_of_recipes() {
        for tokeniser in [
            BleuTokeniser::Mteval13a,
            BleuTokeniser::Zh,
            BleuTokeniser::Char,
            BleuTokeniser::None,
        ] {
            let written = serde_json::to_value(tokeniser).unwrap();
            assert_eq!(written, tokeniser.name());
        }
    }

    /// The examples of sacreBLEU's own tests of these tokenisers would be quoted text; these are
    /// ours, with the tokens that sacreBLEU 2.6.0 gives.
    #[test]
    fn hard_places_are_cut_as_sacrebleu_does() {
        let cut = |tokeniser: BleuTokeniser, line| tokeniser.tokens(line).join("|");
        let western = |line| cut(BleuTokeniser::Mteval13a, line);
        assert_eq!(western("1,5 cm, 3.000. (a-b)"), "1,5|cm|,|3.000|.|(|a-b|)");
        assert_eq!(western("2019-05 x..y"), "2019|-|05|x|.|.|y");
        assert_eq!(western("&quot;a&amp;lt;b&quot; don't"), "\"|a|<|b|\"|don't");
        assert_eq!(
            cut(BleuTokeniser::Zh, "单击OK，1.5倍。"),
            "单|击|OK|，|1.5|倍|。"
        );
        assert_eq!(cut(BleuTokeniser::Char, "ab c "), "a|b|c");
        assert_eq!(cut(BleuTokeniser::None, " a,b c"), "a,b|c");
    }
}
