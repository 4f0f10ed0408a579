//! Checkpoints: a directory a step, verified by hash, published by one rename.
//!
//! ```text
//! checkpoints/step-N/
//!   <node>.safetensors      weights and running statistics of each node
//!   optimiser.safetensors   moments and step counts, `<node>/<path>/<moment>`
//!   ema.safetensors         averaged weights, `<node>/<path>` (stages with `ema` or `average`)
//!   ema.parts.safetensors   what they are the mean of, `<number>/<node>/<path>` (`average`)
//!   before.safetensors      weights before the stage (stages that can be rolled back)
//!   state.json              where the run is
//!   recipe.toml, contracts.json   copies, so that the weights explain themselves
//!   manifest.json           size and BLAKE3 of every other file; written last
//! ```

mod load;
mod manifest;
mod state;
mod store;
mod tensors;
mod write;

pub use load::{best, load_graph, state_of};
pub use manifest::{FileEntry, MANIFEST, Manifest, Verified};
pub use state::{Best, Exact, Progress, RunState};
pub use store::{Found, Store};
pub use tensors::{Arrays, Numbers};
pub use write::Writer;

pub(crate) use load::{arrays, load_average, node_file};
pub(crate) use tensors::encode as encode_arrays;

/// Optimiser moments.
pub const OPTIMISER: &str = "optimiser.safetensors";
/// Averaged weights.
pub const EMA: &str = "ema.safetensors";
/// Weights that are averaged. No node can have this name, for it has a dot.
pub const AVERAGED: &str = "ema.parts.safetensors";
/// Weights before the stage under way.
pub const BEFORE: &str = "before.safetensors";
/// Position of the run.
pub const STATE: &str = "state.json";
/// Copy of the recipe.
pub const RECIPE: &str = "recipe.toml";
/// Copy of the contracts of all ports.
pub const CONTRACTS: &str = "contracts.json";

/// Whether the file of a node with this name would be another one's.
pub fn is_taken(node: &str) -> bool {
    [OPTIMISER, EMA, BEFORE].contains(&node_file(node).as_str())
}
