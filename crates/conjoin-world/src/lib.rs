//! Embedded simulators: [`driving`] on lane graphs.
//!
//! A world is deterministic: an episode is a family of layouts and a seed, and every draw comes from a
//! stream named by what it is for. Nothing here knows tensors or modules.

pub mod driving;
mod error;
pub mod geometry;
mod random;

pub use error::WorldError;
