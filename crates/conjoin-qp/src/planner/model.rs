//! The kinematic bicycle around a reference: `x' = v cos yaw, y' = v sin yaw, yaw' = v curvature,
//! v' = a`, at the midpoint of each step (Rajamani 2012, section 2.2, with the curvature as input).
//!
//! States are (x, y, yaw, speed), inputs (acceleration, curvature), metres, radians and seconds.

/// Position, yaw and speed.
pub type State = [f64; 4];
/// Acceleration and curvature.
pub type Control = [f64; 2];

/// One step of the model, and its derivatives towards state (rows of 4) and control (rows of 2).
pub(crate) fn step(
    state: State,
    control: Control,
    dt: f64,
) -> (State, [[f64; 4]; 4], [[f64; 2]; 4]) {
    let [x, y, yaw, speed] = state;
    let [acceleration, curvature] = control;
    // Speed and yaw in the middle of the step.
    let middle = speed + 0.5 * dt * acceleration;
    let heading = yaw + 0.5 * dt * speed * curvature;
    let (sin, cos) = heading.sin_cos();
    let next = [
        x + dt * middle * cos,
        y + dt * middle * sin,
        yaw + dt * middle * curvature,
        speed + dt * acceleration,
    ];
    let travelled = dt * middle;
    let (by_speed, by_curvature) = (0.5 * dt * curvature, 0.5 * dt * speed);
    let towards_state = [
        [
            1.0,
            0.0,
            -travelled * sin,
            dt * cos - travelled * sin * by_speed,
        ],
        [
            0.0,
            1.0,
            travelled * cos,
            dt * sin + travelled * cos * by_speed,
        ],
        [0.0, 0.0, 1.0, dt * curvature],
        [0.0, 0.0, 0.0, 1.0],
    ];
    let towards_control = [
        [0.5 * dt * dt * cos, -travelled * sin * by_curvature],
        [0.5 * dt * dt * sin, travelled * cos * by_curvature],
        [0.5 * dt * dt * curvature, travelled],
        [dt, 0.0],
    ];
    (next, towards_state, towards_control)
}

/// The states after each of the controls.
pub fn roll_out(start: State, controls: &[Control], dt: f64) -> Vec<State> {
    let mut state = start;
    (controls.iter())
        .map(|control| {
            state = step(state, *control, dt).0;
            state
        })
        .collect()
}

/// The reference's states `[steps]` and how each depends on all controls: `[steps, 4, 2 steps]`.
pub(crate) fn condense(start: State, controls: &[Control], dt: f64) -> (Vec<State>, Vec<f64>) {
    let width = 2 * controls.len();
    let mut effects = vec![0.0; controls.len() * 4 * width];
    let (mut state, mut states) = (start, Vec::new());
    for (k, control) in controls.iter().enumerate() {
        let (next, by_state, by_control) = step(state, *control, dt);
        let (before, own) = effects.split_at_mut(k * 4 * width);
        for i in 0..4 {
            let row = &mut own[i * width..(i + 1) * width];
            if k > 0 {
                for (j, factor) in by_state[i].iter().enumerate() {
                    let at = ((k - 1) * 4 + j) * width;
                    crate::linalg::add_scaled(row, *factor, &before[at..at + width]);
                }
            }
            row[2 * k..2 * k + 2].copy_from_slice(&by_control[i]);
        }
        states.push(next);
        state = next;
    }
    (states, effects)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn effects_are_central_differences() {
        let start = [1.0, -2.0, 0.7, 8.0];
        let controls: Vec<Control> = (0..6)
            .map(|k| [f64::from(k) * 0.4 - 1.0, 0.05 * f64::from(k).sin()])
            .collect();
        let (states, effects) = condense(start, &controls, 0.15);
        assert_eq!(states, roll_out(start, &controls, 0.15));
        for column in 0..12 {
            let moved = |h: f64| {
                let mut controls = controls.clone();
                controls[column / 2][column % 2] += h;
                roll_out(start, &controls, 0.15)
            };
            let (up, down) = (moved(1e-5), moved(-1e-5));
            for k in 0..6 {
                for i in 0..4 {
                    let expected = (up[k][i] - down[k][i]) / 2e-5;
                    let found = effects[(k * 4 + i) * 12 + column];
                    assert!((found - expected).abs() < 1e-7, "{k} {i} {column}");
                }
            }
        }
    }
}
