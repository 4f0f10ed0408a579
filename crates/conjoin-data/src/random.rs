//! Random streams that depend on what they are for, never on who draws first: this is what makes
//! batches equal for any number of workers and after a resume.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;

/// Generator of a sample's transform and of an epoch's order.
pub type DataRng = ChaCha8Rng;

/// The stream named by `purpose` and `parts` under `seed`.
pub(crate) fn stream(seed: u64, purpose: &str, parts: &[u64]) -> DataRng {
    let mut hasher = blake3::Hasher::new();
    hasher.update(&seed.to_le_bytes());
    hasher.update(purpose.as_bytes());
    for part in parts {
        hasher.update(&part.to_le_bytes());
    }
    DataRng::from_seed(*hasher.finalize().as_bytes())
}
