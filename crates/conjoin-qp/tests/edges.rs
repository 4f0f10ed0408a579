//! Edges that points of the vehicle stay inside of.

mod support;

use conjoin_qp::QpError;
use conjoin_qp::planner::model::{State, roll_out};
use conjoin_qp::planner::{Bound, Edge, Plan, PlanError, Scene, Vehicle, follow, plan};
use support::scenes::road;

const CORNERS: [[f64; 2]; 2] = [[3.65, 0.95], [3.65, -0.95]];

/// Where a point of the vehicle is.
fn place([x, y, yaw, _]: State, [ahead, left]: [f64; 2]) -> [f64; 2] {
    let (sin, cos) = yaw.sin_cos();
    [x + ahead * cos - left * sin, y + ahead * sin + left * cos]
}

/// From the edge `y = 2 + x / 10` of a road to its right; and how it grows.
fn distance([x, y]: [f64; 2]) -> (f64, [f64; 2]) {
    let length = 1.01_f64.sqrt();
    ((2.0 + 0.1 * x - y) / length, [0.1 / length, -1.0 / length])
}

/// Goals that lead over the edge.
fn leaving() -> Scene {
    let mut scene = road(20, 5.0);
    scene.corridor.clear();
    for (k, goal) in scene.goals.as_chunks_mut::<4>().0.iter_mut().enumerate() {
        let along = 0.5 * (k + 1) as f64;
        *goal = [along, 0.035 * along * along, 0.07 * along, 5.0];
    }
    scene.reference = follow(
        &Vehicle::default(),
        scene.start,
        scene.current,
        &scene.goals,
    );
    scene
}

fn with_edges(mut scene: Scene, margin: f64) -> Scene {
    let states = roll_out(scene.start, &scene.reference, 0.1);
    scene.edges = (states.iter().enumerate())
        .flat_map(|(step, state)| {
            CORNERS.map(|point| {
                let (distance, slope) = distance(place(*state, point));
                Edge {
                    step,
                    point,
                    distance,
                    slope,
                    margin,
                }
            })
        })
        .collect();
    scene
}

/// The least that a corner has of the road over the plan.
fn least(plan: &Plan) -> f64 {
    let corners = plan
        .states
        .iter()
        .flat_map(|state| CORNERS.map(|corner| distance(place(*state, corner)).0));
    corners.fold(f64::INFINITY, f64::min)
}

#[test]
fn corners_stay_inside_of_a_slanting_edge() {
    let vehicle = Vehicle::default();
    let free = plan(&vehicle, &leaving(), &[]).unwrap();
    assert!(least(&free) < -0.4, "{}", least(&free));
    for margin in [0.0, 0.3] {
        // Around a reference that leaves the road far behind, and then around the plan.
        let mut scene = with_edges(leaving(), margin);
        let first = plan(&vehicle, &scene, &[]).unwrap();
        scene.reference.clone_from(&first.controls);
        let found = plan(&vehicle, &with_edges(scene, margin), &[]).unwrap();
        assert!((least(&found) - margin).abs() < 0.03, "{}", least(&found));
        assert!(least(&first) > margin - 0.15, "{}", least(&first));
        // The left corner holds it, and speed is kept.
        let held = found.binding();
        assert!(
            held.iter()
                .any(|held| matches!(held.bound, Bound::Edge { .. }))
        );
        for held in held {
            if let Bound::Edge { step, edge } = held.bound {
                assert_eq!((edge / 2, edge % 2), (step, 0));
                assert!(held.slack < 1e-6);
            }
        }
        assert!(found.states[19][3] > 4.5, "{:?}", found.states[19]);
    }
}

#[test]
fn an_edge_that_makes_no_sense_is_refused() {
    let refused = |change: &dyn Fn(&mut Edge)| {
        let mut scene = with_edges(leaving(), 0.3);
        change(&mut scene.edges[5]);
        plan(&Vehicle::default(), &scene, &[]).unwrap_err()
    };
    assert_eq!(
        refused(&|edge| edge.step = 20).to_string(),
        "step of an edge: found 20, expected below 20"
    );
    for number in [f64::NAN, f64::INFINITY] {
        let found = [
            refused(&|edge| edge.distance = number),
            refused(&|edge| edge.slope[1] = number),
            refused(&|edge| edge.margin = number),
            refused(&|edge| edge.point[0] = number),
        ];
        for error in found {
            assert!(
                matches!(error, PlanError::Program(QpError::NotFinite { .. })),
                "{error}"
            );
        }
    }
}
