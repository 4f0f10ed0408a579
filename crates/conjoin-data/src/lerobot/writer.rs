//! Writes episodes; what is complete stays readable whatever happens next.

use super::feature::{Feature, FeatureKind, Frame, Image};
use super::meta::{self, EpisodeRow};
use super::place;
use super::stats::Stats;
use crate::DataError;
use arrow_array::builder::{BinaryBuilder, StringBuilder};
use arrow_array::{
    ArrayRef, BooleanArray, FixedSizeListArray, Float32Array, Int64Array, RecordBatch, StructArray,
};
use arrow_schema::{DataType, Schema};
use image::ImageEncoder;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// How a recording is written.
#[derive(Debug, Clone, PartialEq)]
pub struct RecorderConfig {
    /// Episodes in a data file: what is lost at most if the recording is cut short.
    pub episodes_per_file: usize,
    /// What was driven, such as `car`.
    pub robot: String,
    /// Frames a second.
    pub fps: u32,
    /// Kept under `conjoin` in `info.json`: calibration, sizes, families.
    pub extra: serde_json::Value,
}

impl Default for RecorderConfig {
    fn default() -> Self {
        Self {
            episodes_per_file: 4,
            robot: "car".to_owned(),
            fps: 10,
            extra: serde_json::Value::Null,
        }
    }
}

/// An open recording. Episodes are pushed frame by frame and ended; the last file is written by
/// [`Recorder::finish`], or when the recorder goes out of scope.
#[derive(Debug)]
pub struct Recorder {
    root: PathBuf,
    config: RecorderConfig,
    features: Vec<Feature>,
    stats: Vec<(String, Stats)>,
    episodes: Vec<EpisodeRow>,
    files: usize,
    tasks: Vec<String>,
    /// Frames of the episode that is running.
    running: Vec<Frame>,
    /// Ended episodes that are not written yet.
    waiting: Vec<(String, Vec<Frame>)>,
}

impl Recorder {
    /// Begins a recording in a folder that does not exist or is empty.
    ///
    /// # Errors
    /// The folder holds something already, or cannot be made.
    pub fn create(
        root: &Path,
        features: Vec<Feature>,
        config: RecorderConfig,
    ) -> Result<Self, DataError> {
        let held = fs::read_dir(root).is_ok_and(|mut entries| entries.next().is_some());
        if held {
            let place = root.display().to_string();
            return Err(DataError::format(place, "files", "an empty folder or none"));
        }
        fs::create_dir_all(root).map_err(|e| DataError::io(root, e))?;
        let stats = features
            .iter()
            .map(|f| {
                let image = f.kind == FeatureKind::Image;
                let size = if image { 3 } else { f.shape.iter().product() };
                (f.name.clone(), Stats::new(size, image))
            })
            .collect();
        Ok(Self {
            root: root.to_owned(),
            config,
            features,
            stats,
            episodes: Vec::new(),
            files: 0,
            tasks: Vec::new(),
            running: Vec::new(),
            waiting: Vec::new(),
        })
    }

    /// Adds a frame to the episode that is running.
    ///
    /// # Errors
    /// The frame lacks a feature, has one too many, or one of another shape.
    pub fn push(&mut self, frame: Frame) -> Result<(), DataError> {
        frame.check(&self.features)?;
        self.running.push(frame);
        Ok(())
    }

    /// Ends the episode; an episode without frames is none.
    ///
    /// # Errors
    /// The file or the metadata cannot be written.
    pub fn end_episode(&mut self, task: &str) -> Result<(), DataError> {
        if !self.running.is_empty() {
            self.waiting
                .push((task.to_owned(), std::mem::take(&mut self.running)));
        }
        if self.waiting.len() >= self.config.episodes_per_file.max(1) {
            self.write_file()?;
        }
        Ok(())
    }

    /// Forgets the episode that is running.
    pub fn discard_episode(&mut self) {
        self.running.clear();
    }

    /// Writes what waits; an episode that was not ended is left out.
    ///
    /// # Errors
    /// The file or the metadata cannot be written.
    pub fn finish(mut self) -> Result<(), DataError> {
        self.write_file()
    }

    fn write_file(&mut self) -> Result<(), DataError> {
        if self.waiting.is_empty() {
            return Ok(());
        }
        let waiting = std::mem::take(&mut self.waiting);
        let frames: u64 = self.episodes.iter().map(|row| row.length).sum();
        let mut start = frames;
        let mut batches = Vec::with_capacity(waiting.len());
        let mut rows = Vec::with_capacity(waiting.len());
        for (i, (task, frames)) in waiting.iter().enumerate() {
            batches.push(self.batch(task, frames, self.episodes.len() + i, start)?);
            let length = frames.len() as u64;
            rows.push(EpisodeRow {
                task: task.clone(),
                start,
                length,
                file: self.files,
            });
            start += length;
        }
        meta::write_parquet(&self.root.join("data").join(place(self.files)), &batches)?;
        for frame in waiting.iter().flat_map(|(_, frames)| frames) {
            self.count(frame);
        }
        self.episodes.extend(rows);
        self.files += 1;
        let mut features = self.features.clone();
        features.extend(meta::defaults());
        meta::write(
            &self.root,
            &features,
            &self.config,
            &self.episodes,
            &self.stats,
        )
    }

    fn count(&mut self, frame: &Frame) {
        for (name, stats) in &mut self.stats {
            if let Some(image) = frame.images.get(name) {
                let pixels = image.rgb.chunks_exact(3);
                stats.add_frame(pixels.map(|p| p.iter().map(|&v| f64::from(v) / 255.0)));
            } else if let Some(values) = frame.values.get(name) {
                stats.add_frame(std::iter::once(values.iter().map(|&v| f64::from(v))));
            }
        }
    }

    /// The rows of an episode, whose first frame has the number `start`.
    fn batch(
        &mut self,
        task: &str,
        frames: &[Frame],
        episode: usize,
        start: u64,
    ) -> Result<RecordBatch, DataError> {
        let mut columns: Vec<ArrayRef> = Vec::new();
        for feature in &self.features {
            columns.push(match feature.kind {
                FeatureKind::Image => images(feature, frames)?,
                _ => vectors(feature, frames)?,
            });
        }
        let known = self.tasks.iter().position(|t| t == task);
        let task = known.unwrap_or_else(|| {
            self.tasks.push(task.to_owned());
            self.tasks.len() - 1
        });
        let length = frames.len();
        let fps = self.config.fps.max(1) as f32;
        let done: Vec<bool> = (1..=length).map(|k| k == length).collect();
        let index = (start as i64)..(start as i64 + length as i64);
        columns.push(Arc::new(BooleanArray::from(done)));
        columns.push(Arc::new(Float32Array::from_iter_values(
            (0..length).map(|k| k as f32 / fps),
        )));
        columns.push(Arc::new(Int64Array::from_iter_values(0..length as i64)));
        columns.push(Arc::new(Int64Array::from(vec![episode as i64; length])));
        columns.push(Arc::new(Int64Array::from_iter_values(index)));
        columns.push(Arc::new(Int64Array::from(vec![task as i64; length])));
        let all = self.features.iter().cloned().chain(meta::defaults());
        let schema = Schema::new(all.map(|f| f.field()).collect::<Vec<_>>());
        RecordBatch::try_new(Arc::new(schema), columns).map_err(|e| mismatch(&e))
    }
}

impl Drop for Recorder {
    /// Ended episodes are kept even where the recorder was not finished; there is nobody to tell if that
    /// fails.
    fn drop(&mut self) {
        let _ = self.write_file();
    }
}

fn mismatch(error: &arrow_schema::ArrowError) -> DataError {
    DataError::format("frames", error.to_string(), "columns of equal length")
}

/// PNG of an image.
fn png(name: &str, image: &Image) -> Result<Vec<u8>, DataError> {
    let mut bytes = Vec::new();
    image::codecs::png::PngEncoder::new(&mut bytes)
        .write_image(
            &image.rgb,
            image.width as u32,
            image.height as u32,
            image::ExtendedColorType::Rgb8,
        )
        .map_err(|e| DataError::format(format!("image {name}"), e.to_string(), "RGB bytes"))?;
    Ok(bytes)
}

fn images(feature: &Feature, frames: &[Frame]) -> Result<ArrayRef, DataError> {
    let (mut bytes, mut paths) = (BinaryBuilder::new(), StringBuilder::new());
    for frame in frames {
        match frame.images.get(&feature.name) {
            Some(image) => bytes.append_value(png(&feature.name, image)?),
            None => bytes.append_null(),
        }
        paths.append_null();
    }
    let DataType::Struct(fields) = feature.field().data_type().clone() else {
        return Err(DataError::format(
            "image column",
            "another type",
            "a struct",
        ));
    };
    let parts: Vec<ArrayRef> = vec![Arc::new(bytes.finish()), Arc::new(paths.finish())];
    let column = StructArray::try_new(fields, parts, None).map_err(|e| mismatch(&e))?;
    Ok(Arc::new(column))
}

fn vectors(feature: &Feature, frames: &[Frame]) -> Result<ArrayRef, DataError> {
    let values = frames
        .iter()
        .filter_map(|frame| frame.values.get(&feature.name));
    let flat = Float32Array::from_iter_values(values.flatten().copied());
    Ok(match feature.field().data_type().clone() {
        DataType::FixedSizeList(item, size) => {
            let column = FixedSizeListArray::try_new(item, size, Arc::new(flat), None);
            Arc::new(column.map_err(|e| mismatch(&e))?)
        }
        _ => Arc::new(flat),
    })
}
