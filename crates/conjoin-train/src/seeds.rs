//! Where randomness comes from: streams named by what they are for, so that a resumed run draws
//! what the uninterrupted one would have drawn.

use conjoin_graph::node::mix;

/// Order and augmentation of the batches that a stage trains on.
pub fn training_data(seed: u64, stage: &str) -> u64 {
    mix(fold(stage, seed), 1)
}

/// Order and augmentation of the batches of evaluations.
pub(crate) fn evaluation_data(seed: u64) -> u64 {
    mix(seed, 2)
}

/// Dropout and sampled inputs of one pass: one batch of one optimiser step.
pub(crate) fn pass(seed: u64, global_step: u64, batch: usize) -> u64 {
    mix(mix(mix(seed, 3), global_step), batch as u64)
}

/// FNV-1a over a name, begun with a seed.
fn fold(name: &str, seed: u64) -> u64 {
    name.bytes()
        .fold(seed ^ 0xCBF2_9CE4_8422_2325, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01B3)
        })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn streams_differ() {
        let mut seen: BTreeSet<u64> = (0..50)
            .flat_map(|step| (0..4).map(move |batch| pass(7, step, batch)))
            .collect();
        seen.extend([
            training_data(7, "apart"),
            training_data(7, "joint"),
            training_data(8, "joint"),
            evaluation_data(7),
        ]);
        assert_eq!(seen.len(), 204);
    }
}
