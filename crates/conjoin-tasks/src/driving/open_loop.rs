//! Distances between planned and driven places, and between predicted and true ways of the others, on
//! recorded frames: a diagnostic, not the score, because nothing that is planned has consequences here.

use crate::detection::{Detections, RoadUser};
use crate::displacement::{
    Place, least_average_displacement, least_final_displacement, missed, plan_l2_at, plan_l2_until,
};
use conjoin_graph::Value;
use conjoin_world::driving::guard::{ROW, footprint};
use conjoin_world::driving::vehicle::STEP;
use std::collections::BTreeMap;

/// Times ahead at which plans are compared, s.
const TIMES: [f64; 2] = [1.0, 2.0];

/// A sum and a number of what was summed.
#[derive(Debug, Default)]
struct Mean(f64, usize);

impl Mean {
    fn add(&mut self, value: impl Into<f64>) {
        self.0 += value.into();
        self.1 += 1;
    }
}

/// Means over recorded frames.
#[derive(Debug, Default)]
pub(super) struct OpenLoop {
    means: BTreeMap<String, Mean>,
    detections: Detections,
}

impl OpenLoop {
    fn add(&mut self, name: &str, value: Option<f32>) {
        if let Some(value) = value {
            self.means.entry(name.to_owned()).or_default().add(value);
        }
    }

    /// Adds plans and what was driven, both `[B, S, 4]` in this shape, x and y first: the distance at a
    /// time by itself as in UniAD (Hu et al. 2023), and on average up to it as in ST-P3 (Hu et al. 2022).
    pub fn add_plans(&mut self, plans: &[f32], driven: &[f32], shape: &[usize]) {
        let &[_, steps, width] = shape else { return };
        let rows = plans
            .chunks_exact((steps * width).max(1))
            .zip(driven.chunks_exact((steps * width).max(1)));
        for (plan, driven) in rows {
            let (plan, driven) = (places(plan, width, 0), places(driven, width, 0));
            for seconds in TIMES {
                let step = (seconds / STEP).round() as usize;
                let name = format!("l2_{seconds}s");
                self.add(&name, plan_l2_at(&plan, &driven, step));
                self.add(&format!("{name}_mean"), plan_l2_until(&plan, &driven, step));
            }
        }
    }

    /// Adds predicted ways `[B, N, M, 1 + 2 F]`, of which this is the shape (a logit, then x, y at each
    /// step), and true ones `[B, N, F, 4]` (known, x, y, heading): the least average and final
    /// displacement of an agent's ways, and the share of agents all of whose ways miss.
    pub fn add_predictions(&mut self, ways: &[f32], truth: &[f32], shape: &[usize]) {
        let &[_, _, modes, width] = shape else { return };
        let steps = (width - 1) / 2;
        let agents = ways
            .chunks_exact((modes * width).max(1))
            .zip(truth.chunks_exact((4 * steps).max(1)));
        for (ways, truth) in agents {
            let ways: Vec<Vec<Place>> = (ways.chunks_exact(width))
                .map(|way| places(&way[1..], 2, 0))
                .collect();
            let known = truth.chunks_exact(4).map(|row| row[0] > 0.5);
            let truth: Vec<Option<Place>> = (known.zip(places(truth, 4, 1)))
                .map(|(known, place)| known.then_some(place))
                .collect();
            self.add("min_ade", least_average_displacement(&ways, &truth));
            self.add("min_fde", least_final_displacement(&ways, &truth));
            let miss = missed(&ways, &truth).map(|missed| f32::from(u8::from(missed)));
            self.add("miss_rate", miss);
        }
    }

    /// Adds detected agents and true ones, both `[B, N, 12]`, and whether these are seen, `[B, N]`.
    pub fn add_agents(&mut self, agents: &Value, truth: &Value, visible: &Value) {
        let row = |value: &Value, numbers: usize| {
            let row = numbers * value.shape().get(1).copied().unwrap_or(0);
            (value.to_f32(), row.max(1))
        };
        let (agents, a) = row(agents, ROW);
        let (truth, t) = row(truth, ROW);
        let (visible, v) = row(visible, 1);
        let frames = agents.chunks_exact(a).zip(truth.chunks_exact(t));
        for ((agents, truth), visible) in frames.zip(visible.chunks_exact(v)) {
            let (agents, _) = agents.as_chunks::<ROW>();
            let (truth, _) = truth.as_chunks::<ROW>();
            let agents = agents.iter().filter(|row| row[0] > 0.0);
            let truth = truth.iter().zip(visible);
            let truth = truth.filter(|(row, visible)| row[0] > 0.5 && **visible > 0.5);
            (self.detections).add_frame(agents.map(user), truth.map(|(row, _)| user(row)));
        }
    }

    /// The means, by their names.
    pub fn scores(self) -> impl Iterator<Item = (String, f64)> {
        let found = self.detections.scores().into_iter().flat_map(|found| {
            [
                ("map", found.mean_precision()),
                ("ate", found.errors.translation),
                ("ase", found.errors.scale),
                ("aoe", found.errors.orientation),
                ("ave", found.errors.velocity),
            ]
        });
        let found = found.map(|(name, value)| (format!("detection_{name}"), value));
        let means = self.means.into_iter();
        means
            .map(|(name, Mean(sum, count))| (name, sum / count.max(1) as f64))
            .chain(found)
    }
}

/// A road user from its row: score, x, y, cosine and sine of the heading, length, width, velocity x and y, classes.
fn user(row: &[f32; ROW]) -> RoadUser {
    let body = footprint(row);
    let class = |a: &usize, b: &usize| row[*a].total_cmp(&row[*b]).then(b.cmp(a));
    RoadUser {
        score: f64::from(row[0]),
        place: [body.pose.at.x, body.pose.at.y],
        heading: body.pose.heading,
        size: [body.length, body.width],
        velocity: [f64::from(row[7]), f64::from(row[8])],
        class: (9..ROW).max_by(class).unwrap_or(9),
    }
}

/// The places in rows of numbers, x at `first` and y behind it.
fn places(rows: &[f32], width: usize, first: usize) -> Vec<Place> {
    let rows = rows.chunks_exact(width);
    rows.map(|row| [row[first], row[first + 1]]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::{Device, Tensor};

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
        found.add_plans(&plans, &driven, &[2, 10, 4]);
        let scores: BTreeMap<String, f64> = found.scores().collect();
        assert_eq!(scores["l2_1s"], 2.5);
        assert_eq!(scores["l2_1s_mean"], 0.25);
        // Nothing is known beyond the plans.
        assert_eq!(scores.len(), 2);
    }

    #[test]
    fn the_best_way_of_every_known_agent_counts() {
        let mut found = OpenLoop::default();
        // Two agents with two ways of two steps; nothing is known of the second.
        let ways = [
            [0.3, 1.0, 0.0, 2.0, 3.0],
            [0.7, 1.0, 4.0, 2.0, 4.0],
            [0.0; 5],
            [0.0; 5],
        ];
        let truth = [
            [1.0, 1.0, 0.0, 0.0],
            [1.0, 2.0, 0.0, 0.0],
            [0.0; 4],
            [0.0; 4],
        ];
        found.add_predictions(&ways.concat(), &truth.concat(), &[1, 2, 2, 5]);
        let scores: BTreeMap<String, f64> = found.scores().collect();
        assert_eq!(scores["min_ade"], 1.5);
        assert_eq!(scores["min_fde"], 3.0);
        assert_eq!(scores["miss_rate"], 1.0);
    }
    #[test]
    fn who_cannot_be_seen_need_not_be_detected() {
        let row = |score: f32, x: f32, speed: f32, vehicle: f32| {
            let user = [
                score, x, 0.0, 1.0, 0.0, 4.0, 2.0, speed, 0.0, vehicle, 0.0, 0.0,
            ];
            let mut user = user.to_vec();
            user[10] = 1.0 - vehicle;
            user
        };
        let value = |numbers: Vec<f32>, width: usize| -> Value {
            let rows = numbers.len() / width;
            let flat = Tensor::<1>::from_floats(numbers.as_slice(), &Device::default());
            if width == 1 {
                flat.reshape([1, rows]).into()
            } else {
                flat.reshape([1, rows, width]).into()
            }
        };
        let mut found = OpenLoop::default();
        let agents = [row(0.9, 10.0, 3.0, 0.8), row(0.0, 30.0, 0.0, 1.0)];
        let truth = [row(1.0, 10.3, 5.0, 1.0), row(1.0, 30.0, 0.0, 1.0)];
        found.add_agents(
            &value(agents.concat(), ROW),
            &value(truth.concat(), ROW),
            &value(vec![1.0, 0.0], 1),
        );
        let scores: BTreeMap<String, f64> = found.scores().collect();
        assert!((scores["detection_map"] - 1.0).abs() < 1e-12);
        assert!((scores["detection_ate"] - 0.3).abs() < 1e-6);
        assert!((scores["detection_ave"] - 2.0).abs() < 1e-6);
        assert_eq!(
            (scores["detection_ase"], scores["detection_aoe"]),
            (0.0, 0.0)
        );
    }
}
