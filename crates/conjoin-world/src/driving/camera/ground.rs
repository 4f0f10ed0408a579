//! The ground's texture: road, markings, crossings and grass, painted once an episode, with coarser
//! copies for the distance.

use crate::driving::map::{Family, Marking, PerFamily, RoadMap, TAIL};
use crate::geometry::{Polyline, Vec2};
use std::f64::consts::PI;
use std::sync::Arc;

/// Metres a texel of the finest level.
const TEXEL: f64 = 0.2;
/// Metres around the roads.
const BORDER: f64 = 25.0;

/// Linear RGB, 0 to 255.
pub type Colour = [f32; 3];

const GRASS: Colour = [88.0, 112.0, 62.0];
const ASPHALT: Colour = [92.0, 92.0, 96.0];
const PAINT: Colour = [222.0, 222.0, 214.0];
const YELLOW: Colour = [214.0, 178.0, 74.0];

/// A painted plane with halved copies.
#[derive(Debug, Clone)]
pub struct Ground {
    origin: Vec2,
    /// How rough surfaces look: 1, or 0 for flat colours.
    rough: f32,
    levels: Vec<Level>,
}

#[derive(Debug, Clone)]
struct Level {
    width: usize,
    height: usize,
    texels: Vec<[u8; 3]>,
}

impl Level {
    fn halved(&self) -> Self {
        let (width, height) = (self.width.div_ceil(2), self.height.div_ceil(2));
        let mut texels = Vec::with_capacity(width * height);
        for y in 0..height {
            for x in 0..width {
                let at = |i: usize, j: usize| {
                    let (x, y) = (
                        (2 * x + i).min(self.width - 1),
                        (2 * y + j).min(self.height - 1),
                    );
                    self.texels[y * self.width + x]
                };
                let four = [at(0, 0), at(1, 0), at(0, 1), at(1, 1)];
                texels.push(
                    [0, 1, 2]
                        .map(|c| (four.iter().map(|t| u16::from(t[c])).sum::<u16>() / 4) as u8),
                );
            }
        }
        Self {
            width,
            height,
            texels,
        }
    }
}

/// A grain that depends on the place alone, -1 to 1.
fn grain(x: usize, y: usize) -> f32 {
    let mut h = (x as u32).wrapping_mul(0x9e37_79b1) ^ (y as u32).wrapping_mul(0x85eb_ca77);
    h ^= h >> 15;
    h = h.wrapping_mul(0x2c1b_3c6d);
    h ^= h >> 12;
    (h & 0xffff) as f32 / 32767.5 - 1.0
}

impl Ground {
    /// The ground of a family with rough surfaces, which is painted once.
    pub fn of(family: Family, map: &RoadMap) -> Arc<Self> {
        static PAINTED: PerFamily<Ground> = PerFamily::new();
        PAINTED.get(family, || Self::paint(map, 1.0))
    }

    /// Paints a map; surfaces are as rough as `rough` says, 1 or 0 for flat colours.
    pub fn paint(map: &RoadMap, rough: f32) -> Self {
        let points = || map.lanes.iter().flat_map(|lane| lane.outline.points());
        let fold = |pick: fn(f64, f64) -> f64, start: f64| {
            points().fold(Vec2::new(start, start), |f, p| {
                Vec2::new(pick(f.x, p.x), pick(f.y, p.y))
            })
        };
        let border = Vec2::new(BORDER, BORDER);
        let least = fold(f64::min, f64::INFINITY) - border;
        let most = fold(f64::max, f64::NEG_INFINITY) + border;
        let size = (most - least) * (1.0 / TEXEL);
        let (width, height) = (size.x.ceil() as usize, size.y.ceil() as usize);
        let mut texels = Vec::with_capacity(width * height);
        for y in 0..height {
            for x in 0..width {
                // Patches of several sizes, so that the grass is not one colour.
                let shade =
                    7.0 * grain(x, y) + 9.0 * grain(x / 9, y / 9) + 8.0 * grain(x / 40, y / 40);
                texels.push(GRASS.map(|c| (c + rough * shade) as u8));
            }
        }
        let level = Level {
            width,
            height,
            texels,
        };
        let mut ground = Self {
            origin: least,
            rough,
            levels: vec![level],
        };
        for lane in &map.lanes {
            ground.fill(lane.outline.points(), ASPHALT, 5.0);
        }
        for area in &map.intersections {
            ground.fill(area.points(), ASPHALT, 5.0);
        }
        for lane in &map.lanes {
            for (marking, side) in lane.markings.into_iter().zip([1.0, -1.0]) {
                let more = if lane.next.is_empty() { TAIL } else { 0.0 };
                let d = side * (lane.width / 2.0 - 0.1);
                ground.mark(&lane.centre, lane.centre.length() + more, d, marking);
            }
            if lane.light.is_some() {
                let end = lane.centre.length();
                let half = lane.width / 2.0 - 0.15;
                let corner = |s: f64, d: f64| lane.centre.beside(end - s, d).at;
                let bar = [
                    corner(0.8, half),
                    corner(0.8, -half),
                    corner(0.2, -half),
                    corner(0.2, half),
                ];
                ground.fill(&bar, PAINT, 3.0);
            }
        }
        for crossing in map.crossings.iter().filter(|c| c.zebra) {
            ground.zebra(crossing.from, crossing.to, crossing.width, map);
        }
        while ground.levels.len() < 5 {
            let coarser = ground.levels[ground.levels.len() - 1].halved();
            ground.levels.push(coarser);
        }
        ground
    }

    /// Fills a polygon, by its rows.
    fn fill(&mut self, ring: &[Vec2], colour: Colour, roughness: f32) {
        let (origin, rough) = (self.origin, self.rough);
        let level = &mut self.levels[0];
        let local: Vec<Vec2> = ring.iter().map(|&p| (p - origin) * (1.0 / TEXEL)).collect();
        let low = local
            .iter()
            .map(|p| p.y)
            .fold(f64::INFINITY, f64::min)
            .max(0.0) as usize;
        let high = local.iter().map(|p| p.y).fold(0.0, f64::max) as usize;
        let mut cuts = Vec::new();
        for y in low..=high.min(level.height - 1) {
            let line = y as f64 + 0.5;
            cuts.clear();
            let mut before = local[local.len() - 1];
            for &here in &local {
                if (here.y > line) != (before.y > line) {
                    cuts.push(here.x + (line - here.y) / (before.y - here.y) * (before.x - here.x));
                }
                before = here;
            }
            cuts.sort_by(f64::total_cmp);
            for pair in cuts.chunks_exact(2) {
                let from = (pair[0] + 0.5).max(0.0) as usize;
                let to = ((pair[1] + 0.5).max(0.0) as usize).min(level.width);
                for x in from..to {
                    let shade = roughness * rough * grain(x, y);
                    level.texels[y * level.width + x] = colour.map(|c| (c + shade) as u8);
                }
            }
        }
    }

    /// A line of 0.2 m beside a centre line, up to some arc length.
    fn mark(&mut self, centre: &Polyline, until: f64, d: f64, marking: Marking) {
        let (colour, dash) = match marking {
            Marking::None => return,
            Marking::Solid => (PAINT, None),
            Marking::Dashed => (PAINT, Some((3.0, 6.0))),
            Marking::Centre => (YELLOW, None),
        };
        let step = 1.0;
        let pieces = (until / step).ceil() as usize;
        for i in 0..pieces {
            let (from, to) = (i as f64 * step, ((i + 1) as f64 * step).min(until));
            if dash.is_some_and(|(on, period)| from % period >= on) {
                continue;
            }
            let corner = |s: f64, side: f64| centre.beside(s, d + side).at;
            let piece = [
                corner(from, 0.12),
                corner(to, 0.12),
                corner(to, -0.12),
                corner(from, -0.12),
            ];
            self.fill(&piece, colour, 3.0);
        }
    }

    /// Bars across a road, where there is road.
    fn zebra(&mut self, from: Vec2, to: Vec2, width: f64, map: &RoadMap) {
        let way = to - from;
        let along = Vec2::unit(way.heading());
        let aside = Vec2::unit(way.heading() + PI / 2.0) * (width / 2.0);
        for i in 0..way.length() as usize {
            let start = from + along * (i as f64 + 0.2);
            let end = start + along * 0.5;
            if map.drivable(start.lerp(end, 0.5)) {
                self.fill(
                    &[start + aside, end + aside, end - aside, start - aside],
                    PAINT,
                    3.0,
                );
            }
        }
    }

    /// The colour of a place, from the level whose texels are about `extent` metres.
    pub fn colour(&self, at: Vec2, extent: f64) -> Colour {
        let level = (extent / TEXEL).max(1.0).log2() as usize;
        let level = level.min(self.levels.len() - 1);
        let texel = TEXEL * f64::from(1_u32 << level);
        let level = &self.levels[level];
        let local = (at - self.origin) * (1.0 / texel);
        if local.x < 0.0 || local.y < 0.0 {
            return GRASS;
        }
        let (x, y) = (local.x as usize, local.y as usize);
        if x >= level.width || y >= level.height {
            return GRASS;
        }
        level.texels[y * level.width + x].map(f32::from)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::driving::map::layout;

    #[test]
    fn road_is_grey_and_its_edge_is_painted() {
        let layout = layout("straight-0".parse::<Family>().unwrap());
        let map = &layout.map;
        let ground = Ground::paint(map, 1.0);
        let near = |colour: Colour, wanted: Colour| {
            colour.iter().zip(wanted).all(|(a, b)| (a - b).abs() < 26.0)
        };
        let lane = &map.lanes[1];
        assert!(near(ground.colour(lane.centre.at(30.0).at, 0.1), ASPHALT));
        assert!(near(
            ground.colour(lane.centre.beside(30.0, -1.65).at, 0.1),
            PAINT
        ));
        assert!(near(
            ground.colour(lane.centre.beside(30.0, -8.0).at, 0.1),
            GRASS
        ));
        // From far away the edge is mixed with what is beside it.
        let far = ground.colour(lane.centre.beside(30.0, -1.65).at, 3.0);
        assert!(!near(far, PAINT), "{far:?}");
    }
}
