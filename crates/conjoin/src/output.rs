//! Standard output. A reader that closes the pipe early (`| head`) ends the output, not the program
//! with an error.

use crate::error::CliError;
use std::io::{ErrorKind, Write};

pub(crate) fn write(bytes: &[u8]) -> Result<(), CliError> {
    let mut out = std::io::stdout().lock();
    match out.write_all(bytes).and_then(|()| out.flush()) {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Err(CliError::ClosedPipe),
        other => other.map_err(|error| CliError::failed(format!("standard output: {error}"))),
    }
}

pub(crate) fn line(text: &str) -> Result<(), CliError> {
    write(format!("{text}\n").as_bytes())
}

pub(crate) fn json(value: &impl serde::Serialize) -> Result<(), CliError> {
    let text = serde_json::to_string_pretty(value)
        .map_err(|error| CliError::failed(format!("cannot write JSON: {error}")))?;
    line(&text)
}
