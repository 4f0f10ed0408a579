//! A map of the road as edges: what the vehicle's front corners stay inside of. Shapes as in [`super`]; a map is
//! `[X, Y, 1]`, metres from the middle of a cell to the road's edge, above 0 on the road.
//!
//! Between the middles of four cells the map is bilinear. It counts where the reference has a corner: the distance
//! there and how it grows are the half-plane that the plan keeps.

use super::PlannerOptions;
use conjoin_qp::planner::model::State;
use conjoin_qp::planner::{Edge, EdgeGradients};

/// Where the cells lie.
#[derive(Clone, Debug, PartialEq)]
pub struct Map {
    /// `X`, `Y`.
    pub cells: [usize; 2],
    /// Metres that they cover: x from and to, y from and to.
    pub extent: [f64; 4],
}

/// Four cells around a place, with what each has of the distance there, and of how it grows along x and y.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Lookup {
    cells: [usize; 4],
    weights: [f64; 4],
    slopes: [[f64; 2]; 4],
}

impl Lookup {
    /// The distance at the place, and how it grows.
    fn read(&self, road: &[f32]) -> (f64, [f64; 2]) {
        let mut found = (0.0, [0.0; 2]);
        for corner in 0..4 {
            let value = f64::from(road[self.cells[corner]]);
            found.0 += self.weights[corner] * value;
            for axis in 0..2 {
                found.1[axis] += self.slopes[corner][axis] * value;
            }
        }
        found
    }

    /// Adds the gradient of an edge to that of the map.
    pub fn backward(&self, edge: &EdgeGradients, to: &mut [f32]) {
        for corner in 0..4 {
            let [x, y] = self.slopes[corner];
            let sum = self.weights[corner] * edge.distance + x * edge.slope[0] + y * edge.slope[1];
            to[self.cells[corner]] += sum as f32;
        }
    }
}

impl Map {
    /// Numbers of a map.
    pub fn size(&self) -> usize {
        self.cells[0] * self.cells[1]
    }

    /// The cells around a place; none where it is not between the middles of some.
    fn around(&self, at: [f64; 2]) -> Option<Lookup> {
        let mut first = [0; 2];
        let mut share = [0.0; 2];
        let mut per_metre = [0.0; 2];
        for axis in 0..2 {
            let [from, to] = [self.extent[2 * axis], self.extent[2 * axis + 1]];
            per_metre[axis] = self.cells[axis] as f64 / (to - from);
            let place = (at[axis] - from) * per_metre[axis] - 0.5;
            let last = self.cells[axis].checked_sub(2)?;
            if !(place >= 0.0 && place <= (last + 1) as f64) {
                return None;
            }
            first[axis] = (place as usize).min(last);
            share[axis] = place - first[axis] as f64;
        }
        let mut found = Lookup {
            cells: [0; 4],
            weights: [0.0; 4],
            slopes: [[0.0; 2]; 4],
        };
        for corner in 0..4 {
            let next = [corner / 2, corner % 2];
            let part = [0, 1].map(|axis| [1.0 - share[axis], share[axis]][next[axis]]);
            let sign = next.map(|next| if next == 0 { -1.0 } else { 1.0 });
            found.cells[corner] = (first[0] + next[0]) * self.cells[1] + first[1] + next[1];
            found.weights[corner] = part[0] * part[1];
            found.slopes[corner] = [
                sign[0] * per_metre[0] * part[1],
                sign[1] * per_metre[1] * part[0],
            ];
        }
        Some(found)
    }

    /// What the front corners keep at the reference's states, and the cells that say so.
    ///
    /// A corner that has less of the road than the margin now keeps what it has, and on the way out as much less as
    /// it needs to turn round, as with the walls of [`conjoin_qp::planner::corridor`]: the vehicle could not move
    /// otherwise, not even to come back. That counts as given.
    pub fn edges(
        &self,
        options: &PlannerOptions,
        road: &[f32],
        states: &[State],
    ) -> (Vec<Edge>, Vec<Lookup>) {
        let vehicle = &options.vehicle;
        let ahead = vehicle.centre + 0.5 * vehicle.length;
        let corners = [0.5, -0.5].map(|side| {
            let point = [ahead, side * vehicle.width];
            (point, self.margin(options, road, point))
        });
        let mut found = (Vec::new(), Vec::new());
        for (step, [x, y, yaw, _]) in states.iter().enumerate() {
            let (sin, cos) = yaw.sin_cos();
            for ([ahead, left], margin) in corners {
                let place = [x + ahead * cos - left * sin, y + ahead * sin + left * cos];
                let Some(lookup) = self.around(place) else {
                    continue;
                };
                let (distance, slope) = lookup.read(road);
                found.0.push(Edge {
                    step,
                    point: [ahead, left],
                    distance,
                    slope,
                    margin,
                });
                found.1.push(lookup);
            }
        }
        found
    }

    /// What is kept of the road at a corner, by what it has now.
    fn margin(&self, options: &PlannerOptions, road: &[f32], corner: [f64; 2]) -> f64 {
        let Some(lookup) = self.around(corner) else {
            return options.road_margin;
        };
        let (now, slope) = lookup.read(road);
        let steepness = slope[0].hypot(slope[1]).max(f64::MIN_POSITIVE);
        // Sine and cosine between the vehicle's heading and the edge, on the way out.
        let sin = (-slope[0] / steepness).clamp(0.0, 1.0);
        let more = (1.0 - (1.0 - sin * sin).sqrt()) / options.vehicle.curvature;
        options.road_margin.min(now - more)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAP: Map = Map {
        cells: [3, 2],
        extent: [0.0, 6.0, -4.0, 4.0],
    };

    #[test]
    fn between_the_middles_of_cells_a_map_is_bilinear() {
        // Middles at x 1, 3, 5 and y -2, 2; 1 + x + 2 y + x y / 4 at them.
        let value = |x: f64, y: f64| 1.0 + x + 2.0 * y + 0.25 * x * y;
        let road: Vec<f32> = [1.0, 3.0, 5.0]
            .iter()
            .flat_map(|x| [-2.0, 2.0].map(|y| value(*x, y) as f32))
            .collect();
        for [x, y] in [[1.0, -2.0], [2.2, 0.3], [3.0, 1.0], [5.0, 2.0], [4.9, -1.0]] {
            let (found, slope) = MAP.around([x, y]).unwrap().read(&road);
            assert!((found - value(x, y)).abs() < 1e-9);
            assert!((slope[0] - 1.0 - 0.25 * y).abs() < 1e-9, "{slope:?}");
            assert!((slope[1] - 2.0 - 0.25 * x).abs() < 1e-9, "{slope:?}");
        }
        for outside in [
            [0.9, 0.0],
            [5.1, 0.0],
            [3.0, 2.1],
            [3.0, -2.1],
            [f64::NAN, 0.0],
        ] {
            assert_eq!(MAP.around(outside), None);
        }
        let narrow = Map {
            cells: [3, 1],
            ..MAP
        };
        assert_eq!(narrow.around([3.0, 0.0]), None);
    }

    #[test]
    fn who_has_less_than_the_margin_keeps_what_he_has() {
        let options = PlannerOptions {
            road_margin: 0.3,
            ..PlannerOptions::default()
        };
        let map = Map {
            cells: [24, 16],
            extent: [-2.0, 10.0, -4.0, 4.0],
        };
        // The road's left edge, seen under an angle by a vehicle whose left front corner has `now` of it.
        let kept = |now: f64, degrees: f64| {
            let (sin, cos) = degrees.to_radians().sin_cos();
            let road: Vec<f32> = (0..24 * 16)
                .map(|cell| {
                    let x = -2.0 + (f64::from(cell / 16) + 0.5) * 0.5;
                    let y = -4.0 + (f64::from(cell % 16) + 0.5) * 0.5;
                    (now - (x - 3.65) * sin - (y - 0.95) * cos) as f32
                })
                .collect();
            let states = [[0.0, 0.0, 0.0, 3.0], [0.5, 0.1, 0.2, 3.0]];
            let (edges, lookups) = map.edges(&options, &road, &states);
            assert_eq!((edges.len(), lookups.len()), (4, 4));
            let at = |edge: &Edge| (edge.step, edge.point);
            assert_eq!(at(&edges[0]), (0, [3.65, 0.95]));
            assert_eq!(at(&edges[3]), (1, [3.65, -0.95]));
            assert!((edges[0].distance - now).abs() < 1e-6);
            assert!((edges[0].slope[0] + sin).abs() < 1e-6);
            assert_eq!(edges[0].margin, edges[2].margin);
            edges[0].margin
        };
        let near = |found: f64, expected: f64| assert!((found - expected).abs() < 1e-6, "{found}");
        near(kept(1.0, 0.0), 0.3);
        near(kept(0.1, 0.0), 0.1);
        near(kept(-0.4, -30.0), -0.4);
        // A radius of 5 m: outwards by 30 degrees it gets 0.67 m further.
        let more = 5.0 * (1.0 - 30_f64.to_radians().cos());
        near(kept(-0.4, 30.0), -0.4 - more);
        near(kept(0.8, 30.0), 0.8 - more);
        near(kept(2.0, 30.0), 0.3);
    }
}
