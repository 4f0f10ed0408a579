//! The files under `meta/`, each replaced as a whole.

use super::feature::{Feature, FeatureKind};
use super::stats::Stats;
use super::writer::RecorderConfig;
use super::{CHUNK, VERSION, place};
use crate::DataError;
use arrow_array::builder::{ListBuilder, StringBuilder};
use arrow_array::{ArrayRef, Int64Array, RecordBatch, StringArray};
use arrow_schema::{DataType, Field, Schema};
use parquet::arrow::ArrowWriter;
use parquet::basic::Compression;
use parquet::file::properties::WriterProperties;
use serde_json::{Map, Value, json};
use std::collections::HashMap;
use std::fs::{self, File};
use std::io::Write;
use std::path::Path;
use std::sync::Arc;

/// Where an episode is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EpisodeRow {
    pub task: String,
    /// Number of its first frame, and frames.
    pub start: u64,
    pub length: u64,
    /// Number of its data file.
    pub file: usize,
}

/// Columns that every dataset has besides its own.
pub fn defaults() -> Vec<Feature> {
    vec![
        Feature::scalar("next.done", FeatureKind::Bool),
        Feature::scalar("timestamp", FeatureKind::Float32),
        Feature::scalar("frame_index", FeatureKind::Int64),
        Feature::scalar("episode_index", FeatureKind::Int64),
        Feature::scalar("index", FeatureKind::Int64),
        Feature::scalar("task_index", FeatureKind::Int64),
    ]
}

fn unwritable(path: &Path, error: impl std::fmt::Display) -> DataError {
    DataError::io(path, std::io::Error::other(error.to_string()))
}

pub fn properties() -> WriterProperties {
    WriterProperties::builder()
        .set_compression(Compression::SNAPPY)
        .build()
}

/// Writes to a name beside, syncs, renames: the file is the old or the new one, never half of it.
pub fn replace(
    path: &Path,
    write: impl FnOnce(&mut File) -> Result<(), DataError>,
) -> Result<(), DataError> {
    let io = |source| DataError::io(path, source);
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder).map_err(|e| DataError::io(folder, e))?;
    }
    let partial = path.with_extension("partial");
    let mut file = File::create(&partial).map_err(io)?;
    write(&mut file)?;
    file.sync_all().map_err(io)?;
    fs::rename(&partial, path).map_err(io)
}

/// Writes batches of one schema, each as a row group of its own.
pub fn write_parquet(path: &Path, batches: &[RecordBatch]) -> Result<(), DataError> {
    let Some(first) = batches.first() else {
        return Ok(());
    };
    replace(path, |file| {
        let wrong = |e| unwritable(path, e);
        let mut writer =
            ArrowWriter::try_new(file, first.schema(), Some(properties())).map_err(wrong)?;
        for batch in batches {
            writer.write(batch).map_err(wrong)?;
            writer.flush().map_err(wrong)?;
        }
        writer.close().map_err(wrong)?;
        Ok(())
    })
}

fn write_json(path: &Path, value: &Value) -> Result<(), DataError> {
    replace(path, |file| {
        let text = format!("{value:#}\n");
        file.write_all(text.as_bytes())
            .map_err(|e| DataError::io(path, e))
    })
}

/// Everything under `meta/` for the episodes that are complete.
pub fn write(
    root: &Path,
    features: &[Feature],
    config: &RecorderConfig,
    episodes: &[EpisodeRow],
    stats: &[(String, Stats)],
) -> Result<(), DataError> {
    let mut tasks: Vec<&str> = Vec::new();
    for row in episodes {
        if !tasks.contains(&row.task.as_str()) {
            tasks.push(&row.task);
        }
    }
    write_parquet(&root.join("meta/tasks.parquet"), &[task_table(&tasks)?])?;
    write_parquet(
        &root.join("meta/episodes").join(place(0)),
        &[episode_table(episodes)?],
    )?;
    let stats: Map<String, Value> = stats
        .iter()
        .map(|(name, stats)| (name.clone(), stats.to_json()))
        .collect();
    write_json(&root.join("meta/stats.json"), &Value::Object(stats))?;
    let described: Map<String, Value> = features
        .iter()
        .map(|f| (f.name.clone(), f.to_json()))
        .collect();
    let frames: u64 = episodes.iter().map(|row| row.length).sum();
    // Last, so that whoever sees it finds the rest.
    write_json(
        &root.join("meta/info.json"),
        &json!({
            "codebase_version": VERSION,
            "robot_type": config.robot,
            "total_episodes": episodes.len(),
            "total_frames": frames,
            "total_tasks": tasks.len(),
            "chunks_size": CHUNK,
            "data_files_size_in_mb": 100,
            "video_files_size_in_mb": 200,
            "fps": config.fps,
            "splits": {"train": format!("0:{}", episodes.len())},
            "data_path": "data/chunk-{chunk_index:03d}/file-{file_index:03d}.parquet",
            "video_path": null,
            "features": described,
            "conjoin": config.extra,
        }),
    )
}

fn table(schema: Schema, columns: Vec<ArrayRef>) -> Result<RecordBatch, DataError> {
    RecordBatch::try_new(Arc::new(schema), columns)
        .map_err(|e| DataError::format("metadata table", e.to_string(), "equal columns"))
}

/// The text of each task is the table's index, as pandas writes one.
fn task_table(tasks: &[&str]) -> Result<RecordBatch, DataError> {
    const INDEX: &str = "__index_level_0__";
    let column = |name: Value, field: &str, kind: &str, numpy: &str| {
        json!({"name": name, "field_name": field, "pandas_type": kind, "numpy_type": numpy,
               "metadata": null})
    };
    let pandas = json!({
        "index_columns": [INDEX],
        "column_indexes": [column(Value::Null, "None", "unicode", "object")],
        "columns": [
            column(json!("task_index"), "task_index", "int64", "int64"),
            column(Value::Null, INDEX, "unicode", "object"),
        ],
        "attributes": {},
        "pandas_version": "2.3.3",
    });
    let fields = vec![
        Field::new("task_index", DataType::Int64, true),
        Field::new(INDEX, DataType::Utf8, true),
    ];
    let metadata = HashMap::from([("pandas".to_owned(), pandas.to_string())]);
    let numbers = Int64Array::from_iter_values(0..tasks.len() as i64);
    let texts = StringArray::from_iter_values(tasks);
    table(
        Schema::new_with_metadata(fields, metadata),
        vec![Arc::new(numbers), Arc::new(texts)],
    )
}

fn episode_table(episodes: &[EpisodeRow]) -> Result<RecordBatch, DataError> {
    let number = |f: &dyn Fn(usize, &EpisodeRow) -> i64| -> ArrayRef {
        let values = episodes.iter().enumerate().map(|(i, row)| f(i, row));
        Arc::new(Int64Array::from_iter_values(values))
    };
    let mut tasks = ListBuilder::new(StringBuilder::new());
    for row in episodes {
        tasks.values().append_value(&row.task);
        tasks.append(true);
    }
    let columns: Vec<(&str, ArrayRef)> = vec![
        ("episode_index", number(&|i, _| i as i64)),
        ("tasks", Arc::new(tasks.finish())),
        ("length", number(&|_, row| row.length as i64)),
        (
            "data/chunk_index",
            number(&|_, row| (row.file / CHUNK) as i64),
        ),
        (
            "data/file_index",
            number(&|_, row| (row.file % CHUNK) as i64),
        ),
        ("dataset_from_index", number(&|_, row| row.start as i64)),
        (
            "dataset_to_index",
            number(&|_, row| (row.start + row.length) as i64),
        ),
        ("meta/episodes/chunk_index", number(&|_, _| 0)),
        ("meta/episodes/file_index", number(&|_, _| 0)),
    ];
    let fields: Vec<Field> = columns
        .iter()
        .map(|(name, column)| Field::new(*name, column.data_type().clone(), true))
        .collect();
    table(
        Schema::new(fields),
        columns.into_iter().map(|(_, column)| column).collect(),
    )
}
