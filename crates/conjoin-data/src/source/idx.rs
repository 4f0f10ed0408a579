//! Labelled images in IDX files, as MNIST and Fashion-MNIST ship them.
//!
//! Columns: `image` `[B, H, W, 1]` in [0, 1] (`x/255`), channels last, and `label` `[B]`.

use super::Source;
use super::classes::ClassNames;
use super::idx_file::{self, IdxArray};
use crate::{Columns, Contract, DataError, Field, Sample, Vocabulary};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Images and labels in IDX files, plain or gzipped: `train-images-idx3-ubyte`,
/// `train-labels-idx1-ubyte`, `t10k-images-idx3-ubyte`, `t10k-labels-idx1-ubyte`, with or without
/// `.gz`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct IdxConfig {
    /// The folder; Debian's dataset-fashion-mnist installs /usr/share/datasets/fashion-mnist.
    pub dir: PathBuf,
    /// Which pair of files: train or test.
    pub split: IdxSplit,
    /// Use rows [from, to) alone, so that a validation part can be cut off the training images.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub take: Option<[usize; 2]>,
    /// Names of the classes: "fashion-mnist", "digits", or a list.
    pub classes: ClassNames,
    /// Height and width, checked against the file.
    #[serde(default = "default_size")]
    pub size: [usize; 2],
}

fn default_size() -> [usize; 2] {
    [28, 28]
}

/// The two pairs of files.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum IdxSplit {
    Train,
    Test,
}

impl IdxSplit {
    /// How the names of its files begin.
    fn prefix(self) -> &'static str {
        match self {
            Self::Train => "train",
            Self::Test => "t10k",
        }
    }
}

impl IdxConfig {
    /// Contracts of the two columns.
    pub fn columns(&self) -> Columns {
        let [height, width] = self.size;
        let mut image = Contract::image(height, width, 1, (0.0, 1.0));
        image.normaliser = Some("x/255".to_owned());
        Columns::from([
            ("image".to_owned(), image),
            (
                "label".to_owned(),
                Contract::label(self.classes.vocabulary()),
            ),
        ])
    }

    pub(super) fn check(&self) -> Result<(), DataError> {
        if let Some([from, to]) = self.take
            && from >= to
        {
            let found = format!("[{from}, {to}]");
            return Err(DataError::config(
                "take",
                found,
                "[from, to] with from < to",
            ));
        }
        if self.size.contains(&0) {
            let found = format!("{:?}", self.size);
            return Err(DataError::config(
                "size",
                found,
                "[height, width], both above 0",
            ));
        }
        match &self.classes {
            ClassNames::List(names) if names.len() < 2 || names.len() > 256 => {
                let found = format!("{} names", names.len());
                Err(DataError::config("classes", found, "2 to 256 class names"))
            }
            _ => Ok(()),
        }
    }

    /// Reads both files into memory, a byte a pixel.
    ///
    /// # Errors
    /// A file is missing, is not IDX, disagrees with its own header, with `size` or with the other
    /// file, or has fewer rows than `take` wants.
    pub fn open(&self) -> Result<IdxSource, DataError> {
        let [height, width] = self.size;
        let images_path = self.find("images", "idx3")?;
        let labels_path = self.find("labels", "idx1")?;
        let images = idx_file::read(&images_path, &[None, Some(height), Some(width)])?;
        let labels = idx_file::read(&labels_path, &[None])?;
        let rows = images.sizes[0];
        if labels.sizes[0] != rows {
            return Err(DataError::format(
                labels_path.display().to_string(),
                format!("{} labels", labels.sizes[0]),
                format!("{rows}, one for each image of {}", images_path.display()),
            ));
        }
        let taken = match self.take {
            None => 0..rows,
            Some([from, to]) if to <= rows => from..to,
            Some([from, to]) => {
                let found = format!("[{from}, {to}]");
                let expected = format!(
                    "a range within the {rows} rows of {}",
                    images_path.display()
                );
                return Err(DataError::config("take", found, expected));
            }
        };
        Ok(IdxSource {
            columns: self.columns(),
            classes: self.classes.vocabulary(),
            split: self.split,
            size: self.size,
            images_path,
            labels_path,
            images,
            labels,
            taken,
        })
    }

    fn find(&self, what: &str, kind: &str) -> Result<PathBuf, DataError> {
        let name = format!("{}-{what}-{kind}-ubyte", self.split.prefix());
        let mut tried = [self.dir.join(format!("{name}.gz")), self.dir.join(&name)].into_iter();
        tried.find(|path| path.is_file()).ok_or_else(|| {
            let found = if self.dir.is_dir() {
                "no such file"
            } else {
                "no such folder"
            };
            DataError::format(
                self.dir.display().to_string(),
                found,
                format!(
                    "{name}.gz or {name} in it (Debian and Ubuntu install Fashion-MNIST with \
                     `apt-get install dataset-fashion-mnist` under /usr/share/datasets)"
                ),
            )
        })
    }
}

/// Opened images and labels.
#[derive(Debug)]
pub struct IdxSource {
    columns: Columns,
    classes: Arc<Vocabulary>,
    split: IdxSplit,
    size: [usize; 2],
    images_path: PathBuf,
    labels_path: PathBuf,
    images: IdxArray,
    labels: IdxArray,
    /// Rows of the files that are samples.
    taken: Range<usize>,
}

impl IdxSource {
    fn row(&self, index: usize) -> usize {
        self.taken.start + index
    }

    fn class(&self, index: usize) -> Result<i64, DataError> {
        let label = i64::from(self.labels.bytes[self.row(index)]);
        if (label as usize) < self.classes.len() {
            return Ok(label);
        }
        Err(DataError::format(
            row_of(&self.labels_path, self.row(index)),
            format!("label {label}"),
            format!(
                "0 to {} (vocabulary `{}`)",
                self.classes.len() - 1,
                self.classes.name
            ),
        ))
    }
}

fn row_of(path: &Path, row: usize) -> String {
    format!("{} row {row}", path.display())
}

impl Source for IdxSource {
    fn len(&self) -> usize {
        self.taken.len()
    }

    fn columns(&self) -> Columns {
        self.columns.clone()
    }

    fn sample(&self, index: usize) -> Result<Sample, DataError> {
        let [height, width] = self.size;
        let label = self.class(index)?;
        let begin = self.row(index) * height * width;
        let pixels = &self.images.bytes[begin..begin + height * width];
        let image = Field::Dense {
            shape: vec![height, width, 1],
            data: pixels.iter().map(|&p| f32::from(p) / 255.0).collect(),
        };
        Ok(Sample::new(self.key(index))
            .with("image", image)
            .with("label", Field::Label(label)))
    }

    fn key(&self, index: usize) -> Cow<'_, str> {
        format!("{}-images row {}", self.split.prefix(), self.row(index)).into()
    }

    fn location(&self, index: usize) -> String {
        row_of(&self.images_path, self.row(index))
    }

    fn length(&self, _index: usize, _column: &str) -> Option<usize> {
        None
    }

    fn text(&self, index: usize) -> String {
        let class = self
            .class(index)
            .ok()
            .and_then(|label| self.classes.symbol(label));
        class.unwrap_or("unknown class").to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    /// Writes 2x2 images whose pixels are 10 times their row, and labels.
    fn folder(images: usize, labels: &[u8]) -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        let mut bytes = vec![0, 0, 8, 3];
        for size in [images as u32, 2, 2] {
            bytes.extend(size.to_be_bytes());
        }
        bytes.extend((0..images).flat_map(|row| [row as u8 * 10; 4]));
        fs::write(dir.path().join("train-images-idx3-ubyte"), bytes).unwrap();
        let mut bytes = vec![0, 0, 8, 1];
        bytes.extend((labels.len() as u32).to_be_bytes());
        bytes.extend(labels);
        fs::write(dir.path().join("train-labels-idx1-ubyte"), bytes).unwrap();
        dir
    }

    fn config(dir: &Path) -> IdxConfig {
        IdxConfig {
            dir: dir.into(),
            split: IdxSplit::Train,
            take: None,
            classes: ClassNames::List(vec!["no".to_owned(), "yes".to_owned()]),
            size: [2, 2],
        }
    }

    #[test]
    fn rows_labels_and_names() {
        let dir = folder(4, &[0, 1, 1, 0]);
        let source = IdxConfig {
            take: Some([1, 4]),
            ..config(dir.path())
        }
        .open()
        .unwrap();
        assert_eq!(source.len(), 3);
        let sample = source.sample(1).unwrap();
        assert_eq!(sample.key, "train-images row 2");
        assert_eq!(sample.fields["label"], Field::Label(1));
        let pixel = 20.0 / 255.0;
        let image = Field::Dense {
            shape: vec![2, 2, 1],
            data: vec![pixel; 4],
        };
        assert_eq!(sample.fields["image"], image);
        assert_eq!(source.text(1), "yes");
        assert!(
            source
                .location(1)
                .ends_with("train-images-idx3-ubyte row 2")
        );
    }

    #[test]
    fn a_label_outside_the_classes_names_its_row() {
        let dir = folder(3, &[0, 1, 2]);
        let source = IdxConfig {
            take: Some([1, 3]),
            ..config(dir.path())
        }
        .open()
        .unwrap();
        assert!(source.sample(0).is_ok());
        let message = source.sample(1).unwrap_err().to_string();
        let expected = "train-labels-idx1-ubyte row 2: found label 2, expected 0 to 1 (vocabulary \
                        `classes`)";
        assert!(message.ends_with(expected), "{message}");
    }

    #[test]
    fn files_that_disagree_or_are_missing_are_named() {
        let dir = folder(3, &[0, 1]);
        let message = config(dir.path()).open().unwrap_err().to_string();
        assert!(
            message.contains("found 2 labels, expected 3, one for each image of"),
            "{message}"
        );

        let dir = folder(3, &[0, 1, 0]);
        let open = |change: fn(&mut IdxConfig)| {
            let mut config = config(dir.path());
            change(&mut config);
            config.open().unwrap_err().to_string()
        };
        let message = open(|c| c.take = Some([2, 4]));
        assert!(message.starts_with("option `take`: found [2, 4], expected a range within the 3"));
        let message = open(|c| c.size = [2, 3]);
        assert!(message.contains("found sizes [3, 2, 2] in the header, expected [any, 2, 3]"));
        let message = open(|c| c.split = IdxSplit::Test);
        assert!(message.contains("found no such file, expected t10k-images-idx3-ubyte.gz or"));
        let message = open(|c| c.dir.push("nowhere"));
        assert!(message.contains("found no such folder"), "{message}");
    }

    #[test]
    fn options_are_checked_without_files() {
        let check = |change: fn(&mut IdxConfig)| {
            let mut config = config(Path::new("nowhere"));
            change(&mut config);
            config.check().unwrap_err().to_string()
        };
        assert_eq!(
            check(|c| c.take = Some([5, 5])),
            "option `take`: found [5, 5], expected [from, to] with from < to"
        );
        assert!(check(|c| c.size = [0, 28]).starts_with("option `size`: found [0, 28]"));
        assert!(check(|c| c.classes = ClassNames::List(vec![])).contains("found 0 names"));
    }
}
