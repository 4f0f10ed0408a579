//! The phases of a strided convolution's input, along one axis.
//!
//! Input `p` and output `o` meet at tap `k` where `p + padding = stride · o + dilation · k`. Inputs that
//! are `stride` apart meet the same taps: one phase. With `g = gcd(stride, dilation)` these taps are
//! `stride / g` apart and meet outputs that are `dilation / g` apart.

/// One phase: the inputs `at + stride * t`, and the taps that reach them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Phase {
    /// First input, and inputs.
    pub at: usize,
    pub count: usize,
    /// First tap, taps, and the distance between them.
    pub first_tap: usize,
    pub taps: usize,
    pub tap_step: usize,
    /// Distance between the outputs that neighbouring taps meet.
    pub out_step: usize,
    /// The output that the last tap of input `at` meets; may be before the first.
    pub origin: isize,
}

impl Phase {
    /// All phases of an axis of `size` inputs.
    pub fn all(
        size: usize,
        kernel: usize,
        stride: usize,
        padding: usize,
        dilation: usize,
    ) -> Vec<Self> {
        let common = gcd(stride, dilation);
        let (tap_step, out_step) = (stride / common, dilation / common);
        (0..stride.min(size))
            .map(|at| {
                let meets = |tap: &usize| tap * dilation % stride == (at + padding) % stride;
                let first_tap = (0..kernel).find(meets);
                let taps = first_tap.map_or(0, |first| (kernel - first).div_ceil(tap_step));
                let first_tap = first_tap.unwrap_or(0);
                // Exact where there is a tap; without one no output is met.
                let first = (at + padding) as isize - (first_tap * dilation) as isize;
                let first = first.div_euclid(stride as isize);
                Self {
                    at,
                    count: (size - at).div_ceil(stride),
                    first_tap,
                    taps,
                    tap_step,
                    out_step,
                    origin: first - (taps.saturating_sub(1) * out_step) as isize,
                }
            })
            .collect()
    }

    /// Outputs from the one that the last tap meets to the one that the first tap meets.
    pub fn span(&self) -> usize {
        self.taps.saturating_sub(1) * self.out_step
    }

    /// Zeros needed before and after `size` outputs so that every phase stays inside.
    pub fn margins(phases: &[Self], size: usize) -> [usize; 2] {
        let met = || phases.iter().filter(|phase| phase.taps > 0);
        let before = met().map(|p| -p.origin).max().unwrap_or(0).max(0);
        let end = met().map(|p| p.origin + (p.count + p.span()) as isize);
        let after = end.map(|end| end - size as isize).max().unwrap_or(0).max(0);
        [before as usize, after as usize]
    }
}

fn gcd(a: usize, b: usize) -> usize {
    if b == 0 { a } else { gcd(b, a % b) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_phases_hold_every_pair_of_input_and_output_once() {
        for stride in 1..5 {
            for dilation in 1..5 {
                for padding in 0..4 {
                    let (size, kernel) = (11, 3);
                    let mut pairs = Vec::new();
                    for phase in Phase::all(size, kernel, stride, padding, dilation) {
                        for t in 0..phase.count {
                            for back in 0..phase.taps {
                                let from = phase.origin + (t + back * phase.out_step) as isize;
                                let tap =
                                    phase.first_tap + phase.tap_step * (phase.taps - 1 - back);
                                pairs.push((phase.at + stride * t, tap, from));
                            }
                        }
                    }
                    let mut expected = Vec::new();
                    for input in 0..size {
                        for tap in 0..kernel {
                            let reach = (input + padding) as isize - (tap * dilation) as isize;
                            if reach % stride as isize == 0 {
                                expected.push((input, tap, reach / stride as isize));
                            }
                        }
                    }
                    pairs.sort_unstable();
                    assert_eq!(pairs, expected, "{stride} {dilation} {padding}");
                }
            }
        }
    }
}
