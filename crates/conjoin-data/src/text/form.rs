//! The form in which text meets a tokenizer.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use unicode_normalization::UnicodeNormalization;

/// Normal forms of Unicode (Unicode Standard Annex 15).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum UnicodeForm {
    /// Composed: one code point for `ä`.
    #[default]
    Nfc,
    /// Composed, and without differences of form: `ﬁ` becomes `fi`, `①` becomes `1`.
    Nfkc,
    /// As it is.
    None,
}

/// What happens to text before it is cut into tokens.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct TextForm {
    pub unicode: UnicodeForm,
    pub lowercase: bool,
}

impl TextForm {
    /// The text in this form; runs of white space become one space, and none is left at the ends.
    pub fn apply(self, text: &str) -> String {
        let mut text: String = match self.unicode {
            UnicodeForm::Nfc => text.nfc().collect(),
            UnicodeForm::Nfkc => text.nfkc().collect(),
            UnicodeForm::None => text.to_owned(),
        };
        if self.lowercase {
            // Letter by letter, as tokenizer files say it: a sigma that ends a word is as any other.
            text = text.chars().flat_map(char::to_lowercase).collect();
        }
        one_space(&text)
    }
}

/// White space as single spaces between words.
pub(crate) fn one_space(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for word in text.split_whitespace() {
        if !out.is_empty() {
            out.push(' ');
        }
        out.push_str(word);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms_differ_where_the_standard_says() {
        let apply = |unicode, lowercase, text: &str| TextForm { unicode, lowercase }.apply(text);
        let text = " A\u{308}\u{a0}\t ﬁ ① ";
        assert_eq!(apply(UnicodeForm::Nfc, false, text), "Ä ﬁ ①");
        assert_eq!(apply(UnicodeForm::Nfkc, true, text), "ä fi 1");
        assert_eq!(apply(UnicodeForm::Nfc, true, "ΟΔΟΣ"), "οδοσ");
        assert_eq!(apply(UnicodeForm::None, false, text), "A\u{308} ﬁ ①");
    }
}
