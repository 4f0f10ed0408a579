//! Reads recordings, whole or cut short.

use super::feature::{Feature, FeatureKind, Frame};
use super::{CHUNK, VERSION};
use crate::driving::camera::Image;
use crate::error::WorldError;
use arrow_array::cast::AsArray;
use arrow_array::types::{Float32Type, Int64Type};
use arrow_array::{Array, RecordBatch};
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use serde_json::Value;
use std::fs::{self, File};
use std::path::{Path, PathBuf};

/// An opened recording. Frames are read when an episode is asked for.
#[derive(Debug, Clone)]
pub struct Recording {
    features: Vec<Feature>,
    extra: Value,
    episodes: Vec<Place>,
    notice: Option<String>,
}

/// Rows of an episode in its file.
#[derive(Debug, Clone)]
struct Place {
    file: PathBuf,
    start: usize,
    length: usize,
}

fn broken(path: &Path, error: impl std::fmt::Display) -> WorldError {
    WorldError::format(
        path.display().to_string(),
        error.to_string(),
        "a parquet file",
    )
}

impl Recording {
    /// Opens a recording. Where it was cut short, everything up to the last whole episode is there, and
    /// [`Recording::notice`] says what is missing.
    ///
    /// # Errors
    /// There is no recording of this layout, or it has no whole episode.
    pub fn open(root: &Path) -> Result<Self, WorldError> {
        let path = root.join("meta/info.json");
        let text = fs::read_to_string(&path).map_err(|e| WorldError::io(&path, e))?;
        let place = path.display().to_string();
        let info: Value = serde_json::from_str(&text)
            .map_err(|e| WorldError::format(&place, e.to_string(), "JSON"))?;
        let version = info["codebase_version"].as_str().unwrap_or("nothing");
        if version != VERSION {
            let found = format!("codebase_version {version}");
            return Err(WorldError::format(&place, found, VERSION));
        }
        let described = info["features"]
            .as_object()
            .ok_or_else(|| WorldError::format(&place, "no features", "a table of features"))?;
        let features = described
            .iter()
            .map(|(name, value)| Feature::from_json(name, value))
            .collect::<Result<Vec<_>, _>>()?;
        let mut recording = Self {
            features,
            extra: info["conjoin"].clone(),
            episodes: Vec::new(),
            notice: None,
        };
        recording.find(root, info["total_episodes"].as_u64().unwrap_or(0) as usize);
        if recording.episodes.is_empty() {
            let found = recording.notice.unwrap_or_else(|| "no episode".to_owned());
            return Err(WorldError::format(
                root.display().to_string(),
                found,
                "a whole episode",
            ));
        }
        Ok(recording)
    }

    /// Finds the whole episodes, file by file, up to the first thing that is not whole.
    fn find(&mut self, root: &Path, promised: usize) {
        let mut trouble = None;
        for number in 0.. {
            let file = root.join("data").join(super::place(number));
            if !file.exists() {
                let left = file.with_extension("partial");
                if left.exists() {
                    trouble = Some(format!("{} was not completed", left.display()));
                }
                break;
            }
            match episodes_of(&file, self.episodes.len()) {
                Ok((found, rest)) => {
                    self.episodes.extend(found);
                    if let Some(rest) = rest {
                        trouble = Some(format!("{}: {rest}", file.display()));
                        break;
                    }
                }
                Err(error) => {
                    trouble = Some(error.to_string());
                    break;
                }
            }
        }
        let whole = self.episodes.len();
        if trouble.is_none() && whole < promised {
            let missing = super::place(self.files());
            trouble = Some(format!("data/{missing} is missing"));
        }
        self.notice = trouble.map(|trouble| {
            let of = if promised > whole {
                format!(" of {promised}")
            } else {
                String::new()
            };
            format!("the recording was cut short: {whole}{of} episodes are whole ({trouble})")
        });
    }

    /// Data files that whole episodes were found in.
    fn files(&self) -> usize {
        let mut files: Vec<&PathBuf> = self.episodes.iter().map(|place| &place.file).collect();
        files.dedup();
        files.len().min(CHUNK * CHUNK)
    }

    /// What is missing, if the recording was cut short.
    pub fn notice(&self) -> Option<&str> {
        self.notice.as_deref()
    }

    pub fn features(&self) -> &[Feature] {
        &self.features
    }

    /// What the recorder was given to keep.
    pub fn extra(&self) -> &Value {
        &self.extra
    }

    /// Number of whole episodes.
    pub fn len(&self) -> usize {
        self.episodes.len()
    }

    pub fn is_empty(&self) -> bool {
        self.episodes.is_empty()
    }

    /// Frames of an episode.
    pub fn length(&self, episode: usize) -> Option<usize> {
        self.episodes.get(episode).map(|place| place.length)
    }

    /// Reads an episode.
    ///
    /// # Errors
    /// There is no such episode, or the file does not hold what the metadata say.
    pub fn episode(&self, episode: usize) -> Result<Vec<Frame>, WorldError> {
        let place = self.episodes.get(episode).ok_or_else(|| {
            let expected = format!("a number below {}", self.episodes.len());
            WorldError::format("episode", episode.to_string(), expected)
        })?;
        let path = &place.file;
        let file = File::open(path).map_err(|e| WorldError::io(path, e))?;
        let reader = ParquetRecordBatchReaderBuilder::try_new(file)
            .map_err(|e| broken(path, e))?
            .with_offset(place.start)
            .with_limit(place.length)
            .build()
            .map_err(|e| broken(path, e))?;
        let mut frames = Vec::with_capacity(place.length);
        for batch in reader {
            let batch = batch.map_err(|e| broken(path, e))?;
            for row in 0..batch.num_rows() {
                let mut frame = Frame::default();
                for feature in &self.features {
                    read(&batch, row, feature, &mut frame, path)?;
                }
                frames.push(frame);
            }
        }
        Ok(frames)
    }
}

/// The whole episodes of a file, which begins with this number, and what follows them if it is not whole.
fn episodes_of(path: &Path, first: usize) -> Result<(Vec<Place>, Option<String>), WorldError> {
    let file = File::open(path).map_err(|e| WorldError::io(path, e))?;
    let builder = ParquetRecordBatchReaderBuilder::try_new(file).map_err(|e| broken(path, e))?;
    // By place: a name with a dot would be taken for a nested column.
    let roots = builder.schema().fields().iter().enumerate();
    let wanted: Vec<usize> = roots
        .filter(|(_, field)| ["episode_index", "next.done"].contains(&field.name().as_str()))
        .map(|(root, _)| root)
        .collect();
    let mask = ProjectionMask::roots(builder.parquet_schema(), wanted);
    let reader = builder
        .with_projection(mask)
        .build()
        .map_err(|e| broken(path, e))?;
    let (mut found, mut row, mut start) = (Vec::new(), 0, 0);
    for batch in reader {
        let batch = batch.map_err(|e| broken(path, e))?;
        let (Some(index), Some(done)) = (
            batch.column_by_name("episode_index"),
            batch.column_by_name("next.done"),
        ) else {
            return Err(broken(path, "no episode_index or next.done"));
        };
        let (Some(index), Some(done)) =
            (index.as_primitive_opt::<Int64Type>(), done.as_boolean_opt())
        else {
            return Err(broken(path, "episode_index or next.done of another type"));
        };
        for i in 0..batch.num_rows() {
            let number = (first + found.len()) as i64;
            if index.value(i) != number {
                let odd = format!("row {row} is of episode {}, not {number}", index.value(i));
                return Ok((found, Some(odd)));
            }
            row += 1;
            if done.value(i) {
                found.push(Place {
                    file: path.to_owned(),
                    start,
                    length: row - start,
                });
                start = row;
            }
        }
    }
    let rest = (row > start).then(|| format!("an episode of {} frames has no end", row - start));
    Ok((found, rest))
}

fn read(
    batch: &RecordBatch,
    row: usize,
    feature: &Feature,
    frame: &mut Frame,
    path: &Path,
) -> Result<(), WorldError> {
    let name = &feature.name;
    let wrong = |found: String| {
        let place = format!("{}: row {row}, feature {name}", path.display());
        WorldError::format(
            place,
            found,
            format!("{} {:?}", feature.kind.name(), feature.shape),
        )
    };
    let column = batch
        .column_by_name(name)
        .ok_or_else(|| wrong("no column".to_owned()))?;
    let other = || wrong(column.data_type().to_string());
    let values: Vec<f32> = match feature.kind {
        FeatureKind::Image => {
            let bytes = column
                .as_struct_opt()
                .and_then(|parts| parts.column_by_name("bytes").cloned())
                .ok_or_else(other)?;
            let bytes = bytes
                .as_binary_opt::<i32>()
                .ok_or_else(other)?
                .value(row)
                .to_vec();
            let decoded = image::load_from_memory_with_format(&bytes, image::ImageFormat::Png)
                .map_err(|e| wrong(e.to_string()))?
                .to_rgb8();
            let (width, height) = (decoded.width() as usize, decoded.height() as usize);
            if feature.shape != [height, width, 3] {
                return Err(wrong(format!("an image of shape [{height}, {width}, 3]")));
            }
            let rgb = decoded.into_raw();
            frame
                .images
                .insert(name.clone(), Image { width, height, rgb });
            return Ok(());
        }
        FeatureKind::Int64 => {
            vec![
                column
                    .as_primitive_opt::<Int64Type>()
                    .ok_or_else(other)?
                    .value(row) as f32,
            ]
        }
        FeatureKind::Bool => vec![f32::from(
            column.as_boolean_opt().ok_or_else(other)?.value(row),
        )],
        FeatureKind::Float32 => {
            if let Some(plain) = column.as_primitive_opt::<Float32Type>() {
                vec![plain.value(row)]
            } else {
                let cell = column
                    .as_fixed_size_list_opt()
                    .ok_or_else(other)?
                    .value(row);
                let cell = cell.as_primitive_opt::<Float32Type>().ok_or_else(other)?;
                cell.values().to_vec()
            }
        }
    };
    if values.len() != feature.shape.iter().product::<usize>() {
        return Err(wrong(format!("{} numbers", values.len())));
    }
    frame.values.insert(name.clone(), values);
    Ok(())
}
