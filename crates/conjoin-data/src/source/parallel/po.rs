//! Pairs of a gettext catalogue in text form, `.po` (GNU gettext manual, "The Format of PO Files").

use super::Pair;
use crate::DataError;
use crate::text::read_lines;
use std::iter::Peekable;
use std::path::Path;
use std::str::Chars;

/// What is read of one entry.
#[derive(Debug, Default)]
struct Entry {
    line: usize,
    fuzzy: bool,
    id: Option<String>,
    plural: Option<String>,
    /// Translations by their number.
    translations: Vec<String>,
    /// What a further quoted line continues.
    last: Field,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum Field {
    #[default]
    None,
    Context,
    Id,
    Plural,
    Translation(usize),
}

/// The translated entries of a `.po` file; entries marked fuzzy if they are asked for.
pub(super) fn read(path: &Path, fuzzy: bool) -> Result<Vec<Pair>, DataError> {
    let mut pairs = Vec::new();
    let mut entry = Entry::default();
    for (number, content) in (1..).zip(read_lines(path)?) {
        let content = content.trim();
        let wrong = |found: &str, expected: &str| {
            let place = format!("{} line {number}", path.display());
            DataError::format(place, found, expected)
        };
        if let Some(comment) = content.strip_prefix('#') {
            entry.finish(path, fuzzy, &mut pairs)?;
            entry.fuzzy |= comment
                .strip_prefix(',')
                .is_some_and(|flags| flags.split(',').any(|flag| flag.trim() == "fuzzy"));
            continue;
        }
        if content.is_empty() {
            entry.finish(path, fuzzy, &mut pairs)?;
            entry.fuzzy = false;
            continue;
        }
        let (keyword, quoted) = content.split_at(content.find('"').unwrap_or(content.len()));
        let text = unquote(quoted)
            .map_err(|found| wrong(&found, "a keyword, or a comment, and text in double quotes"))?;
        let field = match keyword.trim_end() {
            "" if entry.last == Field::None => {
                return Err(wrong(
                    "text without a keyword",
                    "msgid, msgstr or a comment",
                ));
            }
            "" => entry.last,
            "msgctxt" | "msgid" if entry.id.is_some() || !entry.translations.is_empty() => {
                entry.finish(path, fuzzy, &mut pairs)?;
                entry.fuzzy = false;
                if keyword.starts_with("msgid") {
                    Field::Id
                } else {
                    Field::Context
                }
            }
            "msgctxt" => Field::Context,
            "msgid" => Field::Id,
            "msgid_plural" => Field::Plural,
            "msgstr" => Field::Translation(0),
            other => {
                let index = other
                    .strip_prefix("msgstr[")
                    .and_then(|rest| rest.strip_suffix(']'));
                let index = index.and_then(|index| index.parse::<usize>().ok());
                let Some(index) = index.filter(|&index| index <= entry.translations.len()) else {
                    let found = format!("`{other}`");
                    return Err(wrong(&found, "msgctxt, msgid, msgid_plural or msgstr"));
                };
                Field::Translation(index)
            }
        };
        if matches!(field, Field::Plural | Field::Translation(_)) && entry.id.is_none() {
            return Err(wrong("a translation without msgid", "msgid before msgstr"));
        }
        if field == Field::Id && entry.id.is_none() {
            entry.line = number;
        }
        entry.add(field, &text);
    }
    entry.finish(path, fuzzy, &mut pairs)?;
    Ok(pairs)
}

impl Entry {
    fn add(&mut self, field: Field, text: &str) {
        self.last = field;
        match field {
            Field::None | Field::Context => {}
            Field::Id => self.id.get_or_insert_default().push_str(text),
            Field::Plural => self.plural.get_or_insert_default().push_str(text),
            Field::Translation(index) => {
                if index == self.translations.len() {
                    self.translations.push(String::new());
                }
                self.translations[index].push_str(text);
            }
        }
    }

    /// Writes the pairs of an entry that has ended, and begins a new one.
    fn finish(&mut self, path: &Path, fuzzy: bool, pairs: &mut Vec<Pair>) -> Result<(), DataError> {
        let Some(id) = self.id.take() else {
            return Ok(());
        };
        let entry = std::mem::take(self);
        // An entry that waits for its translation has an empty one.
        if entry.translations.is_empty() {
            return Err(DataError::format(
                format!("{} line {}", path.display(), entry.line),
                "msgid without msgstr",
                "msgstr behind it, before the entry ends",
            ));
        }
        if !entry.fuzzy || fuzzy {
            let forms = entry.translations.iter().map(String::as_str).collect();
            super::translated(&id, entry.plural.as_deref(), forms, entry.line, pairs);
        }
        Ok(())
    }
}

/// The text between double quotes, with C's escapes resolved.
fn unquote(quoted: &str) -> Result<String, String> {
    let inner = quoted
        .strip_prefix('"')
        .and_then(|rest| rest.strip_suffix('"'));
    let inner = inner.ok_or_else(|| {
        if quoted.is_empty() {
            "no quoted text".to_owned()
        } else {
            "a quote that does not end".to_owned()
        }
    })?;
    let mut bytes = Vec::with_capacity(inner.len());
    let mut rest = inner.chars().peekable();
    while let Some(c) = rest.next() {
        if c == '"' {
            return Err("a quote within the text".to_owned());
        }
        if c != '\\' {
            bytes.extend(c.encode_utf8(&mut [0; 4]).bytes());
            continue;
        }
        let byte = match number(&mut rest, 8, 3) {
            Some(byte) => Some(byte),
            None => match rest.next() {
                Some('n') => Some(b'\n'),
                Some('t') => Some(b'\t'),
                Some('r') => Some(b'\r'),
                Some('a') => Some(7),
                Some('b') => Some(8),
                Some('v') => Some(11),
                Some('f') => Some(12),
                Some('x') => number(&mut rest, 16, 2),
                Some(c @ ('"' | '\\' | '\'' | '?')) => Some(c as u8),
                _ => None,
            },
        };
        match byte {
            Some(byte) => bytes.push(byte),
            None => return Err("an unknown escape".to_owned()),
        }
    }
    String::from_utf8(bytes).map_err(|_| "escapes that are not UTF-8".to_owned())
}

/// A byte as digits; `None` where there is no digit, or too great a number.
fn number(rest: &mut Peekable<Chars<'_>>, radix: u32, most: usize) -> Option<u8> {
    let mut value = None;
    for _ in 0..most {
        let Some(digit) = rest.peek().and_then(|c| c.to_digit(radix)) else {
            break;
        };
        value = Some(value.unwrap_or(0) * radix + digit);
        rest.next();
    }
    value.and_then(|value| u8::try_from(value).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    const CATALOGUE: &str = r#"# header
msgid ""
msgstr ""
"Content-Type: text/plain; charset=UTF-8\n"

#: a.c:1
msgctxt "menu"
msgid "Open \"%s\"\n"
msgstr ""
"\303\226ffne "
"\"%s\"\n"

#, c-format, fuzzy
msgid "Close"
msgstr "Zu"
msgid "no translation"
msgstr ""

msgid "%d file"
msgid_plural "%d files"
msgstr[0] "%d Datei"
msgstr[1] "%d Dateien"

#~ msgid "old"
#~ msgstr "alt"
"#;

    fn read_text(text: &str, fuzzy: bool) -> Result<Vec<Pair>, String> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.po");
        std::fs::write(&path, text).unwrap();
        let place = format!("{}/", dir.path().display());
        read(&path, fuzzy).map_err(|e| e.to_string().replace(&place, ""))
    }

    #[test]
    fn translated_entries_are_pairs() {
        let pairs = read_text(CATALOGUE, false).unwrap();
        let told: Vec<(usize, &str, &str)> = pairs
            .iter()
            .map(|pair| (pair.line, pair.source.as_str(), pair.target.as_str()))
            .collect();
        assert_eq!(
            told,
            [
                (8, "Open \"%s\"\n", "Öffne \"%s\"\n"),
                (19, "%d file", "%d Datei"),
                (19, "%d files", "%d Dateien"),
            ]
        );
        let fuzzy = read_text(CATALOGUE, true).unwrap();
        assert_eq!((fuzzy.len(), fuzzy[1].source.as_str()), (4, "Close"));
    }

    #[test]
    fn what_is_no_catalogue_is_named_with_its_line() {
        let refusal = |text: &str| read_text(text, false).unwrap_err();
        assert_eq!(
            refusal("msgid \"a\"\nmsgtsr \"b\"\n"),
            "a.po line 2: found `msgtsr`, expected msgctxt, msgid, msgid_plural or msgstr"
        );
        assert!(refusal("msgid \"a").contains("line 1: found a quote that does not end"));
        assert!(refusal("\"a\"").contains("text without a keyword"));
        assert!(refusal("msgstr \"a\"").contains("a translation without msgid"));
        assert!(refusal("msgid \"\\q\"").contains("an unknown escape"));
        assert!(refusal("msgid \"a\"\nmsgstr[1] \"b\"").contains("`msgstr[1]`"));
        assert!(refusal("msgid a").contains("no quoted text"));
        let begun = "msgid \"a\"\nmsgstr \"b\"\n\nmsgid \"c\"\n\"d\"\n";
        for rest in [
            "",
            "\nmsgstr \"e\"\n",
            "# e\n",
            "msgid \"e\"\n",
            "msgid_plural \"e\"\n",
        ] {
            assert_eq!(
                refusal(&format!("{begun}{rest}")),
                "a.po line 4: found msgid without msgstr, expected msgstr behind it, before the entry \
                 ends"
            );
        }
    }
}
