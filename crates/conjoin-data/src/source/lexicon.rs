//! The CMU Pronouncing Dictionary: its entries, its alphabets, and the split by word.
//!
//! A line is `word(2) P1 P2 … # comment`; the number marks the second and further pronunciations of
//! a word. The text that is built in has 135,010 lines for 125,929 words over `a`-`z`, `'`, `-` and
//! `.`; the one digit in it (`puget-1`) is read as `<unk>`.

use crate::text::{EOS, SPECIALS, UNK};
use crate::{DataError, Vocabulary};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use std::ops::Range;
use std::sync::{Arc, OnceLock};

const GRAPHEMES: &str = "'-.abcdefghijklmnopqrstuvwxyz";

/// ARPAbet symbols of the dictionary.
const PHONEMES: &str = "AA AE AH AO AW AY B CH D DH EH ER EY F G HH IH IY JH K L M N NG OW OY P R S \
                        SH T TH UH UW V W Y Z ZH";

/// Those that carry stress.
const VOWELS: [&str; 15] = [
    "AA", "AE", "AH", "AO", "AW", "AY", "EH", "ER", "EY", "IH", "IY", "OW", "OY", "UH", "UW",
];

/// Vocabulary `letters`: the special symbols, then 29 graphemes.
pub fn letters_vocabulary() -> Arc<Vocabulary> {
    static VOCABULARY: OnceLock<Arc<Vocabulary>> = OnceLock::new();
    let build = || {
        let specials = SPECIALS.iter().map(ToString::to_string);
        Vocabulary::new(
            "letters",
            specials.chain(GRAPHEMES.chars().map(String::from)),
        )
    };
    Arc::clone(VOCABULARY.get_or_init(build))
}

/// Vocabulary `phonemes`: the special symbols, then the 39 ARPAbet symbols without stress, or 69
/// with it (each vowel with 0, 1 and 2).
pub fn phonemes_vocabulary(stress: bool) -> Arc<Vocabulary> {
    static VOCABULARIES: [OnceLock<Arc<Vocabulary>>; 2] = [OnceLock::new(), OnceLock::new()];
    let build = || {
        let mut symbols = SPECIALS.map(str::to_owned).to_vec();
        for phoneme in PHONEMES.split_ascii_whitespace() {
            if stress && VOWELS.contains(&phoneme) {
                symbols.extend((0..3).map(|level| format!("{phoneme}{level}")));
            } else {
                symbols.push(phoneme.to_owned());
            }
        }
        Vocabulary::new("phonemes", symbols)
    };
    Arc::clone(VOCABULARIES[usize::from(stress)].get_or_init(build))
}

/// A spelling as indices into [`letters_vocabulary`], closed by `<eos>`: it tells an encoder where
/// the word ends, which English spelling depends on (silent `e`). Upper case is folded; a character
/// outside the vocabulary becomes `<unk>`.
pub fn encode_letters(word: &str) -> Vec<i64> {
    let first = SPECIALS.len() as i64;
    let index = |c: char| {
        let at = GRAPHEMES.find(c.to_ascii_lowercase());
        at.map_or(UNK, |at| first + at as i64) // GRAPHEMES is ASCII: bytes are positions
    };
    word.chars().map(index).chain([EOS]).collect()
}

/// A part of the data that no other part overlaps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Part {
    Train,
    Valid,
    Test,
}

impl Part {
    pub fn name(self) -> &'static str {
        match self {
            Self::Train => "train",
            Self::Valid => "valid",
            Self::Test => "test",
        }
    }

    /// The part a word belongs to: with `h` the first 8 bytes of the word's BLAKE3 hash, little
    /// end first, `h mod 100` is below 90 for training, below 95 for validation, else for testing.
    pub fn of(word: &str) -> Self {
        match hash(word, 0) % 100 {
            0..90 => Self::Train,
            90..95 => Self::Valid,
            _ => Self::Test,
        }
    }
}

/// Order in which `limit` takes words: independent of spelling and of [`Part::of`].
pub(super) fn rank(word: &str) -> u64 {
    hash(word, 1)
}

/// The `n`-th 8 bytes of the word's BLAKE3 hash.
fn hash(word: &str, n: usize) -> u64 {
    let digest = blake3::hash(word.as_bytes());
    let mut bytes = [0; 8];
    bytes.copy_from_slice(&digest.as_bytes()[n * 8..(n + 1) * 8]);
    u64::from_le_bytes(bytes)
}

/// One word and its pronunciations in the order of the file.
#[derive(Debug)]
pub(super) struct Word {
    pub spelling: &'static str,
    pub pronunciations: Vec<Pronunciation>,
}

/// Stressed phonemes of one line.
#[derive(Debug, Clone)]
pub(super) struct Pronunciation {
    /// Line in the dictionary, from 1.
    pub line: u32,
    phonemes: Range<u32>,
}

/// The terms of the dictionary that is built in; a program that carries it shows them.
pub const CMUDICT_LICENCE: &str = include_str!(concat!(env!("OUT_DIR"), "/LICENSE-CMUDICT"));

/// The parsed dictionary.
#[derive(Debug)]
pub(super) struct Lexicon {
    pub words: Vec<Word>,
    positions: HashMap<&'static str, usize>,
    /// Indices into the stressed vocabulary, all pronunciations after one another.
    phonemes: Vec<u8>,
    /// Index without stress of each index with stress.
    unstressed: Vec<i64>,
}

impl Lexicon {
    /// The dictionary that is built in, parsed once.
    pub fn builtin() -> Result<&'static Self, DataError> {
        static BYTES: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/cmudict.dict"));
        static LEXICON: OnceLock<Lexicon> = OnceLock::new();
        if let Some(lexicon) = LEXICON.get() {
            return Ok(lexicon);
        }
        let text = std::str::from_utf8(BYTES).map_err(|e| {
            DataError::format(
                "cmudict.dict",
                format!("a byte that is not UTF-8: {e}"),
                "UTF-8",
            )
        })?;
        let lexicon = Self::parse(text)?;
        Ok(LEXICON.get_or_init(|| lexicon))
    }

    fn parse(text: &'static str) -> Result<Self, DataError> {
        let vocabulary = phonemes_vocabulary(true);
        let codes: HashMap<&str, u8> = (0u8..)
            .zip(&vocabulary.symbols)
            .skip(SPECIALS.len())
            .map(|(code, symbol)| (symbol.as_str(), code))
            .collect();
        let mut lexicon = Self {
            words: Vec::new(),
            positions: HashMap::new(),
            phonemes: Vec::new(),
            unstressed: unstressed(&vocabulary),
        };
        for (line, content) in (1..).zip(text.lines()) {
            lexicon.read_line(line, content, &codes)?;
        }
        Ok(lexicon)
    }

    fn read_line(
        &mut self,
        line: u32,
        content: &'static str,
        codes: &HashMap<&str, u8>,
    ) -> Result<(), DataError> {
        let entry = content.split('#').next().unwrap_or_default();
        let mut parts = entry.split_ascii_whitespace();
        let Some(head) = parts.next() else {
            return Ok(()); // blank, or a comment alone
        };
        let place = || format!("cmudict.dict line {line}");
        let begin = self.phonemes.len() as u32;
        for symbol in parts {
            let code = codes.get(symbol).ok_or_else(|| {
                DataError::format(
                    place(),
                    format!("phoneme `{symbol}` of `{head}`"),
                    "an ARPAbet symbol, vowels with stress 0, 1 or 2",
                )
            })?;
            self.phonemes.push(*code);
        }
        let end = self.phonemes.len() as u32;
        if begin == end {
            let found = format!("`{head}` alone");
            return Err(DataError::format(place(), found, "a word and its phonemes"));
        }
        let spelling = strip_variant(head);
        let next = self.words.len();
        let position = *self.positions.entry(spelling).or_insert(next);
        if position == next {
            self.words.push(Word {
                spelling,
                pronunciations: Vec::new(),
            });
        }
        self.words[position].pronunciations.push(Pronunciation {
            line,
            phonemes: begin..end,
        });
        Ok(())
    }

    /// Position of a spelling in [`Lexicon::words`].
    pub fn position(&self, spelling: &str) -> Option<usize> {
        self.positions.get(spelling).copied()
    }

    /// Indices of a pronunciation in [`phonemes_vocabulary`]`(stress)`.
    pub fn phonemes<'a>(
        &'a self,
        pronunciation: &Pronunciation,
        stress: bool,
    ) -> impl ExactSizeIterator<Item = i64> + use<'a> {
        let range = pronunciation.phonemes.start as usize..pronunciation.phonemes.end as usize;
        self.phonemes[range].iter().map(move |&code| {
            if stress {
                i64::from(code)
            } else {
                self.unstressed[usize::from(code)]
            }
        })
    }
}

/// `word(2)` is `word`.
fn strip_variant(head: &str) -> &str {
    match head.strip_suffix(')').and_then(|h| h.rsplit_once('(')) {
        Some((word, number)) if number.bytes().all(|b| b.is_ascii_digit()) => word,
        _ => head,
    }
}

fn unstressed(stressed: &Vocabulary) -> Vec<i64> {
    let plain = phonemes_vocabulary(false);
    let mut codes = Vec::with_capacity(stressed.len());
    for symbol in &stressed.symbols {
        let bare = symbol.trim_end_matches(['0', '1', '2']);
        codes.push(plain.index(bare).unwrap_or(UNK));
    }
    codes
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn the_dictionary_is_what_its_description_says() {
        let lexicon = Lexicon::builtin().unwrap();
        assert_eq!(lexicon.words.len(), 125_929);
        let lines: usize = lexicon.words.iter().map(|w| w.pronunciations.len()).sum();
        assert_eq!(lines, 135_010);
        let letters: BTreeSet<char> = lexicon
            .words
            .iter()
            .flat_map(|w| w.spelling.chars())
            .collect();
        let outside: Vec<char> = letters
            .iter()
            .copied()
            .filter(|c| !GRAPHEMES.contains(*c))
            .collect();
        assert_eq!(outside, ['1']);
        assert!(
            GRAPHEMES.chars().all(|c| letters.contains(&c)),
            "every grapheme occurs"
        );
        let with_digit: Vec<&str> = lexicon
            .words
            .iter()
            .map(|w| w.spelling)
            .filter(|w| w.contains('1'))
            .collect();
        assert_eq!(with_digit, ["puget-1"]);
    }

    #[test]
    fn vocabularies_have_the_documented_sizes_and_specials() {
        assert_eq!(letters_vocabulary().len(), 5 + 29);
        assert_eq!(phonemes_vocabulary(false).len(), 5 + 39);
        assert_eq!(phonemes_vocabulary(true).len(), 5 + 69);
        for vocabulary in [
            letters_vocabulary(),
            phonemes_vocabulary(false),
            phonemes_vocabulary(true),
        ] {
            let distinct: BTreeSet<&String> = vocabulary.symbols.iter().collect();
            assert_eq!(distinct.len(), vocabulary.len());
            assert_eq!(vocabulary.pad, Some(0));
            assert_eq!(vocabulary.bos, Some(crate::text::BOS));
            assert_eq!(vocabulary.eos, Some(EOS));
            assert_eq!(vocabulary.unk, Some(UNK));
            assert_eq!(vocabulary.mask, Some(4));
        }
    }

    #[test]
    fn known_words_are_pronounced() {
        let lexicon = Lexicon::builtin().unwrap();
        let say = |word: &str, stress: bool| -> Vec<String> {
            let vocabulary = phonemes_vocabulary(stress);
            let word = &lexicon.words[lexicon.position(word).unwrap()];
            let text = |p| {
                let symbols: Vec<&str> = lexicon
                    .phonemes(p, stress)
                    .map(|i| vocabulary.symbol(i).unwrap())
                    .collect();
                symbols.join(" ")
            };
            word.pronunciations.iter().map(text).collect()
        };
        assert_eq!(say("hello", true), ["HH AH0 L OW1", "HH EH0 L OW1"]);
        assert_eq!(say("hello", false), ["HH AH L OW", "HH EH L OW"]);
        assert_eq!(say("d'artagnan", true), ["D AH0 R T AE1 NG Y AH0 N"]); // has a comment
        assert_eq!(say("a.m.", false), ["EY EH M"]);
        assert_eq!(lexicon.position("conjoin's"), None);
    }

    #[test]
    fn spelling_folds_case_and_marks_the_unknown() {
        let vocabulary = letters_vocabulary();
        let read = |word: &str| -> Vec<String> {
            let symbols = encode_letters(word);
            symbols
                .iter()
                .map(|&i| vocabulary.symbol(i).unwrap().to_owned())
                .collect()
        };
        assert_eq!(read("It's"), ["i", "t", "'", "s", "<eos>"]);
        assert_eq!(read("é1"), ["<unk>", "<unk>", "<eos>"]);
    }

    #[test]
    fn parts_are_90_5_5() {
        let lexicon = Lexicon::builtin().unwrap();
        let mut counts = [0usize; 3];
        for word in &lexicon.words {
            counts[Part::of(word.spelling) as usize] += 1;
        }
        for (count, share) in counts.into_iter().zip([0.90, 0.05, 0.05]) {
            let seen = count as f64 / lexicon.words.len() as f64;
            assert!((seen - share).abs() < 0.003, "{counts:?}");
        }
    }

    #[test]
    fn malformed_lines_are_named() {
        let error = |text| Lexicon::parse(text).unwrap_err().to_string();
        assert_eq!(
            error("a AH0\nb BX1\n"),
            "cmudict.dict line 2: found phoneme `BX1` of `b`, expected an ARPAbet symbol, vowels \
             with stress 0, 1 or 2"
        );
        assert_eq!(
            error("\n# nothing\nword(2) # empty"),
            "cmudict.dict line 3: found `word(2)` alone, expected a word and its phonemes"
        );
    }
}
