//! Depths at which what a pixel shows may lie.

/// Evenly spaced depths along the optical axis, m.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Depths {
    /// `K`, at least 2.
    pub bins: usize,
    pub nearest: f64,
    pub farthest: f64,
}

impl Depths {
    /// The two bins that a depth lies between, and the weight of each, which sum to 1. Beyond an end it is the end.
    pub(super) fn around(self, depth: f64) -> [(usize, f64); 2] {
        let last = self.bins.saturating_sub(1);
        let share = (depth - self.nearest) / (self.farthest - self.nearest);
        neighbours(share * last as f64, self.bins)
    }
}

/// The two of `count` places at 0, 1, 2 and so on that a number lies between, and the weight of each. Beyond an end both
/// are the end.
pub(super) fn neighbours(at: f64, count: usize) -> [(usize, f64); 2] {
    let last = count.saturating_sub(1);
    let at = at.clamp(0.0, last as f64);
    let (first, second) = (at.floor() as usize, at.fract());
    [(first, 1.0 - second), ((first + 1).min(last), second)]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_depth_lies_between_two() {
        let depths = Depths {
            bins: 4,
            nearest: 2.0,
            farthest: 8.0,
        };
        assert_eq!(depths.around(5.0), [(1, 0.5), (2, 0.5)]);
        assert_eq!(depths.around(2.5), [(0, 0.75), (1, 0.25)]);
        assert_eq!(depths.around(0.3), [(0, 1.0), (1, 0.0)]);
        assert_eq!(depths.around(30.0), [(3, 1.0), (3, 0.0)]);
    }
}
