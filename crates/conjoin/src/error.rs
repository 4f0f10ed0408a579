//! What a command can end with, and the exit code of each.

use conjoin_recipe::Diagnostics;
use conjoin_tasks::TaskError;
use conjoin_train::TrainError;
use std::path::Path;
use std::process::ExitCode;

/// Why a command did not succeed.
#[derive(Debug)]
pub(crate) enum CliError {
    /// The recipe is wrong; every mistake with its place.
    Recipe(Diagnostics),
    /// The user's input is wrong in another way.
    Input(String),
    /// Something failed that the user's input did not cause.
    Failed(String),
    /// Whoever read our output has had enough.
    ClosedPipe,
}

impl CliError {
    pub fn input(text: impl Into<String>) -> Self {
        Self::Input(text.into())
    }

    pub fn failed(text: impl Into<String>) -> Self {
        Self::Failed(text.into())
    }

    /// A file that the user named cannot be read.
    pub fn unreadable(path: &Path, error: &std::io::Error) -> Self {
        Self::Input(format!("{}: cannot read: {error}", path.display()))
    }

    /// A file of ours cannot be written.
    pub fn unwritable(path: &Path, error: &std::io::Error) -> Self {
        Self::Failed(format!("{}: cannot write: {error}", path.display()))
    }

    pub fn print(&self) {
        match self {
            Self::Recipe(diagnostics) => eprintln!("{}", diagnostics.render()),
            Self::Input(text) | Self::Failed(text) => eprintln!("error: {text}"),
            Self::ClosedPipe => {}
        }
    }

    pub fn exit_code(&self) -> ExitCode {
        match self {
            Self::Recipe(_) | Self::Input(_) => ExitCode::from(2),
            Self::Failed(_) => ExitCode::FAILURE,
            Self::ClosedPipe => ExitCode::SUCCESS,
        }
    }
}

impl From<TrainError> for CliError {
    fn from(error: TrainError) -> Self {
        let text = error.to_string();
        if error.is_users() {
            Self::Input(text)
        } else {
            Self::Failed(text)
        }
    }
}

impl From<TaskError> for CliError {
    fn from(error: TaskError) -> Self {
        let text = error.to_string();
        if error.is_users() {
            Self::Input(text)
        } else {
            Self::Failed(text)
        }
    }
}
