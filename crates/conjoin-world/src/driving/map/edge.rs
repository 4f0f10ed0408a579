//! How far a place is from the edge of what may be driven on, above 0 on it: a grid of such distances, of which four
//! around a place are blended. Edges between areas that touch are none.

use super::RoadMap;
use super::cover::{bounds, outlines};
use crate::geometry::{Polygon, Vec2};

/// Distances are told up to so many metres.
pub const REACH: f64 = 3.0;
/// Metres between the grid's places, and between the points that stand for an edge.
const SPACING: f64 = 0.5;
const ALONG: f64 = 0.1;
/// An edge has road on one side of it only, as near as this, m. Seams between areas are thinner.
const ASIDE: f64 = 0.1;

/// The grid.
#[derive(Debug, Clone)]
pub struct EdgeDistances {
    least: Vec2,
    width: usize,
    values: Vec<f32>,
}

impl EdgeDistances {
    pub fn new(map: &RoadMap) -> Self {
        let outlines = || outlines(&map.lanes, &map.intersections);
        let (least, most) = bounds(outlines()).unwrap_or_default();
        let rim = Vec2::new(REACH + SPACING, REACH + SPACING);
        let (least, size) = (least - rim, (most - least + rim * 2.0) * (1.0 / SPACING));
        let (width, height) = (size.x as usize + 1, size.y as usize + 1);
        let mut squared = vec![(REACH * REACH) as f32; width * height];
        for edge in outlines().flat_map(|outline| edge_points(outline, map)) {
            let at = (edge - least) * (1.0 / SPACING);
            let reach = REACH / SPACING;
            let range = |at: f64, count: usize| {
                let from = (at - reach).ceil().max(0.0) as usize;
                from..=((at + reach) as usize).min(count - 1)
            };
            for y in range(at.y, height) {
                for x in range(at.x, width) {
                    let away = Vec2::new(x as f64, y as f64) - at;
                    let found = (away.squared() * SPACING * SPACING) as f32;
                    let nearest = &mut squared[y * width + x];
                    *nearest = nearest.min(found);
                }
            }
        }
        let signed = |(i, squared): (usize, f32)| {
            let place = Vec2::new((i % width) as f64, (i / width) as f64);
            let distance = squared.sqrt();
            // Exactly on the seam of two areas a place is in neither.
            if map.drivable(least + place * SPACING + Vec2::new(0.0013, 0.0017)) {
                distance
            } else {
                -distance
            }
        };
        Self {
            least,
            width,
            values: squared.into_iter().enumerate().map(signed).collect(),
        }
    }

    /// Metres to the edge, at most [`REACH`] to both sides.
    pub fn at(&self, point: Vec2) -> f64 {
        let place = (point - self.least) * (1.0 / SPACING);
        let height = self.values.len() / self.width;
        let inside = place.x >= 0.0
            && place.y >= 0.0
            && place.x < (self.width - 1) as f64
            && place.y < (height - 1) as f64;
        if !inside {
            return -REACH;
        }
        let (x, y) = (place.x as usize, place.y as usize);
        let (u, v) = (place.x - x as f64, place.y - y as f64);
        let value = |x: usize, y: usize| f64::from(self.values[y * self.width + x]);
        let row = |y: usize| (1.0 - u) * value(x, y) + u * value(x + 1, y);
        (1.0 - v) * row(y) + v * row(y + 1)
    }
}

/// Points of an outline that have road on one side only.
fn edge_points(outline: &Polygon, map: &RoadMap) -> Vec<Vec2> {
    let points = outline.points();
    let mut found = Vec::new();
    for (i, &from) in points.iter().enumerate() {
        let way = points[(i + 1) % points.len()] - from;
        let length = way.length();
        let count = (length / ALONG).ceil().max(1.0) as usize;
        let aside = Vec2::new(-way.y, way.x) * (ASIDE / length.max(1e-9));
        for k in 0..count {
            let at = from + way * ((k as f64 + 0.5) / count as f64);
            if map.drivable(at + aside) != map.drivable(at - aside) {
                found.push(at);
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::driving::map::{Family, LayoutKind, layout};

    #[test]
    fn a_straight_road_has_two_edges() {
        // Two lanes of 3.5 m in each direction.
        let family = Family::all().find(|f| f.kind == LayoutKind::Straight && f.variant == 0);
        let layout = layout(family.unwrap());
        let map = &layout.map;
        for i in 0..400 {
            let (x, y) = (
                f64::from(i) * 0.37,
                (f64::from(i) * 0.618).rem_euclid(22.0) - 11.0,
            );
            let truth = (7.0 - y.abs()).clamp(-REACH, REACH);
            let found = map.edge_distance(Vec2::new(x, y));
            // On an edge itself a distance is half as much as its points are apart.
            let most = if truth.abs() < SPACING { 0.06 } else { 0.01 };
            assert!((found - truth).abs() < most, "{x} {y}: {found} {truth}");
        }
        assert_eq!(map.edge_distance(Vec2::new(0.0, 4000.0)), -REACH);
    }

    #[test]
    fn the_sign_says_what_may_be_driven_on() {
        for family in Family::all() {
            let layout = layout(family);
            let map = &layout.map;
            let (mut near, mut on, mut off) = (0, 0, 0);
            for i in 0..6000 {
                let (u, v) = (f64::from(i) * 0.618_034, f64::from(i) * 0.754_878);
                let point = Vec2::new(u.fract() * 260.0 - 110.0, v.fract() * 260.0 - 110.0);
                let found = map.edge_distance(point);
                // Blended distances are off by a little where edges bend.
                if found.abs() < 0.15 {
                    near += 1;
                    continue;
                }
                let is_on = found > 0.0;
                on += usize::from(is_on);
                // Nowhere as near as it says is a place of the other kind.
                let agrees = (0..8).all(|k| {
                    let (sin, cos) = (f64::from(k) * 0.785).sin_cos();
                    let far = (0.9 * found.abs() - 0.1).max(0.0);
                    map.drivable(point + Vec2::new(cos, sin) * far) == is_on
                });
                off += usize::from(map.drivable(point) != is_on || !agrees);
            }
            assert!(near < 60 && on > 70, "{family}: {near} {on}");
            // Islands end in tips that are thinner than the grid.
            assert!(off < 3, "{family}: {off} of 6000");
        }
    }
}
