//! The planner's rows, what each bounds, and their gradients.

use super::{Program, Scene, SceneGradients, Vehicle};
use crate::error::{QpError, Row};
use crate::gradient::Gradients;
use crate::linalg::dot;
use crate::problem::finite;
use std::fmt;

/// Which end of a range.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// The least; of a corridor, the first wall (left).
    Lower,
    /// The greatest; of a corridor, the second wall (right).
    Upper,
}

/// What a row bounds, at which step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bound {
    /// Acceleration. Hard.
    Acceleration(usize, Side),
    /// Curvature, or lateral acceleration where that is less. Hard.
    Curvature(usize, Side),
    /// Change of acceleration since the step before. Hard.
    Jerk(usize, Side),
    /// Change of curvature since the step before. Hard.
    CurvatureRate(usize, Side),
    /// Speed at least 0. Soft.
    Speed(usize),
    /// A wall of the corridor. Soft.
    Corridor(usize, Side),
    /// The gap to a predicted obstacle, by its place in the scene. Soft.
    Gap {
        /// The step.
        step: usize,
        /// The obstacle.
        obstacle: usize,
    },
}

impl fmt::Display for Bound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let end = |side: &Side| match side {
            Side::Lower => "least",
            Side::Upper => "greatest",
        };
        match self {
            Self::Acceleration(step, side) => {
                write!(f, "{} acceleration at step {step}", end(side))
            }
            Self::Curvature(step, side) => write!(f, "{} curvature at step {step}", end(side)),
            Self::Jerk(step, side) => write!(f, "{} jerk at step {step}", end(side)),
            Self::CurvatureRate(step, side) => {
                write!(f, "{} curvature rate at step {step}", end(side))
            }
            Self::Speed(step) => write!(f, "speed at step {step}"),
            Self::Corridor(step, Side::Lower) => write!(f, "left wall at step {step}"),
            Self::Corridor(step, Side::Upper) => write!(f, "right wall at step {step}"),
            Self::Gap { step, obstacle } => write!(f, "gap to obstacle {obstacle} at step {step}"),
        }
    }
}

pub(super) fn list(bounds: &[Bound]) -> String {
    let names: Vec<String> = bounds.iter().map(Bound::to_string).collect();
    names.join(", ")
}

/// The unit vector from an obstacle to the reference, and the distance. On top of each other, the
/// obstacle counts as ahead.
fn away(reference: [f64; 4], centre: [f64; 2]) -> ([f64; 2], f64) {
    let [dx, dy] = [reference[0] - centre[0], reference[1] - centre[1]];
    let distance = dx.hypot(dy);
    if distance > 1e-6 {
        ([dx / distance, dy / distance], distance)
    } else {
        ([-reference[2].cos(), -reference[2].sin()], 1.0)
    }
}

impl Program {
    /// How a state's number depends on the controls.
    fn effect(&self, step: usize, number: usize) -> &[f64] {
        let width = self.qp.variables();
        &self.effects[(4 * step + number) * width..][..width]
    }

    pub(super) fn add_rows(&mut self, vehicle: &Vehicle, scene: &Scene) -> Result<(), QpError> {
        let (width, steps) = (self.qp.variables(), scene.reference.len());
        let (mut g, mut h): (Vec<f64>, Vec<f64>) = (Vec::new(), Vec::new());
        for step in 0..steps {
            for which in 0..2 {
                let column = 2 * step + which;
                let before = if step == 0 { scene.current[which] } else { 0.0 };
                let speed = if step == 0 {
                    scene.start[3]
                } else {
                    self.states[step - 1][3]
                };
                let turn = vehicle
                    .curvature
                    .min(vehicle.lateral / (speed * speed).max(1e-9));
                let (range, rate) = if which == 0 {
                    (vehicle.acceleration, vehicle.jerk)
                } else {
                    ([-turn, turn], vehicle.curvature_rate)
                };
                let name = |is_rate: bool, side| match (which, is_rate) {
                    (0, false) => Bound::Acceleration(step, side),
                    (_, false) => Bound::Curvature(step, side),
                    (0, true) => Bound::Jerk(step, side),
                    (_, true) => Bound::CurvatureRate(step, side),
                };
                for (side, sign, limit) in
                    [(Side::Lower, -1.0, -range[0]), (Side::Upper, 1.0, range[1])]
                {
                    let mut row = vec![0.0; width];
                    row[column] = sign;
                    g.extend_from_slice(&row);
                    h.push(limit);
                    self.bounds.push(name(false, side));
                    if step > 0 {
                        row[column - 2] = -sign;
                    }
                    g.extend_from_slice(&row);
                    h.push(rate * vehicle.dt + sign * before);
                    self.bounds.push(name(true, side));
                }
            }
        }
        let hard = h.len();
        for step in 0..steps {
            g.extend(self.effect(step, 3).iter().map(|x| -x));
            h.push(self.origin[4 * step + 3]);
            self.bounds.push(Bound::Speed(step));
        }
        for (step, walls) in scene.corridor.iter().enumerate() {
            for (wall, side) in walls.iter().zip([Side::Lower, Side::Upper]) {
                finite(
                    "corridor",
                    &[wall.offset, wall.margin, wall.normal[0], wall.normal[1]],
                )?;
                let room = wall.offset - wall.margin;
                self.half_plane(step, wall.normal, room, &mut g, &mut h);
                self.bounds.push(Bound::Corridor(step, side));
            }
        }
        for (obstacle, thing) in scene.obstacles.iter().enumerate() {
            finite("obstacle", &[thing.radius, thing.margin])?;
            finite("centres", thing.centres.as_flattened())?;
            for (step, centre) in thing.centres.iter().enumerate() {
                let (normal, _) = away(self.states[step], *centre);
                let gap = thing.radius + thing.margin + vehicle.radius;
                let room = -dot(&normal, centre) - gap;
                self.half_plane(step, normal.map(|x| -x), room, &mut g, &mut h);
                self.bounds.push(Bound::Gap { step, obstacle });
            }
        }
        let mut qp = self.qp.clone().at_most(&g, &h)?;
        for row in hard..h.len() {
            qp = qp.soften(row, vehicle.penalty)?;
        }
        self.qp = qp;
        Ok(())
    }

    /// Adds `normal . position <= room`.
    fn half_plane(
        &self,
        step: usize,
        normal: [f64; 2],
        room: f64,
        g: &mut Vec<f64>,
        h: &mut Vec<f64>,
    ) {
        let (x, y) = (self.effect(step, 0), self.effect(step, 1));
        g.extend(x.iter().zip(y).map(|(x, y)| normal[0] * x + normal[1] * y));
        h.push(room - dot(&normal, &self.origin[4 * step..4 * step + 2]));
    }

    /// What rows bound.
    pub(super) fn named(&self, rows: &[Row]) -> Vec<Bound> {
        (rows.iter())
            .filter_map(|row| match row {
                Row::Inequality(row) => self.bounds.get(*row).copied(),
                Row::Equality(_) => None,
            })
            .collect()
    }

    /// Gradients of walls and obstacles from those of G and h.
    pub(super) fn rows_backward(&self, scene: &Scene, found: &Gradients, to: &mut SceneGradients) {
        let width = self.qp.variables();
        for (row, bound) in self.bounds.iter().enumerate() {
            let dh = found.h[row];
            match *bound {
                Bound::Corridor(step, side) => to.offsets[step][side as usize] = dh,
                Bound::Gap { step, obstacle } => {
                    to.radii[obstacle] -= dh;
                    let centre = scene.obstacles[obstacle].centres[step];
                    let (normal, distance) = away(self.states[step], centre);
                    let dg = &found.g[row * width..(row + 1) * width];
                    // The row is -normal . effect z <= normal . (origin - centre) - gap.
                    let towards_normal = [0, 1].map(|i| {
                        let room = self.origin[4 * step + i] - centre[i];
                        dh * room - dot(dg, self.effect(step, i))
                    });
                    // The normal turns with the centre, across itself.
                    let along = dot(&towards_normal, &normal);
                    to.centres[obstacle][step] = [0, 1].map(|i| {
                        -dh * normal[i] - (towards_normal[i] - along * normal[i]) / distance
                    });
                }
                _ => {}
            }
        }
    }
}
