//! What can end a run, in words for the person who started it.

use crate::diagnose::NotFinite;
use conjoin_data::DataError;
use conjoin_graph::graph::GraphError;
use conjoin_graph::weights::WeightsError;
use std::io;
use std::path::{Path, PathBuf};

/// An error of training, of its run directory or of its checkpoints.
#[derive(Debug, thiserror::Error)]
pub enum TrainError {
    #[error(
        "{}: the run directory exists and is not empty; nothing was written (choose another \
         directory, or continue the run with --resume)", .0.display()
    )]
    RunExists(PathBuf),

    #[error("{}: not a run directory: {missing} is missing", root.display())]
    NoRun { root: PathBuf, missing: String },

    #[error("{}: another process is writing to this run", .0.display())]
    RunLocked(PathBuf),

    #[error("{}: cannot {action}: {source}", path.display())]
    Io {
        path: PathBuf,
        action: &'static str,
        source: io::Error,
    },

    /// A file of a checkpoint is not what its manifest says.
    #[error("{}: {problem}", path.display())]
    Damaged { path: PathBuf, problem: String },

    #[error("{}: no checkpoint can be read; {details}", dir.display())]
    NoCheckpoint { dir: PathBuf, details: String },

    /// A checkpoint of a run whose stages, nodes or parameters were others.
    #[error("{}: the checkpoint does not fit the recipe: {problem}", path.display())]
    Mismatch { path: PathBuf, problem: String },

    #[error(transparent)]
    Data(#[from] DataError),

    #[error("stage {stage:?}: {source}")]
    Graph {
        stage: String,
        source: Box<GraphError>,
    },

    #[error("stage {stage:?}: weights of node {node:?}: {source}")]
    Import {
        stage: String,
        node: String,
        source: Box<WeightsError>,
    },

    #[error("stage {stage:?}: objective {objective:?}: {problem}")]
    Objective {
        stage: String,
        objective: String,
        problem: String,
    },

    #[error("stage {stage:?}: {problem}")]
    Stage { stage: String, problem: String },

    #[error("{0}")]
    NotFinite(Box<NotFinite>),

    #[error(
        "stage {stage:?}: gate: objective {objective:?} rose from {before:.6} to {after:.6}, more \
         than the tolerance of {:.3} % allows; the checkpoints stay as they are",
        tolerance * 100.0
    )]
    Gate {
        stage: String,
        objective: String,
        before: f64,
        after: f64,
        tolerance: f64,
    },

    #[error("stage {stage:?}: scores on data set {data:?}: {source}")]
    Score {
        stage: String,
        data: String,
        source: Box<dyn std::error::Error + Send + Sync>,
    },

    #[error("cannot record what happens in the run: {0}")]
    Listener(io::Error),
}

impl TrainError {
    pub(crate) fn io(path: &Path, action: &'static str, source: io::Error) -> Self {
        Self::Io {
            path: path.to_owned(),
            action,
            source,
        }
    }

    pub(crate) fn damaged(path: &Path, problem: impl Into<String>) -> Self {
        Self::Damaged {
            path: path.to_owned(),
            problem: problem.into(),
        }
    }

    /// Whether the user's input is at fault (exit code 2) rather than the run (exit code 1).
    pub fn is_users(&self) -> bool {
        match self {
            Self::RunExists(_)
            | Self::NoRun { .. }
            | Self::Mismatch { .. }
            | Self::Import { .. }
            | Self::Objective { .. }
            | Self::Stage { .. } => true,
            Self::Data(error) => !matches!(error, DataError::Worker { .. }),
            Self::RunLocked(_)
            | Self::Io { .. }
            | Self::Damaged { .. }
            | Self::NoCheckpoint { .. }
            | Self::Graph { .. }
            | Self::NotFinite(_)
            | Self::Gate { .. }
            | Self::Score { .. }
            | Self::Listener(_) => false,
        }
    }
}
