//! Distances between planned and driven places on recorded frames: a diagnostic, not the score, because
//! nothing that is planned has consequences here.

use crate::displacement::{Place, plan_l2_at};

/// Seconds a step of a plan.
const STEP: f64 = 0.1;

/// The distances at certain times ahead, each by itself as in UniAD (Hu et al. 2023).
#[derive(Debug, Default)]
pub(super) struct OpenLoop {
    /// Sum and number of the distances by step.
    sums: Vec<(f64, usize)>,
}

impl OpenLoop {
    /// Adds plans and what was driven, both `[B, S, 4]` in this shape, x and y first.
    pub fn add(&mut self, plans: &[f32], driven: &[f32], shape: &[usize]) {
        let &[_, steps, width] = shape else { return };
        let places = |plan: &[f32]| -> Vec<Place> {
            plan.chunks_exact(width)
                .map(|row| [row[0], row[1]])
                .collect()
        };
        self.sums.resize(self.sums.len().max(steps), (0.0, 0));
        let rows = plans
            .chunks_exact(steps * width)
            .zip(driven.chunks_exact(steps * width));
        for (plan, driven) in rows {
            let (plan, driven) = (places(plan), places(driven));
            for (step, (sum, count)) in (1..).zip(&mut self.sums) {
                if let Some(distance) = plan_l2_at(&plan, &driven, step) {
                    *sum += f64::from(distance);
                    *count += 1;
                }
            }
        }
    }

    /// The mean distance at a time, m; none beyond the plans.
    pub fn at(&self, seconds: f64) -> Option<f64> {
        let step = (seconds / STEP).round() as usize;
        let (sum, count) = *self.sums.get(step.checked_sub(1)?)?;
        (count > 0).then(|| sum / count as f64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances_are_means_at_a_time() {
        let mut found = OpenLoop::default();
        // Two plans of ten steps: one right, one 3 m and 4 m off at the end alone.
        let right: Vec<f32> = (0..10).flat_map(|i| [i as f32, 0.0, 0.0, 1.0]).collect();
        let mut off = right.clone();
        off[36] += 3.0;
        off[37] += 4.0;
        let plans = [right.clone(), off].concat();
        let driven = [right.clone(), right].concat();
        found.add(&plans, &driven, &[2, 10, 4]);
        assert_eq!(found.at(1.0), Some(2.5));
        assert_eq!(found.at(0.5), Some(0.0));
        assert_eq!(found.at(2.0), None);
    }
}
