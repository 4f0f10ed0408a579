//! TensorBoard event files: TFRecord framing around `tensorflow.Event` messages, written by hand.
//!
//! Record: length (u64), masked CRC-32C of the length, data, masked CRC-32C of the data, all little
//! endian (TensorFlow, `tensorflow/core/lib/io/record_writer.h`). Field numbers are those of
//! `tensorflow/core/util/event.proto` and `tensorflow/core/framework/summary.proto`.

use crate::{Event, Listener};
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

/// Writes scalars: `loss/<stage>/<term>`, `lr/<node>`, `score/<data>/<metric>`, `gradient/norm`,
/// `share/<input>`, `throughput/samples_per_second`.
#[derive(Debug)]
pub struct TensorBoard {
    path: PathBuf,
    file: File,
}

impl TensorBoard {
    /// Begins a new event file in a directory.
    ///
    /// # Errors
    /// The file cannot be made.
    pub fn create(dir: &Path) -> io::Result<Self> {
        fs::create_dir_all(dir)?;
        let seconds = seconds_now() as u64;
        let id = std::process::id();
        for attempt in 0u32.. {
            let path = dir.join(format!(
                "events.out.tfevents.{seconds:010}.conjoin.{id}.{attempt}"
            ));
            match File::create_new(&path) {
                Ok(file) => {
                    let mut writer = Self { path, file };
                    let mut event = Message::event(0);
                    event.text(3, "brain.Event:2");
                    writer.record(&event)?;
                    return Ok(writer);
                }
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(error),
            }
        }
        Err(io::Error::other("no free name for an event file"))
    }

    fn record(&mut self, message: &Message) -> io::Result<()> {
        let data = &message.0;
        let length = (data.len() as u64).to_le_bytes();
        let mut record = Vec::with_capacity(data.len() + 16);
        record.extend_from_slice(&length);
        record.extend_from_slice(&masked_crc(&length).to_le_bytes());
        record.extend_from_slice(data);
        record.extend_from_slice(&masked_crc(data).to_le_bytes());
        // One write a record, so that a killed process leaves at most one torn record at the end.
        self.file
            .write_all(&record)
            .map_err(|e| io::Error::new(e.kind(), format!("{}: {e}", self.path.display())))
    }

    fn scalars<'a>(
        &mut self,
        step: u64,
        scalars: impl IntoIterator<Item = (String, &'a f64)>,
    ) -> io::Result<()> {
        let mut summary = Message::default();
        for (tag, value) in scalars {
            let mut entry = Message::default();
            entry.text(1, &tag);
            entry.float(2, *value as f32);
            summary.message(1, &entry);
        }
        let mut event = Message::event(step);
        event.message(5, &summary);
        self.record(&event)
    }
}

impl Listener for TensorBoard {
    fn on(&mut self, event: &Event) -> io::Result<()> {
        match event {
            Event::Step {
                stage,
                global_step,
                loss,
                terms,
                lr,
                grad_norm,
                shares,
                samples,
                seconds,
                ..
            } => {
                let throughput = *samples as f64 / seconds.max(1e-9);
                let total = (format!("loss/{stage}/total"), loss);
                let named = |prefix: &'static str| move |name: &String| format!("{prefix}/{name}");
                let scalars = std::iter::once(total)
                    .chain(terms.iter().map(|(k, v)| (format!("loss/{stage}/{k}"), v)))
                    .chain(lr.iter().map(|(k, v)| (named("lr")(k), v)))
                    .chain(shares.iter().map(|(k, v)| (named("share")(k), v)))
                    .chain(grad_norm.iter().map(|v| ("gradient/norm".to_owned(), v)))
                    .chain([("throughput/samples_per_second".to_owned(), &throughput)]);
                self.scalars(*global_step, scalars)
            }
            Event::Evaluated {
                global_step,
                data,
                scores,
                ..
            } => {
                let scalars = scores.iter().map(|(k, v)| (format!("score/{data}/{k}"), v));
                self.scalars(*global_step, scalars)
            }
            _ => Ok(()),
        }
    }

    /// Tells TensorBoard to forget what earlier files hold of later steps.
    fn rewind(&mut self, global_step: u64) -> io::Result<()> {
        const START: u64 = 1;
        let mut log = Message::default();
        log.integer(1, START);
        let mut event = Message::event(global_step + 1);
        event.message(7, &log);
        self.record(&event)
    }
}

/// The checksum of TFRecord: a rotated and shifted CRC-32C.
fn masked_crc(bytes: &[u8]) -> u32 {
    crc32c::crc32c(bytes)
        .rotate_right(15)
        .wrapping_add(0xA282_EAD8)
}

fn seconds_now() -> f64 {
    // A clock before 1970 gives 0: TensorBoard only sorts by it.
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0.0, |since| since.as_secs_f64())
}

/// An encoded protocol buffer message.
#[derive(Default)]
struct Message(Vec<u8>);

/// How a field's value is laid out.
#[derive(Clone, Copy)]
enum Layout {
    Varint = 0,
    Fixed64 = 1,
    Bytes = 2,
    Fixed32 = 5,
}

impl Message {
    /// `tensorflow.Event` with its wall time and step.
    fn event(step: u64) -> Self {
        let mut event = Self::default();
        event.key(1, Layout::Fixed64);
        event.0.extend_from_slice(&seconds_now().to_le_bytes());
        event.integer(2, step);
        event
    }

    fn varint(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.0.push(value as u8 | 0x80);
            value >>= 7;
        }
        self.0.push(value as u8);
    }

    fn key(&mut self, field: u64, layout: Layout) {
        self.varint(field << 3 | layout as u64);
    }

    fn integer(&mut self, field: u64, value: u64) {
        self.key(field, Layout::Varint);
        self.varint(value);
    }

    fn float(&mut self, field: u64, value: f32) {
        self.key(field, Layout::Fixed32);
        self.0.extend_from_slice(&value.to_le_bytes());
    }

    fn bytes(&mut self, field: u64, bytes: &[u8]) {
        self.key(field, Layout::Bytes);
        self.varint(bytes.len() as u64);
        self.0.extend_from_slice(bytes);
    }

    fn text(&mut self, field: u64, text: &str) {
        self.bytes(field, text.as_bytes());
    }

    fn message(&mut self, field: u64, message: &Self) {
        self.bytes(field, &message.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn masked_checksum_equals_tensorflows() {
        // CRC-32C of "123456789" is the check value of RFC 3720, Appendix B.4.
        assert_eq!(crc32c::crc32c(b"123456789"), 0xE306_9283);
        assert_eq!(masked_crc(b"123456789"), 0xC78A_B0E5);
    }

    #[test]
    fn records_are_framed_and_intact() {
        let dir = tempfile::tempdir().unwrap();
        let mut board = TensorBoard::create(dir.path()).unwrap();
        board
            .on(&Event::Evaluated {
                stage: "s".into(),
                global_step: 300,
                data: "valid".into(),
                scores: [("loss".to_owned(), 0.5)].into(),
                best: true,
            })
            .unwrap();
        let bytes = fs::read(&board.path).unwrap();
        let mut rest = bytes.as_slice();
        let mut records = Vec::new();
        while !rest.is_empty() {
            let length = u64::from_le_bytes(rest[..8].try_into().unwrap()) as usize;
            let crc = |at: usize| u32::from_le_bytes(rest[at..at + 4].try_into().unwrap());
            assert_eq!(crc(8), masked_crc(&rest[..8]));
            assert_eq!(crc(12 + length), masked_crc(&rest[12..12 + length]));
            records.push(rest[12..12 + length].to_vec());
            rest = &rest[16 + length..];
        }
        assert_eq!(records.len(), 2);
        // After the wall time: step 300 as a varint, then the summary with tag and value.
        let mut expected = vec![0x10, 0xAC, 0x02, 0x2A, 25, 0x0A, 23, 0x0A, 16];
        expected.extend_from_slice(b"score/valid/loss");
        expected.push(0x15);
        expected.extend_from_slice(&0.5f32.to_le_bytes());
        assert_eq!(records[1][9..], expected);
    }
}
