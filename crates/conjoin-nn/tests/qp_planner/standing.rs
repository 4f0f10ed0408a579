//! Agents that count as standing: more is kept before them.

use crate::harness::device;
use crate::traffic::{Batch, FUTURES, GOALS, STATE, numbers, traffic};
use conjoin_nn::qp_planner::{PlannerOptions, plan};

/// At 6 m/s behind a car of this speed, straight ahead; goals that drive on.
fn behind(speed: f32) -> Batch {
    let mut batch = traffic(1, 1, 8);
    batch.parts[STATE][..3].copy_from_slice(&[6.0, 0.0, 0.0]);
    for (k, goal) in batch.parts[GOALS].chunks_exact_mut(4).enumerate() {
        goal.copy_from_slice(&[0.6 * (k + 1) as f32, 0.0, 0.0, 6.0]);
    }
    batch.parts[5][..9].copy_from_slice(&[1.0, 13.0, 0.0, 1.0, 0.0, 4.4, 1.8, speed, 0.0]);
    for (k, pose) in batch.parts[FUTURES].chunks_exact_mut(4).enumerate() {
        pose.copy_from_slice(&[1.0, 13.0 + 0.1 * speed * (k + 1) as f32, 0.0, 0.0]);
    }
    batch
}

#[test]
fn cars_slower_than_a_share_of_the_own_speed_count_as_standing() {
    let ends = |speed: f32, standing_share: f64| {
        let options = PlannerOptions {
            standoff: 4.0,
            standing_share,
            ..PlannerOptions::default()
        };
        let inputs = behind(speed).inputs(&device(), false);
        numbers(&plan(&options, inputs).unwrap().plan)[76]
    };
    // What stands does so whatever the share.
    assert_eq!(ends(0.3, 0.0), ends(0.3, 0.8));
    let [without, with] = [0.0, 0.8].map(|share| ends(3.0, share));
    assert!(with < without - 1.0, "{with} {without}");
    assert_eq!(ends(5.0, 0.0), ends(5.0, 0.8));
}
