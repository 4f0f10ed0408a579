//! Cells of predicted occupancy as obstacles: what is in the way and is none of the agents. Shapes as in
//! [`super`]; a grid is `[X, Y, T]`, `X` and `Y` cells along the axes of the vehicle's frame, `T` times.

use super::PlannerOptions;
use conjoin_qp::planner::Obstacle;
use conjoin_qp::planner::model::State;

/// Where the cells lie, and when.
#[derive(Clone, Debug, PartialEq)]
pub struct Grid {
    /// `X`, `Y`.
    pub cells: [usize; 2],
    /// Metres that they cover: x from and to, y from and to.
    pub extent: [f64; 4],
    /// Seconds from now of each of the `T`.
    pub times: Vec<f64>,
}

/// A cell that is taken at some steps.
#[derive(Clone, Debug, PartialEq)]
pub struct Cell {
    pub obstacle: Obstacle,
    /// The grid's numbers that say so.
    pub entries: Vec<usize>,
}

impl Grid {
    /// Numbers of a grid.
    pub fn size(&self) -> usize {
        self.cells[0] * self.cells[1] * self.times.len()
    }

    /// The sides of a cell, m.
    fn sides(&self) -> [f64; 2] {
        let [x0, x1, y0, y1] = self.extent;
        [
            (x1 - x0) / self.cells[0] as f64,
            (y1 - y0) / self.cells[1] as f64,
        ]
    }

    /// The middle of a cell.
    fn middle(&self, cell: usize) -> [f64; 2] {
        let [width, height] = self.sides();
        let (i, j) = (cell / self.cells[1], cell % self.cells[1]);
        [
            self.extent[0] + (i as f64 + 0.5) * width,
            self.extent[2] + (j as f64 + 0.5) * height,
        ]
    }

    /// The time, of those that there are, nearest to the end of a step.
    fn layer(&self, step: usize, dt: f64) -> usize {
        let time = (step + 1) as f64 * dt;
        let apart = |layer: &usize| (self.times[*layer] - time).abs();
        let layers = 0..self.times.len();
        let nearest = layers.min_by(|a, b| apart(a).total_cmp(&apart(b)));
        nearest.unwrap_or(0)
    }

    /// The cells that come nearest to the vehicle on its reference, as circles within them: cells count as taken
    /// that a body only touches. Those under the vehicle now do not count, nor does a cell at a time at which
    /// `is_known` says that one of the agents is there (asked with the time, the cell's middle and half its
    /// diagonal).
    pub fn nearest(
        &self,
        options: &PlannerOptions,
        taken: &[f32],
        states: &[State],
        is_known: impl Fn(f64, [f64; 2], f64) -> bool,
    ) -> Vec<Cell> {
        let sides = self.sides();
        let half = 0.5 * sides[0].hypot(sides[1]);
        let layers: Vec<usize> = (0..states.len())
            .map(|step| self.layer(step, options.vehicle.dt))
            .collect();
        let mut found: Vec<(f64, Cell)> = Vec::new();
        for (cell, taken) in taken.chunks_exact(self.times.len().max(1)).enumerate() {
            let at = self.middle(cell);
            let is_taken = |layer: usize| f64::from(taken[layer]) >= options.occupancy_threshold;
            if !(0..taken.len()).any(is_taken) || is_under(options, at, half) {
                continue;
            }
            let counts: Vec<bool> = (self.times.iter().enumerate())
                .map(|(layer, time)| is_taken(layer) && !is_known(*time, at, half))
                .collect();
            let mut poses = vec![None; states.len()];
            let mut entries: Vec<usize> = Vec::new();
            let mut least = f64::INFINITY;
            for (step, [x, y, yaw, _]) in states.iter().enumerate() {
                let layer = layers[step];
                if !counts[layer] {
                    continue;
                }
                poses[step] = Some([at[0], at[1], 0.0]);
                if !entries.contains(&layer) {
                    entries.push(layer);
                }
                let centre = options.vehicle.centre;
                let (dx, dy) = (
                    x + centre * yaw.cos() - at[0],
                    y + centre * yaw.sin() - at[1],
                );
                least = least.min(dx.hypot(dy));
            }
            if entries.is_empty() {
                continue;
            }
            let sum: f64 = entries.iter().map(|layer| f64::from(taken[*layer])).sum();
            let obstacle = Obstacle {
                poses,
                length: 0.0,
                width: sides[0].min(sides[1]),
                margin: options.occupancy_margin * sum / entries.len() as f64,
                standoff: 0.0,
            };
            for entry in &mut entries {
                *entry += cell * taken.len();
            }
            found.push((least, Cell { obstacle, entries }));
        }
        // Stable: of cells as near as each other the first ones.
        found.sort_by(|a, b| a.0.total_cmp(&b.0));
        found.truncate(options.cells);
        found.into_iter().map(|(_, cell)| cell).collect()
    }
}

/// Whether a cell is where the vehicle is now.
fn is_under(options: &PlannerOptions, [x, y]: [f64; 2], half: f64) -> bool {
    let vehicle = &options.vehicle;
    (x - vehicle.centre).abs() < 0.5 * vehicle.length + half && y.abs() < 0.5 * vehicle.width + half
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grid() -> Grid {
        Grid {
            cells: [4, 2],
            extent: [0.0, 40.0, -4.0, 4.0],
            times: vec![0.0, 1.0],
        }
    }

    #[test]
    fn cells_lie_where_the_grid_has_them() {
        let grid = grid();
        assert_eq!((grid.size(), grid.sides()), (16, [10.0, 4.0]));
        assert_eq!(grid.middle(0), [5.0, -2.0]);
        assert_eq!(grid.middle(5), [25.0, 2.0]);
        // Ends of steps of 0.3 s: 0.3, 0.6, 0.9, 1.2.
        let layers = [0, 1, 2, 3].map(|step| grid.layer(step, 0.3));
        assert_eq!(layers, [0, 1, 1, 1]);
    }

    #[test]
    fn the_nearest_cells_that_nobody_explains_are_found() {
        let grid = grid();
        let mut options = PlannerOptions {
            occupancy_margin: 0.5,
            cells: 2,
            ..PlannerOptions::default()
        };
        options.vehicle.dt = 0.5;
        let states: Vec<State> = (1..=3).map(|k| [5.0 * k as f64, 0.0, 0.0, 10.0]).collect();
        // Steps end at 0.5, 1.0 and 1.5 s: the first has the time 0, the others 1.
        let mut taken = vec![0.0; 16];
        let set = |taken: &mut Vec<f32>, cell: usize, values: [f32; 2]| {
            taken[2 * cell..2 * cell + 2].copy_from_slice(&values);
        };
        set(&mut taken, 0, [1.0, 1.0]); // under the vehicle
        set(&mut taken, 3, [0.4, 0.9]); // middle (15, 2), at time 1 alone
        set(&mut taken, 5, [0.8, 0.6]); // middle (25, 2)
        set(&mut taken, 6, [1.0, 1.0]); // middle (35, -2), the farthest
        let free = |_: f64, _: [f64; 2], _: f64| false;
        let found = grid.nearest(&options, &taken, &states, free);
        assert_eq!(found.len(), 2);
        assert_eq!(found[0].entries, [7]);
        let at = Some([15.0, 2.0, 0.0]);
        assert_eq!(found[0].obstacle.poses, [None, at, at]);
        assert!((found[0].obstacle.margin - 0.45).abs() < 1e-6);
        assert_eq!(found[0].obstacle.width, 4.0);
        assert_eq!(found[1].entries, [10, 11]);
        assert!((found[1].obstacle.margin - 0.35).abs() < 1e-6);
        // What an agent explains at a time is not there at that time.
        let known = |time: f64, at: [f64; 2], _: f64| at[0] < 20.0 || time == 0.0;
        let found = grid.nearest(&options, &taken, &states, known);
        let entries: Vec<&[usize]> = found.iter().map(|cell| &cell.entries[..]).collect();
        assert_eq!(entries, [&[11][..], &[13]]);
    }
}
