//! What travels on a wire: meaning, named dimensions, type, and whatever makes two parties
//! misunderstand each other when it differs (vocabulary, range, units, frame, normaliser).
//!
//! Dimension names used across the project: `B` batch, `T` source time, `U` target time, `H`/`W`
//! image height and width, `C` channels, `D` features, `V` vocabulary entries.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::sync::Arc;

/// One dimension: a fixed size, or a symbol that is bound when a batch arrives.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Dim {
    /// A size known before any data is read.
    Fixed(usize),
    /// A size that varies between batches, such as `B` or `T`.
    Symbol(String),
}

impl Dim {
    pub fn symbol(name: impl Into<String>) -> Self {
        Self::Symbol(name.into())
    }

    /// The size, if it is known before data arrives.
    pub fn size(&self) -> Option<usize> {
        match self {
            Self::Fixed(size) => Some(*size),
            Self::Symbol(_) => None,
        }
    }
}

impl fmt::Display for Dim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Fixed(size) => write!(f, "{size}"),
            Self::Symbol(name) => f.write_str(name),
        }
    }
}

impl From<usize> for Dim {
    fn from(size: usize) -> Self {
        Self::Fixed(size)
    }
}

impl From<&str> for Dim {
    fn from(name: &str) -> Self {
        Self::symbol(name)
    }
}

/// What the numbers mean. Two ports connect only when their meanings agree.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Meaning {
    /// Indices into a vocabulary, along time.
    Tokens,
    /// One class index a sample.
    Label,
    /// Pixels, channels last.
    Image,
    /// Real-valued features without further interpretation.
    Features,
    /// Unnormalised log-probabilities over a vocabulary (last dimension).
    Logits,
    /// Non-negative weights that sum to one along the last dimension.
    Weights,
    /// Real-valued quantities to regress, in `units`.
    Quantity,
    /// Trained weights of a node, which another one may use as its own.
    Parameters,
}

impl fmt::Display for Meaning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Tokens => "tokens",
            Self::Label => "label",
            Self::Image => "image",
            Self::Features => "features",
            Self::Logits => "logits",
            Self::Weights => "weights",
            Self::Quantity => "quantity",
            Self::Parameters => "parameters",
        })
    }
}

/// Element type on a wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Dtype {
    F32,
    I64,
}

impl fmt::Display for Dtype {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::F32 => "f32",
            Self::I64 => "i64",
        })
    }
}

/// An ordered list of symbols. Index `i` on a wire means `symbols[i]`; the hash is what contracts
/// compare, so that a module trained on one list is never wired to another of the same size.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Vocabulary {
    pub name: String,
    pub symbols: Vec<String>,
    /// BLAKE3 over the symbols, each preceded by its length, then over the tokenizer that cuts text
    /// into them, where there is one; the first 16 hex digits.
    pub hash: String,
    /// Index of the padding symbol, where the vocabulary has one.
    pub pad: Option<i64>,
    /// Index of the begin-of-sequence symbol.
    pub bos: Option<i64>,
    /// Index of the end-of-sequence symbol.
    pub eos: Option<i64>,
    /// Index that stands for what the list does not have.
    pub unk: Option<i64>,
    /// Index of the mask symbol of masked modelling.
    pub mask: Option<i64>,
}

impl Vocabulary {
    /// Builds a vocabulary; the special indices are found by the names `<pad>`, `<bos>`, `<eos>`,
    /// `<unk>` and `<mask>`.
    pub fn new<S: Into<String>>(name: &str, symbols: impl IntoIterator<Item = S>) -> Arc<Self> {
        Self::of_tokenizer(name, symbols, &[])
    }

    /// As [`Vocabulary::new`], for the symbols of a tokenizer, whose account of itself goes into the
    /// hash: the same symbols cut in another way are other tokens.
    pub fn of_tokenizer<S: Into<String>>(
        name: &str,
        symbols: impl IntoIterator<Item = S>,
        tokenizer: &[u8],
    ) -> Arc<Self> {
        let symbols: Vec<String> = symbols.into_iter().map(Into::into).collect();
        let mut hasher = blake3::Hasher::new();
        for symbol in &symbols {
            hasher.update(&(symbol.len() as u64).to_le_bytes());
            hasher.update(symbol.as_bytes());
        }
        hasher.update(tokenizer);
        let hash = hasher.finalize().to_hex()[..16].to_owned();
        let find = |wanted: &str| symbols.iter().position(|s| s == wanted).map(|i| i as i64);
        Arc::new(Self {
            name: name.to_owned(),
            hash,
            pad: find("<pad>"),
            bos: find("<bos>"),
            eos: find("<eos>"),
            unk: find("<unk>"),
            mask: find("<mask>"),
            symbols,
        })
    }

    pub fn len(&self) -> usize {
        self.symbols.len()
    }

    pub fn is_empty(&self) -> bool {
        self.symbols.is_empty()
    }

    /// Index of a symbol.
    pub fn index(&self, symbol: &str) -> Option<i64> {
        self.symbols
            .iter()
            .position(|s| s == symbol)
            .map(|i| i as i64)
    }

    /// The symbol of an index; `None` when it is out of range.
    pub fn symbol(&self, index: i64) -> Option<&str> {
        usize::try_from(index)
            .ok()
            .and_then(|i| self.symbols.get(i))
            .map(String::as_str)
    }

    /// Whether the index is one of the special symbols (padding, begin, end, unknown, mask).
    pub fn is_special(&self, index: i64) -> bool {
        [self.pad, self.bos, self.eos, self.unk, self.mask].contains(&Some(index))
    }

    /// Symbols that a decoder never says, because they stand for no output: padding, begin, unknown,
    /// mask. Neither decoding produces them, nor does training feed them back as if it did. The end is
    /// said.
    pub fn unsaid(&self) -> Vec<i64> {
        let unsaid = [self.pad, self.bos, self.unk, self.mask];
        unsaid.into_iter().flatten().collect()
    }
}

/// Name of the coordinate frame of a grid over the ground: x from and to, y from and to, metres in the
/// frame of the vehicle. Grids of another extent have another name, so that they do not connect.
pub fn grid_frame(extent: [f64; 4]) -> String {
    let [a, b, c, d] = extent;
    format!("ego [{a}, {b}] x [{c}, {d}] m")
}

/// What a port promises (output) or a data column carries.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Contract {
    pub meaning: Meaning,
    pub dims: Vec<Dim>,
    pub dtype: Dtype,
    /// The rows have different lengths along dimension 1; a length a row travels with the value.
    #[serde(default)]
    pub ragged: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vocabulary: Option<Arc<Vocabulary>>,
    /// Index that means "nothing to predict here"; padding holds it too.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ignore: Option<i64>,
    /// Physical units, such as `m/s`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub units: Option<String>,
    /// Coordinate frame, such as `ego`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub frame: Option<String>,
    /// Closed interval that every element lies in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub range: Option<(f32, f32)>,
    /// How raw data became these numbers, such as `x/255`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub normaliser: Option<String>,
}

impl Contract {
    pub fn new(meaning: Meaning, dims: impl IntoIterator<Item = Dim>) -> Self {
        let dtype = match meaning {
            Meaning::Tokens | Meaning::Label => Dtype::I64,
            _ => Dtype::F32,
        };
        Self {
            meaning,
            dims: dims.into_iter().collect(),
            dtype,
            ragged: false,
            vocabulary: None,
            ignore: None,
            units: None,
            frame: None,
            range: None,
            normaliser: None,
        }
    }

    /// `[B, T]` indices with a length a row.
    pub fn tokens(time: &str, vocabulary: Arc<Vocabulary>) -> Self {
        let mut contract = Self::new(Meaning::Tokens, ["B".into(), time.into()]);
        contract.ragged = true;
        contract.vocabulary = Some(vocabulary);
        contract
    }

    /// `[B]` class indices.
    pub fn label(vocabulary: Arc<Vocabulary>) -> Self {
        let mut contract = Self::new(Meaning::Label, ["B".into()]);
        contract.vocabulary = Some(vocabulary);
        contract
    }

    /// `[B, H, W, C]` pixels in a range.
    pub fn image(height: usize, width: usize, channels: usize, range: (f32, f32)) -> Self {
        let dims = ["B".into(), height.into(), width.into(), channels.into()];
        let mut contract = Self::new(Meaning::Image, dims);
        contract.range = Some(range);
        contract
    }

    #[must_use]
    pub fn with_ragged(mut self, ragged: bool) -> Self {
        self.ragged = ragged;
        self
    }

    #[must_use]
    pub fn with_vocabulary(mut self, vocabulary: Arc<Vocabulary>) -> Self {
        self.vocabulary = Some(vocabulary);
        self
    }

    #[must_use]
    pub fn with_frame(mut self, frame: impl Into<String>) -> Self {
        self.frame = Some(frame.into());
        self
    }

    #[must_use]
    pub fn with_range(mut self, range: (f32, f32)) -> Self {
        self.range = Some(range);
        self
    }

    /// Meaning and shape with units and frame, for messages about two that differ in these.
    pub fn in_full(&self) -> String {
        let units = self.units.as_ref().map(|units| format!(" in {units}"));
        let frame = self.frame.as_ref();
        let frame = frame.map(|frame| format!(" in frame \"{frame}\""));
        format!(
            "{self}{}{}",
            units.unwrap_or_default(),
            frame.unwrap_or_default()
        )
    }

    /// `[B, T, 64]`, for messages and drawings.
    pub fn shape_text(&self) -> String {
        let dims: Vec<String> = self.dims.iter().map(ToString::to_string).collect();
        format!("[{}]", dims.join(", "))
    }
}

impl fmt::Display for Contract {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.meaning, self.shape_text())?;
        if let Some(vocabulary) = &self.vocabulary {
            write!(f, " of {}({})", vocabulary.name, vocabulary.len())?;
        }
        Ok(())
    }
}
