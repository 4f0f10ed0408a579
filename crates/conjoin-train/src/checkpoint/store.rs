//! All checkpoints of a run: which there are, which is the newest that can be read, which go.

use super::manifest::Verified;
use super::write::{PARTIAL, Writer};
use crate::TrainError;
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// Prefix of a checkpoint that turned out to be damaged.
const DAMAGED: &str = "damaged-";

/// The `checkpoints/` directory of a run.
#[derive(Debug, Clone)]
pub struct Store {
    dir: PathBuf,
}

/// A checkpoint whose files were verified.
#[derive(Debug, Clone)]
pub struct Found {
    pub step: u64,
    pub path: PathBuf,
    pub files: Verified,
}

/// Steps whose checkpoints could not be read, and why.
pub type Skipped = Vec<(u64, TrainError)>;

impl Store {
    pub fn new(dir: impl Into<PathBuf>) -> Self {
        Self { dir: dir.into() }
    }

    /// Where the checkpoint of a global step lies.
    pub fn path(&self, step: u64) -> PathBuf {
        self.dir.join(name(step))
    }

    /// Global steps of all checkpoints, oldest first.
    ///
    /// # Errors
    /// The directory cannot be read.
    pub fn steps(&self) -> Result<Vec<u64>, TrainError> {
        let mut steps: Vec<u64> = entries(&self.dir)?
            .iter()
            .filter_map(|entry| entry.strip_prefix("step-")?.parse().ok())
            .collect();
        steps.sort_unstable();
        Ok(steps)
    }

    /// Removes what a killed process left half written.
    ///
    /// # Errors
    /// Something cannot be removed.
    pub fn sweep(&self) -> Result<Vec<PathBuf>, TrainError> {
        let mut swept = Vec::new();
        for entry in entries(&self.dir)? {
            if entry.starts_with(PARTIAL) {
                let path = self.dir.join(entry);
                fs::remove_dir_all(&path).map_err(|e| TrainError::io(&path, "remove", e))?;
                swept.push(path);
            }
        }
        Ok(swept)
    }

    /// Reads the checkpoint of a step and verifies every file.
    ///
    /// # Errors
    /// A file is damaged, missing or cannot be read.
    pub fn read(&self, step: u64) -> Result<Found, TrainError> {
        let path = self.path(step);
        let files = Verified::read(&path)?;
        Ok(Found { step, path, files })
    }

    /// The newest checkpoint whose files are all as written, with the errors of newer ones;
    /// nothing is changed.
    ///
    /// # Errors
    /// There are checkpoints and none can be read.
    pub fn newest(&self) -> Result<(Option<Found>, Skipped), TrainError> {
        let mut skipped = Vec::new();
        for step in self.steps()?.into_iter().rev() {
            match self.read(step) {
                Ok(found) => return Ok((Some(found), skipped)),
                Err(error) => skipped.push((step, error)),
            }
        }
        if skipped.is_empty() {
            return Ok((None, skipped));
        }
        let details: Vec<String> = skipped.iter().map(|(_, error)| error.to_string()).collect();
        Err(TrainError::NoCheckpoint {
            dir: self.dir.clone(),
            details: details.join("; "),
        })
    }

    /// Renames a damaged checkpoint, so that it is neither counted nor overwritten.
    ///
    /// # Errors
    /// It cannot be renamed.
    pub fn set_aside(&self, step: u64) -> Result<PathBuf, TrainError> {
        let target = (0..=u32::MAX)
            .map(|attempt| match attempt {
                0 => self.dir.join(format!("{DAMAGED}{}", name(step))),
                _ => self.dir.join(format!("{DAMAGED}{}-{attempt}", name(step))),
            })
            .find(|path| !path.exists())
            .unwrap_or_else(|| self.dir.join(format!("{DAMAGED}{}", name(step))));
        fs::rename(self.path(step), &target)
            .map_err(|e| TrainError::io(&target, "rename the damaged checkpoint to", e))?;
        Ok(target)
    }

    /// Begins to write the checkpoint of a step.
    ///
    /// # Errors
    /// The directory cannot be made.
    pub fn begin(&self, step: u64) -> Result<Writer, TrainError> {
        Writer::begin(&self.dir, &name(step))
    }

    /// Removes all but the latest `keep` checkpoints and those in `always`.
    ///
    /// # Errors
    /// A directory cannot be removed.
    pub fn prune(&self, keep: usize, always: &BTreeSet<u64>) -> Result<(), TrainError> {
        let steps = self.steps()?;
        // The one just written always stays.
        let old = steps.len().saturating_sub(keep.max(1));
        for step in &steps[..old] {
            if !always.contains(step) {
                let path = self.path(*step);
                // Renamed first: a process that is killed now leaves no half-removed checkpoint
                // under a valid name.
                let gone = self.dir.join(format!("{PARTIAL}old-{}", name(*step)));
                fs::rename(&path, &gone)
                    .and_then(|()| fs::remove_dir_all(&gone))
                    .map_err(|e| TrainError::io(&path, "remove", e))?;
            }
        }
        Ok(())
    }
}

fn name(step: u64) -> String {
    format!("step-{step}")
}

fn entries(dir: &Path) -> Result<Vec<String>, TrainError> {
    let read = || -> std::io::Result<Vec<String>> {
        fs::read_dir(dir)?
            .map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()))
            .collect()
    };
    read().map_err(|e| TrainError::io(dir, "read directory", e))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(store: &Store, step: u64) {
        let mut writer = store.begin(step).unwrap();
        writer.add("a", &step.to_le_bytes()).unwrap();
        writer.add("b", b"some bytes").unwrap();
        writer.finish().unwrap();
    }

    #[test]
    fn damage_is_named_and_the_previous_checkpoint_is_used() {
        type Harm = fn(&Path);
        let harms: [(&str, Harm, &str); 4] = [
            (
                "flip",
                |dir| {
                    let mut bytes = fs::read(dir.join("b")).unwrap();
                    bytes[3] ^= 1;
                    fs::write(dir.join("b"), bytes).unwrap();
                },
                "step-2/b: the content differs",
            ),
            (
                "truncate",
                |dir| fs::write(dir.join("b"), b"some").unwrap(),
                "step-2/b: 4 bytes, the manifest says 10",
            ),
            (
                "remove",
                |dir| fs::remove_file(dir.join("b")).unwrap(),
                "step-2/b: missing",
            ),
            (
                "no manifest",
                |dir| fs::remove_file(dir.join("manifest.json")).unwrap(),
                "step-2/manifest.json: missing",
            ),
        ];
        for (harm, apply, message) in harms {
            let dir = tempfile::tempdir().unwrap();
            let store = Store::new(dir.path());
            write(&store, 1);
            write(&store, 2);
            apply(&store.path(2));
            let (found, skipped) = store.newest().unwrap();
            assert_eq!(found.unwrap().step, 1, "{harm}");
            assert!(skipped[0].1.to_string().contains(message), "{skipped:?}");
        }
    }

    #[test]
    fn when_all_are_damaged_the_error_names_every_file() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::new(dir.path());
        write(&store, 1);
        fs::remove_file(store.path(1).join("a")).unwrap();
        let error = store.newest().unwrap_err().to_string();
        assert!(error.contains("step-1/a: missing"), "{error}");
    }

    #[test]
    fn half_written_checkpoints_are_swept_and_never_counted() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::new(dir.path());
        let mut writer = store.begin(7).unwrap();
        writer.add("a", b"x").unwrap();
        std::mem::forget(writer);
        assert!(store.steps().unwrap().is_empty());
        assert_eq!(store.sweep().unwrap().len(), 1);
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
    }

    #[test]
    fn an_unfinished_writer_removes_its_files() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::new(dir.path());
        let mut writer = store.begin(7).unwrap();
        writer.add("a", b"x").unwrap();
        drop(writer);
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
    }

    #[test]
    fn the_latest_and_the_wanted_stay() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::new(dir.path());
        (1..=6).for_each(|step| write(&store, step));
        store.prune(2, &[2].into()).unwrap();
        assert_eq!(store.steps().unwrap(), [2, 5, 6]);
    }

    #[test]
    fn damaged_checkpoints_are_set_aside_under_free_names() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::new(dir.path());
        for name in ["damaged-step-3", "damaged-step-3-1"] {
            write(&store, 3);
            assert!(store.set_aside(3).unwrap().ends_with(name));
        }
        assert!(store.steps().unwrap().is_empty());
    }
}
