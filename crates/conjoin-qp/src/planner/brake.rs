//! The fallback where there is no plan.

use super::model::{Control, State, roll_out};
use super::{Scene, Vehicle};

/// Brakes as hard as limits and jerk allow until it stands, and turns the wheel towards straight as far
/// as its rate allows. Numbers that are not finite count as 0.
pub fn brake(vehicle: &Vehicle, scene: &Scene) -> (Vec<Control>, Vec<State>) {
    let sound = |x: f64| if x.is_finite() { x } else { 0.0 };
    let start = scene.start.map(sound);
    let [least, most] = vehicle.acceleration;
    let mut acceleration = sound(scene.current[0]).clamp(least, most);
    let mut curvature = sound(scene.current[1]).clamp(-vehicle.curvature, vehicle.curvature);
    let mut speed = start[3].max(0.0);
    let controls: Vec<Control> = (0..scene.reference.len())
        .map(|_| {
            acceleration = (acceleration - vehicle.jerk * vehicle.dt).max(least);
            let rate = vehicle.curvature_rate * vehicle.dt;
            curvature -= curvature.clamp(-rate, rate);
            // Braking ends where it stands.
            let applied = acceleration.max(-speed / vehicle.dt);
            speed = (speed + applied * vehicle.dt).max(0.0);
            [applied, curvature]
        })
        .collect();
    let states = roll_out(
        [start[0], start[1], start[2], start[3].max(0.0)],
        &controls,
        vehicle.dt,
    );
    (controls, states)
}
