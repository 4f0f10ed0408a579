//! The rules of the house, as tests: which crate may import which, and what a source file may hold.
//! ARCHITECTURE.md says why.

mod arrows;
mod source;
mod tidy;

use std::path::{Path, PathBuf};

/// The workspace's root.
fn root() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.ancestors().nth(2).unwrap().to_owned()
}
