//! A map of the road: the front corners stay on it.

use super::traffic::{Batch, GOALS, STATE, numbers, traffic};
use crate::harness::device;
use burn::tensor::{Tensor, TensorData};
use conjoin_nn::qp_planner::{PlannerError, PlannerOptions, PlannerOutput, Reason, Road, plan};

const CELLS: usize = 40;

/// Metres to the edge of a road along x whose left edge is at y = 2.
fn distance(y: f32) -> f32 {
    (2.0 - y).min(y + 6.0)
}

/// Nobody near; goals that lead over the left edge.
fn leaving() -> Batch {
    let mut batch = traffic(1, 1, 8);
    batch.parts[5][0] = 0.0;
    batch.parts[STATE][..3].copy_from_slice(&[6.0, 0.0, 0.0]);
    for (k, goal) in batch.parts[GOALS].chunks_exact_mut(4).enumerate() {
        let along = 0.6 * (k + 1) as f32;
        goal.copy_from_slice(&[along, 0.02 * along * along, 0.04 * along, 6.0]);
    }
    batch
}

fn run(options: &PlannerOptions, map: Option<Vec<f32>>) -> PlannerOutput {
    let mut inputs = leaving().inputs(&device(), false);
    inputs.road = map.map(|map| Road {
        map: Tensor::from_data(TensorData::new(map, [1, CELLS, CELLS, 1]), &device()),
        extent: [-5.0, 25.0, -10.0, 10.0],
    });
    plan(options, inputs).unwrap()
}

fn map() -> Vec<f32> {
    let middle = |j: usize| -10.0 + 0.5 * (j as f32 + 0.5);
    (0..CELLS * CELLS)
        .map(|cell| distance(middle(cell % CELLS)))
        .collect()
}

/// The least that the left front corner has of the road.
fn least(found: &PlannerOutput) -> f32 {
    let states = numbers(&found.plan);
    let corners = states.chunks_exact(4).map(|state| {
        let (sin, cos) = state[2].sin_cos();
        distance(state[1] + 3.65 * sin + 0.95 * cos)
    });
    corners.fold(f32::INFINITY, f32::min)
}

#[test]
fn the_front_corners_stay_on_the_road() {
    let options = PlannerOptions {
        road_margin: 0.4,
        ..PlannerOptions::default()
    };
    let free = run(&options, None);
    assert!(least(&free) < -0.5, "{}", least(&free));
    assert_eq!(numbers(&free.road_dual), [0.0]);
    let found = run(&options, Some(map()));
    assert!((least(&found) - 0.4).abs() < 0.05, "{}", least(&found));
    assert!(numbers(&found.road_dual)[0] > 1.0);
    assert!(numbers(&found.road_slack)[0] < 0.01);
    assert_eq!(numbers(&found.occupancy_dual), [0.0]);
    // Where the map ends nothing is known.
    let elsewhere = PlannerOptions {
        road_margin: 1e3,
        ..options
    };
    let mut inputs = leaving().inputs(&device(), false);
    inputs.road = Some(Road {
        map: Tensor::from_data(TensorData::new(map(), [1, CELLS, CELLS, 1]), &device()),
        extent: [30.0, 50.0, -10.0, 10.0],
    });
    let found = plan(&elsewhere, inputs).unwrap();
    assert_eq!(numbers(&found.plan), numbers(&free.plan));
}

#[test]
fn a_map_that_makes_no_sense_is_named() {
    let mut broken = map();
    broken[7] = f32::NAN;
    let found = run(&PlannerOptions::default(), Some(broken));
    assert_eq!(numbers(&found.fallback), [1.0]);
    let reason = Reason::from_number(numbers(&found.reason)[0]);
    assert_eq!(reason, Some(Reason::NotFinite));
    let mut inputs = leaving().inputs(&device(), false);
    inputs.road = Some(Road {
        map: Tensor::zeros([2, 4, 4, 1], &device()),
        extent: [0.0, 4.0, -2.0, 2.0],
    });
    let error = plan(&PlannerOptions::default(), inputs).unwrap_err();
    assert!(
        matches!(error, PlannerError::Shape { input: "road", .. }),
        "{error}"
    );
}
