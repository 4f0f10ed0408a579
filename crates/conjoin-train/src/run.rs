//! The directory of a run: what lies where, who may write.
//!
//! ```text
//! recipe.toml     the recipe as resolved        checkpoints/step-N/   weights and state
//! plan.json       the checked plan              events/               TensorBoard event files
//! metrics.jsonl   one event a line              report.html, log.txt
//! ```

use crate::TrainError;
use crate::checkpoint::Store;
use std::fs::{self, File, TryLockError};
use std::path::{Path, PathBuf};

/// A run directory. One that was created or resumed holds a lock until it is dropped, which the
/// operating system also releases when the process is killed.
#[derive(Debug)]
pub struct RunDirectory {
    root: PathBuf,
    resumed: bool,
    _lock: Option<File>,
}

impl RunDirectory {
    /// A new directory for a new run.
    ///
    /// # Errors
    /// It exists and is not empty, or cannot be created.
    pub fn create(root: impl Into<PathBuf>) -> Result<Self, TrainError> {
        let root = root.into();
        if root.exists() {
            let mut entries =
                fs::read_dir(&root).map_err(|e| TrainError::io(&root, "use as directory", e))?;
            if entries.next().is_some() {
                return Err(TrainError::RunExists(root));
            }
        }
        let create = |path: &Path| {
            fs::create_dir_all(path).map_err(|e| TrainError::io(path, "create directory", e))
        };
        create(&root)?;
        let run = Self {
            _lock: Some(lock(&root)?),
            resumed: false,
            root,
        };
        create(&run.checkpoints())?;
        create(&run.events())?;
        Ok(run)
    }

    /// An existing run, to be read.
    ///
    /// # Errors
    /// It is not a run directory.
    pub fn open(root: impl Into<PathBuf>) -> Result<Self, TrainError> {
        let root = root.into();
        for missing in ["recipe.toml", "checkpoints"] {
            if !root.join(missing).exists() {
                let missing = missing.to_owned();
                return Err(TrainError::NoRun { root, missing });
            }
        }
        Ok(Self {
            root,
            resumed: false,
            _lock: None,
        })
    }

    /// An existing run, to be continued.
    ///
    /// # Errors
    /// It is not a run directory, or another process writes to it.
    pub fn resume(root: impl Into<PathBuf>) -> Result<Self, TrainError> {
        let run = Self::open(root)?;
        Ok(Self {
            _lock: Some(lock(&run.root)?),
            resumed: true,
            root: run.root,
        })
    }

    /// A new directory for a run whose first stages another run has done already: it takes over their
    /// ends, which are the checkpoints of these global steps, and goes on from the last of them.
    ///
    /// # Errors
    /// As [`Self::create`], or a file cannot be copied.
    pub fn branch(root: impl Into<PathBuf>, from: &Self, ends: &[u64]) -> Result<Self, TrainError> {
        let mut run = Self::create(root)?;
        let (there, here) = (
            Store::new(from.checkpoints()),
            Store::new(run.checkpoints()),
        );
        for &step in ends {
            copy_files(&there.path(step), &here.path(step))?;
        }
        copy_files(&from.events(), &run.events())?;
        copy(&from.metrics(), &run.metrics())?;
        run.resumed = true;
        Ok(run)
    }

    /// Whether an earlier process, or another run, began the run.
    pub fn is_resumed(&self) -> bool {
        self.resumed
    }

    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The recipe as resolved when the run began.
    pub fn recipe(&self) -> PathBuf {
        self.root.join("recipe.toml")
    }

    /// The checked plan.
    pub fn plan(&self) -> PathBuf {
        self.root.join("plan.json")
    }

    /// One [`Event`](crate::Event) a line.
    pub fn metrics(&self) -> PathBuf {
        self.root.join("metrics.jsonl")
    }

    /// TensorBoard's event files.
    pub fn events(&self) -> PathBuf {
        self.root.join("events")
    }

    /// Checkpoints, see [`Store`].
    pub fn checkpoints(&self) -> PathBuf {
        self.root.join("checkpoints")
    }

    pub fn report(&self) -> PathBuf {
        self.root.join("report.html")
    }

    pub fn log(&self) -> PathBuf {
        self.root.join("log.txt")
    }
}

/// Copies the files of a directory that has no other directories.
fn copy_files(from: &Path, to: &Path) -> Result<(), TrainError> {
    fs::create_dir_all(to).map_err(|e| TrainError::io(to, "create directory", e))?;
    let entries = fs::read_dir(from).map_err(|e| TrainError::io(from, "read directory", e))?;
    for entry in entries {
        let entry = entry.map_err(|e| TrainError::io(from, "read directory", e))?;
        copy(&entry.path(), &to.join(entry.file_name()))?;
    }
    Ok(())
}

fn copy(from: &Path, to: &Path) -> Result<(), TrainError> {
    match fs::copy(from, to) {
        Ok(_) => Ok(()),
        Err(error) => Err(TrainError::io(to, "write", error)),
    }
}

/// Takes the exclusive lock of a run.
fn lock(root: &Path) -> Result<File, TrainError> {
    let path = root.join(".lock");
    let file = File::options()
        .create(true)
        .truncate(false)
        .write(true)
        .open(&path)
        .map_err(|e| TrainError::io(&path, "create", e))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(TrainError::RunLocked(root.to_owned())),
        Err(TryLockError::Error(error)) => Err(TrainError::io(&path, "lock", error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_existing_directory_with_content_is_refused_and_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("notes.txt"), "mine").unwrap();
        let error = RunDirectory::create(dir.path()).unwrap_err();
        assert!(matches!(error, TrainError::RunExists(_)) && error.is_users());
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    }

    #[test]
    fn an_empty_directory_is_taken() {
        let dir = tempfile::tempdir().unwrap();
        let run = RunDirectory::create(dir.path()).unwrap();
        assert!(run.checkpoints().is_dir());
    }

    #[test]
    fn two_writers_are_kept_apart() {
        let dir = tempfile::tempdir().unwrap();
        let first = RunDirectory::create(dir.path().join("run")).unwrap();
        fs::write(first.recipe(), "").unwrap();
        let second = RunDirectory::resume(first.root());
        assert!(matches!(second, Err(TrainError::RunLocked(_))));
        let root = first.root().to_owned();
        drop(first);
        assert!(RunDirectory::resume(root).is_ok());
    }

    #[test]
    fn something_else_is_not_a_run() {
        let dir = tempfile::tempdir().unwrap();
        let error = RunDirectory::open(dir.path()).unwrap_err();
        assert!(error.to_string().contains("recipe.toml is missing"));
    }
}
