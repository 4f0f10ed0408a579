//! Arguments of `conjoin data`.

use clap::{Args, Subcommand, ValueEnum};
use conjoin_data::text::{UnicodeForm, VocabularyKind};
use std::path::PathBuf;

#[derive(Debug, Subcommand)]
pub enum DataCommand {
    /// Train a vocabulary and write its tokenizer file
    #[command(
        after_help = "Example:\n  conjoin data vocabulary data/help-en-de/train.tsv --kind bpe --size 8000 --out data/help-en-de/bpe.json\n\nLines of a file are texts; of a .tsv every field is one, or those that --fields names.\nThe same text and options give the same file."
    )]
    Vocabulary(VocabularyArgs),
    /// Make parallel text of LibreOffice's help, split by page into train, valid and test
    #[command(
        after_help = "Example:\n  apt-get install libreoffice-help-en-us libreoffice-help-de\n  conjoin data libreoffice-help --from en-us --to de --out data/help-en-de\n\nWrites train.tsv, valid.tsv and test.tsv. A segment of the training part is left out if it is\nnear one of the others: equal in lower case without digits, punctuation and spaces, or with\nseven tenths of its runs of five letters in common."
    )]
    LibreofficeHelp(HelpArgs),
    /// Make parallel text of the Debian Administrator's Handbook, one file, to test on
    #[command(
        after_help = "Example:\n  apt-get install debian-handbook\n  conjoin data debian-handbook --from en --to de --out data/handbook-en-de.tsv"
    )]
    DebianHandbook(HandbookArgs),
}

#[derive(Debug, Args)]
pub struct VocabularyArgs {
    /// Text files
    #[arg(required = true, value_name = "FILE")]
    pub files: Vec<PathBuf>,
    /// What the symbols are
    #[arg(long, value_enum)]
    pub kind: Kind,
    /// Greatest number of symbols, special ones included
    #[arg(long)]
    pub size: usize,
    /// The tokenizer file to write
    #[arg(long, value_name = "FILE")]
    pub out: PathBuf,
    /// Fields of .tsv files to read, counted from 1 [default: all]
    #[arg(long, value_delimiter = ',', value_parser = clap::value_parser!(u16).range(1..))]
    pub fields: Vec<u16>,
    /// Normal form of Unicode that text is brought into
    #[arg(long, value_enum, default_value = "nfc")]
    pub normalise: Form,
    /// Read text in lower case
    #[arg(long)]
    pub lowercase: bool,
    /// Share of the text's characters that get symbols; rarer ones are unknown
    #[arg(long, default_value_t = 1.0)]
    pub coverage: f64,
    /// Spell characters without a symbol in bytes (bpe)
    #[arg(long)]
    pub byte_fallback: bool,
    /// Write over a file that exists
    #[arg(long)]
    pub force: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Kind {
    /// Subwords by byte-pair encoding
    Bpe,
    /// Subwords by a unigram language model
    Unigram,
    /// Characters
    Char,
    /// Words and marks of punctuation
    Word,
}

impl From<Kind> for VocabularyKind {
    fn from(kind: Kind) -> Self {
        match kind {
            Kind::Bpe => Self::Bpe,
            Kind::Unigram => Self::Unigram,
            Kind::Char => Self::Char,
            Kind::Word => Self::Word,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Form {
    Nfc,
    Nfkc,
    None,
}

impl From<Form> for UnicodeForm {
    fn from(form: Form) -> Self {
        match form {
            Form::Nfc => Self::Nfc,
            Form::Nfkc => Self::Nfkc,
            Form::None => Self::None,
        }
    }
}

#[derive(Debug, Args)]
pub struct LanguageArgs {
    /// Language of the source, such as en-us
    #[arg(long)]
    pub from: String,
    /// Language of the target
    #[arg(long)]
    pub to: String,
    /// Folder with a folder of HTML a language [default: where Debian installs it]
    #[arg(long, value_name = "DIR")]
    pub root: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub struct HelpArgs {
    #[command(flatten)]
    pub languages: LanguageArgs,
    /// Folder for train.tsv, valid.tsv and test.tsv
    #[arg(long, value_name = "DIR")]
    pub out: PathBuf,
    /// Write over files that exist
    #[arg(long)]
    pub force: bool,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Args)]
pub struct HandbookArgs {
    #[command(flatten)]
    pub languages: LanguageArgs,
    /// The .tsv file to write
    #[arg(long, value_name = "FILE")]
    pub out: PathBuf,
    /// Write over a file that exists
    #[arg(long)]
    pub force: bool,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}
