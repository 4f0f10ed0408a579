//! Simple polygons with a fast rejection by their bounds.

use super::Vec2;

/// A closed ring of points.
#[derive(Debug, Clone, PartialEq)]
pub struct Polygon {
    points: Vec<Vec2>,
    least: Vec2,
    most: Vec2,
}

impl Polygon {
    /// Points on a straight between their neighbours are left out.
    pub fn new(ring: Vec<Vec2>) -> Self {
        let mut points: Vec<Vec2> = Vec::with_capacity(ring.len());
        for (i, &point) in ring.iter().enumerate() {
            let before = points.last().or(ring.last()).copied().unwrap_or(point);
            let after = ring[(i + 1) % ring.len()];
            if (point - before).cross(after - point).abs() > 1e-9 {
                points.push(point);
            }
        }
        let fold = |pick: fn(f64, f64) -> f64, start: f64| {
            points.iter().fold(Vec2::new(start, start), |found, p| {
                Vec2::new(pick(found.x, p.x), pick(found.y, p.y))
            })
        };
        let (least, most) = (
            fold(f64::min, f64::INFINITY),
            fold(f64::max, f64::NEG_INFINITY),
        );
        Self {
            points,
            least,
            most,
        }
    }

    pub fn points(&self) -> &[Vec2] {
        &self.points
    }

    /// The corners of the upright hull: least and greatest coordinates.
    pub fn bounds(&self) -> (Vec2, Vec2) {
        (self.least, self.most)
    }

    /// Whether an edge comes within a distance of a point.
    pub fn edge_within(&self, point: Vec2, distance: f64) -> bool {
        let mut before = self.points.last().copied().unwrap_or_default();
        self.points.iter().any(|&here| {
            let (along, away) = (here - before, point - before);
            let share = (away.dot(along) / along.squared().max(1e-12)).clamp(0.0, 1.0);
            before = here;
            (away - along * share).squared() < distance * distance
        })
    }

    /// Whether a ray from the point crosses the ring an odd number of times.
    pub fn contains(&self, point: Vec2) -> bool {
        if point.x < self.least.x
            || point.y < self.least.y
            || point.x > self.most.x
            || point.y > self.most.y
        {
            return false;
        }
        let mut inside = false;
        let mut before = self.points.last().copied().unwrap_or_default();
        for &here in &self.points {
            if (here.y > point.y) != (before.y > point.y)
                && point.x < (before.x - here.x) * (point.y - here.y) / (before.y - here.y) + here.x
            {
                inside = !inside;
            }
            before = here;
        }
        inside
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_notch_is_outside() {
        let ring = [(0.0, 0.0), (4.0, 0.0), (4.0, 4.0), (2.0, 1.0), (0.0, 4.0)];
        let polygon = Polygon::new(ring.map(|(x, y)| Vec2::new(x, y)).to_vec());
        assert!(polygon.contains(Vec2::new(0.5, 2.0)));
        assert!(polygon.contains(Vec2::new(3.5, 2.0)));
        assert!(!polygon.contains(Vec2::new(2.0, 2.0)));
        assert!(!polygon.contains(Vec2::new(5.0, 1.0)));
    }

    #[test]
    fn an_edge_is_near_only_where_it_is() {
        let ring = [(0.0, 0.0), (4.0, 0.0), (4.0, 4.0), (0.0, 4.0)];
        let polygon = Polygon::new(ring.map(|(x, y)| Vec2::new(x, y)).to_vec());
        let within = |x, y, distance| polygon.edge_within(Vec2::new(x, y), distance);
        assert!(within(2.0, 0.5, 0.6) && !within(2.0, 0.5, 0.4));
        assert!(within(5.0, 5.0, 1.5) && !within(5.0, 5.0, 1.4));
        assert_eq!(polygon.bounds().1, Vec2::new(4.0, 4.0));
    }

    #[test]
    fn straights_keep_only_their_ends() {
        let ring = [
            (0.0, 0.0),
            (1.0, 0.0),
            (2.0, 0.0),
            (2.0, 2.0),
            (1.0, 2.0),
            (0.0, 2.0),
        ];
        let polygon = Polygon::new(ring.map(|(x, y)| Vec2::new(x, y)).to_vec());
        assert_eq!(polygon.points().len(), 4);
        assert!(polygon.contains(Vec2::new(1.0, 1.9)));
    }
}
