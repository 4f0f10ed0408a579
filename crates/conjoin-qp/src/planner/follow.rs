//! What a plan is made around: controls that follow goals, and walls along a route.

use super::line::{Line, Place};
use super::model::{Control, State, step};
use super::{Vehicle, Wall};

/// Controls within the vehicle's limits that follow goals `[steps, 4]`: speed and distance along the
/// vehicle by a critically damped law, the wheel by pure pursuit (Coulter 1992) of the goal half a second
/// ahead. Not differentiable towards the goals, nor meant to be.
pub fn follow(vehicle: &Vehicle, start: State, current: Control, goals: &[f64]) -> Vec<Control> {
    /// What the errors of speed and distance are answered with, 1/s.
    const HASTE: f64 = 2.0;
    /// Where nearer, the direction to a goal is noise, m.
    const NEAR: f64 = 1.0;
    let goals = goals.as_chunks::<4>().0;
    let ahead = (0.5 / vehicle.dt).round() as usize;
    let (mut state, mut before) = (start, current);
    (0..goals.len())
        .map(|k| {
            let [x, y, yaw, speed] = state;
            let (sin, cos) = yaw.sin_cos();
            // A goal in the vehicle's frame.
            let local = |goal: [f64; 4]| {
                let (dx, dy) = (goal[0] - x, goal[1] - y);
                [dx * cos + dy * sin, dy * cos - dx * sin]
            };
            let behind = local(goals[k])[0] - speed * vehicle.dt;
            let wanted = HASTE * (2.0 * (goals[k][3] - speed) + HASTE * behind);
            let acceleration = within(wanted, vehicle.acceleration);
            let change = vehicle.jerk * vehicle.dt;
            let acceleration = within(acceleration, [before[0] - change, before[0] + change]);
            // It does not drive backward.
            let acceleration = acceleration.max(-speed.max(0.0) / vehicle.dt);

            let target = local(goals[(k + ahead).min(goals.len() - 1)]);
            let squared = target[0] * target[0] + target[1] * target[1];
            let wanted = if squared > NEAR * NEAR && target[0] > 0.0 {
                2.0 * target[1] / squared
            } else {
                before[1]
            };
            let turn = (vehicle.lateral / (speed * speed).max(1e-9)).min(vehicle.curvature);
            let change = vehicle.curvature_rate * vehicle.dt;
            let curvature = within(wanted, [before[1] - change, before[1] + change]);
            let control = [acceleration, within(curvature, [-turn, turn])];
            state = step(state, control, vehicle.dt).0;
            before = control;
            control
        })
        .collect()
}

/// The nearest value in a range.
fn within(value: f64, [least, most]: [f64; 2]) -> f64 {
    value.max(least).min(most)
}

/// Walls at a distance to both sides of a route, at the place of the route nearest to each position. The
/// route goes on straight behind its last point and before its first. Empty where no two points of it
/// differ.
///
/// A wall stands back from a vehicle that starts beyond it, or that will be before it can have turned round:
/// one on a circle of radius `turn` gets `turn (1 - cos angle)` further out than it is. It could not move
/// otherwise, not even to come back.
pub fn corridor(
    start: State,
    positions: &[State],
    route: &[[f64; 2]],
    distance: f64,
    turn: f64,
) -> Vec<[Wall; 2]> {
    let line = Line::new(route);
    let normals = |along: [f64; 2]| [[-along[1], along[0]], [along[1], -along[0]]];
    let [x, y, heading, _] = start;
    let Some(Place { foot, along, .. }) = line.nearest([x, y], true) else {
        return Vec::new();
    };
    let (sin, cos) = heading.sin_cos();
    let distances = normals(along).map(|normal| {
        let out = normal[0] * (x - foot[0]) + normal[1] * (y - foot[1]);
        let outwards = normal[0] * cos + normal[1] * sin > 0.0;
        let ahead = along[0] * cos + along[1] * sin;
        let more = if outwards { turn * (1.0 - ahead) } else { 0.0 };
        distance.max(out + more)
    });
    (positions.iter())
        .filter_map(|[x, y, ..]| {
            let Place { foot, along, .. } = line.nearest([*x, *y], true)?;
            let [left, right] = normals(along);
            Some(
                [(left, distances[0]), (right, distances[1])].map(|(normal, distance)| Wall {
                    normal,
                    offset: normal[0] * foot[0] + normal[1] * foot[1] + distance,
                    margin: 0.0,
                }),
            )
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::super::model::roll_out;
    use super::*;

    #[test]
    fn goals_within_reach_are_followed() {
        let vehicle = Vehicle::default();
        // A bend of radius 25 m at 6 m/s, then braking.
        let mut goal = [0.0, 0.0, 0.0, 6.0];
        let goals: Vec<f64> = (0..40)
            .flat_map(|k| {
                let control = [if k < 20 { 0.0 } else { -2.0 }, 0.04];
                goal = step(goal, control, 0.1).0;
                goal
            })
            .collect();
        let start = [0.0, 0.0, 0.0, 6.0];
        let controls = follow(&vehicle, start, [0.0, 0.0], &goals);
        let states = roll_out(start, &controls, 0.1);
        for (state, goal) in states.iter().zip(goals.as_chunks::<4>().0) {
            assert!(
                (state[0] - goal[0]).hypot(state[1] - goal[1]) < 0.5,
                "{state:?} {goal:?}"
            );
        }
        let mut before = [0.0, 0.0];
        for control in controls {
            assert!((control[0] - before[0]).abs() <= 0.8 + 1e-9);
            assert!((control[1] - before[1]).abs() <= 0.04 + 1e-9);
            before = control;
        }
    }

    #[test]
    fn walls_stand_beside_the_route() {
        let route = [[0.0, 0.0], [0.0, 0.0], [10.0, 0.0], [10.0, 10.0]];
        let at = [
            [-3.0, 1.0, 0.0, 0.0],
            [4.0, -1.0, 0.0, 0.0],
            [12.0, 14.0, 0.0, 0.0],
        ];
        let walls = corridor([0.0; 4], &at, &route, 2.0, 4.0);
        for (side, y) in [(0, 2.0), (1, -2.0)] {
            for walls in &walls[..2] {
                assert!((walls[side].normal[1] * y - walls[side].offset).abs() < 1e-12);
                assert_eq!(walls[side].normal[0], 0.0);
            }
        }
        // Left of a road to the north is the west.
        assert_eq!(walls[2][0].normal, [-1.0, 0.0]);
        assert!((walls[2][0].offset + 8.0).abs() < 1e-12);
        assert!((walls[2][1].offset - 12.0).abs() < 1e-12);
        assert!(corridor([0.0; 4], &at, &route[..2], 2.0, 4.0).is_empty());
    }

    #[test]
    fn walls_stand_back_from_who_is_beyond_them_until_he_has_turned() {
        let route = [[0.0, 0.0], [20.0, 0.0]];
        let at = [[1.0, 0.0, 0.0, 0.0]];
        let offsets = |y: f64, degrees: f64| {
            let start = [0.0, y, degrees.to_radians(), 0.0];
            corridor(start, &at, &route, 3.0, 4.0)[0].map(|wall| wall.offset)
        };
        let near = |found: [f64; 2], left: f64, right: f64| {
            assert!(
                (found[0] - left).abs() + (found[1] - right).abs() < 1e-9,
                "{found:?}"
            );
        };
        near(offsets(2.0, 0.0), 3.0, 3.0);
        near(offsets(2.0, 60.0), 4.0, 3.0);
        near(offsets(2.0, -60.0), 3.0, 3.0);
        near(offsets(5.0, 60.0), 7.0, 3.0);
        near(offsets(5.0, -60.0), 5.0, 3.0);
        near(offsets(-5.0, -90.0), 3.0, 9.0);
        // A circle of that radius stays within: its farthest point is just there.
        let vehicle = Vehicle {
            curvature: 0.25,
            ..Vehicle::default()
        };
        let circle = roll_out(
            [0.0, 5.0, 60_f64.to_radians(), 2.0],
            &[[0.0, -vehicle.curvature]; 60],
            0.1,
        );
        let farthest = circle.iter().map(|state| state[1]).fold(0.0, f64::max);
        assert!((farthest - 7.0).abs() < 0.05, "{farthest}");
    }
}
