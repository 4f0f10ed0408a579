//! Vocabularies from text: subwords by byte-pair encoding (Sennrich, Haddow, Birch 2016) or by a
//! unigram language model (Kudo 2018), characters, words.
//!
//! Words are what stands between spaces, with the space before them as `▁`, and marks of punctuation
//! by themselves: nothing is lost, so that tokens can be joined to the text again.
//! Training gives the same file for the same text, whatever the machine.

use super::{SPECIALS, TextForm, TextTokenizer, UnicodeForm};
use crate::DataError;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::str::FromStr;
use tokenizers::models::bpe::{BPE, BpeTrainer};
use tokenizers::models::unigram::{Unigram, UnigramTrainer};
use tokenizers::pre_tokenizers::PreTokenizerWrapper;
use tokenizers::{OffsetReferential, OffsetType, PreTokenizedString, PreTokenizer, Trainer};

/// What the symbols of a vocabulary are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum VocabularyKind {
    /// Subwords: frequent pairs joined again and again.
    Bpe,
    /// Subwords: the pieces under which the text is most probable.
    Unigram,
    /// Characters.
    Char,
    /// Words and marks of punctuation.
    Word,
}

/// How a vocabulary is trained.
#[derive(Debug, Clone, PartialEq)]
pub struct VocabularyConfig {
    pub kind: VocabularyKind,
    /// Greatest number of symbols, special ones included.
    pub size: usize,
    pub form: TextForm,
    /// Share of the text's characters that get symbols; rarer ones become `<unk>`.
    pub coverage: f64,
    /// Spell characters without a symbol in bytes instead; for `bpe`.
    pub byte_fallback: bool,
}

/// A trained vocabulary.
#[derive(Debug, Clone, PartialEq)]
pub struct TrainedVocabulary {
    /// The text of its tokenizer file.
    pub file: String,
    /// Symbols, special ones included.
    pub size: usize,
    /// Different characters of the text, and how many of them have symbols.
    pub characters: usize,
    pub covered: usize,
}

type Counts = BTreeMap<String, u32>;

impl VocabularyConfig {
    /// Trains on lines of text.
    ///
    /// # Errors
    /// There is no text, an option is out of range, or the size leaves no room for the characters.
    pub fn train<'a>(
        &self,
        lines: impl IntoIterator<Item = &'a str>,
    ) -> Result<TrainedVocabulary, DataError> {
        if !(self.coverage > 0.0 && self.coverage <= 1.0) {
            let found = self.coverage.to_string();
            return Err(DataError::config(
                "coverage",
                found,
                "a share above 0 up to 1",
            ));
        }
        if self.byte_fallback && self.kind != VocabularyKind::Bpe {
            let expected = "the kind `bpe`, which alone falls back to bytes";
            return Err(DataError::config("byte_fallback", "true", expected));
        }
        let words = self.count(lines)?;
        if words.is_empty() {
            return Err(DataError::config("files", "no text", "lines of text"));
        }
        let characters = by_frequency(words.iter().flat_map(|(word, &count)| {
            word.chars().map(move |c| (c.to_string(), u64::from(count)))
        }));
        let covered = self.covered(&characters);
        let bytes = if self.byte_fallback { 256 } else { 0 };
        let needed = match self.kind {
            VocabularyKind::Bpe | VocabularyKind::Unigram => covered.len(),
            VocabularyKind::Char | VocabularyKind::Word => 1,
        };
        let least = SPECIALS.len() + bytes + needed;
        if self.size < least {
            let why = if needed > 1 {
                ": the characters of the text need them"
            } else {
                ""
            };
            let expected = format!("at least {least} symbols{why}");
            return Err(DataError::config("size", self.size.to_string(), expected));
        }
        let room = self.size - SPECIALS.len() - bytes;
        let (model, symbols) = match self.kind {
            VocabularyKind::Bpe => self.bpe(&words, &covered, room)?,
            VocabularyKind::Unigram => unigram(&words, &covered, room)?,
            VocabularyKind::Char => {
                let kept: Vec<String> = characters.iter().map(|(c, _)| c.clone()).collect();
                let kept: Vec<String> = kept.into_iter().filter(|c| covered.contains(c)).collect();
                bpe_model(&kept[..room.min(kept.len())], &[], false)
            }
            VocabularyKind::Word => word_model(&words, room),
        };
        let file = self.file(&model)?;
        let trained = TrainedVocabulary {
            file,
            size: symbols,
            characters: characters.len(),
            covered: covered.len(),
        };
        // What is written must be readable.
        TextTokenizer::parse("trained", &trained.file, "the trained vocabulary")?;
        Ok(trained)
    }

    /// How often each word occurs.
    fn count<'a>(&self, lines: impl IntoIterator<Item = &'a str>) -> Result<Counts, DataError> {
        let cutter: PreTokenizerWrapper =
            serde_json::from_value(pre_tokenizer()).map_err(|e| failed(e.into()))?;
        let mut words = Counts::new();
        for line in lines {
            let line = self.form.apply(line);
            if line.is_empty() {
                continue;
            }
            let mut cut = PreTokenizedString::from(line.as_str());
            cutter.pre_tokenize(&mut cut).map_err(failed)?;
            for (word, ..) in cut.get_splits(OffsetReferential::Normalized, OffsetType::Byte) {
                match words.get_mut(word) {
                    Some(count) => *count += 1,
                    None => {
                        words.insert(word.to_owned(), 1);
                    }
                }
            }
        }
        Ok(words)
    }

    /// The most frequent characters that together make up the wanted share of the text.
    fn covered(&self, characters: &[(String, u64)]) -> BTreeSet<String> {
        let total: u64 = characters.iter().map(|(_, count)| count).sum();
        let wanted = self.coverage * total as f64;
        let mut sum = 0;
        let enough = |&(_, count): &&(String, u64)| {
            let before = sum as f64;
            sum += count;
            before < wanted
        };
        let kept = characters.iter().take_while(enough);
        kept.map(|(character, _)| character.clone()).collect()
    }

    fn bpe(
        &self,
        words: &Counts,
        covered: &BTreeSet<String>,
        room: usize,
    ) -> Result<(Value, usize), DataError> {
        let mut trainer = BpeTrainer::builder()
            .show_progress(false)
            .vocab_size(room)
            .min_frequency(2)
            .build();
        let parts = covered_parts(words, covered);
        let counted = parts
            .iter()
            .flat_map(|(part, &count)| std::iter::repeat_n(part.as_str(), count as usize));
        let whole = |part: &str| Ok(vec![part.to_owned()]);
        trainer.feed(counted, whole).map_err(failed)?;
        let mut model = BPE::default();
        trainer.train(&mut model).map_err(failed)?;
        let written = serde_json::to_value(&model).map_err(|e| failed(e.into()))?;
        let mut symbols: Vec<(u64, String)> = Vec::new();
        for (symbol, id) in written["vocab"].as_object().into_iter().flatten() {
            symbols.push((id.as_u64().unwrap_or(u64::MAX), symbol.clone()));
        }
        symbols.sort();
        let symbols: Vec<String> = symbols.into_iter().map(|(_, symbol)| symbol).collect();
        let merges = written["merges"].as_array().map_or(&[][..], Vec::as_slice);
        Ok(bpe_model(&symbols, merges, self.byte_fallback))
    }

    /// The tokenizer file around a model.
    fn file(&self, model: &Value) -> Result<String, DataError> {
        let mut steps = Vec::new();
        match self.form.unicode {
            UnicodeForm::Nfc => steps.push(json!({ "type": "NFC" })),
            UnicodeForm::Nfkc => steps.push(json!({ "type": "NFKC" })),
            UnicodeForm::None => {}
        }
        if self.form.lowercase {
            steps.push(json!({ "type": "Lowercase" }));
        }
        let added = SPECIALS.iter().enumerate().map(|(id, symbol)| {
            json!({ "id": id, "content": symbol, "single_word": false, "lstrip": false,
                    "rstrip": false, "normalized": false, "special": true })
        });
        let mut decoders = vec![metaspace()];
        if self.byte_fallback {
            decoders.insert(0, json!({ "type": "ByteFallback" }));
        }
        let file = json!({
            "version": "1.0",
            "truncation": null,
            "padding": null,
            "added_tokens": added.collect::<Vec<_>>(),
            "normalizer": { "type": "Sequence", "normalizers": steps },
            "pre_tokenizer": pre_tokenizer(),
            "post_processor": null,
            "decoder": { "type": "Sequence", "decoders": decoders },
            "model": model,
        });
        // The library's own layout, so that reading and writing again changes nothing.
        let text = file.to_string();
        let tokenizer = tokenizers::Tokenizer::from_str(&text).map_err(failed)?;
        let mut text = tokenizer.to_string(true).map_err(failed)?;
        text.push('\n');
        Ok(text)
    }
}

fn failed(error: tokenizers::Error) -> DataError {
    DataError::format(
        "training a vocabulary",
        error.to_string(),
        "text that can be cut",
    )
}

fn metaspace() -> Value {
    json!({ "type": "Metaspace", "replacement": "▁", "prepend_scheme": "always", "split": true })
}

fn pre_tokenizer() -> Value {
    json!({ "type": "Sequence", "pretokenizers": [
        metaspace(),
        { "type": "Punctuation", "behavior": "Isolated" },
    ]})
}

/// Sums of counts, the most frequent first, in the order of code points where they are equal.
fn by_frequency(counted: impl Iterator<Item = (String, u64)>) -> Vec<(String, u64)> {
    let mut sums = BTreeMap::new();
    for (symbol, count) in counted {
        *sums.entry(symbol).or_insert(0) += count;
    }
    let mut sums: Vec<(String, u64)> = sums.into_iter().collect();
    sums.sort_by_key(|&(_, count)| Reverse(count)); // stable
    sums
}

/// Words cut at the characters that get no symbol.
fn covered_parts(words: &Counts, covered: &BTreeSet<String>) -> Counts {
    let known: BTreeSet<char> = covered.iter().filter_map(|c| c.chars().next()).collect();
    let mut parts = Counts::new();
    for (word, count) in words {
        for part in word
            .split(|c| !known.contains(&c))
            .filter(|p| !p.is_empty())
        {
            *parts.entry(part.to_owned()).or_insert(0) += count;
        }
    }
    parts
}

/// Symbols with their indices behind the special ones.
fn indexed(symbols: impl Iterator<Item = String>) -> (Value, usize) {
    let specials = SPECIALS.iter().map(ToString::to_string);
    let all = specials.chain(symbols).enumerate();
    let map: serde_json::Map<String, Value> = all.map(|(i, symbol)| (symbol, i.into())).collect();
    let count = map.len();
    (Value::Object(map), count)
}

fn bpe_model(symbols: &[String], merges: &[Value], byte_fallback: bool) -> (Value, usize) {
    let bytes = if byte_fallback { 0..256 } else { 0..0 };
    let bytes = bytes.map(|byte| format!("<0x{byte:02X}>"));
    let (vocabulary, count) = indexed(bytes.chain(symbols.iter().cloned()));
    let model = json!({
        "type": "BPE",
        "dropout": null,
        "unk_token": "<unk>",
        "continuing_subword_prefix": null,
        "end_of_word_suffix": null,
        "fuse_unk": false,
        "byte_fallback": byte_fallback,
        "ignore_merges": false,
        "vocab": vocabulary,
        "merges": merges,
    });
    (model, count)
}

fn word_model(words: &Counts, room: usize) -> (Value, usize) {
    let words = by_frequency(words.iter().map(|(word, &n)| (word.clone(), u64::from(n))));
    let (vocabulary, count) = indexed(words.into_iter().take(room).map(|(word, _)| word));
    let model = json!({ "type": "WordLevel", "vocab": vocabulary, "unk_token": "<unk>" });
    (model, count)
}

fn unigram(
    words: &Counts,
    covered: &BTreeSet<String>,
    room: usize,
) -> Result<(Value, usize), DataError> {
    let trainer = UnigramTrainer::builder()
        .show_progress(false)
        .vocab_size(room as u32)
        .build()
        .map_err(|e| failed(e.to_string().into()))?;
    let sentences: Vec<(String, u32)> = covered_parts(words, covered).into_iter().collect();
    // With one thread, sums are formed in the same order on every machine.
    let one = rayon::ThreadPoolBuilder::new().num_threads(1).build();
    let one = one.map_err(|e| failed(e.to_string().into()))?;
    let model = one.install(|| -> Result<Unigram, tokenizers::Error> {
        let mut model = Unigram::default();
        trainer.do_train(sentences, &mut model)?;
        Ok(model)
    });
    let model = model.map_err(failed)?;
    let mut pieces: Vec<(String, f64)> = model.iter().cloned().collect();
    pieces.retain(|(piece, _)| !SPECIALS.contains(&piece.as_str()));
    settle(&mut pieces, covered.len());
    pieces.truncate(room);
    let lowest = pieces.iter().map(|(_, score)| *score).fold(0.0, f64::min);
    // No text is ever cut into special symbols: their scores are below any other.
    let specials = SPECIALS
        .iter()
        .map(|symbol| (symbol.to_string(), lowest - 100.0));
    let vocabulary: Vec<(String, f64)> = specials.chain(pieces).collect();
    let count = vocabulary.len();
    let model = json!({
        "type": "Unigram", "unk_id": super::UNK, "vocab": vocabulary, "byte_fallback": false,
    });
    Ok((model, count))
}

/// The trainer gives the characters that it had dropped scores just above the lowest, in an order
/// that differs from run to run; here they get the same scores in the order of code points.
fn settle(pieces: &mut [(String, f64)], characters: usize) {
    const STEP: f64 = 0.0001;
    let lowest = pieces
        .iter()
        .map(|(_, score)| *score)
        .fold(f64::INFINITY, f64::min);
    let bound = lowest + STEP * characters as f64;
    let loose = |(piece, score): &(String, f64)| *score <= bound && piece.chars().count() == 1;
    let mut places: Vec<usize> = (0..pieces.len()).filter(|&i| loose(&pieces[i])).collect();
    let mut found: Vec<(String, f64)> = places.iter().map(|&i| pieces[i].clone()).collect();
    let mut scores: Vec<f64> = found.iter().map(|(_, score)| *score).collect();
    scores.sort_by(|a, b| b.total_cmp(a));
    found.sort_by(|a, b| a.0.cmp(&b.0));
    places.sort_unstable();
    for ((place, (piece, _)), score) in places.into_iter().zip(found).zip(scores) {
        pieces[place] = (piece, score);
    }
    pieces.sort_by(|a, b| b.1.total_cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
}
