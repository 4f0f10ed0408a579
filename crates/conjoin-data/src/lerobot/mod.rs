//! Recordings as LeRobotDataset v3.0 (<https://huggingface.co/docs/lerobot>): frames in parquet, images
//! as PNG in it, metadata beside.
//!
//! ```text
//! data/chunk-000/file-000.parquet            whole episodes, one row a frame, one row group an episode
//! meta/info.json, meta/stats.json            features, counts; statistics of each feature
//! meta/tasks.parquet                         the text of each task
//! meta/episodes/chunk-000/file-000.parquet   length and place of each episode
//! ```
//!
//! A data file is written under another name and renamed once it is complete, and the metadata follow
//! each file. Whatever ends the recording, all that was completed can be read: by [`Recording`], and
//! by any reader of the format.
//!
//! What a recorder knows of its features beyond the format stands in `info.json` under
//! `conjoin.columns.FEATURE`: `shape` (of numbers that are stored flat), `units`, `frame`, `range`
//! ([`Info::noted`]).

mod feature;
mod info;
mod meta;
mod reader;
mod stats;
mod writer;

pub use feature::{Feature, FeatureKind, Frame, Image};
pub use info::{Info, Noted};
pub use reader::Recording;
pub use writer::{Recorder, RecorderConfig};

#[cfg(test)]
mod tests;

/// The layout that is written.
pub const VERSION: &str = "v3.0";
/// Files in a folder `chunk-N`.
const CHUNK: usize = 1000;

/// `chunk-000/file-000.parquet` of a file's number.
fn place(file: usize) -> String {
    format!("chunk-{:03}/file-{:03}.parquet", file / CHUNK, file % CHUNK)
}
