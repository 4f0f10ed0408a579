//! Arguments of `conjoin data`.

use clap::{Args, Subcommand, ValueEnum};
use conjoin_data::text::{UnicodeForm, VocabularyKind};
use conjoin_world::driving::map::{Family, Split};
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
    /// Let the expert of the driving world drive, and record what it sees, knows and does
    #[command(
        after_help = "Example:\n  conjoin data drive --out data/driving/train --split training --episodes 120 --seed 1\n  conjoin data drive --out data/driving/held-out --split held-out --episodes 25 --seed 2\n  conjoin data drive --out data/driving/stopped --families straight-0,curve-1 --episodes 40\n\nWrites a LeRobotDataset v3.0: three cameras, the state, the route, and the truth of agents, lanes,\nlights, occupancy and the expert's plan at 10 frames a second, for the source of kind \"lerobot\".\nThe same options give the same frames. Ctrl-C leaves the episodes that were driven."
    )]
    Drive(DriveArgs),
}

#[derive(Debug, Args)]
pub struct DriveArgs {
    /// Folder of the recording
    #[arg(long, value_name = "DIR")]
    pub out: PathBuf,
    /// Whose roads are driven: those of training, or those that are held out from it
    #[arg(long, value_enum, default_value = "training")]
    pub split: Roads,
    /// Only these families of its roads, such as straight-0,curve-1 [default: all]
    #[arg(long, value_name = "NAMES", value_delimiter = ',')]
    pub families: Vec<Family>,
    /// Number of episodes; families of roads take turns
    #[arg(long)]
    pub episodes: usize,
    /// Episodes of another seed are others
    #[arg(long, default_value_t = 0)]
    pub seed: u64,
    /// Pixels of each image, 32 to 256
    #[arg(long, default_value_t = 64)]
    pub width: usize,
    /// Pixels of each image, 16 to 128
    #[arg(long, default_value_t = 32)]
    pub height: usize,
    /// Cells of the occupancy grid along x and y
    #[arg(long, value_name = "XxY", default_value = "32x32", value_parser = cells)]
    pub cells: [usize; 2],
    /// Steps of 0.1 s of each agent's future
    #[arg(long, value_name = "STEPS", default_value_t = 20)]
    pub future: usize,
    /// Jerk the wheel now and then, up to this angle in radians, and press the brakes, so that the way back is recorded too
    #[arg(long, value_name = "RADIANS", default_value_t = 0.1)]
    pub disturbance: f64,
    /// Episodes that are driven at the same time [default: one a core]
    #[arg(long)]
    pub jobs: Option<usize>,
    /// Let this run drive, without the safety layer, with the cameras it knows; what is recorded as the
    /// plan is the expert's all the same
    #[arg(long, value_name = "RUN",
          conflicts_with_all = ["width", "height", "cells", "future", "disturbance", "jobs"])]
    pub driver: Option<PathBuf>,
    /// Share of the seconds in which the expert drives in the run's place
    #[arg(long, value_name = "SHARE", default_value_t = 0.3, requires = "driver")]
    pub expert_share: f64,
    /// Share of the time in which the run does not brake before a safety layer does, 3 s at a stretch: so
    /// that it drives up to what stands
    #[arg(long, value_name = "SHARE", default_value_t = 0.0, requires = "driver")]
    pub lapse_share: f64,
    /// Write over a recording that exists
    #[arg(long)]
    pub force: bool,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// `32x32`.
fn cells(text: &str) -> Result<[usize; 2], String> {
    let sizes = text.split_once('x').and_then(|(x, y)| {
        let sizes = [x.parse().ok()?, y.parse().ok()?];
        (!sizes.contains(&0)).then_some(sizes)
    });
    sizes.ok_or_else(|| "expected two numbers above 0, such as 32x32".to_owned())
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Roads {
    Training,
    HeldOut,
}

impl From<Roads> for Split {
    fn from(roads: Roads) -> Self {
        match roads {
            Roads::Training => Self::Training,
            Roads::HeldOut => Self::HeldOut,
        }
    }
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
