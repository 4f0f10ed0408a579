//! `manifest.json`: size and BLAKE3 of every file of a checkpoint. It is written last, so that a
//! checkpoint without it is known to be partial.

use crate::TrainError;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::Path;

/// Name of the manifest within a checkpoint.
pub const MANIFEST: &str = "manifest.json";

/// What the files of a checkpoint must be.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    pub files: BTreeMap<String, FileEntry>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileEntry {
    /// Bytes.
    pub size: u64,
    /// BLAKE3 of the content, in hexadecimal.
    pub blake3: String,
}

impl FileEntry {
    pub fn of(bytes: &[u8]) -> Self {
        Self {
            size: bytes.len() as u64,
            blake3: blake3::hash(bytes).to_hex().to_string(),
        }
    }
}

/// The files of a checkpoint, each equal to what was written.
#[derive(Debug, Clone)]
pub struct Verified {
    files: BTreeMap<String, Vec<u8>>,
}

impl Verified {
    /// Reads a checkpoint and compares every file with the manifest.
    ///
    /// # Errors
    /// [`TrainError::Damaged`] names the first file that is missing or differs.
    pub fn read(dir: &Path) -> Result<Self, TrainError> {
        let manifest = dir.join(MANIFEST);
        let text = read(&manifest)?;
        let parsed: Manifest = serde_json::from_slice(&text)
            .map_err(|e| TrainError::damaged(&manifest, format!("not a manifest: {e}")))?;
        let mut files = BTreeMap::new();
        for (name, entry) in parsed.files {
            let path = dir.join(&name);
            let bytes = read(&path)?;
            if bytes.len() as u64 != entry.size {
                let found = bytes.len();
                let problem = format!("{found} bytes, the manifest says {}", entry.size);
                return Err(TrainError::damaged(&path, problem));
            }
            if FileEntry::of(&bytes) != entry {
                let problem = "the content differs from what was written (BLAKE3)";
                return Err(TrainError::damaged(&path, problem));
            }
            files.insert(name, bytes);
        }
        Ok(Self { files })
    }

    /// The content of a file; `None` where the checkpoint has no such file.
    pub fn file(&self, name: &str) -> Option<&[u8]> {
        self.files.get(name).map(Vec::as_slice)
    }

    /// Names of all files.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.files.keys().map(String::as_str)
    }
}

/// A missing file is damage; a file that the system refuses to read is not.
fn read(path: &Path) -> Result<Vec<u8>, TrainError> {
    fs::read(path).map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => TrainError::damaged(path, "missing"),
        _ => TrainError::io(path, "read", error),
    })
}
