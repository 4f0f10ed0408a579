//! Pairs of a gettext catalogue in binary form, `.mo` (GNU gettext manual, "The Format of GNU MO
//! Files").

use super::Pair;
use crate::DataError;
use std::fs;
use std::path::Path;

const MAGIC: u32 = 0x9504_12de;

/// The translated entries of a `.mo` file, whose lines are their numbers from 1.
pub(super) fn read(path: &Path) -> Result<Vec<Pair>, DataError> {
    let bytes = fs::read(path).map_err(|e| DataError::io(path, e))?;
    let wrong = |place: String, found: String, expected: &str| {
        DataError::format(format!("{}{place}", path.display()), found, expected)
    };
    let catalogue = Catalogue::new(&bytes).ok_or_else(|| {
        wrong(
            String::new(),
            "no catalogue".to_owned(),
            "a gettext .mo file",
        )
    })?;
    let mut pairs = Vec::new();
    for index in 0..catalogue.count {
        let place = || format!(" entry {}", index + 1);
        let read = |table: usize| {
            let text = catalogue.text(table, index);
            text.ok_or_else(|| wrong(place(), "a text beyond the file".to_owned(), "a whole file"))
        };
        let (original, translation) = (read(catalogue.originals)?, read(catalogue.translations)?);
        let utf8 = |bytes: &[u8]| {
            let text = std::str::from_utf8(bytes).map(str::to_owned);
            text.map_err(|error| wrong(place(), error.to_string(), "text in UTF-8"))
        };
        if original.is_empty() {
            continue; // the header
        }
        let (original, translation) = (utf8(original)?, utf8(translation)?);
        // A context stands before the text, forms of the plural behind it.
        let original = original.rsplit('\u{4}').next().unwrap_or_default();
        let (id, plural) = match original.split_once('\0') {
            Some((id, plural)) => (id, Some(plural)),
            None => (original, None),
        };
        let forms: Vec<&str> = translation.split('\0').collect();
        super::translated(id, plural, forms, index + 1, &mut pairs);
    }
    Ok(pairs)
}

/// The layout of a file: two tables of lengths and offsets.
struct Catalogue<'a> {
    bytes: &'a [u8],
    word: fn([u8; 4]) -> u32,
    count: usize,
    originals: usize,
    translations: usize,
}

impl<'a> Catalogue<'a> {
    fn new(bytes: &'a [u8]) -> Option<Self> {
        let magic = *bytes.first_chunk::<4>()?;
        let word = if u32::from_le_bytes(magic) == MAGIC {
            u32::from_le_bytes
        } else if u32::from_be_bytes(magic) == MAGIC {
            u32::from_be_bytes
        } else {
            return None;
        };
        let mut found = Self {
            bytes,
            word,
            count: 0,
            originals: 0,
            translations: 0,
        };
        found.count = found.number(8)?;
        found.originals = found.number(12)?;
        found.translations = found.number(16)?;
        // Each entry takes 16 bytes of the two tables.
        (found.count <= bytes.len() / 16).then_some(found)
    }

    fn number(&self, at: usize) -> Option<usize> {
        let bytes = self.bytes.get(at..)?.first_chunk::<4>()?;
        usize::try_from((self.word)(*bytes)).ok()
    }

    fn text(&self, table: usize, index: usize) -> Option<&'a [u8]> {
        let at = table.checked_add(8 * index)?;
        let (length, begin) = (self.number(at)?, self.number(at + 4)?);
        self.bytes.get(begin..begin.checked_add(length)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A file with these entries, as `msgfmt` lays it out without a hash table.
    fn file(entries: &[(&str, &str)], big: bool) -> Vec<u8> {
        let word = |n: usize| {
            if big {
                (n as u32).to_be_bytes()
            } else {
                (n as u32).to_le_bytes()
            }
        };
        let tables = 28 + 16 * entries.len();
        let head = [
            MAGIC as usize,
            0,
            entries.len(),
            28,
            28 + 8 * entries.len(),
            0,
            tables,
        ];
        let mut bytes: Vec<u8> = head.into_iter().flat_map(word).collect();
        let mut texts = Vec::new();
        let sides = entries
            .iter()
            .map(|e| e.0)
            .chain(entries.iter().map(|e| e.1));
        for text in sides {
            bytes.extend(word(text.len()));
            bytes.extend(word(tables + texts.len()));
            texts.extend(text.bytes());
            texts.push(0);
        }
        bytes.extend(texts);
        bytes
    }

    fn read_bytes(bytes: &[u8]) -> Result<Vec<Pair>, String> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.mo");
        fs::write(&path, bytes).unwrap();
        let place = format!("{}/", dir.path().display());
        read(&path).map_err(|e| e.to_string().replace(&place, ""))
    }

    #[test]
    fn both_orders_of_bytes_are_read() {
        let entries = [
            ("", "Content-Type: text/plain; charset=UTF-8\n"),
            ("%d file\0%d files", "%d Datei\0%d Dateien"),
            ("menu\u{4}Open", "Öffnen"),
            ("empty", ""),
        ];
        for big in [false, true] {
            let pairs = read_bytes(&file(&entries, big)).unwrap();
            let told: Vec<(usize, &str, &str)> = pairs
                .iter()
                .map(|pair| (pair.line, pair.source.as_str(), pair.target.as_str()))
                .collect();
            assert_eq!(
                told,
                [
                    (2, "%d file", "%d Datei"),
                    (2, "%d files", "%d Dateien"),
                    (3, "Open", "Öffnen"),
                ]
            );
        }
    }

    #[test]
    fn broken_files_are_named() {
        let whole = file(&[("a", "b")], false);
        assert_eq!(
            read_bytes(b"no").unwrap_err(),
            "a.mo: found no catalogue, expected a gettext .mo file"
        );
        for end in 0..whole.len() - 1 {
            assert!(read_bytes(&whole[..end]).is_err(), "cut at {end}");
        }
        let mut latin = whole.clone();
        let last = latin.len() - 2;
        latin[last] = 0xe4;
        let refusal = read_bytes(&latin).unwrap_err();
        assert!(refusal.starts_with("a.mo entry 1: found "), "{refusal}");
        assert!(refusal.ends_with("expected text in UTF-8"), "{refusal}");
        let mut many = whole;
        many[8..12].copy_from_slice(&u32::MAX.to_le_bytes());
        assert!(read_bytes(&many).unwrap_err().contains("no catalogue"));
    }
}
