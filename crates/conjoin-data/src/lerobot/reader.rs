//! Reads recordings, whole or cut short.

use super::CHUNK;
use super::feature::{Feature, FeatureKind, Frame, Image};
use super::info::Info;
use crate::DataError;
use arrow_array::cast::AsArray;
use arrow_array::types::{Float32Type, Int64Type};
use arrow_array::{Array, RecordBatch};
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder};
use rayon::prelude::*;
use std::fs::File;
use std::ops::Range;
use std::path::{Path, PathBuf};

/// An opened recording. Frames are read when an episode is asked for.
#[derive(Debug, Clone)]
pub struct Recording {
    info: Info,
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

fn broken(path: &Path, error: impl std::fmt::Display) -> DataError {
    DataError::format(
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
    pub fn open(root: &Path) -> Result<Self, DataError> {
        let mut recording = Self {
            info: Info::read(root)?,
            episodes: Vec::new(),
            notice: None,
        };
        recording.find(root, recording.info.episodes);
        if recording.episodes.is_empty() {
            let found = recording.notice.unwrap_or_else(|| "no episode".to_owned());
            return Err(DataError::format(
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

    /// What its `meta/info.json` says.
    pub fn info(&self) -> &Info {
        &self.info
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

    /// Reads an episode with all features.
    ///
    /// # Errors
    /// There is no such episode, or the file does not hold what the metadata say.
    pub fn episode(&self, episode: usize) -> Result<Vec<Frame>, DataError> {
        let all = self.info.features.iter().map(|f| f.name.as_str());
        let length = self.length(episode).unwrap_or(0);
        self.frames(episode, 0..length, 1, &all.collect::<Vec<_>>())
    }

    /// Reads some features of every `stride`-th of some frames of an episode, beginning with the first;
    /// images are decoded by all cores.
    ///
    /// # Errors
    /// There is no such episode or frame, or the file does not hold what the metadata say.
    pub fn frames(
        &self,
        episode: usize,
        frames: Range<usize>,
        stride: usize,
        features: &[&str],
    ) -> Result<Vec<Frame>, DataError> {
        let missing = |what: &str, found: String, below: usize| {
            DataError::format(what, found, format!("a number below {below}"))
        };
        let place = self
            .episodes
            .get(episode)
            .ok_or_else(|| missing("episode", episode.to_string(), self.episodes.len()))?;
        if frames.end > place.length {
            return Err(missing("frame", frames.end.to_string(), place.length));
        }
        let wanted: Vec<&Feature> = self
            .info
            .features
            .iter()
            .filter(|f| features.contains(&f.name.as_str()))
            .collect();
        let path = &place.file;
        let rows = place.start + frames.start..place.start + frames.end;
        let mut found = Vec::with_capacity(frames.len().div_ceil(stride.max(1)));
        let mut row = rows.start;
        for batch in open(path, &rows, features)? {
            let batch = batch.map_err(|e| broken(path, e))?;
            let first = (row - rows.start).next_multiple_of(stride.max(1)) - (row - rows.start);
            let taken: Vec<usize> = (first..batch.num_rows()).step_by(stride.max(1)).collect();
            let frames: Result<Vec<Frame>, DataError> = taken
                .into_par_iter()
                .map(|i| {
                    let mut frame = Frame::default();
                    for feature in &wanted {
                        read(&batch, i, feature, &mut frame)
                            .map_err(|e| e.of_row(path, row + i, feature))?;
                    }
                    Ok(frame)
                })
                .collect();
            found.extend(frames?);
            row += batch.num_rows();
        }
        if row != rows.end {
            return Err(broken(path, format!("{row} rows, not {}", rows.end)));
        }
        Ok(found)
    }
}

/// The rows of a file, in the row groups that hold them, with some columns alone.
fn open(
    path: &Path,
    rows: &Range<usize>,
    features: &[&str],
) -> Result<ParquetRecordBatchReader, DataError> {
    let file = File::open(path).map_err(|e| DataError::io(path, e))?;
    let builder = ParquetRecordBatchReaderBuilder::try_new(file).map_err(|e| broken(path, e))?;
    let (mut groups, mut skipped, mut begin) = (Vec::new(), 0, 0);
    for (number, group) in builder.metadata().row_groups().iter().enumerate() {
        let end = begin + group.num_rows() as usize;
        if end <= rows.start {
            skipped = end;
        } else if begin < rows.end {
            groups.push(number);
        }
        begin = end;
    }
    let mask = columns(&builder, features);
    builder
        .with_row_groups(groups)
        .with_offset(rows.start - skipped)
        .with_limit(rows.len())
        .with_projection(mask)
        .build()
        .map_err(|e| broken(path, e))
}

/// Chosen by place: a name with a dot would be taken for a nested column.
fn columns(builder: &ParquetRecordBatchReaderBuilder<File>, names: &[&str]) -> ProjectionMask {
    let roots = builder.schema().fields().iter().enumerate();
    let wanted = roots.filter(|(_, field)| names.contains(&field.name().as_str()));
    let wanted: Vec<usize> = wanted.map(|(root, _)| root).collect();
    ProjectionMask::roots(builder.parquet_schema(), wanted)
}

/// The whole episodes of a file, which begins with this number, and what follows them if it is not whole.
fn episodes_of(path: &Path, first: usize) -> Result<(Vec<Place>, Option<String>), DataError> {
    let file = File::open(path).map_err(|e| DataError::io(path, e))?;
    let builder = ParquetRecordBatchReaderBuilder::try_new(file).map_err(|e| broken(path, e))?;
    let mask = columns(&builder, &["episode_index", "next.done"]);
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

/// What a cell holds instead of its feature.
struct Odd(String);

impl Odd {
    fn of_row(self, path: &Path, row: usize, feature: &Feature) -> DataError {
        let place = format!("{}: row {row}, feature {}", path.display(), feature.name);
        let expected = format!("{} {:?}", feature.kind.name(), feature.shape);
        DataError::format(place, self.0, expected)
    }
}

fn read(batch: &RecordBatch, row: usize, feature: &Feature, frame: &mut Frame) -> Result<(), Odd> {
    let name = &feature.name;
    let column = batch
        .column_by_name(name)
        .ok_or_else(|| Odd("no column".to_owned()))?;
    if column.is_null(row) {
        return Err(Odd("nothing".to_owned()));
    }
    let other = || Odd(column.data_type().to_string());
    let values: Vec<f32> = match feature.kind {
        FeatureKind::Image => {
            let bytes = column
                .as_struct_opt()
                .and_then(|parts| parts.column_by_name("bytes"))
                .and_then(|bytes| bytes.as_binary_opt::<i32>())
                .ok_or_else(other)?;
            frame
                .images
                .insert(name.clone(), decode(bytes.value(row), &feature.shape)?);
            return Ok(());
        }
        FeatureKind::Int64 => {
            let plain = column.as_primitive_opt::<Int64Type>();
            vec![plain.ok_or_else(other)?.value(row) as f32]
        }
        FeatureKind::Bool => vec![f32::from(
            column.as_boolean_opt().ok_or_else(other)?.value(row),
        )],
        FeatureKind::Float32 => {
            if let Some(plain) = column.as_primitive_opt::<Float32Type>() {
                vec![plain.value(row)]
            } else {
                let cell = match column.as_fixed_size_list_opt() {
                    Some(list) => list.value(row),
                    None => column.as_list_opt::<i32>().ok_or_else(other)?.value(row),
                };
                let cell = cell.as_primitive_opt::<Float32Type>().ok_or_else(other)?;
                cell.values().to_vec()
            }
        }
    };
    if values.len() != feature.shape.iter().product::<usize>() {
        return Err(Odd(format!("{} numbers", values.len())));
    }
    frame.values.insert(name.clone(), values);
    Ok(())
}

fn decode(bytes: &[u8], shape: &[usize]) -> Result<Image, Odd> {
    let decoded = image::load_from_memory_with_format(bytes, image::ImageFormat::Png)
        .map_err(|e| Odd(e.to_string()))?
        .to_rgb8();
    let (width, height) = (decoded.width() as usize, decoded.height() as usize);
    if shape != [height, width, 3] {
        return Err(Odd(format!("an image of shape [{height}, {width}, 3]")));
    }
    Ok(Image {
        width,
        height,
        rgb: decoded.into_raw(),
    })
}
