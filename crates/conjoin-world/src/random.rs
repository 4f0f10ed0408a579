//! Random streams that depend on what they are for, never on who draws first.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;

/// Generator of one named stream.
pub(crate) type WorldRng = ChaCha8Rng;

/// The stream named by `purpose` and `parts` under `seed`.
pub(crate) fn stream(seed: u64, purpose: &str, parts: &[u64]) -> WorldRng {
    let mut hasher = blake3::Hasher::new();
    hasher.update(&seed.to_le_bytes());
    hasher.update(purpose.as_bytes());
    for part in parts {
        hasher.update(&part.to_le_bytes());
    }
    WorldRng::from_seed(*hasher.finalize().as_bytes())
}
