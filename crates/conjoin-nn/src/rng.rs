//! Random numbers by position: element `i` of a stream is a function of the stream's key and `i`,
//! so that values depend neither on the order of construction nor on the number of threads.

/// A stream of random numbers, addressed by index.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stream {
    key: u64,
}

impl Stream {
    pub fn new(key: u64) -> Self {
        Self { key }
    }

    /// 64 uniform bits: SplitMix64 (Steele, Lea and Flood 2014) started at the key and moved
    /// `index` steps on.
    pub fn bits(self, index: u64) -> u64 {
        let step = index.wrapping_add(1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        scramble(self.key.wrapping_add(step))
    }

    /// Uniform in `[0, 1)`, 53 bits.
    pub fn uniform(self, index: u64) -> f64 {
        (self.bits(index) >> 11) as f64 / (1u64 << 53) as f64
    }

    /// Standard normal (Box and Muller 1958); uses the uniforms at `2 * index` and `2 * index + 1`.
    pub fn normal(self, index: u64) -> f64 {
        // 1 - u lies in (0, 1], where the logarithm is finite.
        let radius = (-2.0 * (1.0 - self.uniform(2 * index)).ln()).sqrt();
        radius * (std::f64::consts::TAU * self.uniform(2 * index + 1)).cos()
    }
}

/// The output function of SplitMix64: a bijection in which every input bit moves every output bit.
fn scramble(mut z: u64) -> u64 {
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

/// The key of a named part: from the key of the whole and the name (FNV-1a) only.
pub fn child_key(key: u64, name: &str) -> u64 {
    let hash = name.bytes().fold(0xCBF2_9CE4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01B3)
    });
    scramble(scramble(key) ^ hash)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The first outputs of the published generator for the seed 1234567.
    #[test]
    fn equals_the_published_generator() {
        let stream = Stream::new(1234567);
        let first: Vec<u64> = (0..3).map(|i| stream.bits(i)).collect();
        assert_eq!(
            first,
            [
                6457827717110365317,
                3203168211198807973,
                9817491932198370423
            ]
        );
    }

    #[test]
    fn moments_are_those_of_the_distributions() {
        let stream = Stream::new(7);
        let n = 100_000;
        let moments = |values: &dyn Fn(u64) -> f64| {
            let mean = (0..n).map(values).sum::<f64>() / n as f64;
            let var = (0..n).map(|i| (values(i) - mean).powi(2)).sum::<f64>() / n as f64;
            (mean, var)
        };
        let (mean, var) = moments(&|i| stream.uniform(i));
        assert!((mean - 0.5).abs() < 5e-3 && (var - 1.0 / 12.0).abs() < 2e-3);
        let (mean, var) = moments(&|i| stream.normal(i));
        assert!(mean.abs() < 1e-2 && (var - 1.0).abs() < 2e-2);
    }

    #[test]
    fn children_differ_by_name_and_by_parent() {
        let keys = [
            child_key(1, "a"),
            child_key(1, "b"),
            child_key(2, "a"),
            child_key(child_key(1, "a"), "b"),
            child_key(child_key(1, "b"), "a"),
        ];
        for (i, a) in keys.iter().enumerate() {
            assert!(keys[i + 1..].iter().all(|b| a != b));
        }
    }
}
