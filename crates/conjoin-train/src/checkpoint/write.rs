//! Writing a checkpoint: all files into a hidden directory, the manifest last, then one rename.

use super::manifest::{FileEntry, MANIFEST, Manifest};
use crate::TrainError;
use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};

/// Prefix of a checkpoint that is being written.
pub(super) const PARTIAL: &str = ".tmp-";

/// A checkpoint that is being written. Dropped before [`Writer::finish`], it removes what it wrote,
/// so that an error (a full disk, say) leaves nothing behind.
#[derive(Debug)]
pub struct Writer {
    partial: PathBuf,
    target: PathBuf,
    manifest: Manifest,
    finished: bool,
}

impl Writer {
    pub(super) fn begin(checkpoints: &Path, name: &str) -> Result<Self, TrainError> {
        let partial = checkpoints.join(format!("{PARTIAL}{name}"));
        remove_if_there(&partial)?;
        fs::create_dir(&partial).map_err(|e| TrainError::io(&partial, "create directory", e))?;
        Ok(Self {
            partial,
            target: checkpoints.join(name),
            manifest: Manifest::default(),
            finished: false,
        })
    }

    /// Writes one file through to the disk.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn add(&mut self, name: &str, bytes: &[u8]) -> Result<(), TrainError> {
        self.write(name, bytes)?;
        let entry = FileEntry::of(bytes);
        self.manifest.files.insert(name.to_owned(), entry);
        Ok(())
    }

    fn write(&self, name: &str, bytes: &[u8]) -> Result<(), TrainError> {
        let path = self.partial.join(name);
        let mut file = File::create_new(&path).map_err(|e| TrainError::io(&path, "create", e))?;
        file.write_all(bytes)
            .and_then(|()| file.sync_all())
            .map_err(|e| TrainError::io(&path, "write", e))
    }

    /// Writes the manifest and gives the checkpoint its name.
    ///
    /// # Errors
    /// The manifest cannot be written, or the directory not renamed.
    pub fn finish(mut self) -> Result<PathBuf, TrainError> {
        let mut manifest = serde_json::to_vec_pretty(&self.manifest)
            .map_err(|e| TrainError::io(&self.partial.join(MANIFEST), "encode", e.into()))?;
        manifest.push(b'\n');
        self.write(MANIFEST, &manifest)?;
        sync_directory(&self.partial)?;
        // A checkpoint of the same step can only be one that the run did not resume from.
        remove_if_there(&self.target)?;
        fs::rename(&self.partial, &self.target)
            .map_err(|e| TrainError::io(&self.target, "rename the checkpoint to", e))?;
        self.finished = true;
        if let Some(checkpoints) = self.target.parent() {
            sync_directory(checkpoints)?;
        }
        Ok(self.target.clone())
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        if !self.finished {
            // Best effort: what stays is swept when the run is resumed.
            let _ = fs::remove_dir_all(&self.partial);
        }
    }
}

fn remove_if_there(path: &Path) -> Result<(), TrainError> {
    if path.exists() {
        fs::remove_dir_all(path).map_err(|e| TrainError::io(path, "remove", e))?;
    }
    Ok(())
}

/// Makes new and renamed entries of a directory durable.
fn sync_directory(path: &Path) -> Result<(), TrainError> {
    // Only Unix can open a directory; elsewhere the rename alone has to do.
    #[cfg(unix)]
    File::open(path)
        .and_then(|directory| directory.sync_all())
        .map_err(|e| TrainError::io(path, "sync", e))?;
    #[cfg(not(unix))]
    let _ = path;
    Ok(())
}
