//! Documents that Debian installs as HTML in many languages: which pages go together.

use super::align::align;
use super::html::blocks;
use super::sentences::sentences;
use super::{SegmentPair, near};
use crate::DataError;
use std::fs;
use std::path::{Path, PathBuf};

/// How a set of documents lies on a disk: a folder a language, with the same pages in each.
#[derive(Debug, Clone, Copy)]
pub struct Layout {
    /// Where Debian puts it.
    pub root: &'static str,
    /// Folder of the pages below that of a language.
    pages: &'static str,
    /// Debian's packages, where `*` is the language.
    packages: &'static str,
}

/// The help of LibreOffice.
pub const LIBREOFFICE_HELP: Layout = Layout {
    root: "/usr/share/libreoffice/help",
    pages: "text",
    packages: "libreoffice-help-*",
};

/// The Debian Administrator's Handbook.
pub const DEBIAN_HANDBOOK: Layout = Layout {
    root: "/usr/share/doc/debian-handbook/html",
    pages: "",
    packages: "debian-handbook",
};

/// Documents in two languages.
#[derive(Debug, Clone)]
pub struct Documents {
    from: PathBuf,
    to: PathBuf,
}

/// What was matched.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Aligned {
    /// Pages by path, with their segments in order.
    pub pages: Vec<(String, Vec<SegmentPair>)>,
    /// Pages of the first language that the other one lacks.
    pub pages_alone: usize,
    /// Pages of which nothing could be matched.
    pub pages_unmatched: usize,
    /// Blocks that were matched, and those of the first language that were not.
    pub blocks: usize,
    pub blocks_unmatched: usize,
    /// Segments that are the same in both languages, or differ in case and marks alone.
    pub untranslated: usize,
    /// Segments without a letter on one of the sides.
    pub without_letters: usize,
}

impl Documents {
    /// Finds the folders of two languages, such as `en-us`, below `root` (Debian's by default).
    /// Case does not matter; a language without its country will do where there is only one.
    ///
    /// # Errors
    /// A folder is missing, or a name fits several.
    pub fn find(
        layout: &Layout,
        root: Option<&Path>,
        from: &str,
        to: &str,
    ) -> Result<Self, DataError> {
        let root = root.unwrap_or(Path::new(layout.root));
        let mut languages = Vec::new();
        if root.is_dir() {
            for entry in fs::read_dir(root).map_err(|e| DataError::io(root, e))? {
                let entry = entry.map_err(|e| DataError::io(root, e))?;
                if entry.path().join(layout.pages).is_dir() {
                    languages.push(entry.file_name().to_string_lossy().into_owned());
                }
            }
        }
        languages.sort();
        if languages.is_empty() {
            return Err(DataError::format(
                root.display().to_string(),
                "no language",
                format!("the HTML of Debian's packages {}", layout.packages),
            ));
        }
        let folder = |option: &str, wanted: &str| -> Result<PathBuf, DataError> {
            let wanted_lower = wanted.to_lowercase();
            let country = format!("{wanted_lower}-");
            let exact = |name: &&String| name.to_lowercase() == wanted_lower;
            let begins = |name: &&String| name.to_lowercase().starts_with(&country);
            let mut fitting: Vec<&String> = languages.iter().filter(exact).collect();
            if fitting.is_empty() {
                fitting = languages.iter().filter(begins).collect();
            }
            match fitting.as_slice() {
                [one] => Ok(root.join(one).join(layout.pages)),
                _ => Err(DataError::config(
                    option,
                    format!("`{wanted}`"),
                    format!(
                        "one of {} (packages {})",
                        languages.join(", "),
                        layout.packages
                    ),
                )),
            }
        };
        Ok(Self {
            from: folder("from", from)?,
            to: folder("to", to)?,
        })
    }

    /// Reads and matches all pages.
    ///
    /// # Errors
    /// A page cannot be read, or is not UTF-8.
    pub fn align(&self) -> Result<Aligned, DataError> {
        let mut found = Aligned::default();
        for page in pages(&self.from)? {
            let [from, to] = [&self.from, &self.to].map(|folder| folder.join(&page));
            if !to.is_file() {
                found.pages_alone += 1;
                continue;
            }
            let (from, to) = (blocks(&read(&from)?), blocks(&read(&to)?));
            let (matched, left) = align(&from, &to);
            found.blocks += matched.len();
            found.blocks_unmatched += left;
            if matched.is_empty() {
                found.pages_unmatched += 1;
                continue;
            }
            let mut pairs = Vec::new();
            for (from, to) in matched {
                found.segments(&from.text, &to.text, &mut pairs);
            }
            found.pages.push((page, pairs));
        }
        Ok(found)
    }
}

impl Aligned {
    /// The sentences of two blocks where there are as many in both, else the blocks.
    fn segments(&mut self, from: &str, to: &str, pairs: &mut Vec<SegmentPair>) {
        let (mut sources, mut targets) = (sentences(from), sentences(to));
        if sources.len() != targets.len() {
            (sources, targets) = (vec![from], vec![to]);
        }
        for (source, target) in sources.into_iter().zip(targets) {
            let letters = [source, target].map(near::letters);
            if source == target {
                self.untranslated += 1;
            } else if letters.contains(&String::new()) {
                self.without_letters += 1;
            } else if letters[0] == letters[1] {
                self.untranslated += 1;
            } else {
                pairs.push((source.to_owned(), target.to_owned()));
            }
        }
    }
}

/// Paths of all pages below a folder, with `/` between their parts, sorted.
fn pages(root: &Path) -> Result<Vec<String>, DataError> {
    let mut pages = Vec::new();
    let mut open = vec![(root.to_owned(), String::new())];
    while let Some((folder, place)) = open.pop() {
        for entry in fs::read_dir(&folder).map_err(|e| DataError::io(&folder, e))? {
            let entry = entry.map_err(|e| DataError::io(&folder, e))?;
            let name = entry.file_name().to_string_lossy().into_owned();
            let sort = entry
                .file_type()
                .map_err(|e| DataError::io(&entry.path(), e))?;
            if sort.is_dir() {
                open.push((entry.path(), format!("{place}{name}/")));
            } else if entry
                .path()
                .extension()
                .is_some_and(|ending| ending == "html")
            {
                pages.push(format!("{place}{name}"));
            }
        }
    }
    pages.sort();
    Ok(pages)
}

fn read(path: &Path) -> Result<String, DataError> {
    fs::read_to_string(path).map_err(|e| DataError::io(path, e))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder() -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        for (path, page) in [
            (
                "en-US/a/one.html",
                "<h1>Title</h1><p>A b. C d.</p><p>5</p><p>Same</p>",
            ),
            (
                "de/a/one.html",
                "<h1>Titel</h1><p>E f. G h.</p><p>5%</p><p>Same</p>",
            ),
            ("en-US/two.html", "<p>x</p>"),
            ("en-US/three.html", "<p>x</p><h1>y</h1>"),
            ("de/three.html", "<p>x</p>"),
            ("zh-CN/one.html", ""),
            ("zh-TW/one.html", ""),
        ] {
            let path = dir.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, page).unwrap();
        }
        dir
    }

    #[test]
    fn pages_and_sentences_go_together() {
        let dir = folder();
        let documents = Documents::find(&DEBIAN_HANDBOOK, Some(dir.path()), "EN", "de").unwrap();
        let found = documents.align().unwrap();
        let pair = |a: &str, b: &str| (a.to_owned(), b.to_owned());
        assert_eq!(found.pages.len(), 1);
        assert_eq!(found.pages[0].0, "a/one.html");
        assert_eq!(
            found.pages[0].1,
            [pair("Title", "Titel"), pair("A b. C d.", "E f. G h.")]
        );
        let counts = [found.pages_alone, found.pages_unmatched, found.untranslated];
        assert_eq!(counts, [1, 1, 1]);
        assert_eq!(
            (found.blocks, found.blocks_unmatched, found.without_letters),
            (4, 2, 1)
        );
    }

    #[test]
    fn languages_that_are_not_there_or_not_clear_are_refused() {
        let dir = folder();
        let refusal = |layout: &Layout, root: &Path, from: &str| {
            Documents::find(layout, Some(root), from, "de")
                .unwrap_err()
                .to_string()
        };
        assert_eq!(
            refusal(&DEBIAN_HANDBOOK, dir.path(), "zh"),
            "option `from`: found `zh`, expected one of de, en-US, zh-CN, zh-TW (packages \
             debian-handbook)"
        );
        assert!(refusal(&DEBIAN_HANDBOOK, dir.path(), "d").contains("found `d`"));
        assert!(refusal(&LIBREOFFICE_HELP, dir.path(), "de").contains("found no language"));
        let none = dir.path().join("none");
        assert!(refusal(&LIBREOFFICE_HELP, &none, "de").ends_with(
            "none: found no language, expected the HTML of Debian's packages libreoffice-help-*"
        ));
    }
}
