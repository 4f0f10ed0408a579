"""The seed of a stage's batches, as in crates/conjoin-train/src/seeds.rs."""

MASK = (1 << 64) - 1


def mix(seed: int, counter: int) -> int:
    """SplitMix64."""
    z = seed ^ (counter * 0x9E3779B97F4A7C15 & MASK)
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9 & MASK
    z = (z ^ (z >> 27)) * 0x94D049BB133111EB & MASK
    return z ^ (z >> 31)


def training_data(seed: int, stage: str) -> int:
    hash = seed ^ 0xCBF29CE484222325
    for byte in stage.encode():
        hash = (hash ^ byte) * 0x100000001B3 & MASK
    return mix(hash, 1)
