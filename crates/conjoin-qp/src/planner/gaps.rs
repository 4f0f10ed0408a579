//! Gaps to obstacles. A box is covered by equal circles along its length (Ziegler & Stiller 2010, "Fast
//! collision checking for intelligent vehicle motion planning"), the vehicle's as well as an obstacle's;
//! at each step each circle of the vehicle keeps its distance to the obstacle's circle that is nearest
//! where the reference has the two.
//!
//! The distance is linear along the unit vector between the two, so that the vehicle stays on the side on
//! which the reference has it. Three cases are other:
//! - A reference that drives through an obstacle would change sides: from the first touch on, the side is
//!   that of this touch.
//! - What the reference has passed is kept beside it, across the heading with which it passed: along the
//!   vector between the two, a plan that stays behind the reference would have to get ahead of the obstacle.
//! - What comes from behind keeps its own distance: it has no row until it is beside the vehicle.
//!
//! A gap that is not there now is not asked for: a vehicle that is too near already keeps what it has, instead
//! of being held where it stands, or pushed back.
//!
//! Straight ahead more is kept ([`Obstacle::standoff`]). Whether the two touch, and who has passed whom, is
//! asked of the gap without it.

use super::cover::Cover;
use super::model::State;
use super::program::Program;
use super::{Obstacle, ObstacleGradients, Scene, Vehicle};
use crate::gradient::Gradients;
use crate::linalg::dot;

/// A circle of the vehicle and one of an obstacle at a step.
#[derive(Clone, Copy, Debug, PartialEq)]
struct At {
    step: usize,
    own: usize,
    other: usize,
}

/// What a row's normal is.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Side {
    /// The direction from the obstacle's circle to the vehicle's.
    Between(At),
    /// This one.
    Fixed([f64; 2]),
}

/// What is kept more along a normal, and its derivative towards the normal.
fn standoff(obstacle: &Obstacle, normal: [f64; 2], yaw: f64) -> (f64, [f64; 2]) {
    let (sin, cos) = yaw.sin_cos();
    // The normal points from the obstacle to the vehicle.
    let ahead = (-normal[0] * cos - normal[1] * sin).max(0.0);
    let slope = -8.0 * obstacle.standoff * ahead.powi(7);
    (
        obstacle.standoff * ahead.powi(8),
        [slope * cos, slope * sin],
    )
}

/// What a row keeps apart, and on which side.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Pair {
    pub obstacle: usize,
    at: At,
    side: Side,
    /// The circles that are nearest now, where the gap between them is less than what should be kept.
    near: Option<Near>,
}

/// A circle of the vehicle where it is now, and an obstacle's.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Near {
    own: [f64; 2],
    other: usize,
}

/// Where one of the vehicle's circles is towards an obstacle, step by step.
#[derive(Clone, Copy, Debug, Default)]
struct Passing {
    is_seen: bool,
    is_ignored: bool,
    /// Across the heading with which the obstacle was passed.
    beside: Option<[f64; 2]>,
}

impl Passing {
    /// The normal at a step where the circles are `apart` (from the obstacle's to the vehicle's); `None` where
    /// the obstacle does not count.
    fn side(&mut self, at: At, apart: [f64; 2], yaw: f64, gap: f64) -> Option<Side> {
        let (sin, cos) = yaw.sin_cos();
        let ahead = apart[0] * cos + apart[1] * sin;
        let aside = apart[1] * cos - apart[0] * sin;
        let (is_behind, is_beside) = (ahead > 0.0, aside.abs() >= 0.5 * gap);
        if !self.is_seen {
            self.is_seen = true;
            self.is_ignored = is_behind && (ahead > gap || !is_beside);
        } else if !is_behind && is_beside {
            self.is_ignored = false;
        }
        if self.is_ignored {
            return None;
        }
        if !is_behind {
            self.beside = None;
            return Some(Side::Between(at));
        }
        let sign = 1.0_f64.copysign(aside);
        let normal = *self.beside.get_or_insert([-sign * sin, sign * cos]);
        Some(Side::Fixed(normal))
    }
}

impl Pair {
    /// The step at which the row keeps the two apart.
    pub fn step(self) -> usize {
        self.at.step
    }
}

fn circle(pose: [f64; 3], offset: f64) -> [f64; 2] {
    let (sin, cos) = pose[2].sin_cos();
    [pose[0] + offset * cos, pose[1] + offset * sin]
}

/// The unit vector from an obstacle's circle to the vehicle's, and the distance. On top of each other, the
/// obstacle counts as ahead.
fn away(own: [f64; 2], yaw: f64, other: [f64; 2]) -> ([f64; 2], f64) {
    let [dx, dy] = [own[0] - other[0], own[1] - other[1]];
    let distance = dx.hypot(dy);
    if distance > 1e-6 {
        ([dx / distance, dy / distance], distance)
    } else {
        ([-yaw.cos(), -yaw.sin()], 1.0)
    }
}

/// What is the same for all obstacles of a scene.
pub(super) struct Gaps<'a> {
    program: &'a Program,
    own: Cover,
    most: usize,
    /// From the rear axle to the vehicle's middle.
    centre: f64,
    /// Where the vehicle is.
    start: State,
}

impl<'a> Gaps<'a> {
    pub fn new(program: &'a Program, vehicle: &Vehicle, start: State) -> Self {
        Self {
            program,
            start,
            own: Cover::new(vehicle.length, vehicle.width, vehicle.circles),
            most: vehicle.circles,
            centre: vehicle.centre,
        }
    }

    /// From the rear axle to one of the vehicle's circles.
    fn reach(&self, own: usize) -> f64 {
        self.centre + self.own.offset(own)
    }

    /// Where the reference has one of the vehicle's circles.
    fn place(&self, step: usize, own: usize) -> [f64; 2] {
        let [x, y, yaw, _] = self.program.states[step];
        circle([x, y, yaw], self.reach(own))
    }

    /// The circles that are nearest now, if they are nearer than a gap.
    fn near(&self, obstacle: &Obstacle, cover: Cover, gap: f64) -> Option<Near> {
        let pose = (*obstacle.poses.first()?)?;
        let [x, y, yaw, _] = self.start;
        let mut nearest: Option<(f64, Near)> = None;
        for own in 0..self.own.count {
            let own = circle([x, y, yaw], self.reach(own));
            for other in 0..cover.count {
                let [ox, oy] = circle(pose, cover.offset(other));
                let distance = (own[0] - ox).hypot(own[1] - oy);
                if nearest.is_none_or(|(least, _)| distance < least) {
                    nearest = Some((distance, Near { own, other }));
                }
            }
        }
        nearest
            .filter(|(least, _)| *least < gap)
            .map(|(_, near)| near)
    }

    /// The normal of a pair of circles and their distance; `None` where the obstacle is not known.
    fn normal(&self, obstacle: &Obstacle, cover: Cover, side: Side) -> Option<([f64; 2], f64)> {
        let at = match side {
            Side::Between(at) => at,
            Side::Fixed(normal) => return Some((normal, 1.0)),
        };
        let other = circle(obstacle.poses[at.step]?, cover.offset(at.other));
        let yaw = self.program.states[at.step][2];
        Some(away(self.place(at.step, at.own), yaw, other))
    }

    /// The gap's row of a pair: `factors . (x, y, yaw) <= room` for the state's numbers.
    fn half_plane(&self, obstacle: &Obstacle, cover: Cover, pair: Pair) -> Option<([f64; 3], f64)> {
        let (normal, _) = self.normal(obstacle, cover, pair.side)?;
        let At { step, own, other } = pair.at;
        let other = circle(obstacle.poses[step]?, cover.offset(other));
        let yaw = self.program.states[step][2];
        let [x, y] = self.place(step, own);
        let reach = self.reach(own);
        let turn = reach * (normal[1] * yaw.cos() - normal[0] * yaw.sin());
        let (more, _) = standoff(obstacle, normal, yaw);
        let gap = match pair.near {
            None => cover.radius + obstacle.margin + self.own.radius,
            Some(near) => {
                let [x, y] = circle(obstacle.poses[0]?, cover.offset(near.other));
                (near.own[0] - x).hypot(near.own[1] - y)
            }
        } + more;
        let distance = normal[0] * (x - other[0]) + normal[1] * (y - other[1]);
        // Around the reference: distance + normal . (move of the circle) >= gap.
        let [rx, ry, ryaw, _] = self.program.states[step];
        let factors = [-normal[0], -normal[1], -turn];
        let at_reference = factors[0] * rx + factors[1] * ry + factors[2] * ryaw;
        Some((factors, distance - gap + at_reference))
    }

    /// The pairs of an obstacle that need a row, with their rows.
    pub fn rows(
        &self,
        index: usize,
        obstacle: &Obstacle,
        moves: Option<&[[f64; 3]]>,
    ) -> Vec<(Pair, [f64; 3], f64)> {
        let cover = Cover::new(obstacle.length, obstacle.width, self.most);
        let gap = cover.radius + obstacle.margin + self.own.radius;
        let near = self.near(obstacle, cover, gap);
        let mut found = Vec::with_capacity(obstacle.poses.len() * self.own.count);
        let mut passing = vec![Passing::default(); self.own.count];
        let (mut touch, mut through) = (None, false);
        for (step, pose) in obstacle.poses.iter().enumerate() {
            let Some(pose) = *pose else { continue };
            let others: Vec<[f64; 2]> = (0..cover.count)
                .map(|other| circle(pose, cover.offset(other)))
                .collect();
            let yaw = self.program.states[step][2];
            let mut closest: Option<(f64, At)> = None;
            for (own, passing) in passing.iter_mut().enumerate() {
                let [x, y] = self.place(step, own);
                let (mut distance, mut nearest) = (f64::INFINITY, 0);
                for (other, [ox, oy]) in others.iter().enumerate() {
                    let now = (x - ox).hypot(y - oy);
                    if now < distance {
                        (distance, nearest) = (now, other);
                    }
                }
                let at = At {
                    step,
                    own,
                    other: nearest,
                };
                let [ox, oy] = others[nearest];
                let Some(side) = passing.side(at, [x - ox, y - oy], yaw, gap) else {
                    continue;
                };
                found.push((distance, at, side));
                if closest.is_none_or(|(least, _)| distance < least) {
                    closest = Some((distance, at));
                }
            }
            if let Some((distance, at)) = closest {
                if touch.is_none() && distance < gap {
                    touch = Some(at);
                }
                through |= distance < cover.radius;
            }
        }
        let fixed = touch.filter(|_| through);
        (found.into_iter())
            .filter_map(|(distance, mut at, mut side)| {
                if let Some(touch) = fixed.filter(|touch| touch.step <= at.step) {
                    side = Side::Between(touch);
                }
                if side != Side::Between(at) {
                    at.other = self.foremost(obstacle, cover, side, at.step)?;
                } else if let Some(moves) = moves {
                    // No move within the limits takes the circle that far.
                    let [x, y, yaw] = moves[at.step];
                    let widest = gap + obstacle.standoff.max(0.0);
                    if distance - x.hypot(y) - self.reach(at.own).abs() * yaw >= widest {
                        return None;
                    }
                }
                let pair = Pair {
                    obstacle: index,
                    at,
                    side,
                    near,
                };
                let (factors, room) = self.half_plane(obstacle, cover, pair)?;
                Some((pair, factors, room))
            })
            .collect()
    }

    /// The obstacle's circle that lies furthest on a side.
    fn foremost(
        &self,
        obstacle: &Obstacle,
        cover: Cover,
        side: Side,
        step: usize,
    ) -> Option<usize> {
        let (normal, _) = self.normal(obstacle, cover, side)?;
        let (sin, cos) = obstacle.poses[step]?[2].sin_cos();
        let along = normal[0] * cos + normal[1] * sin;
        Some(if along > 0.0 { cover.count - 1 } else { 0 })
    }

    /// Adds the gradient of a row to that of its obstacle, from those of G's row and of h.
    pub fn backward(
        &self,
        scene: &Scene,
        pair: Pair,
        row: usize,
        found: &Gradients,
        to: &mut ObstacleGradients,
    ) {
        let obstacle = &scene.obstacles[pair.obstacle];
        let cover = Cover::new(obstacle.length, obstacle.width, self.most);
        let (Some((normal, distance)), Some(pose)) = (
            self.normal(obstacle, cover, pair.side),
            obstacle.poses[pair.at.step],
        ) else {
            return;
        };
        let width = self.program.qp.variables();
        let (dh, dg) = (found.h[row], &found.g[row * width..(row + 1) * width]);
        let At { step, own, other } = pair.at;
        // The row is -normal . E z <= normal . (origin - centre) - gap, E that of the circle.
        let yaw = self.program.states[step][2];
        let arm = [-self.reach(own) * yaw.sin(), self.reach(own) * yaw.cos()];
        let turn = dot(dg, self.program.effect(step, 2));
        let place = self.place(step, own);
        let moved = |i: usize| {
            let numbers = |number: usize| {
                self.program.states[step][number] - self.program.origin[4 * step + number]
            };
            place[i] - numbers(i) - arm[i] * numbers(2)
        };
        let centre = circle(pose, cover.offset(other));
        let (_, more) = standoff(obstacle, normal, yaw);
        let towards_normal = [0, 1].map(|i| {
            let effect = dot(dg, self.program.effect(step, i)) + arm[i] * turn;
            dh * (moved(i) - centre[i] - more[i]) - effect
        });
        if let (Some(near), Some(pose)) = (pair.near, obstacle.poses[0]) {
            let (apart, _) = away(
                near.own,
                self.start[2],
                circle(pose, cover.offset(near.other)),
            );
            Self::place_backward(obstacle, cover, (0, near.other), apart.map(|n| dh * n), to);
        } else {
            to.margin -= dh;
            let [by_length, by_width] = cover.slopes();
            to.length -= dh * by_length;
            to.width -= dh * by_width;
        }
        Self::place_backward(obstacle, cover, (step, other), normal.map(|n| -dh * n), to);
        // The normal turns with the centre, across itself.
        if let Side::Between(from) = pair.side {
            let along = dot(&towards_normal, &normal);
            let across = [0, 1].map(|i| -(towards_normal[i] - along * normal[i]) / distance);
            Self::place_backward(obstacle, cover, (from.step, from.other), across, to);
        }
    }

    fn place_backward(
        obstacle: &Obstacle,
        cover: Cover,
        (step, other): (usize, usize),
        gradient: [f64; 2],
        to: &mut ObstacleGradients,
    ) {
        let Some(pose) = obstacle.poses[step] else {
            return;
        };
        let (sin, cos) = pose[2].sin_cos();
        let own = &mut to.poses[step];
        own[0] += gradient[0];
        own[1] += gradient[1];
        own[2] += cover.offset(other) * (gradient[1] * cos - gradient[0] * sin);
        to.length += cover.share(other) * (gradient[0] * cos + gradient[1] * sin);
    }
}
