//! What can go wrong while scoring or predicting.

use crate::decode::DecodeError;
use conjoin_data::DataError;
use conjoin_graph::graph::GraphError;
use conjoin_graph::node::NodeError;
use conjoin_graph::{PortRef, ValueError};
use conjoin_world::WorldError;

/// A failure while scoring or predicting.
#[derive(Debug, thiserror::Error)]
pub enum TaskError {
    #[error(transparent)]
    Data(#[from] DataError),
    #[error(transparent)]
    Graph(#[from] GraphError),
    #[error(transparent)]
    Decode(#[from] DecodeError),
    #[error("{0}")]
    Value(#[from] ValueError),
    #[error("there is no data set {0:?} in the recipe")]
    DataSet(String),
    #[error("the data set has no column {0:?}, which the task reads")]
    Column(String),
    #[error("column {0:?} has no vocabulary")]
    Vocabulary(String),
    #[error("data set {0:?} is no recording of the driving world, which the task drives in")]
    Recording(String),
    #[error(
        "{reader} reads data.{column}, which is not there while episodes are driven: found {found}, expected \
         {expected}"
    )]
    NotDriven {
        /// The input, or the port of the task.
        reader: PortRef,
        column: String,
        /// What the column is made of.
        found: String,
        expected: String,
    },
    #[error("the task has no baseline {0:?}")]
    Baseline(String),
    #[error("the task plans for moments of a drive, and not for samples of a source")]
    NoSamples,
    #[error("the task is \"{0}\", which drives nothing")]
    NoDriver(&'static str),
    #[error(transparent)]
    World(#[from] WorldError),
    #[error("the data has no text for the tokens of column {0:?}, which the task scores as text")]
    NotText(String),
    #[error("vocabulary {vocabulary:?} has no symbol {symbol}, which decoding needs")]
    Symbol {
        vocabulary: String,
        symbol: &'static str,
    },
}

impl TaskError {
    /// Whether the user's input is at fault rather than the machine or the program.
    pub fn is_users(&self) -> bool {
        matches!(
            self,
            Self::Data(_)
                | Self::DataSet(_)
                | Self::Column(_)
                | Self::Vocabulary(_)
                | Self::NotText(_)
                | Self::Recording(_)
                | Self::NotDriven { .. }
                | Self::Baseline(_)
                | Self::NoSamples
                | Self::NoDriver(_)
                | Self::Symbol { .. }
        )
    }

    /// Whether one of the inputs is at fault, so that the others may still go through.
    pub fn is_an_inputs(&self) -> bool {
        let node = match self {
            Self::Data(_) => return true,
            Self::Graph(GraphError::Node { source, .. })
            | Self::Decode(DecodeError::Graph(GraphError::Node { source, .. })) => source,
            _ => return false,
        };
        matches!(node, NodeError::Data(_))
    }

    pub(crate) fn column(name: &str) -> Self {
        Self::Column(name.to_owned())
    }
}
