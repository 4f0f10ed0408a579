//! Which lanes and intersections a point lies in, by a grid of cells that knows for each outline near a
//! cell whether it covers all of it.

use super::Lane;
use crate::geometry::{Polygon, Vec2};

/// Metres a cell.
const CELL: f64 = 2.0;

/// An outline near a cell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Entry {
    /// A lane, or as many as there are lanes and an intersection.
    area: u16,
    /// Whether the whole cell lies inside.
    whole: bool,
}

/// The outlines of all areas.
pub(super) fn outlines<'a>(
    lanes: &'a [Lane],
    intersections: &'a [Polygon],
) -> impl Iterator<Item = &'a Polygon> {
    lanes.iter().map(|lane| &lane.outline).chain(intersections)
}

/// The corners of their upright hull.
pub(super) fn bounds<'a>(outlines: impl Iterator<Item = &'a Polygon>) -> Option<(Vec2, Vec2)> {
    outlines.map(Polygon::bounds).reduce(|(a, b), (c, d)| {
        (
            Vec2::new(a.x.min(c.x), a.y.min(c.y)),
            Vec2::new(b.x.max(d.x), b.y.max(d.y)),
        )
    })
}

/// The grid.
#[derive(Debug, Clone, Default)]
pub struct Cover {
    least: Vec2,
    width: usize,
    height: usize,
    /// Where each cell's entries begin, row by row, and where the last one's end.
    starts: Vec<u32>,
    entries: Vec<Entry>,
}

impl Cover {
    pub fn new(lanes: &[Lane], intersections: &[Polygon]) -> Self {
        let outlines = || outlines(lanes, intersections);
        let Some((least, most)) = bounds(outlines()) else {
            return Self::default();
        };
        let size = (most - least) * (1.0 / CELL);
        let (width, height) = (size.x as usize + 1, size.y as usize + 1);
        let mut cells: Vec<Vec<Entry>> = vec![Vec::new(); width * height];
        for (area, outline) in (0_u16..).zip(outlines()) {
            let (low, high) = outline.bounds();
            let (low, high) = ((low - least) * (1.0 / CELL), (high - least) * (1.0 / CELL));
            for y in low.y as usize..=(high.y as usize).min(height - 1) {
                for x in low.x as usize..=(high.x as usize).min(width - 1) {
                    let middle = least + Vec2::new(x as f64 + 0.5, y as f64 + 0.5) * CELL;
                    // A hair more than half the diagonal.
                    let crossed = outline.edge_within(middle, 0.7072 * CELL);
                    if crossed || outline.contains(middle) {
                        let whole = !crossed;
                        cells[y * width + x].push(Entry { area, whole });
                    }
                }
            }
        }
        let mut starts = vec![0];
        let mut entries = Vec::new();
        for cell in cells {
            entries.extend(cell);
            starts.push(entries.len() as u32);
        }
        Self {
            least,
            width,
            height,
            starts,
            entries,
        }
    }

    /// The lanes, and behind them the intersections, that a point lies in.
    pub fn at<'a>(
        &'a self,
        point: Vec2,
        lanes: &'a [Lane],
        intersections: &'a [Polygon],
    ) -> impl Iterator<Item = usize> + 'a {
        let place = (point - self.least) * (1.0 / CELL);
        let (x, y) = (place.x as usize, place.y as usize);
        let inside = place.x >= 0.0 && place.y >= 0.0 && x < self.width && y < self.height;
        let range = if inside {
            let cell = y * self.width + x;
            self.starts[cell] as usize..self.starts[cell + 1] as usize
        } else {
            0..0
        };
        let entries = self.entries[range].iter();
        entries.filter_map(move |entry| {
            let area = usize::from(entry.area);
            let outline = || match lanes.get(area) {
                Some(lane) => &lane.outline,
                None => &intersections[area - lanes.len()],
            };
            (entry.whole || outline().contains(point)).then_some(area)
        })
    }
}

#[cfg(test)]
mod tests {
    use crate::driving::map::{Family, layout};
    use crate::geometry::Vec2;

    #[test]
    fn the_grid_says_what_the_outlines_say() {
        for family in Family::all() {
            let layout = layout(family);
            let map = &layout.map;
            for i in 0..6000 {
                // Both coordinates are irrational multiples, so that no place is special.
                let (u, v) = (f64::from(i) * 0.618_034, f64::from(i) * 0.754_878);
                let point = Vec2::new(u.fract() * 260.0 - 110.0, v.fract() * 260.0 - 110.0);
                let outlines = map.lanes.iter().map(|lane| &lane.outline);
                let outlines = outlines.chain(&map.intersections).enumerate();
                let plain = outlines.filter(|(_, outline)| outline.contains(point));
                let plain: Vec<usize> = plain.map(|(area, _)| area).collect();
                let found: Vec<usize> = map.areas(point).collect();
                assert_eq!(found, plain, "{family} {point:?}");
            }
        }
    }
}
