//! The frames of a recording with random access: each episode is decoded once, when a frame of it is
//! first wanted, and kept as bytes and single-precision numbers.

use super::column::{Column, Row, RowView};
use super::draw::Draw;
use super::{LerobotConfig, frame_name, history};
use crate::lerobot::Recording;
use crate::source::Source;
use crate::{Columns, DataError, Sample};
use std::borrow::Cow;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

/// Opened recordings. `index` counts the frames of the chosen episodes, in order; a frame that comes several
/// times stands that often in a row.
#[derive(Debug)]
pub struct LerobotSource {
    recordings: Vec<(PathBuf, Recording)>,
    columns: Vec<Column>,
    episodes: Vec<Episode>,
    frames: usize,
    /// Which frame each sample is, where some come more than once; otherwise empty.
    drawn: Vec<usize>,
    stride: usize,
    /// Frames from one that is decoded to the next: all that samples are made of are multiples of it.
    step: usize,
    notes: Vec<String>,
}

#[derive(Debug)]
struct Episode {
    /// Which recording it is of, and its number there.
    recording: usize,
    number: usize,
    /// Number of its first frame among those of all episodes.
    first: usize,
    frames: usize,
    /// Whether it stays in memory once it has been decoded.
    kept: bool,
    decoded: Mutex<Option<Arc<Decoded>>>,
}

/// The rows of an episode, column by column.
#[derive(Debug)]
struct Decoded(Vec<Stored>);

/// Rows one after another; whole numbers from 0 to 255 are kept as bytes.
#[derive(Debug)]
enum Stored {
    Bytes(Vec<u8>),
    Numbers(Vec<f32>),
}

impl Stored {
    fn new(rows: Vec<Row>) -> Self {
        let (mut pixels, mut numbers) = (Vec::new(), Vec::new());
        for row in rows {
            match row {
                Row::Bytes(row) => pixels.extend(row),
                Row::Numbers(row) => numbers.extend(row),
            }
        }
        if numbers.is_empty() {
            return Self::Bytes(pixels);
        }
        let small = |&value: &f32| f32::from(value as u8).to_bits() == value.to_bits();
        if numbers.iter().all(small) {
            Self::Bytes(numbers.iter().map(|&value| value as u8).collect())
        } else {
            Self::Numbers(numbers)
        }
    }

    fn row(&self, number: usize, size: usize) -> RowView<'_> {
        let range = number * size..(number + 1) * size;
        match self {
            Self::Bytes(all) => RowView::Bytes(&all[range]),
            Self::Numbers(all) => RowView::Numbers(&all[range]),
        }
    }
}

impl LerobotSource {
    pub(super) fn new(config: &LerobotConfig, columns: Vec<Column>) -> Result<Self, DataError> {
        let (mut recordings, mut notes) = (Vec::new(), Vec::new());
        let bytes: usize = columns.iter().map(Column::bytes).sum();
        let budget = config.memory.saturating_mul(1 << 20);
        let step = (columns.iter().flat_map(|column| &column.back))
            .fold(config.stride, |step, &back| gcd(step, back));
        let (mut episodes, mut count, mut kept_count) = (Vec::new(), 0, 0);
        let (mut rows, mut kept_rows) = (0_usize, 0_usize);
        for path in config.paths() {
            let recording = Recording::open(path)?;
            notes.extend(recording.notice().map(str::to_owned));
            let chosen = config.chosen(recording.info().episodes, recording.len());
            if chosen.is_empty() {
                let key = if config.episodes.is_some() {
                    "episodes"
                } else {
                    "split"
                };
                let found = format!("none of the {} whole episodes", recording.len());
                let expected = notes.pop().unwrap_or_else(|| "one at least".to_owned());
                return Err(DataError::config(key, found, expected));
            }
            for number in chosen {
                let frames = recording.length(number).unwrap_or(0);
                let own = frames.div_ceil(config.stride);
                let decoded = own.saturating_sub(1) * config.stride / step + 1;
                rows += decoded;
                let kept = (kept_rows + decoded).saturating_mul(bytes) <= budget;
                if kept {
                    kept_count += own;
                    kept_rows += decoded;
                }
                episodes.push(Episode {
                    recording: recordings.len(),
                    number,
                    first: count,
                    frames: own,
                    kept,
                    decoded: Mutex::new(None),
                });
                count += own;
            }
            recordings.push((path.clone(), recording));
        }
        if kept_count < count {
            notes.push(format!(
                "{} of {count} frames are read from the file every time; option `source.memory` \
                 (now {} MiB) would keep all of them with {}",
                count - kept_count,
                config.memory,
                (rows * bytes).div_ceil(1 << 20)
            ));
        }
        let mut source = Self {
            recordings,
            columns,
            episodes,
            frames: count,
            drawn: Vec::new(),
            stride: config.stride,
            step,
            notes,
        };
        if !(config.oversample.is_empty() && config.undersample.is_empty()) {
            source.draw(Draw::new(&config.oversample, &config.undersample))?;
        }
        Ok(source)
    }

    /// Repeats and leaves out the frames that rules single out.
    fn draw(&mut self, mut rules: Draw<'_>) -> Result<(), DataError> {
        let features = rules.features();
        let (mut repeated, mut left_out) = (0, 0);
        for episode in &self.episodes {
            let (_, recording) = &self.recordings[episode.recording];
            let all = 0..recording.length(episode.number).unwrap_or(0);
            let frames = recording.frames(episode.number, all, self.stride, &features)?;
            for (number, frame) in (episode.first..).zip(&frames) {
                let times = rules.times(frame, recording.info());
                repeated += usize::from(times > 1);
                left_out += usize::from(times == 0);
                self.drawn.extend(std::iter::repeat_n(number, times));
            }
        }
        let mut done = Vec::new();
        if !rules.over.is_empty() {
            done.push(format!(
                "{repeated} of {} frames come more than once in an epoch (option `source.oversample`)",
                self.frames
            ));
        }
        if !rules.under.is_empty() {
            done.push(format!(
                "{left_out} of {} frames do not come (option `source.undersample`)",
                self.frames
            ));
        }
        let (done, samples) = (done.join(", "), self.drawn.len());
        self.notes
            .push(format!("{done}, and an epoch has {samples} samples"));
        Ok(())
    }

    /// The episode of a sample and the number of the sample's frame in it.
    fn at(&self, index: usize) -> (&Episode, usize) {
        let frame = self.drawn.get(index).copied().unwrap_or(index);
        let after = self.episodes.partition_point(|e| e.first <= frame);
        let episode = &self.episodes[after.saturating_sub(1)];
        (episode, frame - episode.first)
    }

    fn name(&self, index: usize) -> String {
        let (episode, number) = self.at(index);
        let (root, _) = &self.recordings[episode.recording];
        frame_name(root, episode.number, number * self.stride)
    }

    /// Decodes rows of an episode from number `from` on.
    fn decode(&self, episode: &Episode, from: usize, count: usize) -> Result<Decoded, DataError> {
        let names = self.columns.iter().flat_map(|column| &column.features);
        let names: Vec<&str> = names.map(String::as_str).collect();
        let first = from * self.step;
        let end = first + (count - 1) * self.step + 1;
        let (root, recording) = &self.recordings[episode.recording];
        let frames = recording.frames(episode.number, first..end, self.step, &names)?;
        let columns = self.columns.iter().map(|column| {
            let rows: Result<Vec<Row>, DataError> = (from..)
                .zip(&frames)
                .map(|(number, frame)| {
                    let place = frame_name(root, episode.number, number * self.step);
                    column.row(frame, &place)
                })
                .collect();
            Ok(Stored::new(rows?))
        });
        Ok(Decoded(columns.collect::<Result<_, DataError>>()?))
    }

    /// The decoded episode, from memory if it is there.
    fn whole(&self, episode: &Episode) -> Result<Arc<Decoded>, DataError> {
        // A poisoned lock holds nothing or a whole episode. Whoever else wants the episode waits here
        // rather than decoding it too.
        let mut slot = (episode.decoded.lock()).unwrap_or_else(PoisonError::into_inner);
        if let Some(decoded) = slot.as_ref() {
            return Ok(Arc::clone(decoded));
        }
        let rows = (episode.frames - 1) * self.stride / self.step + 1;
        let decoded = Arc::new(self.decode(episode, 0, rows)?);
        *slot = Some(Arc::clone(&decoded));
        Ok(decoded)
    }
}

impl Source for LerobotSource {
    fn len(&self) -> usize {
        if self.drawn.is_empty() {
            self.frames
        } else {
            self.drawn.len()
        }
    }

    fn columns(&self) -> Columns {
        let columns = self.columns.iter();
        columns
            .map(|column| (column.name.clone(), column.contract.clone()))
            .collect()
    }

    fn sample(&self, index: usize) -> Result<Sample, DataError> {
        let (episode, number) = self.at(index);
        let own = number * self.stride / self.step;
        let (decoded, first) = if episode.kept {
            (self.whole(episode)?, 0)
        } else {
            let first = own.saturating_sub(history(&self.columns) / self.step);
            (
                Arc::new(self.decode(episode, first, own - first + 1)?),
                first,
            )
        };
        let mut sample = Sample::new(self.name(index));
        for (column, stored) in self.columns.iter().zip(&decoded.0) {
            let rows = column.back.iter().map(|back| {
                let row = own.saturating_sub(back / self.step);
                stored.row(row - first, column.size())
            });
            let rows: Vec<RowView<'_>> = rows.collect();
            let field = column.field(&rows, &sample.key)?;
            sample.fields.insert(column.name.clone(), field);
        }
        Ok(sample)
    }

    fn key(&self, index: usize) -> Cow<'_, str> {
        self.name(index).into()
    }

    fn location(&self, index: usize) -> String {
        self.name(index)
    }

    fn length(&self, _index: usize, _column: &str) -> Option<usize> {
        None
    }

    fn text(&self, index: usize) -> String {
        self.name(index)
    }

    fn notes(&self) -> Vec<String> {
        self.notes.clone()
    }
}

/// The greatest common divisor (Euclid).
fn gcd(a: usize, b: usize) -> usize {
    if b == 0 { a } else { gcd(b, a % b) }
}
