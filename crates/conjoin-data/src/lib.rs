//! Files and streams -> samples -> batches.
//!
//! A [`Contract`] says what travels; a source yields samples; a loader shuffles, groups, pads and
//! prefetches them into batches of plain host arrays. Nothing here knows tensors or modules.

pub mod batch;
pub mod contract;
pub mod kinds;

pub use batch::{Array, ArrayData, Batch, Column};
pub use contract::{Contract, Dim, Dtype, Meaning, Vocabulary};
