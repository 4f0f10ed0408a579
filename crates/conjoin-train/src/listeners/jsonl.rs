//! `metrics.jsonl`: one event a line, each line written out when it is complete.

use crate::{Event, Listener};
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// Appends events to a file.
#[derive(Debug)]
pub struct JsonLines {
    path: PathBuf,
    file: File,
}

impl JsonLines {
    /// Opens the file, or makes it.
    ///
    /// # Errors
    /// It cannot be opened.
    pub fn open(path: impl Into<PathBuf>) -> io::Result<Self> {
        let path = path.into();
        let file = File::options()
            .create(true)
            .append(true)
            .open(&path)
            .map_err(|e| named(&path, &e))?;
        Ok(Self { path, file })
    }
}

impl Listener for JsonLines {
    fn on(&mut self, event: &Event) -> io::Result<()> {
        let mut line = serde_json::to_vec(event)?;
        line.push(b'\n');
        self.file
            .write_all(&line)
            .map_err(|e| named(&self.path, &e))
    }

    /// Cuts everything that happened after the checkpoint, so that no step is recorded twice.
    fn rewind(&mut self, global_step: u64) -> io::Result<()> {
        let text = fs::read(&self.path).map_err(|e| named(&self.path, &e))?;
        let kept = kept_bytes(&text, global_step);
        self.file
            .set_len(kept as u64)
            .and_then(|()| self.file.sync_all())
            .map_err(|e| named(&self.path, &e))
    }
}

/// How much of the file belongs to the run up to a checkpoint: all up to the line that reports it,
/// or, where the process died before that line, all lines before the first later step. A torn line
/// ends the file. Step 0 is the start: there is no checkpoint of it, and nothing before it.
fn kept_bytes(text: &[u8], global_step: u64) -> usize {
    let mut kept = 0;
    if global_step == 0 {
        return kept;
    }
    for line in text.split_inclusive(|&byte| byte == b'\n') {
        let Some(Ok(event)) = line
            .strip_suffix(b"\n")
            .map(serde_json::from_slice::<Event>)
        else {
            return kept;
        };
        if event.global_step().is_some_and(|step| step > global_step) {
            return kept;
        }
        kept += line.len();
        if matches!(&event, Event::Checkpoint { global_step: at, .. } if *at == global_step) {
            return kept;
        }
    }
    kept
}

fn named(path: &Path, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("{}: {error}", path.display()))
}

/// Reads a file of events; a torn last line (of a killed process) is left out.
///
/// # Errors
/// The file cannot be read, or a complete line is not an event.
pub fn read(path: &Path) -> io::Result<Vec<Event>> {
    let text = fs::read(path).map_err(|e| named(path, &e))?;
    text.split_inclusive(|&byte| byte == b'\n')
        .enumerate()
        .filter_map(|(index, line)| Some((index, line.strip_suffix(b"\n")?)))
        .map(|(index, line)| {
            serde_json::from_slice(line).map_err(|e| {
                let text = format!("{}: line {}: {e}", path.display(), index + 1);
                io::Error::new(io::ErrorKind::InvalidData, text)
            })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Level;

    fn checkpoint(global_step: u64) -> Event {
        Event::Checkpoint {
            path: format!("step-{global_step}"),
            global_step,
        }
    }

    fn evaluated(global_step: u64) -> Event {
        Event::Evaluated {
            stage: "s".into(),
            global_step,
            data: "valid".into(),
            scores: [("loss".to_owned(), 0.1)].into(),
            best: true,
        }
    }

    fn message(text: &str) -> Event {
        Event::Message {
            level: Level::Info,
            text: text.into(),
        }
    }

    fn rewound(events: &[Event], torn: &str, step: u64) -> Vec<Event> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("metrics.jsonl");
        let mut lines = JsonLines::open(&path).unwrap();
        for event in events {
            lines.on(event).unwrap();
        }
        lines.file.write_all(torn.as_bytes()).unwrap();
        lines.rewind(step).unwrap();
        lines.on(&message("after")).unwrap();
        read(&path).unwrap()
    }

    #[test]
    fn what_follows_the_checkpoint_is_cut() {
        let events = [
            evaluated(1),
            evaluated(2),
            checkpoint(2),
            message("lost"),
            evaluated(3),
        ];
        let expected = [evaluated(1), evaluated(2), checkpoint(2), message("after")];
        assert_eq!(rewound(&events, "{\"event\":\"ste", 2), expected);
    }

    #[test]
    fn without_the_checkpoint_line_earlier_steps_stay() {
        let events = [evaluated(1), evaluated(2), message("kept")];
        let expected = [
            evaluated(1),
            evaluated(2),
            message("kept"),
            message("after"),
        ];
        assert_eq!(rewound(&events, "{\"ev", 2), expected);
    }

    #[test]
    fn from_the_start_nothing_of_a_step_stays() {
        let events = [message("started"), evaluated(1)];
        assert_eq!(rewound(&events, "", 0), [message("after")]);
    }
}
