//! Lines of a text file.

use crate::DataError;
use std::fs;
use std::path::Path;

/// The lines of a file without their ends; a byte order mark at the beginning is passed over.
///
/// # Errors
/// The file cannot be read, or a line is not UTF-8; the line is named.
pub fn read_lines(path: &Path) -> Result<Vec<String>, DataError> {
    let bytes = fs::read(path).map_err(|e| DataError::io(path, e))?;
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&bytes);
    let bytes = bytes.strip_suffix(b"\n").unwrap_or(bytes);
    if bytes.is_empty() {
        return Ok(Vec::new());
    }
    let mut lines = Vec::new();
    for (line, content) in (1..).zip(bytes.split(|&b| b == b'\n')) {
        let content = content.strip_suffix(b"\r").unwrap_or(content);
        let content = std::str::from_utf8(content).map_err(|error| {
            DataError::format(
                format!("{} line {line}", path.display()),
                format!(
                    "a byte that is not UTF-8, at byte {}",
                    error.valid_up_to() + 1
                ),
                "text in UTF-8",
            )
        })?;
        lines.push(content.to_owned());
    }
    Ok(lines)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(bytes: &[u8]) -> Result<Vec<String>, String> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("text");
        fs::write(&path, bytes).unwrap();
        let place = format!("{}/", dir.path().display());
        read_lines(&path).map_err(|e| e.to_string().replace(&place, ""))
    }

    #[test]
    fn ends_of_lines_and_a_mark_are_no_text() {
        assert_eq!(read(b"\xef\xbb\xbfa\r\n\nb").unwrap(), ["a", "", "b"]);
        assert_eq!(read(b"a\n").unwrap(), ["a"]);
        assert!(read(b"").unwrap().is_empty());
        let long = "x".repeat(100_000);
        assert_eq!(read(long.as_bytes()).unwrap(), [long]);
    }

    #[test]
    fn a_line_that_is_not_utf8_is_named() {
        assert_eq!(
            read(b"fine\nab\xff\n").unwrap_err(),
            "text line 2: found a byte that is not UTF-8, at byte 3, expected text in UTF-8"
        );
    }
}
