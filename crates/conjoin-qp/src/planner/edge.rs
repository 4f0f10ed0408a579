//! Edges that points of the vehicle stay inside of, as a map of signed distances has them where the reference is:
//! the distance at the point of the reference, and how it grows with the place. A point of the plan then keeps
//! `distance + slope . (point - point of the reference) >= margin`, a half-plane that turns and moves with the map.

use super::model::State;
use super::program::Program;
use crate::linalg::dot;

/// What one point of the vehicle keeps at the end of one step.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Edge {
    /// The step.
    pub step: usize,
    /// The point: from the rear axle ahead and to the left, m.
    pub point: [f64; 2],
    /// From the edge to the point of the reference, m; below 0 outside.
    pub distance: f64,
    /// How the distance grows along x and y, metre a metre: of length 1 where the map is one of distances.
    pub slope: [f64; 2],
    /// The distance to keep, m.
    pub margin: f64,
}

/// Gradients towards an edge; the margin has the negative of the distance's.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct EdgeGradients {
    /// Of the distance.
    pub distance: f64,
    /// Of the slope.
    pub slope: [f64; 2],
}

impl Edge {
    /// How the point moves as the vehicle turns, m/rad.
    fn arm(&self, yaw: f64) -> [f64; 2] {
        let (sin, cos) = yaw.sin_cos();
        let [ahead, left] = self.point;
        [-ahead * sin - left * cos, ahead * cos - left * sin]
    }

    /// The row `factors . (x, y, yaw) <= room` for the numbers of the step's state.
    pub(super) fn half_plane(&self, states: &[State]) -> ([f64; 3], f64) {
        let state = &states[self.step];
        let [x, y] = self.slope;
        let factors = [-x, -y, -dot(&self.slope, &self.arm(state[2]))];
        let at_reference = dot(&factors, &state[..3]);
        (factors, self.distance - self.margin + at_reference)
    }

    /// From the gradients of the row's room and of its factors in the controls.
    pub(super) fn backward(&self, program: &Program, dh: f64, dg: &[f64]) -> EdgeGradients {
        let arm = self.arm(program.states[self.step][2]);
        // What each factor of the half-plane moves: the room by the way from z = 0 to the reference, and the row.
        let towards = [0, 1, 2].map(|number| {
            let from = program.origin[4 * self.step + number];
            let moved = program.states[self.step][number] - from;
            dh * moved + dot(dg, program.effect(self.step, number))
        });
        EdgeGradients {
            distance: dh,
            slope: [0, 1].map(|axis| -towards[axis] - arm[axis] * towards[2]),
        }
    }
}
