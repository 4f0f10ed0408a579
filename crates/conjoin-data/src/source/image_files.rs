//! Single image files without labels, such as those to predict: column `image` as in the IDX source.

use super::{IdxConfig, Source};
use crate::{Columns, DataError, Field, Sample};
use image::{ImageError, ImageReader, Limits};
use std::borrow::Cow;
use std::path::PathBuf;

/// Largest side of a file that is opened at all, in pixels.
const LARGEST_SIDE: u32 = 16_384;

/// Image files with the size and the value range of an IDX data set.
#[derive(Debug)]
pub struct ImageFiles {
    paths: Vec<PathBuf>,
    config: IdxConfig,
}

impl ImageFiles {
    /// Files are opened when their sample is read; colours become grey by luma.
    pub fn new(config: &IdxConfig, paths: Vec<PathBuf>) -> Self {
        Self {
            paths,
            config: config.clone(),
        }
    }
}

impl Source for ImageFiles {
    fn len(&self) -> usize {
        self.paths.len()
    }

    fn columns(&self) -> Columns {
        let mut columns = self.config.columns();
        columns.remove("label");
        columns
    }

    fn sample(&self, index: usize) -> Result<Sample, DataError> {
        let path = &self.paths[index];
        let [height, width] = self.config.size;
        let mut reader = ImageReader::open(path)
            .and_then(ImageReader::with_guessed_format)
            .map_err(|e| DataError::io(path, e))?;
        let mut limits = Limits::default();
        limits.max_image_width = Some(LARGEST_SIDE);
        limits.max_image_height = Some(LARGEST_SIDE);
        reader.limits(limits);
        let image = reader.decode().map_err(|error| match error {
            ImageError::IoError(source) => DataError::io(path, source),
            other => {
                DataError::format(path.display().to_string(), other.to_string(), "a PNG image")
            }
        })?;
        let grey = image.into_luma8();
        if (grey.height() as usize, grey.width() as usize) != (height, width) {
            return Err(DataError::format(
                path.display().to_string(),
                format!("{} x {} pixels", grey.height(), grey.width()),
                format!("{height} x {width} (height x width)"),
            ));
        }
        let data = grey.into_raw().into_iter().map(|p| f32::from(p) / 255.0);
        let field = Field::Dense {
            shape: vec![height, width, 1],
            data: data.collect(),
        };
        Ok(Sample::new(path.display().to_string()).with("image", field))
    }

    fn key(&self, index: usize) -> Cow<'_, str> {
        self.paths[index].to_string_lossy()
    }

    fn location(&self, index: usize) -> String {
        self.paths[index].display().to_string()
    }

    fn length(&self, _: usize, _: &str) -> Option<usize> {
        None
    }

    fn text(&self, index: usize) -> String {
        self.paths[index].display().to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::{ClassNames, ClassPreset, IdxSplit};

    fn config() -> IdxConfig {
        IdxConfig {
            dir: PathBuf::new(),
            split: IdxSplit::Test,
            take: None,
            classes: ClassNames::Preset(ClassPreset::Digits),
            size: [2, 3],
        }
    }

    #[test]
    fn reads_grey_pixels_row_by_row() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.png");
        let pixels = vec![0, 51, 102, 153, 204, 255];
        image::GrayImage::from_raw(3, 2, pixels)
            .unwrap()
            .save(&path)
            .unwrap();
        let source = ImageFiles::new(&config(), vec![path]);
        let expected = Field::Dense {
            shape: vec![2, 3, 1],
            data: vec![0.0, 0.2, 0.4, 0.6, 0.8, 1.0],
        };
        assert_eq!(source.sample(0).unwrap().fields["image"], expected);
    }

    #[test]
    fn wrong_sizes_and_files_are_named() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.png");
        image::GrayImage::new(4, 4).save(&path).unwrap();
        let text = dir.path().join("b.png");
        std::fs::write(&text, "hello").unwrap();
        let missing = dir.path().join("c.png");
        let source = ImageFiles::new(&config(), vec![path, text, missing]);
        let message = |i| source.sample(i).unwrap_err().to_string();
        assert!(message(0).ends_with("found 4 x 4 pixels, expected 2 x 3 (height x width)"));
        assert!(message(1).contains("b.png"), "{}", message(1));
        assert!(message(2).contains("c.png"), "{}", message(2));
    }
}
