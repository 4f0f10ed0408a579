//! Text to tokens and back: normal forms, tokenizer files, and how vocabularies are trained.

mod form;
mod lines;
mod tokenizer;
mod train;

pub(crate) use form::one_space;
pub use form::{TextForm, UnicodeForm};
pub use lines::read_lines;
pub use tokenizer::TextTokenizer;
pub use train::{TrainedVocabulary, VocabularyConfig, VocabularyKind};

/// Every vocabulary begins with these, in this order.
pub const SPECIALS: [&str; 5] = ["<pad>", "<bos>", "<eos>", "<unk>", "<mask>"];

/// Positions in [`SPECIALS`].
pub(crate) const BOS: i64 = 1;
pub(crate) const EOS: i64 = 2;
pub(crate) const UNK: i64 = 3;
