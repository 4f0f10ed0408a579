//! Cells of the ground around the vehicle.

/// Cells over a rectangle of the ground, in the ego frame.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Grid {
    /// Cells along x and y.
    pub cells: [usize; 2],
    /// Metres: x from, to, y from, to.
    pub extent: [f64; 4],
}

impl Grid {
    /// The middle of a cell, m.
    pub fn centre(&self, [i, j]: [usize; 2]) -> [f64; 2] {
        let [x0, x1, y0, y1] = self.extent;
        let along = |from: f64, to: f64, i: usize, cells: usize| {
            from + (i as f64 + 0.5) * (to - from) / cells as f64
        };
        [
            along(x0, x1, i, self.cells[0]),
            along(y0, y1, j, self.cells[1]),
        ]
    }
}
