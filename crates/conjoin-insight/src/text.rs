//! How wide a text will be, without a font at hand.
//!
//! The widths are those of DejaVu Sans, rounded up; it is the widest of the usual system fonts, so
//! that a box made for it holds the text in every other one.

/// Width in pixels at a font size in pixels.
pub(crate) fn width(text: &str, size: f64) -> f64 {
    text.chars().map(advance).sum::<f64>() * size
}

/// The text if it fits, else its beginning and an ellipsis.
pub(crate) fn fit(text: &str, size: f64, available: f64) -> String {
    if width(text, size) <= available {
        return text.to_owned();
    }
    let mut room = available - advance('…') * size;
    let mut out = String::new();
    for c in text.chars() {
        room -= advance(c) * size;
        if room < 0.0 {
            break;
        }
        out.push(c);
    }
    out.push('…');
    out
}

/// Advance in units of the font size.
fn advance(c: char) -> f64 {
    match c {
        'i' | 'j' | 'l' | '\'' | '|' => 0.29,
        ' ' | '.' | ',' | ':' | ';' | '!' | 'I' => 0.34,
        'f' | 't' | 'r' | '(' | ')' | '[' | ']' | '-' | '"' | '·' => 0.42,
        'm' | 'W' | '%' | '@' | '…' => 1.0,
        'w' | 'M' | '→' | '×' | '=' | '<' | '>' | '+' | '−' | '~' => 0.87,
        'A'..='Z' => 0.75,
        '0'..='9' | 'a'..='z' | '_' | '/' => 0.64,
        // CJK and other wide scripts are square.
        '\u{1100}'.. => 1.05,
        _ => 0.7,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_text_is_cut_to_its_room() {
        let cut = fit("a very long name of a module", 12.0, 80.0);
        assert!(cut.ends_with('…'));
        assert!(width(&cut, 12.0) <= 80.0);
        assert_eq!(fit("short", 12.0, 80.0), "short");
    }
}
