//! What a plan is made around: controls that follow goals, and walls along a route.

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
pub fn corridor(positions: &[State], route: &[[f64; 2]], distance: f64) -> Vec<[Wall; 2]> {
    let segments: Vec<([f64; 2], [f64; 2], f64)> = (route.windows(2))
        .filter_map(|pair| {
            let [from, to] = [pair[0], pair[1]];
            let (dx, dy) = (to[0] - from[0], to[1] - from[1]);
            let length = dx.hypot(dy);
            (length > 1e-6).then(|| (from, [dx / length, dy / length], length))
        })
        .collect();
    let last = segments.len().saturating_sub(1);
    (positions.iter())
        .filter_map(|[x, y, ..]| {
            let mut best: Option<(f64, [f64; 2], [f64; 2])> = None;
            for (i, (from, along, length)) in segments.iter().enumerate() {
                let (dx, dy) = (x - from[0], y - from[1]);
                let mut at = dx * along[0] + dy * along[1];
                if i > 0 {
                    at = at.max(0.0);
                }
                if i < last {
                    at = at.min(*length);
                }
                let foot = [from[0] + at * along[0], from[1] + at * along[1]];
                let distance = (x - foot[0]).hypot(y - foot[1]);
                if best.is_none_or(|(least, ..)| distance < least) {
                    best = Some((distance, foot, *along));
                }
            }
            let (_, foot, along) = best?;
            let left = [-along[1], along[0]];
            Some([1.0, -1.0].map(|side| {
                let normal = left.map(|n| side * n);
                Wall {
                    normal,
                    offset: normal[0] * foot[0] + normal[1] * foot[1] + distance,
                    margin: 0.0,
                }
            }))
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
        let walls = corridor(&at, &route, 2.0);
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
        assert!(corridor(&at, &route[..2], 2.0).is_empty());
    }
}
