//! Files and streams -> samples -> batches.
//!
//! A [`Contract`] says what travels; a [`Source`] yields samples; transforms change samples and
//! contracts together; a [`Loader`] shuffles, groups, pads and prefetches samples into batches of
//! plain host arrays. Nothing here knows tensors or modules.

pub mod batch;
pub mod contract;
pub mod corpus;
pub mod dataset;
mod error;
pub mod kinds;
pub mod lerobot;
mod live;
pub mod loader;
mod random;
pub mod sample;
pub mod source;
pub mod text;
pub mod transform;

pub use batch::{Array, ArrayData, Batch, Column};
pub use contract::{Contract, Dim, Dtype, Meaning, Vocabulary, grid_frame};
pub use dataset::DataSetConfig;
pub use error::DataError;
pub use live::Live;
pub use loader::{BatchConfig, EpochIter, Loader, LoaderConfig, Skipped};
pub use random::DataRng;
pub use sample::{Field, Sample};
pub use source::{CMUDICT_LICENCE, Source, SourceConfig};
pub use transform::{Transform, TransformConfig, Transforms};

/// Columns by name, with what each carries.
pub type Columns = std::collections::BTreeMap<String, Contract>;
