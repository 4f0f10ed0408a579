//! Polylines with equal spacing, by arc length, and the pen that draws them.

use super::{Pose, Vec2, wrap_angle};

/// A line of at least two points, equally spaced along its arc, with the heading at each.
#[derive(Debug, Clone, PartialEq)]
pub struct Polyline {
    points: Vec<Vec2>,
    headings: Vec<f64>,
    spacing: f64,
}

/// A point's place relative to a line.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Projection {
    /// Arc length, metres from the start.
    pub s: f64,
    /// Distance to the line, positive to its left.
    pub d: f64,
}

impl Polyline {
    /// Resamples points to the nearest spacing that divides the length; of fewer than two distinct
    /// points it makes a line of one metre along x.
    pub fn new(raw: &[Vec2], spacing: f64) -> Self {
        let mut along = vec![0.0];
        for pair in raw.windows(2) {
            along.push(along[along.len() - 1] + (pair[1] - pair[0]).length());
        }
        let length = along[along.len() - 1];
        if raw.len() < 2 || length < 1e-6 {
            let start = raw.first().copied().unwrap_or_default();
            return Self::new(&[start, start + Vec2::new(1.0, 0.0)], spacing);
        }
        let pieces = (length / spacing).round().max(1.0) as usize;
        let step = length / pieces as f64;
        let mut points = Vec::with_capacity(pieces + 1);
        let mut segment = 0;
        for i in 0..=pieces {
            let s = step * i as f64;
            while segment + 2 < raw.len() && along[segment + 1] < s {
                segment += 1;
            }
            let piece = along[segment + 1] - along[segment];
            let share = if piece > 0.0 {
                ((s - along[segment]) / piece).min(1.0)
            } else {
                0.0
            };
            points.push(raw[segment].lerp(raw[segment + 1], share));
        }
        let headings = (0..points.len())
            .map(|i| {
                let (before, after) = (i.saturating_sub(1), (i + 1).min(pieces));
                (points[after] - points[before]).heading()
            })
            .collect();
        Self {
            points,
            headings,
            spacing: step,
        }
    }

    pub fn points(&self) -> &[Vec2] {
        &self.points
    }

    /// Arc length between neighbouring points.
    pub fn spacing(&self) -> f64 {
        self.spacing
    }

    pub fn length(&self) -> f64 {
        self.spacing * (self.points.len() - 1) as f64
    }

    /// The pose at an arc length; before and behind the line it goes straight on.
    pub fn at(&self, s: f64) -> Pose {
        let last = self.points.len() - 2;
        let place = s / self.spacing;
        let index = (place.floor().max(0.0) as usize).min(last);
        let share = place - index as f64;
        let inside = share.clamp(0.0, 1.0);
        let turn = wrap_angle(self.headings[index + 1] - self.headings[index]);
        let heading = self.headings[index] + turn * inside;
        let at = if share == inside {
            self.points[index].lerp(self.points[index + 1], share)
        } else {
            let end = if share < 0.0 { index } else { index + 1 };
            self.points[end] + Vec2::unit(heading) * ((share - inside) * self.spacing)
        };
        Pose {
            at,
            heading: wrap_angle(heading),
        }
    }

    /// The pose at arc length `s`, moved by `d` to the left.
    pub fn beside(&self, s: f64, d: f64) -> Pose {
        let on = self.at(s);
        Pose {
            at: on.at + Vec2::unit(on.heading).left() * d,
            heading: on.heading,
        }
    }

    /// Signed curvature at an arc length, 1/m, positive to the left.
    pub fn curvature(&self, s: f64) -> f64 {
        let ahead = self.at(s + 1.0).heading;
        wrap_angle(ahead - self.at(s - 1.0).heading) / 2.0
    }

    /// The nearest place of the whole line.
    pub fn project(&self, point: Vec2) -> Projection {
        self.project_between(point, 0.0, self.length())
    }

    /// The nearest place between two arc lengths.
    pub fn project_between(&self, point: Vec2, from: f64, to: f64) -> Projection {
        let last = self.points.len() - 1;
        let first = ((from / self.spacing).floor().max(0.0) as usize).min(last);
        let until = ((to / self.spacing).ceil().max(0.0) as usize).clamp(first, last);
        let nearest = self.nearest(point, first, until);
        let mut best = Projection { s: 0.0, d: 0.0 };
        let mut distance = f64::INFINITY;
        for start in [nearest.saturating_sub(1), nearest.min(last - 1)] {
            let (a, b) = (self.points[start], self.points[start + 1]);
            let along = b - a;
            let free = (point - a).dot(along) / along.squared();
            // The ends go straight on, so that a point beyond them has a place too.
            let share = if start == 0 && free < 0.0 || start + 1 == last && free > 1.0 {
                free
            } else {
                free.clamp(0.0, 1.0)
            };
            let foot = a.lerp(b, share);
            let away = (point - foot).length();
            if away < distance {
                distance = away;
                let side = along.cross(point - a);
                best = Projection {
                    s: (start as f64 + share) * self.spacing,
                    d: away.copysign(side),
                };
            }
        }
        best
    }

    /// The first of the nearest points from `first` to `until`.
    ///
    /// Neighbours are at most the spacing apart. So a point that is further away by `k` spacings than the
    /// best one found has no better one among its next `k`, which are passed over. A look at every eighth
    /// point gives a good one to begin with.
    fn nearest(&self, point: Vec2, first: usize, until: usize) -> usize {
        const STRIDE: usize = 8;
        let squared = |i: usize| (self.points[i] - point).squared();
        let mut least = f64::INFINITY;
        if until - first > 2 * STRIDE {
            let coarse = (first..=until).step_by(STRIDE);
            least = coarse.map(squared).fold(least, f64::min).next_up();
        }
        let (mut nearest, mut radius, mut i) = (first, least.sqrt(), first);
        while i <= until {
            let away = squared(i);
            if away < least {
                (nearest, least, radius) = (i, away, away.sqrt());
            } else {
                // A hair less than allowed: rounding must not pass over the best one.
                i += ((away.sqrt() - radius) / self.spacing - 1e-6) as usize;
            }
            i += 1;
        }
        nearest
    }

    /// The line moved by `d` to the left, as raw points.
    pub fn offset(&self, d: f64) -> Vec<Vec2> {
        self.points
            .iter()
            .zip(&self.headings)
            .map(|(&p, &heading)| p + Vec2::unit(heading).left() * d)
            .collect()
    }
}

/// A pen: draws straights, arcs and smooth connections one behind the other.
#[derive(Debug, Clone)]
pub struct Tracer {
    pose: Pose,
    points: Vec<Vec2>,
}

const PEN_STEP: f64 = 0.25;

impl Tracer {
    pub fn from(pose: Pose) -> Self {
        Self {
            pose,
            points: vec![pose.at],
        }
    }

    pub fn straight(mut self, length: f64) -> Self {
        self.pose.at = self.pose.at + Vec2::unit(self.pose.heading) * length;
        self.points.push(self.pose.at);
        self
    }

    /// Turns by an angle (positive: left) on a circle of this radius.
    pub fn arc(mut self, radius: f64, angle: f64) -> Self {
        let centre = self.pose.at + Vec2::unit(self.pose.heading).left() * radius.copysign(angle);
        let arm = self.pose.at - centre;
        let pieces = (radius * angle.abs() / PEN_STEP).ceil().max(1.0) as usize;
        for i in 1..=pieces {
            let turn = Vec2::unit(angle * i as f64 / pieces as f64);
            let turned = turn * arm.x + turn.left() * arm.y;
            self.points.push(centre + turned);
        }
        self.pose.at = self.points[self.points.len() - 1];
        self.pose.heading += angle;
        self
    }

    /// A cubic Hermite curve to a pose, smooth at both ends.
    pub fn to(mut self, end: Pose) -> Self {
        let (a, b) = (self.pose, end);
        let pull = (b.at - a.at).length();
        let (u, v) = (Vec2::unit(a.heading) * pull, Vec2::unit(b.heading) * pull);
        let pieces = (pull * 1.3 / PEN_STEP).ceil().max(2.0) as usize;
        for i in 1..=pieces {
            let t = i as f64 / pieces as f64;
            let (t2, t3) = (t * t, t * t * t);
            self.points.push(
                a.at * (2.0 * t3 - 3.0 * t2 + 1.0)
                    + u * (t3 - 2.0 * t2 + t)
                    + b.at * (3.0 * t2 - 2.0 * t3)
                    + v * (t3 - t2),
            );
        }
        self.pose = end;
        self
    }

    pub fn pose(&self) -> Pose {
        self.pose
    }

    pub fn points(self) -> Vec<Vec2> {
        self.points
    }

    pub fn line(self) -> Polyline {
        Polyline::new(&self.points, 1.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::f64::consts::FRAC_PI_2;

    fn bend() -> Polyline {
        Tracer::from(Pose::default())
            .straight(20.0)
            .arc(10.0, FRAC_PI_2)
            .straight(20.0)
            .line()
    }

    #[test]
    fn arc_length_and_curvature_are_those_of_the_drawing() {
        let line = bend();
        assert!((line.length() - (40.0 + 10.0 * FRAC_PI_2)).abs() < 0.05);
        let end = line.at(line.length());
        assert!((end.at - Vec2::new(30.0, 30.0)).length() < 1e-6);
        assert!((end.heading - FRAC_PI_2).abs() < 1e-2);
        assert!((line.curvature(28.0) - 0.1).abs() < 5e-3);
        assert!(line.curvature(5.0).abs() < 1e-9);
    }

    #[test]
    fn projection_inverts_the_place_beside_the_line() {
        let line = bend();
        for (s, d) in [
            (3.0, 1.5),
            (28.0, -2.0),
            (28.0, 2.0),
            (50.0, 0.5),
            (-2.0, 1.0),
            (58.0, -1.0),
        ] {
            let found = line.project(line.beside(s, d).at);
            assert!(
                (found.s - s).abs() < 0.15 && (found.d - d).abs() < 0.05,
                "{s} {d} {found:?}"
            );
        }
    }

    #[test]
    fn passing_over_points_finds_the_same_nearest_one() {
        let line = Tracer::from(Pose::default())
            .straight(20.0)
            .arc(12.0, 4.5)
            .arc(30.0, -2.0)
            .line();
        let last = line.points().len() - 1;
        for i in 0..900 {
            let point = Vec2::new(
                f64::from(i % 30) * 3.0 - 20.0,
                f64::from(i / 30) * 3.0 - 40.0,
            );
            for (first, until) in [(0, last), (5, 60), (40, 50), (last, last)] {
                let mut plain = first;
                for j in first..=until {
                    let away = |k: usize| (line.points()[k] - point).squared();
                    if away(j) < away(plain) {
                        plain = j;
                    }
                }
                assert_eq!(line.nearest(point, first, until), plain, "{point:?}");
            }
        }
    }

    #[test]
    fn a_connection_ends_where_and_how_it_should() {
        let end = Pose::new(12.0, 8.0, FRAC_PI_2);
        let line = Tracer::from(Pose::default()).to(end).line();
        let found = line.at(line.length());
        assert!((found.at - end.at).length() < 1e-9 && (found.heading - end.heading).abs() < 0.2);
    }
}
