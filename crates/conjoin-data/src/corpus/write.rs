//! Files that are whole or absent, and never written over unless that is wanted.

use super::SegmentPair;
use crate::DataError;
use std::fs;
use std::path::Path;

/// Fails where a file stands that must not be written over; before long work.
///
/// # Errors
/// The file exists.
pub fn absent(path: &Path) -> Result<(), DataError> {
    if path.exists() {
        let expected = "a new file, or the option `--force` to write over it";
        let place = path.display().to_string();
        return Err(DataError::format(place, "a file that exists", expected));
    }
    Ok(())
}

/// Writes a file next to its place and moves it there; missing folders are made.
///
/// # Errors
/// The disk refuses.
pub fn write_whole(path: &Path, text: &str) -> Result<(), DataError> {
    let folder = path
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty());
    if let Some(folder) = folder {
        fs::create_dir_all(folder).map_err(|e| DataError::io(folder, e))?;
    }
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".partial");
    let partial = path.with_file_name(name);
    let written = fs::write(&partial, text).and_then(|()| fs::rename(&partial, path));
    written.map_err(|error| {
        let _ = fs::remove_file(&partial); // the first error is the one to tell
        DataError::io(path, error)
    })
}

/// Writes pairs as tab-separated values, one a line.
///
/// # Errors
/// The disk refuses.
pub fn write_tsv(path: &Path, pairs: &[SegmentPair]) -> Result<(), DataError> {
    let mut text = String::new();
    for (source, target) in pairs {
        for part in [source.as_str(), "\t", target, "\n"] {
            text.push_str(part);
        }
    }
    write_whole(path, &text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_are_made_and_nothing_is_left_behind() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a/b/pairs.tsv");
        absent(&path).unwrap();
        let pairs = [
            ("x y".to_owned(), "z".to_owned()),
            ("ä".to_owned(), "ö".to_owned()),
        ];
        write_tsv(&path, &pairs).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "x y\tz\nä\tö\n");
        let files = fs::read_dir(path.parent().unwrap()).unwrap();
        assert_eq!(files.count(), 1);
        let error = absent(&path).unwrap_err().to_string();
        assert!(error.ends_with("pairs.tsv: found a file that exists, expected a new file, or the option `--force` to write over it"), "{error}");
        // A folder in the way.
        let error = write_tsv(&dir.path().join("a"), &pairs).unwrap_err();
        assert!(matches!(error, DataError::Io { .. }));
        assert!(!dir.path().join("a.partial").exists());
    }
}
