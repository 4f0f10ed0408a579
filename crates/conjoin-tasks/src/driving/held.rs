//! What holds a plan: the agent, the occupancy or the road's edge that costs it most, by the duals of the planner.

use super::DrivingConfig;
use serde::Serialize;

/// Duals up to this, 1/m, are a barrier's or rounding: they hold nothing.
const NOTHING: f32 = 1e-3;

/// What holds a plan most.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum HeldBy {
    /// An agent.
    Agent {
        /// Its place among the planner's agents.
        index: usize,
        /// What one more metre of room would save, 1/m.
        dual: f32,
        /// By how much the gap to it falls short, m; none where the task reads no slacks.
        #[serde(skip_serializing_if = "Option::is_none")]
        slack: Option<f32>,
    },
    /// Predicted occupancy that no agent explains.
    Occupancy {
        /// What one more metre of room would save, 1/m.
        dual: f32,
    },
    /// The edge of the road.
    Road {
        /// What one more metre of room would save, 1/m.
        dual: f32,
    },
}

impl HeldBy {
    /// What has the greatest dual; none where nothing holds the plan. Of what holds it as much agents come first, then
    /// occupancy.
    pub(super) fn greatest(
        duals: &[f32],
        slacks: &[f32],
        occupancy: Option<f32>,
        road: Option<f32>,
    ) -> Option<Self> {
        let agents = duals.iter().enumerate().map(|(index, &dual)| Self::Agent {
            index,
            dual,
            slack: slacks.get(index).copied(),
        });
        let occupancy = occupancy.map(|dual| Self::Occupancy { dual });
        let road = road.map(|dual| Self::Road { dual });
        let mut greatest: Option<Self> = None;
        for held in agents.chain(occupancy).chain(road) {
            // A dual that is no number holds nothing.
            if held.dual() > greatest.map_or(NOTHING, Self::dual) {
                greatest = Some(held);
            }
        }
        greatest
    }

    fn dual(self) -> f32 {
        match self {
            Self::Agent { dual, .. } | Self::Occupancy { dual } | Self::Road { dual } => dual,
        }
    }

    /// The agent that it is.
    pub(super) fn agent(self) -> Option<usize> {
        match self {
            Self::Agent { index, .. } => Some(index),
            Self::Occupancy { .. } | Self::Road { .. } => None,
        }
    }
}

/// On how many steps plans were held, and by what.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct HeldSteps {
    steps: usize,
    agent: usize,
    occupancy: usize,
    road: usize,
}

impl HeldSteps {
    /// Adds a step.
    pub fn add(&mut self, held: Option<HeldBy>) {
        self.steps += 1;
        match held {
            Some(HeldBy::Agent { .. }) => self.agent += 1,
            Some(HeldBy::Occupancy { .. }) => self.occupancy += 1,
            Some(HeldBy::Road { .. }) => self.road += 1,
            None => {}
        }
    }

    /// Adds the steps of another drive.
    pub fn add_all(&mut self, other: Self) {
        self.steps += other.steps;
        self.agent += other.agent;
        self.occupancy += other.occupancy;
        self.road += other.road;
    }

    /// Shares of all steps, of what the task reads.
    pub fn scores(self, task: &DrivingConfig) -> impl Iterator<Item = (String, f64)> {
        let shares = [
            ("held_by_agent", task.duals.is_some(), self.agent),
            (
                "held_by_occupancy",
                task.occupancy_dual.is_some(),
                self.occupancy,
            ),
            ("held_by_road", task.road_dual.is_some(), self.road),
        ];
        let steps = self.steps.max(1) as f64;
        shares
            .into_iter()
            .filter(|(_, read, _)| *read)
            .map(move |(name, _, held)| (name.to_owned(), held as f64 / steps))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;
    use std::collections::BTreeMap;

    const AGENT: HeldBy = HeldBy::Agent {
        index: 2,
        dual: 4.0,
        slack: Some(0.5),
    };

    #[test]
    fn the_greatest_dual_holds_the_plan() {
        let slacks = [0.0, 0.1, 0.5];
        let held = |duals: [f32; 3], occupancy| HeldBy::greatest(&duals, &slacks, occupancy, None);
        assert_eq!(held([0.0, 3.0, 4.0], None), Some(AGENT));
        assert_eq!(held([0.0, 3.0, 4.0], Some(4.0)), Some(AGENT));
        let occupancy = Some(HeldBy::Occupancy { dual: 5.0 });
        assert_eq!(held([0.0, 3.0, 4.0], Some(5.0)), occupancy);
        assert_eq!(held([0.0; 3], Some(5.0)), occupancy);
        // What a barrier leaves, and what is no number.
        assert_eq!(held([1e-4, f32::NAN, 0.0], Some(1e-4)), None);
        assert_eq!(held([f32::NAN, 0.0, 4.0], Some(f32::NAN)), Some(AGENT));
        let others = |occupancy, road| HeldBy::greatest(&[], &[], occupancy, road);
        assert_eq!(others(Some(5.0), None), occupancy);
        assert_eq!(others(Some(5.0), Some(5.0)), occupancy);
        assert_eq!(others(Some(5.0), Some(f32::NAN)), occupancy);
        let road = Some(HeldBy::Road { dual: 6.0 });
        assert_eq!(others(Some(5.0), Some(6.0)), road);
        assert_eq!(HeldBy::greatest(&[1.0], &[], None, Some(6.0)), road);
        let Some(HeldBy::Agent { slack, .. }) = HeldBy::greatest(&[1.0], &[], None, None) else {
            panic!("no agent");
        };
        assert_eq!(slack, None);
    }

    #[test]
    fn answers_name_what_holds_the_plan() {
        let told = |held: HeldBy| serde_json::to_value(held).unwrap();
        let agent = json!({"agent": {"index": 2, "dual": 4.0, "slack": 0.5}});
        assert_eq!(told(AGENT), agent);
        let occupancy = json!({"occupancy": {"dual": 5.0}});
        assert_eq!(told(HeldBy::Occupancy { dual: 5.0 }), occupancy);
        let road = json!({"road": {"dual": 6.0}});
        assert_eq!(told(HeldBy::Road { dual: 6.0 }), road);
    }

    #[test]
    fn scores_are_shares_of_all_steps_of_what_is_read() {
        let task = |more: serde_json::Value| -> DrivingConfig {
            let mut told = json!({"plan": "qp.plan", "target": "data.plan", "data": "test"});
            if let (Some(told), Some(more)) = (told.as_object_mut(), more.as_object()) {
                told.extend(more.clone());
            }
            serde_json::from_value(told).unwrap()
        };
        let mut held = HeldSteps::default();
        for _ in 0..3 {
            held.add(Some(AGENT));
        }
        let mut other = HeldSteps::default();
        other.add(Some(HeldBy::Occupancy { dual: 1.0 }));
        other.add(Some(HeldBy::Road { dual: 1.0 }));
        for _ in 0..3 {
            other.add(None);
        }
        held.add_all(other);
        let scores =
            |task: &DrivingConfig| -> BTreeMap<String, f64> { held.scores(task).collect() };
        let both = task(json!({"duals": "qp.duals", "occupancy_dual": "qp.occupancy_dual"}));
        let expected = [("held_by_agent", 0.375), ("held_by_occupancy", 0.125)];
        let expected = expected
            .map(|(name, share)| (name.to_owned(), share))
            .into();
        assert_eq!(scores(&both), expected);
        let road = scores(&task(json!({"road_dual": "qp.road_dual"})));
        assert_eq!(road, [("held_by_road".to_owned(), 0.125)].into());
        let agents = scores(&task(json!({"duals": "qp.duals"})));
        assert_eq!(agents, [("held_by_agent".to_owned(), 0.375)].into());
        assert!(scores(&task(json!({}))).is_empty());
        assert!(both.wanted().len() == 3 && both.ports().contains_key("occupancy_dual"));
    }
}
