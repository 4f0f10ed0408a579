//! The program of a scene: costs of the condensed model; [`super::rows`] and [`super::gaps`] add the rows.

use super::gaps::Pair;
use super::model::{State, condense};
use super::rows::Bound;
use super::{EPS, Scene, Vehicle};
use crate::error::QpError;
use crate::linalg::{add_scaled, dot};
use crate::problem::{Qp, finite, shape};

/// The program of a scene, and what its numbers came from.
#[derive(Clone, Debug)]
pub(super) struct Program {
    pub qp: Qp,
    pub bounds: Vec<Bound>,
    /// Which circles each gap is between, a row; `None` for other rows.
    pub pairs: Vec<Option<Pair>>,
    /// The reference's states.
    pub states: Vec<State>,
    /// How each state depends on the controls `[steps, 4, 2 steps]`.
    pub effects: Vec<f64>,
    /// The states at z = 0.
    pub origin: Vec<f64>,
    pub weights: Vec<f64>,
}

fn softplus(x: f64) -> f64 {
    x.max(0.0) + (-x.abs()).exp().ln_1p() + EPS
}

pub(super) fn sigmoid(x: f64) -> f64 {
    1.0 / (1.0 + (-x).exp())
}

impl Program {
    /// The program with all rows that can bind; with `all` also those that cannot, whatever the
    /// controls within their limits.
    pub fn new(vehicle: &Vehicle, scene: &Scene, all: bool) -> Result<Self, QpError> {
        check(scene)?;
        let steps = scene.reference.len();
        let width = 2 * steps;
        let (states, effects) = condense(scene.start, &scene.reference, vehicle.dt);
        let weights: Vec<f64> = scene.state_weights.iter().map(|x| softplus(*x)).collect();
        let reference = scene.reference.as_flattened();
        let mut q = vec![0.0; width * width];
        let mut p = scene.linear.clone();
        let mut origin = Vec::with_capacity(4 * steps);
        for (row, effect) in effects.chunks_exact(width.max(1)).enumerate() {
            // What this control cannot reach yet is zero.
            let end = 2 * (row / 4 + 1);
            let effect = &effect[..end];
            let at = states[row / 4][row % 4] - dot(effect, &reference[..end]);
            origin.push(at);
            let distance = at - goal(scene, &states, row);
            add_scaled(&mut p[..end], weights[row] * distance, effect);
            // The lower triangle; the upper one is its mirror.
            for i in 0..end {
                let factor = weights[row] * effect[i];
                if factor != 0.0 {
                    add_scaled(&mut q[i * width..=i * width + i], factor, &effect[..=i]);
                }
            }
        }
        for i in 0..width {
            q[i * width + i] += softplus(scene.control_weights[i]);
            for j in 0..i {
                q[j * width + i] = q[i * width + j];
            }
        }
        let mut program = Self {
            qp: Qp::new(q, p)?,
            bounds: Vec::new(),
            pairs: Vec::new(),
            states,
            effects,
            origin,
            weights,
        };
        program.add_rows(vehicle, scene, all)?;
        Ok(program)
    }

    /// How a state's number depends on the controls.
    pub fn effect(&self, step: usize, number: usize) -> &[f64] {
        let width = self.qp.variables();
        &self.effects[(4 * step + number) * width..][..width]
    }
}

fn check(scene: &Scene) -> Result<(), QpError> {
    let steps = scene.reference.len();
    for (what, values, expected) in [
        ("state weights", &scene.state_weights, 4 * steps),
        ("control weights", &scene.control_weights, 2 * steps),
        ("goals", &scene.goals, 4 * steps),
        ("linear", &scene.linear, 2 * steps),
    ] {
        shape(what, values.len(), expected, || expected.to_string())?;
        finite(what, values)?;
    }
    for obstacle in &scene.obstacles {
        shape("poses", obstacle.poses.len(), steps, || steps.to_string())?;
        let sizes = [obstacle.length, obstacle.width];
        finite("obstacle", &sizes)?;
        finite("obstacle", &[obstacle.margin, obstacle.standoff])?;
        for pose in obstacle.poses.iter().flatten() {
            finite("poses", pose)?;
        }
    }
    if !scene.corridor.is_empty() {
        shape("corridor", scene.corridor.len(), steps, || {
            steps.to_string()
        })?;
    }
    for edge in &scene.edges {
        if edge.step >= steps {
            return Err(QpError::Beyond {
                what: "step of an edge",
                found: edge.step,
                below: steps,
            });
        }
        finite("edge", &edge.point)?;
        finite("edge", &edge.slope)?;
        finite("edge", &[edge.distance, edge.margin])?;
    }
    finite("start", &scene.start)?;
    finite("current control", &scene.current)?;
    finite("reference", scene.reference.as_flattened())
}

/// The goal of a state; a yaw is taken the short way round from the reference.
pub(super) fn goal(scene: &Scene, states: &[State], row: usize) -> f64 {
    let goal = scene.goals[row];
    if row % 4 != 2 {
        return goal;
    }
    let turn = std::f64::consts::TAU;
    let from = states[row / 4][2];
    from + (goal - from + 0.5 * turn).rem_euclid(turn) - 0.5 * turn
}
