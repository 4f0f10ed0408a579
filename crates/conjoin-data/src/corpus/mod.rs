//! Parallel text out of documents that exist in several languages.
//!
//! Pages of two languages are matched by their path, blocks of a page by the structure of its HTML,
//! sentences within a block by their number: whatever does not match for certain is left out.

mod align;
mod html;
mod near;
mod pages;
mod parts;
mod sentences;
mod write;

pub use pages::{Aligned, DEBIAN_HANDBOOK, Documents, LIBREOFFICE_HELP, Layout};
pub use parts::{PartCounts, Parts, distinct};
pub use write::{absent, write_tsv, write_whole};

/// A segment and its translation.
pub type SegmentPair = (String, String);
