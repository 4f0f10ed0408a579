//! The planner's rows, what each bounds, and their gradients.
//!
//! A row that no controls within their limits can violate is left out: the plan, its multipliers and its
//! gradient are the same without it. Most walls and gaps are such rows.

use super::gaps::Gaps;
use super::program::Program;
use super::{Scene, SceneGradients, Vehicle};
use crate::error::{QpError, Row};
use crate::gradient::Gradients;
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
    /// Curvature. Hard.
    Curvature(usize, Side),
    /// Lateral acceleration, at the plan's own speed. Hard.
    Lateral(usize, Side),
    /// Change of acceleration since the step before. Hard.
    Jerk(usize, Side),
    /// Change of curvature since the step before. Hard.
    CurvatureRate(usize, Side),
    /// Speed at least 0. Soft.
    Speed(usize),
    /// A wall of the corridor. Soft.
    Corridor(usize, Side),
    /// The edge that a point keeps inside of, by its place in the scene. Soft.
    Edge {
        /// The step.
        step: usize,
        /// The edge.
        edge: usize,
    },
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
            Self::Lateral(step, side) => {
                write!(f, "{} lateral acceleration at step {step}", end(side))
            }
            Self::Jerk(step, side) => write!(f, "{} jerk at step {step}", end(side)),
            Self::CurvatureRate(step, side) => {
                write!(f, "{} curvature rate at step {step}", end(side))
            }
            Self::Speed(step) => write!(f, "speed at step {step}"),
            Self::Corridor(step, Side::Lower) => write!(f, "left wall at step {step}"),
            Self::Corridor(step, Side::Upper) => write!(f, "right wall at step {step}"),
            Self::Edge { step, edge } => write!(f, "edge {edge} at step {step}"),
            Self::Gap { step, obstacle } => write!(f, "gap to obstacle {obstacle} at step {step}"),
        }
    }
}

pub(super) fn list(bounds: &[Bound]) -> String {
    let names: Vec<String> = bounds.iter().map(Bound::to_string).collect();
    names.join(", ")
}

/// The least and the greatest that each control can be `[2 steps]`, by its own limits and by how fast it
/// may leave the control in force; `None` where limits exclude each other.
fn ranges(vehicle: &Vehicle, scene: &Scene) -> Option<Vec<[f64; 2]>> {
    let steps = scene.reference.len();
    let mut ranges = Vec::with_capacity(2 * steps);
    for step in 0..steps {
        let limits = [
            vehicle.acceleration,
            [-vehicle.curvature, vehicle.curvature],
        ];
        let rates = [vehicle.jerk, vehicle.curvature_rate];
        for ((limits, rate), now) in limits.into_iter().zip(rates).zip(scene.current) {
            let change = rate * vehicle.dt * (step + 1) as f64;
            let range = [limits[0].max(now - change), limits[1].min(now + change)];
            if range[0] > range[1] {
                return None;
            }
            ranges.push(range);
        }
    }
    Some(ranges)
}

/// The greatest value of `row . z` for controls within their ranges.
fn greatest(row: &[f64], ranges: &[[f64; 2]]) -> f64 {
    (row.iter().zip(ranges))
        .map(|(factor, [least, most])| (factor * least).max(factor * most))
        .sum()
}

/// Rows as they come together.
#[derive(Default)]
struct Rows {
    g: Vec<f64>,
    h: Vec<f64>,
}

impl Rows {
    /// Adds a row whose factors are known, and are zero behind them.
    fn push(&mut self, factors: impl Iterator<Item = f64>, width: usize, room: f64) {
        self.g.extend(factors);
        self.h.push(room);
        self.g.resize(self.h.len() * width, 0.0);
    }
}

impl Program {
    pub(super) fn add_rows(
        &mut self,
        vehicle: &Vehicle,
        scene: &Scene,
        all: bool,
    ) -> Result<(), QpError> {
        let (width, steps) = (self.qp.variables(), scene.reference.len());
        let mut rows = Rows::default();
        self.limits(vehicle, scene, &mut rows);
        let ranges = if all { None } else { ranges(vehicle, scene) };
        let can_bind = |row: &[f64], room: f64| {
            (ranges.as_ref()).is_none_or(|ranges| greatest(row, ranges) > room)
        };
        for step in 0..steps {
            for side in [Side::Lower, Side::Upper] {
                let (row, room) = self.lateral(vehicle, scene, step, side);
                if can_bind(&row, room) {
                    rows.push(row.into_iter(), width, room);
                    self.bounds.push(Bound::Lateral(step, side));
                }
            }
        }
        let hard = rows.h.len();
        for step in 0..steps {
            let end = 2 * (step + 1);
            let row: Vec<f64> = self.effect(step, 3)[..end].iter().map(|x| -x).collect();
            let room = self.origin[4 * step + 3];
            if can_bind(&row, room) {
                rows.push(row.into_iter(), width, room);
                self.bounds.push(Bound::Speed(step));
            }
        }
        for (step, walls) in scene.corridor.iter().enumerate() {
            for (wall, side) in walls.iter().zip([Side::Lower, Side::Upper]) {
                finite(
                    "corridor",
                    &[wall.offset, wall.margin, wall.normal[0], wall.normal[1]],
                )?;
                let factors = [wall.normal[0], wall.normal[1], 0.0];
                let (row, room) = self.half_plane(step, factors, wall.offset - wall.margin);
                if can_bind(&row, room) {
                    rows.push(row.into_iter(), width, room);
                    self.bounds.push(Bound::Corridor(step, side));
                }
            }
        }
        for (index, edge) in scene.edges.iter().enumerate() {
            let (factors, room) = edge.half_plane(&self.states);
            let (row, room) = self.half_plane(edge.step, factors, room);
            if can_bind(&row, room) {
                rows.push(row.into_iter(), width, room);
                self.bounds.push(Bound::Edge {
                    step: edge.step,
                    edge: index,
                });
            }
        }
        self.pairs.resize(self.bounds.len(), None);
        let moves = ranges.as_ref().map(|ranges| self.moves(scene, ranges));
        let mut found = Vec::new();
        let gaps = Gaps::new(self, vehicle, scene.start);
        for (index, obstacle) in scene.obstacles.iter().enumerate() {
            for (pair, factors, room) in gaps.rows(index, obstacle, moves.as_deref()) {
                let step = pair.step();
                let (row, room) = self.half_plane(step, factors, room);
                if can_bind(&row, room) {
                    rows.push(row.into_iter(), width, room);
                    found.push((
                        pair,
                        Bound::Gap {
                            step,
                            obstacle: index,
                        },
                    ));
                }
            }
        }
        for (pair, bound) in found {
            self.pairs.push(Some(pair));
            self.bounds.push(bound);
        }
        let mut qp = self.qp.clone().at_most(&rows.g, &rows.h)?;
        for row in hard..rows.h.len() {
            qp = qp.soften(row, vehicle.penalty)?;
        }
        self.qp = qp;
        Ok(())
    }

    /// The row of a step's lateral acceleration, and its room: curvature at most `lateral / speed^2`, whose
    /// tangent is nowhere above it, so that the limit holds at the speed that the plan has there, faster or
    /// slower than the reference. At a walk the curvature's own limit is the lower one: there the tangent is
    /// that of the speed where the two meet.
    fn lateral(
        &self,
        vehicle: &Vehicle,
        scene: &Scene,
        step: usize,
        side: Side,
    ) -> (Vec<f64>, f64) {
        let sign = if side == Side::Lower { -1.0 } else { 1.0 };
        let mut row = vec![0.0; 2 * (step + 1)];
        row[2 * step + 1] = sign;
        let meet = vehicle.lateral / vehicle.curvature;
        let Some(before) = step.checked_sub(1) else {
            let squared = scene.start[3] * scene.start[3];
            return (row, vehicle.lateral / squared.max(meet));
        };
        let speed = self.states[before][3].max(meet.sqrt());
        let at = vehicle.lateral / (speed * speed);
        let slope = 2.0 * at / speed;
        crate::linalg::add_scaled(
            &mut row[..2 * step],
            slope,
            &self.effect(before, 3)[..2 * step],
        );
        (row, at + slope * (speed - self.origin[4 * before + 3]))
    }

    /// Adds what is never slack but for [`Self::lateral`].
    fn limits(&mut self, vehicle: &Vehicle, scene: &Scene, rows: &mut Rows) {
        let width = self.qp.variables();
        let turn = vehicle.curvature;
        for step in 0..scene.reference.len() {
            for which in 0..2 {
                let column = 2 * step + which;
                let before = if step == 0 { scene.current[which] } else { 0.0 };
                let (range, rate) = if which == 0 {
                    (vehicle.acceleration, vehicle.jerk)
                } else {
                    ([-turn, turn], vehicle.curvature_rate)
                };
                for (side, sign, limit) in
                    [(Side::Lower, -1.0, -range[0]), (Side::Upper, 1.0, range[1])]
                {
                    let mut row = vec![0.0; width];
                    row[column] = sign;
                    rows.push(row.iter().copied(), width, limit);
                    if step > 0 {
                        row[column - 2] = -sign;
                    }
                    rows.push(row.into_iter(), width, rate * vehicle.dt + sign * before);
                    self.bounds.extend(if which == 0 {
                        [Bound::Acceleration(step, side), Bound::Jerk(step, side)]
                    } else {
                        [
                            Bound::Curvature(step, side),
                            Bound::CurvatureRate(step, side),
                        ]
                    });
                }
            }
        }
    }

    /// The row `factors . (x, y, yaw) <= room` of a step in the controls, and its room.
    fn half_plane(&self, step: usize, factors: [f64; 3], room: f64) -> (Vec<f64>, f64) {
        let mut row = vec![0.0; 2 * (step + 1)];
        let mut room = room;
        for (number, factor) in factors.into_iter().enumerate() {
            if factor != 0.0 {
                crate::linalg::add_scaled(&mut row, factor, self.effect(step, number));
                room -= factor * self.origin[4 * step + number];
            }
        }
        (row, room)
    }

    /// How far x, y and yaw of each step can be from the reference's for controls within their ranges.
    fn moves(&self, scene: &Scene, ranges: &[[f64; 2]]) -> Vec<[f64; 3]> {
        let changes: Vec<[f64; 2]> = (ranges.iter().zip(scene.reference.as_flattened()))
            .map(|(range, now)| range.map(|end| end - now))
            .collect();
        let furthest = |effect: &[f64]| {
            let negative: Vec<f64> = effect.iter().map(|x| -x).collect();
            greatest(effect, &changes).max(greatest(&negative, &changes))
        };
        (0..scene.reference.len())
            .map(|step| [0, 1, 2].map(|i| furthest(&self.effect(step, i)[..2 * (step + 1)])))
            .collect()
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

    /// Gradients of walls, edges and obstacles from those of G and h.
    pub(super) fn rows_backward(
        &self,
        vehicle: &Vehicle,
        scene: &Scene,
        found: &Gradients,
        to: &mut SceneGradients,
    ) {
        let gaps = Gaps::new(self, vehicle, scene.start);
        let width = self.qp.variables();
        for (row, bound) in self.bounds.iter().enumerate() {
            let dh = found.h[row];
            match *bound {
                Bound::Corridor(step, side) => to.offsets[step][side as usize] = dh,
                Bound::Edge { edge, .. } => {
                    let dg = &found.g[row * width..][..width];
                    to.edges[edge] = scene.edges[edge].backward(self, dh, dg);
                }
                Bound::Gap { obstacle, .. } => {
                    let moves =
                        dh != 0.0 || found.g[row * width..][..width].iter().any(|x| *x != 0.0);
                    if let Some(pair) = self.pairs[row].filter(|_| moves) {
                        gaps.backward(scene, pair, row, found, &mut to.obstacles[obstacle]);
                    }
                }
                _ => {}
            }
        }
    }
}
